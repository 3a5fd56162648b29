"""Names and errors are shown as they were written, whatever markup they hold.

Qt takes what looks like HTML for HTML, in labels, tool tips and message boxes. Here a text is
plain wherever nothing else was decided for a label.
"""

import html
from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QLabel, QProxyStyle


class PlainTextStyle(QProxyStyle):
    """Makes every label plain, those of tool tips and dialogs too, before it is first seen."""

    def polish(self, subject: Any) -> Any:
        done = super().polish(subject)
        if isinstance(subject, QLabel) and subject.textFormat() is Qt.TextFormat.AutoText:
            subject.setTextFormat(Qt.TextFormat.PlainText)
        return done


def show_coloured(label: QLabel, *parts: tuple[str, str]) -> None:
    """Show plain texts beside each other, each with its colour; an empty one is the label's."""
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setText(" ".join(_coloured(text, colour) for text, colour in parts))


def _coloured(text: str, colour: str) -> str:
    safe = html.escape(text).replace("  ", " &nbsp;")  # HTML shows several blanks as one
    return f'<span style="color: {colour}">{safe}</span>' if colour else safe


def literal(name: str) -> str:
    """A name for a control whose text marks its key with &."""
    return name.replace("&", "&&")
