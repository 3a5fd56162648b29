"""A camera is given up when it is silent, not when this computer is busy or was asleep."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from live_samples import LiveBench, wait_for
from small_bench import bead_bench, camera_of

from dsacq.files.recording import read_facts
from dsacq.live import live
from hardware.bench import Exposure
from hardware.faults import Faults
from hardware.simulated_camera import SimulatedCamera

SLOW_S = 1.5
RECORDS = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from live_samples import LiveBench
bench = LiveBench(exposure_s=0.02)
for update in bench.run(Path(sys.argv[1]), 150, patience_s=0.3):
    print(update.counters.received, flush=True)
print(update.state, update.reason)
"""


def slow_camera(monkeypatch: pytest.MonkeyPatch, slow: set[int]) -> SimulatedCamera:
    """Some of its frames take long to compute, as all do on a busy computer."""
    bench, count = bead_bench(), [0]
    expose = bench.expose

    def taking_long(*times_s: float) -> Exposure:
        if count[0] in slow:
            time.sleep(SLOW_S)
        count[0] += 1
        return expose(*times_s)

    bench.expose(0.002, 0.002)
    monkeypatch.setattr(bench, "expose", taking_long)
    return camera_of(bench)


@pytest.mark.parametrize("slow", [{0}, {3}, {0, 3, 4}])
def test_a_simulated_camera_may_take_its_time(
    monkeypatch: pytest.MonkeyPatch, slow: set[int]
) -> None:
    camera = slow_camera(monkeypatch, slow)
    *_, last = live(camera, 6, patience_s=0.1, interval_s=0.01)
    assert (last.state, last.reason) == ("complete", "")
    camera.close()


def test_it_can_be_stopped_while_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, stop = slow_camera(monkeypatch, {2}), Event()
    for update in live(camera, None, patience_s=0.1, interval_s=0.01, stop=stop):
        if camera.computing and update.counters.received >= 2:
            stop.set()
    assert update.state == "stopped"
    camera.close()
    assert not camera.computing


def test_closing_it_waits_for_what_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = slow_camera(monkeypatch, {0})
    camera.start()
    wait_for(lambda: camera.computing)
    camera.close()
    assert camera._thread is not None
    assert not camera._thread.is_alive()


@pytest.mark.parametrize("stall_at", [0, 5])
def test_one_that_is_silent_is_given_up(stall_at: int) -> None:
    bench = LiveBench(Faults(stall_at=stall_at))
    *_, last = bench.run(None, 20, patience_s=0.2)
    assert last.state == "failed"
    assert "sent no frame for" in last.reason


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes are not suspended so here")
def test_a_process_that_was_suspended_goes_on(tmp_path: Path) -> None:
    here = Path(__file__).parent
    words: list[Any] = [sys.executable, "-c", RECORDS, tmp_path / "run", here, here.parent]
    surroundings = os.environ | {"PYTHONPATH": str(here.parents[1])}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=surroundings) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip().isdigit() and int(line) > 10:
                break
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            time.sleep(1.5)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.2)
        *_, last = process.stdout
    assert last.split() == ["complete"]
    facts = read_facts(tmp_path / "run")
    assert (facts.state, facts.frames.written) == ("complete", 150)
