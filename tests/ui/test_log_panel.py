"""The log's lines."""

import logging
from collections.abc import Iterator
from threading import Thread

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ui.panels.log import LogPanel
from ui.session import Session
from ui.theme import RED


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def panel(qtbot: QtBot, session: Session) -> Iterator[LogPanel]:
    made = LogPanel(session)
    qtbot.addWidget(made)
    yield made
    made.stop()


def test_lines_of_the_session(qtbot: QtBot, session: Session, panel: LogPanel) -> None:
    session.said.emit("The SLM shows <tetrapod>.")
    session.failed.emit("camera: failed.")
    lines = panel.text.toPlainText().splitlines()
    assert lines[0].endswith("The SLM shows <tetrapod>.")
    assert lines[1].endswith("camera: failed.")
    cursor = panel.text.textCursor()
    cursor.movePosition(cursor.MoveOperation.End)
    assert cursor.charFormat().foreground().color().name() == RED


def test_keeps_the_last_2000_lines(session: Session, panel: LogPanel) -> None:
    for number in range(2100):
        session.said.emit(str(number))
    lines = panel.text.toPlainText().splitlines()
    assert len(lines) == 2000
    assert lines[-1].endswith(" 2099")


def test_warnings_of_other_threads(qtbot: QtBot, panel: LogPanel) -> None:
    def work() -> None:
        logging.getLogger("hardware.asi").warning("axis %s is slow", "Z")
        logging.getLogger("hardware.asi").info("not this")

    thread = Thread(target=work)
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: "hardware.asi: axis Z is slow" in panel.text.toPlainText())
    assert "not this" not in panel.text.toPlainText()


def test_listens_no_longer_once_it_is_stopped(qtbot: QtBot, session: Session) -> None:
    before = set(logging.getLogger("dsacq").handlers)
    panel = LogPanel(session)
    (own,) = set(logging.getLogger("dsacq").handlers) - before
    panel.stop()
    assert own not in logging.getLogger("dsacq").handlers


def test_copy(qtbot: QtBot, session: Session, panel: LogPanel) -> None:
    session.said.emit("one")
    session.said.emit("two")
    qtbot.mouseClick(panel.copy, Qt.MouseButton.LeftButton)
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert [line[-3:] for line in clipboard.text().splitlines()] == ["one", "two"]
