"""Boxes for numbers: what is typed with either decimal mark is what is meant, or is refused.

Qt's own follow the language of the computer, and drop the mark that this language does not use:
1.5 became 15. They also drop digits that would lead beyond the limits: 1000 became 100. Here every
key counts; a text that is no number within the limits turns red, says why, and changes nothing.
"""

import logging
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QRect, Qt, QTimer
from PyQt6.QtGui import QColor, QFocusEvent, QKeyEvent, QPalette, QValidator
from PyQt6.QtWidgets import QAbstractSpinBox, QApplication, QDoubleSpinBox, QSpinBox, QToolTip

from ui.typed_number import (
    RefusedError,
    shown_exactly,
    shown_number,
    typed_number,
    without_unit,
)

_REFUSED = QColor("#6b1d22")
_TOLD_MS = 8000
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    _Box = QAbstractSpinBox
else:
    _Box = object


class _TypedBox(_Box):
    """What the two kinds share. problem: why the text was not taken, or an empty text.

    A text counts once Enter was pressed or the box was left. One that is refused stays until then
    to be mended; a box that is left shows what holds.
    """

    prefix: Any
    suffix: Any
    minimum: Any
    maximum: Any

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.problem = ""
        self.setKeyboardTracking(False)
        self._tip = QTimer(self)
        self._tip.setSingleShot(True)
        self._tip.timeout.connect(self._show_tip)
        edit = self.lineEdit()
        assert edit is not None
        edit.textEdited.connect(self._on_edited)

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        text = text or ""
        try:
            known = self._meant(text) is not None
        except RefusedError:
            known = False  # and no key is dropped: the rest would be another number
        state = QValidator.State.Acceptable if known else QValidator.State.Intermediate
        return state, text, position

    def fixup(self, text: str | None) -> str:
        """Called where a text that is no number is to be taken."""
        self._refuse(text or "")
        return text or ""

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        edit = self.lineEdit()
        if event is not None and edit is not None and event.key() in _ENTER:
            text = edit.text()
            if self.validate(text, 0)[0] is not QValidator.State.Acceptable:
                self._refuse(text)  # and nothing follows, such as a stage that moves
                if not self._typed(text):
                    self.interpretText()
                return
        super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent | None) -> None:  # noqa: N802
        super().focusInEvent(event)
        self._mark("")

    def _meant(self, text: str) -> float | None:
        """None while a number is only begun. Raises RefusedError."""
        if text and text == self.specialValueText():
            return float(self.minimum())
        value = self._number(text)
        if value is None:
            return None
        self._check(value, self._typed(text))
        return self._kept(value)

    def _number(self, text: str) -> float | None:
        return typed_number(text.removeprefix(self.prefix()), self.suffix(), whole=self._whole)

    def _check(self, value: float, typed: str) -> None:
        if not self.minimum() <= self._kept(value) <= self.maximum():
            low, high = (self.textFromValue(one) for one in (self.minimum(), self.maximum()))
            unit = self.suffix().rstrip()
            raise RefusedError(f"{typed}{unit} is not possible here; {low} to {high}{unit} are.")
        if value and not self._kept(value):
            least = self.textFromValue(self._least)
            raise RefusedError(f"{typed} is less than {least}, the least above 0 here.")

    def _typed(self, text: str) -> str:
        return without_unit(text.removeprefix(self.prefix()), self.suffix())

    def _refuse(self, text: str) -> None:
        typed = self._typed(text)
        if not typed:  # emptied: what holds is shown again
            return
        try:
            if self._meant(text) is not None:
                return
            problem = f"{typed} is no number."
        except RefusedError as refusal:
            problem = str(refusal)
        if problem != self.problem:
            logger.warning("Not taken: %s", problem)
        self._mark(problem)
        self._tip.start(0)  # after the click that left the box, which would end it

    def _on_edited(self, text: str) -> None:
        """Red as soon as no further key can make it a number for this box."""
        self._mark("")
        try:
            value = None if text == self.specialValueText() else self._number(text)
        except RefusedError:
            self._colour(refused=True)
        else:
            low, high = min(self.minimum(), 0), max(self.maximum(), 0)
            self._colour(refused=value is not None and not low <= self._kept(value) <= high)

    def _mark(self, problem: str) -> None:
        self.problem = problem
        self._colour(refused=bool(problem))

    def _colour(self, *, refused: bool) -> None:
        edit = self.lineEdit()
        if edit is not None:
            palette = self.palette()
            if refused:
                palette.setColor(QPalette.ColorRole.Base, _REFUSED)
            edit.setPalette(palette)

    def _show_tip(self) -> None:
        if self.problem and self.isVisible():
            below = self.mapToGlobal(self.rect().bottomLeft())
            QToolTip.showText(below, self.problem, self, QRect(), _TOLD_MS)

    @property
    def _whole(self) -> bool:
        raise NotImplementedError

    @property
    def _least(self) -> Any:
        """The smallest number above 0 that can be shown."""
        raise NotImplementedError

    def _kept(self, value: float) -> float:
        """With the decimals of this box."""
        raise NotImplementedError

    def textFromValue(self, value: Any) -> str:  # noqa: N802
        raise NotImplementedError


class NumberBox(_TypedBox, QDoubleSpinBox):
    """A number with decimals; without any where there are 0 decimals."""

    def textFromValue(self, value: float) -> str:  # noqa: N802
        return shown_number(value, self.decimals())

    def valueFromText(self, text: str | None) -> float:  # noqa: N802
        value = self._meant(text or "")
        return self.value() if value is None else value

    @property
    def _whole(self) -> bool:
        return self.decimals() == 0

    @property
    def _least(self) -> float:
        return float(10.0 ** -self.decimals())

    def _kept(self, value: float) -> float:
        return round(value, self.decimals())


class ExactBox(NumberBox):
    """Shows as many digits as the number has, instead of all decimals."""

    def textFromValue(self, value: float) -> str:  # noqa: N802
        return shown_exactly(value)


class WholeBox(_TypedBox, QSpinBox):
    """A whole number."""

    def textFromValue(self, value: int) -> str:  # noqa: N802
        return str(value)

    def valueFromText(self, text: str | None) -> int:  # noqa: N802
        value = self._meant(text or "")
        return self.value() if value is None else int(value)

    @property
    def _whole(self) -> bool:
        return True

    @property
    def _least(self) -> int:
        return 1

    def _kept(self, value: float) -> float:
        return value


def take_typed() -> None:
    """What is being typed counts from now on, as after Enter: a key for an action leaves no box."""
    box = QApplication.focusWidget()
    if isinstance(box, NumberBox | WholeBox):
        box.interpretText()
