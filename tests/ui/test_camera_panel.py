"""The camera panel on the small bench, and on Micro-Manager's simulated camera."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import QPoint, QPointF, Qt
from PyQt6.QtGui import QWheelEvent
from PyQt6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot
from small_session import PATIENCE_MS, end, finish_commands, look, small_session

from dsacq.data import Roi
from ui.panels.camera import CameraPanel
from ui.panels.readings import readings_of
from ui.session import Activity, Session

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    with small_session(qtbot) as opened:
        yield opened


@pytest.fixture
def panel(qtbot: QtBot, session: Session) -> CameraPanel:
    made = CameraPanel(session)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: made.region.text() != "-", timeout=PATIENCE_MS)
    return made


def typed(qtbot: QtBot, box: QWidget, text: str) -> None:
    box.setFocus()
    box.selectAll()  # type: ignore[attr-defined]
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)


def test_shows_how_the_camera_is_set(panel: CameraPanel) -> None:
    assert panel.exposure.value() == 20
    assert panel.rate.text() == "50 frames/s"
    assert panel.region.text() == "64 x 64 at 0, 0"
    assert panel.frame.text().startswith("64 x 64 pixels")
    assert panel.temperature.text() == "not told by the camera"
    assert not panel.properties.isVisible()  # the simulated camera has none


def test_exposure_is_applied_with_enter(qtbot: QtBot, session: Session, panel: CameraPanel) -> None:
    assert session.rig is not None
    camera = session.rig.camera
    panel.exposure.selectAll()
    qtbot.keyClicks(panel.exposure, "5")
    assert camera.exposure_s == 0.02
    qtbot.keyClick(panel.exposure, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: camera.exposure_s == 0.005, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: panel.rate.text() == "200 frames/s", timeout=PATIENCE_MS)


def test_a_refused_exposure_is_told_and_taken_back(
    qtbot: QtBot, session: Session, panel: CameraPanel
) -> None:
    with qtbot.waitSignal(session.failed, timeout=PATIENCE_MS) as told:
        typed(qtbot, panel.exposure, "120000")
    assert "exposure" in told.args[0]
    qtbot.waitUntil(lambda: panel.exposure.value() == 20, timeout=PATIENCE_MS)


def test_regions_are_of_the_frame_that_is_shown(
    qtbot: QtBot, session: Session, panel: CameraPanel
) -> None:
    assert session.rig is not None
    camera = session.rig.camera
    look(qtbot, session)
    panel.set_region((10, 20, 32, 30))
    qtbot.waitUntil(lambda: camera.roi == Roi(10, 20, 32, 30), timeout=PATIENCE_MS)
    panel.set_region((1, 2, 16, 16))
    qtbot.waitUntil(lambda: camera.roi == Roi(11, 22, 16, 16), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: panel.region.text() == "16 x 16 at 11, 22", timeout=PATIENCE_MS)
    with qtbot.waitSignal(
        session.updated,
        timeout=PATIENCE_MS,
        check_params_cb=lambda update: update.newest and update.newest.pixels.shape == (64, 64),
    ):
        qtbot.mouseClick(panel.whole, Qt.MouseButton.LeftButton)
    end(qtbot, session)


def test_binning(qtbot: QtBot, session: Session, panel: CameraPanel) -> None:
    panel.binning.setCurrentIndex(1)
    panel.binning.activated.emit(1)
    qtbot.waitUntil(lambda: panel.frame.text().startswith("32 x 32"), timeout=PATIENCE_MS)
    panel.binning.setCurrentIndex(3)
    with qtbot.waitSignal(session.failed, timeout=PATIENCE_MS):
        panel.binning.activated.emit(3)  # 8, which this camera cannot
    qtbot.waitUntil(lambda: panel.binning.currentData() == 2, timeout=PATIENCE_MS)


def test_snap_takes_one_lit_frame(qtbot: QtBot, session: Session, panel: CameraPanel) -> None:
    with qtbot.waitSignal(panel.snapped, timeout=PATIENCE_MS) as snapped:
        qtbot.keyClick(panel, Qt.Key.Key_F5)
    frame = snapped.args[0]
    assert frame.pixels.shape == (64, 64)
    assert frame.metadata["power_mw"] == 50
    assert session.rig is not None
    rig = session.rig
    qtbot.waitUntil(
        lambda: not (rig.lasers["561"].emitting or rig.camera.running), timeout=PATIENCE_MS
    )


@pytest.mark.parametrize("then", ["stop", "close", "look and close"])
def test_a_long_snap_ends_when_it_should(
    qtbot: QtBot, session: Session, panel: CameraPanel, then: str
) -> None:
    rig = session.rig
    assert rig is not None
    rig.camera.set_exposure(60.0)
    for _ in range(2):  # the second waits for the first
        panel.snap()
    qtbot.waitUntil(lambda: rig.camera.running, timeout=PATIENCE_MS)
    begun = time.monotonic()
    if then == "stop":
        session.stop_all()
        qtbot.waitUntil(lambda: not rig.camera.running, timeout=PATIENCE_MS)
        finish_commands(qtbot, session)
    else:
        if then == "look and close":
            session.look()
        session.close()
    assert time.monotonic() - begun < 20
    assert not rig.camera.running


def test_snap_in_a_live_view_gives_its_newest_frame(
    qtbot: QtBot, session: Session, panel: CameraPanel
) -> None:
    look(qtbot, session)
    with qtbot.waitSignal(panel.snapped, timeout=PATIENCE_MS):
        panel.snap()
    assert session.activity is Activity.looking
    end(qtbot, session)


def test_nothing_but_snap_while_recording(
    qtbot: QtBot, session: Session, panel: CameraPanel, tmp_path: Path
) -> None:
    session.record(tmp_path / "one", None, {})
    assert session.activity is Activity.recording
    assert not panel.exposure.isEnabled()
    assert not panel.whole.isEnabled()
    assert panel.snap_button.isEnabled()
    end(qtbot, session)
    assert panel.exposure.isEnabled()


def test_the_wheel_changes_nothing(panel: CameraPanel) -> None:
    middle = QPointF(panel.exposure.rect().center())
    turned = QWheelEvent(
        middle,
        panel.exposure.mapToGlobal(middle),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    panel.exposure.setFocus()
    QApplication.sendEvent(panel.exposure, turned)
    assert panel.exposure.value() == 20


def test_readings_do_not_follow_one_another(
    qtbot: QtBot, session: Session, panel: CameraPanel
) -> None:
    """A reading is a command, after which devices are read: not after this one."""
    taken: list[Any] = []
    readings_of(session).taken.connect(taken.append)
    qtbot.wait(1500)
    assert len(taken) <= 3


def test_binnings_and_saturation_are_those_of_the_camera(qtbot: QtBot) -> None:
    with small_session(qtbot) as session:
        panel = CameraPanel(session)
        qtbot.addWidget(panel)
        with qtbot.waitSignal(panel.saturation_changed, timeout=PATIENCE_MS) as told:
            pass
        assert told.args == [65535]
        listed = [panel.binning.itemData(place) for place in range(panel.binning.count())]
        assert listed == [1, 2, 4]
