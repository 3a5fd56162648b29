"""How the app looks: dark, for a dark room."""

import pyqtgraph as pg
from PyQt6.QtGui import QColor, QPalette
from PyQt6.QtWidgets import QApplication

from ui.plain_text import PlainTextStyle

BACKGROUND, FOREGROUND = "#101214", "#c8ccd0"
RED, GREEN, AMBER, BLUE = "#d9363e", "#4caf7a", "#e0a030", "#4a90d9"

_ROLES = {
    QPalette.ColorRole.Window: "#1b1e22",
    QPalette.ColorRole.WindowText: FOREGROUND,
    QPalette.ColorRole.Base: BACKGROUND,
    QPalette.ColorRole.AlternateBase: "#181b1f",
    QPalette.ColorRole.Text: FOREGROUND,
    QPalette.ColorRole.PlaceholderText: "#7a8088",
    QPalette.ColorRole.Button: "#2a2e34",
    QPalette.ColorRole.ButtonText: FOREGROUND,
    QPalette.ColorRole.BrightText: RED,
    QPalette.ColorRole.ToolTipBase: "#2a2e34",
    QPalette.ColorRole.ToolTipText: FOREGROUND,
    QPalette.ColorRole.Highlight: BLUE,
    QPalette.ColorRole.HighlightedText: "#ffffff",
    QPalette.ColorRole.Link: BLUE,
}
_DISABLED = (
    QPalette.ColorRole.Text,
    QPalette.ColorRole.WindowText,
    QPalette.ColorRole.ButtonText,
)
_STYLE = f"""
QToolTip {{ color: {FOREGROUND}; background: #2a2e34; border: 1px solid #454b53; }}
QGroupBox {{ border: 1px solid #353a41; border-radius: 4px; margin-top: 9px; padding-top: 4px; }}
QGroupBox::title {{ subcontrol-origin: margin; left: 8px; padding: 0 3px; }}
QDockWidget::title {{ background: #23272c; padding: 4px 8px; }}
QPushButton {{ padding: 4px 10px; }}
QPushButton#stop {{
    background: {RED}; color: white; font-weight: bold; border: none; border-radius: 3px;
}}
"""


def apply_theme(application: QApplication) -> None:
    """Dark colours for widgets and plots; texts are shown as they are."""
    application.setStyle(PlainTextStyle("Fusion"))
    palette = QPalette()
    for role, colour in _ROLES.items():
        palette.setColor(role, QColor(colour))
    for role in _DISABLED:
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor("#666c74"))
    application.setPalette(palette)
    application.setStyleSheet(_STYLE)
    pg.setConfigOptions(
        background=BACKGROUND, foreground=FOREGROUND, imageAxisOrder="row-major", antialias=True
    )
