"""The whole window on a small simulated bench, as a person uses it."""

import math
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtCore import QMimeData, QPointF, QSettings, Qt, QUrl
from PyQt6.QtGui import QDropEvent
from PyQt6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from rig_samples import write_rig

from calibration.scan_files import read_scan
from dsacq.data import Localizations
from dsacq.files.movies import open_movie
from dsacq.files.recording import read_facts
from hardware.rig import Rig
from hardware.rig_file import read_rig
from ui.app import make_window, open_session
from ui.reanalysis import Run
from ui.session import Activity, Session
from ui.theme import apply_theme
from ui.window import MainWindow

PATIENCE_MS = 30_000


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat)


@pytest.fixture(scope="module", autouse=True)
def theme(qapp: QApplication) -> None:
    apply_theme(qapp)


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, settings: QSettings) -> Iterator[MainWindow]:
    rig = write_rig(tmp_path)
    window, session = make_window(rig, settings)
    qtbot.addWidget(window)
    window.show()
    with qtbot.waitSignal(session.opened, timeout=PATIENCE_MS):
        open_session(session, rig)
    yield window
    window.close()


@pytest.fixture
def session(window: MainWindow) -> Session:
    return window._session


def live(qtbot: QtBot, window: MainWindow, session: Session) -> None:
    window.live.toggle()
    qtbot.waitUntil(lambda: session.activity is Activity.looking, timeout=PATIENCE_MS)

    def frames() -> bool:
        return session._last is not None and session._last.counters.received > 3

    qtbot.waitUntil(frames, timeout=PATIENCE_MS)


def idle(qtbot: QtBot, session: Session) -> None:
    qtbot.waitUntil(lambda: session.activity is Activity.idle, timeout=PATIENCE_MS)


def safe(session: Session) -> bool:
    rig = session.rig
    assert rig is not None
    return not rig.camera.running and not any(laser.emitting for laser in rig.lasers.values())


def test_real_lasers_wait_for_the_user(session: Session) -> None:
    assert session.activity is Activity.idle
    assert safe(session)


def test_live_record_and_look_again(
    qtbot: QtBot, window: MainWindow, session: Session, tmp_path: Path
) -> None:
    live(qtbot, window, session)
    folder = tmp_path / "one"
    with qtbot.waitSignal(session.ended, timeout=PATIENCE_MS):  # of the live view
        session.record(folder, 20, {"notes": "a test"})
    with qtbot.waitSignal(session.ended, timeout=PATIENCE_MS) as ended:
        pass
    update, where = ended.args
    assert (update.state, where) == ("complete", folder)
    assert safe(session)
    facts = read_facts(folder)
    assert facts.frames.written == 20
    assert facts.about["notes"] == "a test"
    with qtbot.waitSignal(window.reanalyse.frame_shown, timeout=PATIENCE_MS):
        window.open_recording(folder)


def test_escape_makes_everything_safe(
    qtbot: QtBot, window: MainWindow, session: Session, tmp_path: Path
) -> None:
    folder = tmp_path / "stopped"
    session.record(folder, None, {})
    qtbot.waitUntil(
        lambda: session._last is not None and session._last.counters.received > 3,
        timeout=PATIENCE_MS,
    )
    qtbot.mouseClick(window.stop, Qt.MouseButton.LeftButton)
    idle(qtbot, session)
    assert safe(session)
    facts = read_facts(folder)
    assert facts.state == "stopped"
    with open_movie(folder) as movie:
        assert len(movie) == facts.frames.written > 0


def test_a_change_of_region_goes_on_living(
    qtbot: QtBot, window: MainWindow, session: Session
) -> None:
    live(qtbot, window, session)
    window.camera.set_region((8, 8, 32, 24))
    rig = session.rig
    assert rig is not None
    qtbot.waitUntil(
        lambda: rig.camera.shape == (24, 32) and session.activity is Activity.looking,
        timeout=PATIENCE_MS,
    )
    session.end()
    idle(qtbot, session)


@pytest.mark.parametrize("recording", [False, True], ids=["live", "recording"])
def test_closing_leaves_nothing_behind(
    qtbot: QtBot, window: MainWindow, session: Session, tmp_path: Path, recording: bool
) -> None:
    if recording:
        session.record(tmp_path / "closed", None, {})
        qtbot.waitUntil(lambda: session.activity is Activity.recording, timeout=PATIENCE_MS)
        qtbot.waitUntil(
            lambda: session._last is not None and session._last.counters.received > 3,
            timeout=PATIENCE_MS,
        )
    else:
        live(qtbot, window, session)
    rig = session.rig
    assert rig is not None
    window.close()
    assert not rig.camera.running
    assert not any(laser.emitting for laser in rig.lasers.values())
    assert session.activity is Activity.closed
    left = {thread.name for thread in threading.enumerate()}
    assert not left & {"live", "recording", "acquisition", "localization", "recording sync"}
    if recording:
        assert read_facts(tmp_path / "closed").state == "stopped"


def test_what_fails_is_told(qtbot: QtBot, window: MainWindow, session: Session) -> None:
    session.command(lambda rig: rig.focus and rig.focus.move_to(1e6))
    banner = window._banner
    qtbot.waitUntil(lambda: banner.isVisible(), timeout=PATIENCE_MS)
    assert "limits" in banner.text()


