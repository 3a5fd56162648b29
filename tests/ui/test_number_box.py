"""Boxes for numbers take what is typed, in every language, or nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication, QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot
from typing_keys import LOCALES, language, type_into

from ui.number_box import ExactBox, NumberBox, WholeBox
from ui.typed_number import RefusedError, shown_exactly, shown_number, typed_number

UI = Path(__file__).parents[2] / "ui"
QT_ONLY = {
    "QDoubleSpinBox", "QSpinBox", "QDateTimeEdit", "QLocale", "QInputDialog", "QDoubleValidator",
    "QIntValidator", "SpinBox",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.5", 1.5),
        ("1,5", 1.5),
        (",5", 0.5),
        ("5.", 5),
        ("5,", 5),
        ("  2,25 ", 2.25),
        ("\N{NO-BREAK SPACE}7\N{THIN SPACE}", 7),
        ("+3", 3),
        ("-3,5", -3.5),
        ("\N{MINUS SIGN}3.5", -3.5),
        ("\N{EN DASH}3.5", -3.5),
        ("1e3", 1000),
        ("1,5E-2", 0.015),
        ("1e\N{MINUS SIGN}2", 0.01),
        ("1,000", 1),  # never a thousand: both marks begin the decimals
        ("1.000", 1),
        ("\u0661\u066b\u0665", 1.5),
        ("\u0967.\u096b", 1.5),
        ("\uff11,\uff15", 1.5),
        ("1.5 µm", 1.5),
        ("1,5µm", 1.5),
        ("1.5 \N{GREEK SMALL LETTER MU}m", 1.5),
        ("1.5 um", 1.5),
        ("1.5 um µm", 1.5),
    ],
)
def test_what_is_a_number(text: str, number: float) -> None:
    assert typed_number(text, " µm") == number


@pytest.mark.parametrize("text", ["", " ", "-", "+", ".", ",", "-,", "1e", "1,5e-", "µm"])
def test_what_is_only_begun(text: str) -> None:
    assert typed_number(text, " µm") is None


@pytest.mark.parametrize(
    "text",
    [
        "1.234,5",
        "1,234.5",
        "1.234.567",
        "1,,5",
        "1 234",
        "1\N{NO-BREAK SPACE}234",
        "1\N{NARROW NO-BREAK SPACE}234,5",
        "1\N{THIN SPACE}234",
        "1'234",
        "1\N{RIGHT SINGLE QUOTATION MARK}234",
        "1_234",
        "1\N{ARABIC THOUSANDS SEPARATOR}234",
        "1\N{MIDDLE DOT}5",
        "1;5",
        "2-5",
        "--5",
        "1²",
        "½",
        "0x10",
        "nan",
        "inf",
        "1.5 nm",
        "1.5 m",
        "1.5 µm 2",
        "five",
        "1e1.5",
        "1e1e1",
        "$1.5",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        typed_number(text, " µm")
    assert text in str(refused.value)


@pytest.mark.parametrize("text", ["1.5", "1,5", "1.000", "1,000", "5.", "5,", "1.5e3", "."])
def test_a_whole_number_has_no_mark(text: str) -> None:
    with pytest.raises(RefusedError, match="whole numbers"):
        typed_number(text, whole=True)


def test_whole_numbers() -> None:
    assert typed_number(" 1000 frames", " frames", whole=True) == 1000
    assert typed_number("1e5", whole=True) == 100_000
    assert typed_number("1e-3", whole=True) is None
    assert typed_number("\N{MINUS SIGN}7", whole=True) == -7


@given(st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_what_is_shown_is_read_again(value: float, comma: bool) -> None:
    text = shown_exactly(value)
    assert typed_number(text.replace(".", ",") if comma else text) == value
    assert typed_number(shown_number(value, 3)) == pytest.approx(value, abs=5.01e-4, rel=1e-12)


@given(st.text(max_size=12))
def test_no_text_is_guessed_at(text: str) -> None:
    """A number that comes out has just the digits that were typed, in their order."""
    try:
        number = typed_number(text)
    except RefusedError:
        return
    if number is not None:
        plain = text.strip().replace(",", ".").replace("\N{ARABIC DECIMAL SEPARATOR}", ".")
        plain = plain.replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", "-")
        assert float(plain) == number


def test_zero_has_no_sign() -> None:
    assert shown_number(-0.0001, 2) == "0.00"
    assert shown_exactly(-0.0) == "0"
    assert shown_exactly(1e12) == "1000000000000"


class Pair(QWidget):
    """A box, and another place for the focus."""

    def __init__(self, box: NumberBox | WholeBox) -> None:
        super().__init__()
        self.box, self.other = box, QLineEdit()
        self.told: list[float] = []
        box.valueChanged.connect(self.told.append)
        layout = QVBoxLayout(self)
        layout.addWidget(box)
        layout.addWidget(self.other)


@pytest.fixture
def of_language() -> Iterator[None]:
    with language("de_DE"):
        yield


def pair_of(qtbot: QtBot, box: NumberBox | WholeBox) -> Pair:
    pair = Pair(box)
    qtbot.addWidget(pair)
    pair.show()
    box.setFocus()
    return pair


@pytest.fixture
def power(qtbot: QtBot, of_language: None) -> Pair:
    box = NumberBox()
    box.setRange(0, 200)
    box.setSuffix(" mW")
    box.setValue(7)
    return pair_of(qtbot, box)


@pytest.mark.parametrize("name", [*LOCALES, "de_CH", "hi_IN", "en_IN"])
def test_in_every_language(qtbot: QtBot, name: str) -> None:
    with language(name):
        box = NumberBox()
        box.setRange(-1000, 1000)
        pair = pair_of(qtbot, box)
        for text in ("1.5", "1,5", "-999,25", "\u0661\u066b\u0665"):
            box.setValue(7)
            type_into(box, text)
            value = -999.25 if "9" in text else 1.5
            assert (box.value(), box.text()) == (value, f"{value:.2f}")
        assert pair.told == [7, 1.5] * 2 + [7, -999.25, 7, 1.5]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        ("1,5", 1.5),
        ("0,05", 0.05),
        ("1e2", 100),
        ("\u0661\u066b\u0665", 1.5),
        ("150 mW", 150),
    ],
)
def test_enter_takes_it(power: Pair, text: str, value: float) -> None:
    type_into(power.box, text, enter=False)
    assert power.told == []  # not before
    QTest.keyClick(power.box, Qt.Key.Key_Enter)
    assert power.told == [value]
    assert power.box.value() == value
    assert power.box.text() == f"{value:.2f} mW"
    assert not power.box.problem  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text", ["1.234,5", "1,234.5", "1 500", "15 W", "250", "1000", "-1", "0.001", "1e", "abc"]
)
def test_what_is_refused_changes_nothing_and_says_why(
    power: Pair, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    box = power.box
    entered: list[bool] = []
    edit = box.lineEdit()
    assert edit is not None
    edit.returnPressed.connect(lambda: entered.append(True))
    box.editingFinished.connect(lambda: entered.append(True))
    type_into(box, text)
    assert power.told == []
    assert not entered
    assert text in box.text()  # no key was dropped
    assert text in box.problem  # type: ignore[union-attr]
    assert text in caplog.text
    assert edit.palette() != box.palette()  # red
    box.clearFocus()
    power.other.setFocus()
    assert (box.value(), box.text()) == (7, "7.00 mW")
    assert edit.palette() != box.palette()
    assert len(caplog.records) == 1
    type_into(box, "1,5")
    assert power.told == [1.5]
    assert not box.problem  # type: ignore[union-attr]


def test_leaving_takes_it_too(power: Pair) -> None:
    type_into(power.box, "1,5", enter=False)
    power.box.focusNextChild()
    QApplication.processEvents()
    assert power.told[-1] == 1.5


@pytest.mark.parametrize("text", ["", "  "])
def test_an_emptied_box_shows_what_holds(power: Pair, text: str) -> None:
    done: list[bool] = []
    power.box.editingFinished.connect(lambda: done.append(True))
    type_into(power.box, text)
    assert (power.box.value(), power.box.text(), power.told, done) == (7, "7.00 mW", [], [])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,5", 1.5),
        (" 1.5 mW\r\n", 1.5),
        ("\N{MINUS SIGN}1,5", 7),
        ("1.234,5 mW", 7),
        ("12\t13", 7),
        ("0.15 W", 7),
        ("1500 µW", 7),
    ],
)
def test_pasted(power: Pair, text: str, value: float) -> None:
    clipboard, edit = QApplication.clipboard(), power.box.lineEdit()
    assert clipboard is not None
    assert edit is not None
    clipboard.setText(text)
    power.box.selectAll()
    edit.paste()
    QTest.keyClick(power.box, Qt.Key.Key_Return)
    assert power.box.value() == value
    assert bool(power.box.problem) == (value == 7)  # type: ignore[union-attr]


@pytest.mark.parametrize("mark", [Qt.Key.Key_Comma, Qt.Key.Key_Period])
def test_the_keypad(power: Pair, mark: Qt.Key) -> None:
    keypad = Qt.KeyboardModifier.KeypadModifier
    power.box.selectAll()
    for key in (Qt.Key.Key_1, mark, Qt.Key.Key_5, Qt.Key.Key_Enter):
        QTest.keyClick(power.box, key, keypad)
    assert power.box.value() == 1.5


def test_red_while_no_further_key_helps(power: Pair) -> None:
    edit = power.box.lineEdit()
    assert edit is not None
    for text, red in (("1,", False), ("1,5,", True), ("-", False), ("-5", True), ("201", True)):
        type_into(power.box, text, enter=False)
        assert (edit.palette() != power.box.palette()) is red, text


def test_arrows_begin_with_what_is_typed(power: Pair) -> None:
    type_into(power.box, "1,5", enter=False)
    QTest.keyClick(power.box, Qt.Key.Key_Up)
    assert power.box.value() == 2.5
    type_into(power.box, "1.2,3", enter=False)
    QTest.keyClick(power.box, Qt.Key.Key_Up)
    assert power.box.value() == 2.5
    assert "two marks" in power.box.problem  # type: ignore[union-attr]


def test_more_decimals_than_shown_are_rounded_in_sight(power: Pair) -> None:
    type_into(power.box, "1,2345")
    assert (power.box.value(), power.box.text()) == (1.23, "1.23 mW")


def test_a_text_for_the_least_value(qtbot: QtBot, of_language: None) -> None:
    box = NumberBox()
    box.setSuffix(" px")
    box.setSpecialValueText("none, 1.5")
    pair = pair_of(qtbot, box)
    assert box.text() == "none, 1.5"
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert (box.value(), pair.told, box.problem) == (0, [], "")
    type_into(box, "2,5")
    assert (box.value(), box.text()) == (2.5, "2.50 px")
    type_into(box, "0")
    assert (box.value(), box.text()) == (0, "none, 1.5")
    type_into(box, "0,001")
    assert (box.value(), bool(box.problem)) == (0, True)  # small is not none


def test_a_range_that_begins_high_is_not_red_on_the_way(qtbot: QtBot) -> None:
    box = WholeBox()
    box.setRange(15, 301)
    pair = pair_of(qtbot, box)
    type_into(box, "6", enter=False)
    edit = box.lineEdit()
    assert edit is not None
    assert edit.palette() == box.palette()
    QTest.keyClick(box, "1")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert pair.told == [61]
    type_into(box, "6")
    assert (box.value(), bool(box.problem)) == (61, True)


@pytest.mark.parametrize("text", ["1.5", "1,5", "10,000", "10.000", "10 000", "1e9", "99999999999"])
def test_whole_numbers_only(qtbot: QtBot, of_language: None, text: str) -> None:
    box = WholeBox()
    box.setRange(1, 100_000_000)
    box.setValue(1000)
    assert box.text() == "1000"
    pair = pair_of(qtbot, box)
    type_into(box, text)
    assert (box.value(), pair.told) == (1000, [])
    assert text in box.problem
    type_into(box, "1e4")
    assert box.value() == 10_000


def test_without_decimals_only_whole_numbers_too(qtbot: QtBot, of_language: None) -> None:
    box = NumberBox()
    box.setDecimals(0)
    box.setRange(0, 1000)
    pair = pair_of(qtbot, box)
    type_into(box, "50,5")
    assert (box.value(), pair.told, bool(box.problem)) == (0, [], True)


def test_an_exact_box_reads_what_it_shows(qtbot: QtBot, of_language: None) -> None:
    box = ExactBox()
    box.setDecimals(8)
    box.setRange(-1e12, 1e12)
    pair = pair_of(qtbot, box)
    for value, shown in ((1e12, "1000000000000"), (0.1, "0.1"), (1e-8, "1e-08"), (-12.5, "-12.5")):
        box.setValue(value)
        assert box.text() == shown
        before = list(pair.told)
        type_into(box, shown)
        assert (box.value(), pair.told) == (value, before)


def test_the_window_has_no_other_boxes() -> None:
    """Names of Qt's own boxes and locales are nowhere else in the sources."""
    found = set()
    for path in UI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "id", getattr(node, "attr", getattr(node, "name", None)))
            if name in QT_ONLY:
                found.add((path.name, name))
    assert found == {("number_box.py", "QDoubleSpinBox"), ("number_box.py", "QSpinBox")}
