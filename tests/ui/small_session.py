"""A session on a small simulated bench, as tests of panels open it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytestqt.qtbot import QtBot

from dsacq.config import validated
from dsacq.physics.optics import STANDARD_OPTICS
from hardware.rig_file import RigSettings
from ui.session import Activity, Session

PATIENCE_MS = 120_000  # test machines are shared

RIG: dict[str, Any] = {
    "optics": STANDARD_OPTICS,
    "camera": {"kind": "simulated", "exposure_s": 0.02},
    "focus": {"kind": "simulated"},
    "stage_x": {"kind": "simulated", "axis": "x"},
    "slm": {"kind": "simulated"},
    "lasers": {"561": {"kind": "simulated", "limit_mw": 100.0}},
    "shutters": {"illumination": {"kind": "simulated"}},
    "bench": {
        "specimen": {"kind": "beads", "spacing_um": 7.0},
        "shape_px": (64, 64),
        "slm_shape": (600, 640),
        "psf": {"kind": "scalar"},
    },
    "use": {"lasers_mw": {"561": 50.0}},
}


@contextmanager
def small_session(qtbot: QtBot, **changed: Any) -> Iterator[Session]:
    """Open and idle; closed on every way out."""
    session = Session()
    try:
        with qtbot.waitSignal(session.opened, timeout=PATIENCE_MS):
            session.open(validated(RigSettings, RIG | changed, "test rig"))
        yield session
    finally:
        session.close()


def look(qtbot: QtBot, session: Session) -> None:
    """Live view, with a frame that came."""
    with qtbot.waitSignal(
        session.updated, timeout=PATIENCE_MS, check_params_cb=lambda update: update.newest
    ):
        session.look()


def end(qtbot: QtBot, session: Session) -> None:
    """Ended, and idle again."""
    session.end()
    qtbot.waitUntil(lambda: session.activity is Activity.idle, timeout=PATIENCE_MS)


def finish_commands(qtbot: QtBot, session: Session, timeout_ms: int = PATIENCE_MS) -> None:
    """All that was asked before has been done."""
    told = "All commands are done."
    with qtbot.waitSignal(
        session.said, timeout=timeout_ms, check_params_cb=lambda said: said == told
    ):
        session.command(lambda rig: None, told)