def test_closed_while_the_rig_opens(qtbot: QtBot, tmp_path: Path, settings: QSettings) -> None:
    """What was opened is closed again: a window that is gone leaves no laser on."""
    rig = write_rig(tmp_path)
    window, session = make_window(rig, settings)
    qtbot.addWidget(window)
    closed: list[str] = []
    close = Rig.close

    def noted(self: Rig) -> None:
        closed.append("closed")
        close(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rig, "close", noted)
        open_session(session, rig)
        window.close()
        QApplication.processEvents()
    assert closed == ["closed"]
    assert session.rig is None
    assert session.activity is Activity.closed


def test_a_stored_frame_stays_beside_a_live_view(
    qtbot: QtBot, window: MainWindow, session: Session, tmp_path: Path
) -> None:
    with qtbot.waitSignal(
        session.ended, timeout=PATIENCE_MS, check_params_cb=lambda _update, folder: folder
    ):
        session.record(tmp_path / "one", 5, {})
    live(qtbot, window, session)
    shown: list[object] = []
    frame = window.view.set_frame
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window.view, "set_frame", lambda one: (shown.append(one), frame(one)))
        window.open_recording(tmp_path / "one")
        qtbot.waitUntil(lambda: window.reanalyse.shows_movie, timeout=PATIENCE_MS)
        qtbot.waitUntil(lambda: bool(shown), timeout=PATIENCE_MS)
        qtbot.wait(200)
        before = len(shown)
        qtbot.wait(500)
        assert len(shown) == before  # no live frame came between
        window._tasks.setCurrentWidget(window.live)
        qtbot.waitUntil(lambda: len(shown) > before + 3, timeout=PATIENCE_MS)
        window._tasks.setCurrentWidget(window.reanalyse)
        qtbot.wait(100)


def test_what_a_movie_holds_is_seen_in_3d(
    qtbot: QtBot, window: MainWindow, session: Session, tmp_path: Path
) -> None:
    with qtbot.waitSignal(
        session.ended, timeout=PATIENCE_MS, check_params_cb=lambda _update, folder: folder
    ):
        session.record(tmp_path / "one", 5, {})
    window.open_recording(tmp_path / "one")
    qtbot.waitUntil(lambda: window.reanalyse.shows_movie, timeout=PATIENCE_MS)
    rows = np.arange(5)
    columns = {name: np.full(5, 1.0) + rows for name in ("x_um", "y_um", "z_um")}
    found = Localizations.from_columns(frame=rows, **columns)
    window.reanalyse._add_run(Run("by hand", "none", range(5), found))
    window.reanalyse.movie.show_frame(3)
    seen = window.space._found
    qtbot.waitUntil(lambda: len(seen) == 4, timeout=PATIENCE_MS)
    assert [one.xyz_um[0, 0] for one in seen] == [1, 2, 3, 4]
    window._tasks.setCurrentWidget(window.live)
    assert not window.space._found


def test_a_recording_is_dropped_on_the_window(
    qtbot: QtBot, window: MainWindow, session: Session, tmp_path: Path
) -> None:
    with qtbot.waitSignal(
        session.ended, timeout=PATIENCE_MS, check_params_cb=lambda _update, folder: folder
    ):
        session.record(tmp_path / "one", 5, {})
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "one"))])
    drop = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    with qtbot.waitSignal(window.reanalyse.opened, timeout=PATIENCE_MS):
        window.dropEvent(drop)
    assert window._tasks.currentWidget() is window.reanalyse


def test_an_alignment_is_kept_in_the_rig_file(
    qtbot: QtBot, window: MainWindow, session: Session
) -> None:
    box = window.masks.alignment
    assert not box.keep.isEnabled()
    box.rotation.setValue(2.5)
    box.flip_y.setChecked(True)
    assert box.keep.isEnabled()
    with qtbot.waitSignal(session.said, timeout=PATIENCE_MS):
        box.keep.click()
    assert session.rig_file is not None
    kept = read_rig(session.rig_file).pattern.alignment
    assert kept.flip_y
    assert kept.rotation_rad == pytest.approx(math.radians(2.5))
    assert not box.keep.isEnabled()


def test_closed_during_a_calibration(
    qtbot: QtBot, window: MainWindow, session: Session, tmp_path: Path
) -> None:
    panel = window.calibrate
    panel.folder.setText(str(tmp_path / "beads-1"))
    panel.frames.setValue(20)
    panel.scan()
    qtbot.waitUntil(lambda: session.activity is Activity.calibrating, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: panel.bar.value() > 0, timeout=PATIENCE_MS)
    rig = session.rig
    assert rig is not None
    assert any(laser.emitting for laser in rig.lasers.values())
    window.close()
    assert not any(laser.emitting for laser in rig.lasers.values())
    assert session.activity is Activity.closed
    kept = read_scan(tmp_path / "beads-1")
    assert kept.shortfall == f"The scan ended early: {len(kept.planes)} of 41 planes were taken."


def test_the_view_is_remembered(qtbot: QtBot, tmp_path: Path, settings: QSettings) -> None:
    first, _ = make_window(None, settings)
    qtbot.addWidget(first)
    first.view.colours.setCurrentIndex(2)
    first.view.grid.setChecked(True)
    first.view.autoscale.setChecked(False)
    first.stages.step.setCurrentIndex(0)
    first.close()
    again, _ = make_window(None, settings)
    qtbot.addWidget(again)
    assert again.view.colours.currentIndex() == 2
    assert again.view.grid.isChecked()
    assert not again.view.autoscale.isChecked()
    assert again.view.tails.isChecked()
    assert again.stages.step.currentIndex() == 0
    again.close()
