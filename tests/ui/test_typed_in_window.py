"""Every number box of the whole window: what was typed, with either mark, is what devices read."""

from collections.abc import Iterator
from pathlib import Path

import pyqtgraph as pg
import pytest
from PyQt6.QtCore import QSettings, Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDateTimeEdit,
)
from pytestqt.qtbot import QtBot
from rig_samples import SMALL, write_rig
from small_session import PATIENCE_MS, finish_commands
from typing_keys import LOCALES, language, takes_what_is_typed, type_into, usable

from dsacq.files.recording import read_facts
from hardware.rig import Rig
from ui.app import make_window, open_session
from ui.number_box import NumberBox, WholeBox
from ui.session import Activity, Session
from ui.theme import apply_theme
from ui.window import MainWindow

RIG = SMALL + '[stage_x]\nkind = "simulated"\naxis = "x"\n'


@pytest.fixture(scope="module", autouse=True)
def theme(qapp: QApplication) -> None:
    apply_theme(qapp)


in_every_language = pytest.mark.parametrize("window", LOCALES, indirect=True)


@pytest.fixture
def window(request: pytest.FixtureRequest, qtbot: QtBot, tmp_path: Path) -> Iterator[MainWindow]:
    with language(getattr(request, "param", "de_DE")):
        rig = write_rig(tmp_path, RIG)
        settings = QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat)
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


@pytest.fixture
def rig(session: Session) -> Rig:
    assert session.rig is not None
    return session.rig


@in_every_language
def test_every_box_takes_what_is_typed(window: MainWindow) -> None:
    boxes = window.findChildren(QAbstractSpinBox)
    names = {box.objectName() for box in boxes}
    assert len(boxes) > 30
    assert all(names)
    assert {"laser_power_mw_561", "stage_target_um_focus", "camera_exposure_ms"} <= names
    for box in boxes:
        assert isinstance(box, NumberBox | WholeBox), box.objectName()
        if box.minimum() < box.maximum():  # else it waits for a movie
            takes_what_is_typed(box)


def test_numbers_are_typed_nowhere_else(qtbot: QtBot, window: MainWindow) -> None:
    """In no cell, no list of choices, no menu of a plot; those follow the computer's language."""
    window.space._begin()
    assert not window.findChildren(QDateTimeEdit)
    assert not [box.objectName() for box in window.findChildren(QComboBox) if box.isEditable()]
    for view in window.findChildren(QAbstractItemView):
        model = view.model()
        if model is None or view.editTriggers() == view.EditTrigger.NoEditTriggers:
            continue
        editable = Qt.ItemFlag.ItemIsEditable
        cells = (
            model.index(row, column)
            for row in range(model.rowCount())
            for column in range(20)
            if model.hasIndex(row, column)
        )
        assert not any(model.flags(cell) & editable for cell in cells), view.objectName()
    plots = [view for view in window.findChildren(pg.GraphicsView) if view.scene() is not None]
    boxes = [one for view in plots for one in view.scene().items() if isinstance(one, pg.ViewBox)]
    items = [one for view in plots for one in view.scene().items() if isinstance(one, pg.PlotItem)]
    assert len(boxes) > 8
    assert not any(one.menuEnabled() for one in (*boxes, *items))


@in_every_language
@pytest.mark.parametrize("text", ["1.5", "1,5"])
def test_a_laser_emits_what_was_typed(
    qtbot: QtBot, window: MainWindow, session: Session, rig: Rig, text: str
) -> None:
    row, laser = window.lights.lasers["561"], rig.lasers["561"]
    row.use.setChecked(True)
    window.live.toggle()
    qtbot.waitUntil(lambda: laser.emitting, timeout=PATIENCE_MS)
    type_into(row.power, text)
    qtbot.waitUntil(lambda: laser.power_mw != 20, timeout=PATIENCE_MS)
    assert laser.power_mw == 1.5
    assert session.lasers_mw["561"] == 1.5
    for refused in ("1.2,5", "1000", "1 5"):
        type_into(row.power, refused)
        finish_commands(qtbot, session)
        assert laser.power_mw == 1.5
        assert refused in window.log.text.toPlainText()
    QTest.keyClick(window, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: session.activity is Activity.idle, timeout=PATIENCE_MS)


@in_every_language
@pytest.mark.parametrize("text", ["-1.25", "-1,25"])
def test_stages_and_exposure_are_what_was_typed(
    qtbot: QtBot, window: MainWindow, session: Session, rig: Rig, text: str
) -> None:
    assert rig.focus is not None
    assert rig.stage_x is not None
    for name, stage in (("focus", rig.focus), ("stage_x", rig.stage_x)):
        box = window.stages.axes[name].target
        box.setFocus()
        type_into(box, text)
        finish_commands(qtbot, session)
        assert stage.position_um() == pytest.approx(-1.25)
        for refused in (text + ",5", "1e9", ""):
            type_into(box, refused)
            finish_commands(qtbot, session)
            assert stage.position_um() == pytest.approx(-1.25)
    type_into(window.camera.exposure, text.replace("-", "3"))
    finish_commands(qtbot, session)
    assert rig.camera.exposure_s == pytest.approx(0.03125)


def test_a_key_for_recording_takes_the_number_that_is_being_typed(
    qtbot: QtBot, window: MainWindow, session: Session, tmp_path: Path
) -> None:
    window.record.folder.setText(str(tmp_path))
    box = window.record.count
    usable(box)
    window.activateWindow()
    box.setFocus()
    qtbot.waitUntil(box.hasFocus, timeout=PATIENCE_MS)
    type_into(box, "12", enter=False)
    assert box.value() == 1000
    with qtbot.waitSignal(session.ended, timeout=PATIENCE_MS) as ended:
        QTest.keyClick(window, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    _, folder = ended.args
    facts = read_facts(folder)
    assert (facts.state, facts.frames.asked, facts.frames.written) == ("complete", 12, 12)
