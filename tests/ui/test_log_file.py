"""The log file of a start, and what nothing caught."""

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from ui.log_file import begin_log, log_session
from ui.session import Session


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = [handler.level for handler in handlers]
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    for handler, before in zip(handlers, levels, strict=True):
        handler.setLevel(before)
    root.setLevel(level)


def test_the_file_holds_what_was_told_and_the_details(tmp_path: Path) -> None:
    path = begin_log(tmp_path)
    session = Session()
    log_session(session)
    session.said.emit("The SLM is blank.")
    session.failed.emit("camera: gave no frame.")
    logging.getLogger("hardware.rig").info("a detail")
    text = path.read_text(encoding="utf-8")
    for told in ("INFO", "The SLM is blank.", "ERROR", "camera: gave no frame.", "a detail"):
        assert told in text


def test_what_nothing_caught_is_told_and_logged(qtbot: QtBot, tmp_path: Path) -> None:
    path = begin_log(tmp_path)
    session = Session()
    log_session(session)
    with qtbot.waitSignal(session.failed) as failed:
        thread = threading.Thread(target=lambda: 1 / 0, name="a thread")
        thread.start()
        thread.join()
    assert "ZeroDivisionError" in failed.args[0]
    assert "Traceback" in path.read_text(encoding="utf-8")


def test_only_the_newest_files_are_kept(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"app-20200101-0000{number:02d}-1.log").write_text("old")
    newest = begin_log(tmp_path)
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 20
    assert kept[-1] == newest
    assert kept[0].name == "app-20200101-000011-1.log"
