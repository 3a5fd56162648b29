"""Controls that several panels share."""

from pathlib import Path

from PyQt6.QtCore import QEvent, QObject, Qt
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from ui.number_box import NumberBox, WholeBox
from ui.plain_text import show_coloured
from ui.theme import AMBER

_DARK = "#7a8088"
_NUMBER_WIDTH_PX = 92  # so that a row of them fits into a dock


class _NoWheel(QObject):
    """Lets the wheel scroll the dock instead of changing a value under it."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        if event is not None and event.type() is QEvent.Type.Wheel:
            event.ignore()
            return True
        return super().eventFilter(watched, event)


def without_wheel(*widgets: QWidget) -> None:
    """Controls of hardware change by keys, mouse buttons and typing only."""
    for widget in widgets:
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(_NoWheel(widget))


def button(text: str, name: str, tip: str) -> QPushButton:
    """A push button that says what it does."""
    made = QPushButton(text)
    made.setObjectName(name)
    made.setToolTip(tip)
    return made


def number_box(
    name: str, limits: tuple[float, float], decimals: int, unit: str, tip: str
) -> NumberBox:
    """A spin box that tells a value once it was typed, and leaves the wheel alone."""
    box = NumberBox()
    box.setObjectName(name)
    box.setDecimals(decimals)
    box.setRange(*limits)
    box.setSuffix(f" {unit}" if unit else "")
    box.setMinimumWidth(_NUMBER_WIDTH_PX)
    box.setToolTip(tip)
    without_wheel(box)
    return box


def whole_box(name: str, limits: tuple[int, int], value: int, tip: str) -> WholeBox:
    """A spin box for whole numbers that leaves the wheel alone."""
    box = WholeBox()
    box.setObjectName(name)
    box.setRange(*limits)
    box.setValue(value)
    box.setToolTip(tip)
    without_wheel(box)
    return box


def row(*parts: QWidget) -> QHBoxLayout:
    """Beside each other; only labels keep their width."""
    made = QHBoxLayout()
    made.setSpacing(6)  # a form whose own spacings differ would leave none
    for part in parts:
        made.addWidget(part, 0 if isinstance(part, QLabel) else 1)
    return made


def typed_path(text: str) -> Path:
    """A path as people type it, "~" for the home; that of an unknown user stays as it is."""
    path = Path(text.strip())
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def set_quietly(box: NumberBox, value: float) -> None:
    """Show a value that was not asked for here."""
    blocked = box.blockSignals(True)
    box.setValue(value)
    box.blockSignals(blocked)


def set_lamp(lamp: QLabel, lit: bool | None, words: tuple[str, str, str]) -> None:
    """words: for dark, lit, and not known."""
    told = words[2] if lit is None else words[lit]
    colour = _DARK if lit is False else AMBER
    sign = {True: "\N{BLACK CIRCLE}", False: "\N{WHITE CIRCLE}", None: "?"}[lit]
    show_coloured(lamp, (sign, colour), (told, ""))
