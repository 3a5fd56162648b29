"""Stages go where the panel says."""

from collections.abc import Iterator

import pytest
from PyQt6.QtCore import Qt
from pytestqt.qtbot import QtBot
from small_session import PATIENCE_MS, finish_commands, small_session

from hardware.protocols import Stage
from ui.panels.stages import StagesPanel
from ui.session import Session


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    far = {"kind": "simulated", "axis": "x", "limits_um": (-20_000.0, 20_000.0)}
    with small_session(qtbot, stage_x=far) as opened:
        yield opened


@pytest.fixture
def panel(qtbot: QtBot, session: Session) -> StagesPanel:
    made = StagesPanel(session)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: made.axes["focus"].position.text() != "-", timeout=PATIENCE_MS)
    return made


@pytest.fixture
def focus(session: Session) -> Stage:
    assert session.rig is not None
    assert session.rig.focus is not None
    return session.rig.focus


def test_a_row_for_each_axis_of_the_rig(panel: StagesPanel, focus: Stage) -> None:
    assert list(panel.axes) == ["focus", "stage_x"]
    assert panel.axes["focus"].target.value() == pytest.approx(focus.position_um(), abs=1e-3)
    assert "-20 to 20" in panel.axes["focus"].target.toolTip()


def test_enter_moves_and_nothing_else_does(qtbot: QtBot, panel: StagesPanel, focus: Stage) -> None:
    row, before_um = panel.axes["focus"], focus.position_um()
    row.target.setFocus()
    row.target.selectAll()
    qtbot.keyClicks(row.target, "2.5")
    qtbot.keyClick(row.target, Qt.Key.Key_Tab)
    qtbot.wait(200)
    assert focus.position_um() == before_um
    row.target.setFocus()
    row.target.selectAll()
    qtbot.keyClicks(row.target, "2.5")
    qtbot.keyClick(row.target, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: focus.position_um() == 2.5, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: row.position.text().startswith("2.500"), timeout=PATIENCE_MS)


def test_steps_add_up(qtbot: QtBot, panel: StagesPanel, focus: Stage) -> None:
    before_um = focus.position_um()
    panel.step.setCurrentText("0.5 \N{MICRO SIGN}m")
    for _ in range(3):
        qtbot.mouseClick(panel.axes["focus"].forth, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(panel.axes["focus"].back, Qt.MouseButton.LeftButton)
    wanted = pytest.approx(before_um + 1)
    qtbot.waitUntil(lambda: focus.position_um() == wanted, timeout=PATIENCE_MS)


def test_a_step_beyond_the_limits_is_refused_in_a_sentence(
    qtbot: QtBot, session: Session, panel: StagesPanel, focus: Stage
) -> None:
    focus.move_to(19.99)
    with qtbot.waitSignal(session.failed, timeout=PATIENCE_MS) as told:
        qtbot.mouseClick(panel.axes["focus"].forth, Qt.MouseButton.LeftButton)
    assert "limits" in told.args[0]
    assert focus.position_um() == 19.99


def test_stop_ends_the_motion_and_forgets_what_waits(
    qtbot: QtBot, session: Session, panel: StagesPanel
) -> None:
    assert session.rig is not None
    x, y = session.rig.stage_x, panel.axes["stage_x"]
    assert x is not None
    for target_um in (20_000.0, -20_000.0):  # 20 s and more
        y.target.setValue(target_um)
        y.edit.returnPressed.emit()
    qtbot.wait(100)
    with qtbot.waitSignal(session.failed, timeout=PATIENCE_MS) as told:
        qtbot.mouseClick(panel.stop, Qt.MouseButton.LeftButton)
    assert "stopped" in told.args[0]
    finish_commands(qtbot, session, 5000)
    assert x.position_um() == 0
