"""What a crash left, offered at the next start."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PyQt6.QtCore import QSettings, Qt
from pytestqt.qtbot import QtBot
from recording_samples import SMALL, facts, frame
from small_session import PATIENCE_MS, small_session

from dsacq.files.recording import read_facts
from dsacq.files.recording_writer import RecordingWriter
from ui.session import Activity, Session
from ui.unfinished import UnfinishedBar

NOTED = "recording/running"


def noted(settings: QSettings) -> list[str]:
    found = settings.value(NOTED) or []
    return [found] if isinstance(found, str) else list(found)


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)


@pytest.fixture
def bar(qtbot: QtBot, settings: QSettings) -> Iterator[UnfinishedBar]:
    made = UnfinishedBar(Session(), settings)
    qtbot.addWidget(made)
    yield made
    made.stop()


@pytest.fixture
def cut_short(tmp_path: Path) -> Path:
    """As it is on disk when the program was killed a minute ago."""
    folder = tmp_path / "cell-1"
    writer = RecordingWriter(folder, facts(), SMALL)
    for number in range(7):
        writer.put(frame(number))
    writer.close(facts())
    for path in folder.iterdir():
        os.utime(path, (time.time() - 60,) * 2)
    return folder


def test_a_recording_is_noted_while_it_runs(
    qtbot: QtBot, settings: QSettings, tmp_path: Path
) -> None:
    with small_session(qtbot) as session:
        bar = UnfinishedBar(session, settings)
        qtbot.addWidget(bar)
        with qtbot.waitSignal(session.ended, timeout=PATIENCE_MS):
            session.record(tmp_path / "one", 5, {})
            assert noted(settings) == [str(tmp_path / "one")]
        assert noted(settings) == []


def test_it_is_offered_repaired_and_opened(
    qtbot: QtBot, settings: QSettings, bar: UnfinishedBar, cut_short: Path
) -> None:
    settings.setValue(NOTED, [str(cut_short)])
    bar.look()
    qtbot.waitUntil(bar.isVisible, timeout=PATIENCE_MS)
    assert str(cut_short) in bar.told.text()
    with qtbot.waitSignal(bar.opened, timeout=PATIENCE_MS) as opened:
        qtbot.mouseClick(bar.repair, Qt.MouseButton.LeftButton)
    assert opened.args == [cut_short]
    mended = read_facts(cut_short)
    assert (mended.state, mended.frames.written) == ("repaired", 7)
    assert not bar.isVisible()
    assert noted(settings) == []


def test_what_a_repair_could_not_read_is_told(
    qtbot: QtBot, settings: QSettings, bar: UnfinishedBar, cut_short: Path
) -> None:
    movie = cut_short / "movie_000.tif"
    movie.write_bytes(movie.read_bytes() + b"not a frame")
    os.utime(movie, (time.time() - 60,) * 2)
    settings.setValue(NOTED, [str(cut_short)])
    bar.look()
    qtbot.waitUntil(bar.isVisible, timeout=PATIENCE_MS)
    with qtbot.waitSignal(bar._session.said, timeout=PATIENCE_MS) as said:
        qtbot.mouseClick(bar.repair, Qt.MouseButton.LeftButton)
    assert f"{cut_short} is repaired. Not all of it could be read: " in said.args[0]
    assert "11 bytes behind its last whole frame" in said.args[0]


def test_it_may_be_left(
    qtbot: QtBot, settings: QSettings, bar: UnfinishedBar, cut_short: Path
) -> None:
    settings.setValue(NOTED, [str(cut_short)])
    bar.look()
    qtbot.waitUntil(bar.isVisible, timeout=PATIENCE_MS)
    qtbot.mouseClick(bar.leave, Qt.MouseButton.LeftButton)
    assert not bar.isVisible()
    assert read_facts(cut_short).state == "recording"


def test_what_ended_well_or_is_gone_is_not_offered(
    qtbot: QtBot, settings: QSettings, bar: UnfinishedBar, tmp_path: Path
) -> None:
    ended = tmp_path / "ended"
    RecordingWriter(ended, facts(), SMALL).close(facts("stopped"))
    settings.setValue(NOTED, [str(ended), str(tmp_path / "gone")])
    bar.look()
    qtbot.waitUntil(lambda: not noted(settings), timeout=PATIENCE_MS)
    assert not bar.isVisible()


def test_one_that_another_window_records_is_refused(
    qtbot: QtBot, settings: QSettings, bar: UnfinishedBar, cut_short: Path
) -> None:
    now = time.time()
    os.utime(cut_short / "recording.json", (now, now))
    settings.setValue(NOTED, [str(cut_short)])
    bar.look()
    qtbot.waitUntil(bar.isVisible, timeout=PATIENCE_MS)
    with qtbot.waitSignal(bar._session.failed, timeout=PATIENCE_MS) as failed:
        qtbot.mouseClick(bar.repair, Qt.MouseButton.LeftButton)
    assert "a moment ago" in failed.args[0]
    assert read_facts(cut_short).state == "recording"
    assert bar.isVisible()
    assert bar._session.activity is Activity.closed
