"""The counters' line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from small_session import PATIENCE_MS, end, look, small_session

from dsacq.files.recording import Counters
from dsacq.live import Update
from ui.panels.counters import CountersBar
from ui.session import Session
from ui.theme import AMBER, RED


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    with small_session(qtbot) as opened:
        yield opened


@pytest.fixture
def bar(qtbot: QtBot, session: Session) -> CountersBar:
    made = CountersBar(session)
    qtbot.addWidget(made)
    return made


def update(elapsed_s: float, received: int, fill: float = 0.0, **counters: int) -> Update:
    return Update(
        counters=Counters(received=received, **counters),
        newest=None,
        found=(),
        buffer_fill=fill,
        queue_fill=0.0,
        free_bytes=None,
        elapsed_s=elapsed_s,
        state="recording",
        reason="",
        analysis_failure="",
    )


def test_counts_a_live_view(qtbot: QtBot, session: Session, bar: CountersBar) -> None:
    look(qtbot, session)
    qtbot.waitUntil(lambda: bar.values["received"].text() not in "-0", timeout=PATIENCE_MS)
    assert bar.values["state"].text() == "live"
    end(qtbot, session)
    assert bar.values["state"].text() == "idle"
    assert int(bar.values["received"].text()) > 0  # stays until the next


def test_losses_and_a_filling_buffer_stand_out(session: Session, bar: CountersBar) -> None:
    session.updated.emit(update(0.1, 10))
    assert not bar.values["lost_in_core"].styleSheet()
    session.updated.emit(update(0.2, 20, 0.6, lost_in_core=2, lost_in_camera=1))
    assert bar.values["lost_in_core"].text() == "2"
    assert RED in bar.values["lost_in_core"].styleSheet()
    assert RED in bar.values["lost_in_camera"].styleSheet()
    assert bar.values["buffer"].text() == "60%"
    assert AMBER in bar.values["buffer"].styleSheet()


def test_rate_of_fast_and_of_slow_frames(session: Session, bar: CountersBar) -> None:
    for step in range(81):  # slower at first, which is forgotten
        session.updated.emit(update(0.05 * step, max(step, 5 * step - 160)))
    assert 90 < float(bar.values["rate"].text()) < 115
    for step in range(400):  # one frame in four seconds
        session.updated.emit(update(5 + 0.05 * step, 300 + step // 80))
    assert 0.2 < float(bar.values["rate"].text()) < 0.3


def test_how_it_failed_stays(qtbot: QtBot, tmp_path: Path) -> None:
    bench = {"shape_px": (64, 64), "psf": {"kind": "scalar"}, "faults": {"drop": (3,)}}
    with small_session(qtbot, bench=bench) as session:
        bar = CountersBar(session)
        qtbot.addWidget(bar)
        with qtbot.waitSignal(session.ended, timeout=PATIENCE_MS):
            session.record(tmp_path / "one", 10, {})
        assert bar.values["lost_in_core"].text() == "1"
        assert "failed" in bar.values["state"].text()
        assert "lost frames" in bar.values["state"].toolTip()
