"""Keys as people press them in the boxes for numbers, and what fits a box."""

from collections.abc import Iterator
from contextlib import contextmanager

from PyQt6.QtCore import QEvent, QLocale, Qt
from PyQt6.QtGui import QKeyEvent
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication, QDoubleSpinBox, QSpinBox, QWidget

Box = QDoubleSpinBox | QSpinBox
LOCALES = ("C", "de_DE", "fr_FR", "ar_EG")  # the last has other digits, and other marks


@contextmanager
def language(name: str) -> Iterator[None]:
    """As on a computer set to this language."""
    before = QLocale()
    QLocale.setDefault(QLocale(name))
    try:
        yield
    finally:
        QLocale.setDefault(before)


def type_into(box: Box, text: str, *, enter: bool = True) -> None:
    """Over what stands there."""
    box.selectAll()
    QTest.keyClick(box, Qt.Key.Key_Delete)
    for one in text:
        if one.isascii():
            QTest.keyClick(box, one)
        else:  # no key of a test's keyboard has it
            for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
                key = QKeyEvent(kind, 0, Qt.KeyboardModifier.NoModifier, one)
                QApplication.sendEvent(box, key)
    if enter:
        QTest.keyClick(box, Qt.Key.Key_Return)


def fitting(box: QDoubleSpinBox) -> str:
    """A number with decimals that this box takes, written with a point."""
    middle = (box.minimum() + box.maximum()) / 2
    for value in (1.5, 2.5, 0.5, 0.05, middle):
        text = f"{value:.{min(box.decimals(), 3)}f}"
        if "." in text and float(text) and box.minimum() <= float(text) <= box.maximum():
            return text
    raise AssertionError(f"{box.objectName()}: no number with decimals is in its limits")


def usable(box: QWidget) -> None:
    """Whatever is not ready in the window yet."""
    part: QWidget | None = box
    while part is not None:
        part.setEnabled(True)
        part = part.parentWidget()


def takes_what_is_typed(box: Box) -> None:
    """Asserts it for both marks, and that nothing is taken for another number."""
    usable(box)
    box.blockSignals(True)  # the number counts here, not what it does
    name, before = box.objectName(), box.value()
    if isinstance(box, QSpinBox) or not box.decimals():
        box.setValue(box.minimum())
        held = box.value()
        for text in ("1.5", "1,5", "1.000", "1,000"):
            type_into(box, text)
            assert box.value() == held, (name, text)
            assert text in box.text(), (name, text)  # to be mended
        whole = int(min(max(box.minimum(), 16), box.maximum()))
        type_into(box, str(whole))
        assert box.value() == whole, name
    else:
        text = fitting(box)
        for typed in (text, text.replace(".", ",")):
            box.setValue(box.minimum())
            type_into(box, typed)
            assert box.value() == float(text), (name, typed)
            assert box.cleanText() == f"{float(text):.{box.decimals()}f}" or (
                float(box.cleanText()) == float(text)
            ), (name, typed)
            for wrong in (f"1.{typed},5", f"{typed[:1]} {typed}", f"{typed[:1]}'{typed}"):
                type_into(box, wrong)
                assert box.value() == float(text), (name, wrong)
                assert wrong in box.text(), (name, wrong)
    box.interpretText()
    box.setValue(before)  # type: ignore[arg-type]
    box.blockSignals(False)
