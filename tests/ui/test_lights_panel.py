"""Lasers are used, lit and dark as the panel says."""

from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot
from small_session import PATIENCE_MS, end, finish_commands, look, small_session

from hardware.protocols import Laser
from ui.panels.lights import LightsPanel
from ui.session import Session


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    with small_session(qtbot) as opened:
        yield opened


@pytest.fixture
def panel(qtbot: QtBot, session: Session) -> LightsPanel:
    made = LightsPanel(session)
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def laser(session: Session) -> Laser:
    assert session.rig is not None
    return session.rig.lasers["561"]


def test_shows_what_the_rig_uses(panel: LightsPanel) -> None:
    row = panel.lasers["561"]
    assert row.use.isChecked()
    assert row.power.value() == 50
    assert row.power.maximum() == 100
    assert row.slider.value() == 500


def test_changes_reach_the_next_acquisition_only(
    panel: LightsPanel, session: Session, laser: Laser
) -> None:
    row = panel.lasers["561"]
    row.power.setValue(20)
    assert session.lasers_mw == {"561": 20}
    row.slider.setValue(300)
    assert session.lasers_mw == {"561": 30}
    assert row.power.value() == 30
    row.use.setChecked(False)
    assert session.lasers_mw == {}
    assert not laser.emitting


def test_switches_at_once_in_a_live_view(
    qtbot: QtBot, panel: LightsPanel, session: Session, laser: Laser
) -> None:
    row = panel.lasers["561"]
    look(qtbot, session)
    assert laser.emitting
    qtbot.waitUntil(lambda: row.lamp.text().endswith("on"), timeout=PATIENCE_MS)
    qtbot.waitUntil(
        lambda: panel.shutters["illumination"].text().endswith("open"), timeout=PATIENCE_MS
    )
    row.use.setChecked(False)
    qtbot.waitUntil(lambda: not laser.emitting, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: row.lamp.text().endswith("dark"), timeout=PATIENCE_MS)
    row.power.setValue(10)
    row.use.setChecked(True)
    qtbot.waitUntil(lambda: laser.emitting, timeout=PATIENCE_MS)
    row.power.setValue(12)
    qtbot.waitUntil(lambda: laser.power_mw == 12, timeout=PATIENCE_MS)
    end(qtbot, session)
    qtbot.waitUntil(lambda: not laser.emitting, timeout=PATIENCE_MS)


def test_a_laser_that_is_not_used_is_left_alone(qtbot: QtBot) -> None:
    """It stays dark, and the other shines."""
    lasers = {name: {"kind": "simulated"} for name in ("405", "561")}
    with small_session(qtbot, lasers=lasers) as session:
        panel = LightsPanel(session)
        qtbot.addWidget(panel)
        look(qtbot, session)
        qtbot.waitUntil(lambda: panel.lasers["561"].lamp.text().endswith("on"), timeout=PATIENCE_MS)
        assert panel.lasers["405"].lamp.text().endswith("dark")
        assert session.rig is not None
        assert not session.rig.lasers["405"].emitting
        end(qtbot, session)


def test_a_switch_that_waited_leaves_no_light_after_the_end(
    qtbot: QtBot, panel: LightsPanel, session: Session, laser: Laser
) -> None:
    """The laser is to go on behind a slow move, and the live view ends before it."""
    row = panel.lasers["561"]
    row.use.setChecked(False)
    look(qtbot, session)
    session.rig.focus.move_to(-20.0)  # type: ignore[union-attr]
    for target_um in (20.0, -20.0, 20.0):  # 40 ms each
        session.command(lambda rig, to=target_um: rig.focus.move_to(to))
    row.use.setChecked(True)
    end(qtbot, session)
    finish_commands(qtbot, session)
    assert not laser.emitting
