"""However a run ends, lasers are dark and the camera stands still at once; files are closed then.

Measured times are logged: `pytest --log-cli-level=INFO`.
"""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from live_samples import (
    DISK,
    PATIENCE_S,
    LiveBench,
    SlowLocalizer,
    localized_frames,
    localizer_of,
    movie_sums,
    wait_for,
)

from dsacq.files.recording import FRAMES, read_facts
from dsacq.files.recording_check import check
from dsacq.files.tiff_writer import TiffPages
from dsacq.live import Update
from dsacq.localize.as_they_come import LiveLocalizer
from hardware.faults import Faults
from hardware.protocols import DeviceError

SOON_S = 3.0  # 1 s is asked for; test machines are slow
log = logging.getLogger(__name__)


def close(updates: Generator[Update]) -> None:
    updates.close()


def interrupt(updates: Generator[Update]) -> None:
    """As Ctrl+C does."""
    with pytest.raises(KeyboardInterrupt):
        updates.throw(KeyboardInterrupt())


def slow_disk(monkeypatch: pytest.MonkeyPatch, frame_s: float) -> None:
    write = TiffPages.write

    def slow(pages: TiffPages, frame: Any) -> None:
        time.sleep(frame_s)
        write(pages, frame)

    monkeypatch.setattr(TiffPages, "write", slow)


def assert_closed(bench: LiveBench, folder: Path, state: str = "stopped") -> None:
    """The recording holds all that came."""
    count = len(bench.stream.sums)
    facts = read_facts(folder)
    assert facts.state == state
    assert (facts.frames.received, facts.frames.written) == (count, count)
    report = check(folder)
    assert report.frames == count
    if state != "failed":
        assert report.problems == ()
    if count:
        assert movie_sums(folder) == bench.stream.sums


def assert_soon_safe(bench: LiveBench, begun_s: float) -> None:
    dark_s = min(one for one in bench.laser.off_s if one > begun_s) - begun_s
    stopped_s = min(one for one in bench.stream.stopped_s if one > begun_s) - begun_s
    log.info("dark after %.3f s, camera stopped after %.3f s", dark_s, stopped_s)
    assert bench.safe
    assert max(dark_s, stopped_s) < SOON_S


@pytest.mark.parametrize("end", [close, interrupt])
@pytest.mark.parametrize(
    "when", ["before the first frame", "in the midst", "stalled", "slow disk", "analysing"]
)
def test_a_stop_in_any_state(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    end: Callable[[Generator[Update]], None],
) -> None:
    faults, exposure_s = Faults(), 0.002
    options: dict[str, Any] = {}
    frames = 30
    if when == "before the first frame":
        exposure_s, frames = 5.0, 0
    elif when == "stalled":
        faults, frames = Faults(stall_at=5), 5
    elif when == "slow disk":
        slow_disk(monkeypatch, 0.03)
    bench = LiveBench(faults, exposure_s)
    if when == "analysing":
        localizer = localizer_of(SlowLocalizer)
        localizer.frame_s = 0.3
        options["localizer"] = localizer
    updates = bench.run(tmp_path, **options)
    next(updates)
    wait_for(lambda: len(bench.stream.sums) >= frames)
    assert bench.laser.emitting
    begun_s = time.monotonic()
    end(updates)
    log.info("closed after %.3f s", time.monotonic() - begun_s)
    assert_soon_safe(bench, begun_s)
    assert_closed(bench, tmp_path)
    if when == "analysing":
        assert len(localized_frames(tmp_path)) == read_facts(tmp_path).frames.analysed > 0


@pytest.mark.parametrize("end", [close, interrupt])
def test_a_stop_after_the_last_frame(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Generator[Update]], None],
) -> None:
    """While the disk is still busy, the laser is dark already; all frames asked for come."""
    slow_disk(monkeypatch, 0.03)
    bench = LiveBench()
    updates = bench.run(tmp_path, 30, disk=replace(DISK, queue_bytes=1))
    next(updates)
    wait_for(lambda: not bench.camera.running)
    end(updates)
    assert bench.safe
    assert_closed(bench, tmp_path, "complete")


def test_a_generator_that_ended_may_be_closed(tmp_path: Path) -> None:
    bench = LiveBench()
    updates = bench.run(tmp_path, 5)
    assert list(updates)[-1].state == "complete"
    updates.close()
    assert bench.safe
    assert_closed(bench, tmp_path, "complete")


def test_a_generator_that_is_dropped_stops(tmp_path: Path) -> None:
    bench = LiveBench()
    updates = bench.run(tmp_path)
    next(updates)
    del updates
    assert bench.safe
    assert_closed(bench, tmp_path)


@pytest.mark.parametrize("count", [100, None], ids=["at the end", "stopped"])
def test_a_laser_that_cannot_be_made_dark_is_told(tmp_path: Path, count: int | None) -> None:
    bench = LiveBench()

    def dark() -> None:
        raise DeviceError("561", "does not confirm that it is dark.")

    updates = bench.run(tmp_path, count, on_end=dark)
    next(updates)
    wait_for(lambda: len(bench.stream.sums) >= (count or 20))
    with pytest.raises(DeviceError, match="561: does not confirm"):
        updates.close()
    assert not bench.camera.running
    assert_closed(bench, tmp_path, "complete" if count else "stopped")


def test_a_laser_that_goes_dark_at_the_second_try(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = LiveBench()
    failures = [DeviceError("561", "did not answer.")]

    def dark() -> None:
        if failures:
            raise failures.pop()
        bench.laser.off()

    *_, last = bench.run(tmp_path, 5, on_end=dark)
    assert (last.state, last.reason) == ("complete", "")
    assert "561: did not answer." in caplog.text
    assert bench.safe


def test_a_camera_that_is_slow_to_stop_does_not_keep_the_light_on(tmp_path: Path) -> None:
    bench = LiveBench(slow_stop_s=1.0)
    updates = bench.run(tmp_path)
    next(updates)
    begun_s = time.monotonic()
    updates.close()
    dark_s = min(one for one in bench.laser.off_s if one > begun_s)
    assert dark_s < min(bench.stream.stopped_s) - 0.9
    assert_soon_safe(bench, begun_s)
    assert_closed(bench, tmp_path)


def test_a_driver_that_hangs_does_not_keep_the_light_on(tmp_path: Path) -> None:
    bench = LiveBench(hang_at=6)
    updates = bench.run(tmp_path)
    next(updates)
    wait_for(lambda: len(bench.stream.sums) == 6)
    back_s = []

    def come_back() -> None:
        back_s.append(time.monotonic())
        bench.stream.released.set()

    Timer(1.0, come_back).start()
    begun_s = time.monotonic()
    updates.close()
    assert_soon_safe(bench, begun_s)
    assert bench.laser.off_s[0] < back_s[0]
    assert_closed(bench, tmp_path)


@pytest.mark.parametrize("closed", [False, True], ids=["watched", "closed"])
def test_a_driver_that_never_comes_back_is_given_up(tmp_path: Path, closed: bool) -> None:
    bench = LiveBench(hang_at=6)
    updates = bench.run(tmp_path, localizer=localizer_of(LiveLocalizer), patience_s=0.5)
    next(updates)
    wait_for(lambda: len(bench.stream.sums) == 6)
    if closed:
        updates.close()
    else:
        *_, last = updates
        assert last.state == "failed"
    facts = read_facts(tmp_path)
    assert facts.state == "failed"
    assert facts.reason == (
        "camera: did not answer for 0.5 s and was given up; the 6 frames up to there are kept."
    )
    assert bench.safe
    assert_closed(bench, tmp_path, "failed")
    assert localized_frames(tmp_path) == set(range(6))
    bench.stream.released.set()


RIG = """
[optics]
wavelength_um = 0.58
na = 1.45
index_immersion = 1.518
index_sample = 1.33
magnification = 100
focal_4f_um = 150000
camera_pixel_um = 11
mask_pixel_um = 24
focus_um = 0.0
z_range_um = [0.0, 4.0]
[camera]
kind = "simulated"
exposure_s = 0.02
[lasers.561]
kind = "simulated"
[use]
lasers_mw = { 561 = 50.0 }
[bench]
shape_px = [48, 48]
slm_shape = [600, 640]
specimen = { kind = "beads" }
"""
# `dsacq`, whose simulated laser and camera tell when they went off
NOTING = """
import runpy, sys, time
from hardware.simulated import SimulatedLaser
from hardware.simulated_camera import SimulatedCamera

def noting(kind, name):
    do = getattr(kind, name)
    def noted(self):
        do(self)
        sys.stdout.write(f"{name} {time.time()}\\n")  # at once: threads write side by side
        sys.stdout.flush()
    setattr(kind, name, noted)

noting(SimulatedLaser, "off")
noting(SimulatedCamera, "stop")
runpy.run_module("ui.cli", run_name="__main__")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_program_safely(tmp_path: Path, number: signal.Signals) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("the signal is ignored, as Ctrl+C is in the background")
    rig, folder = tmp_path / "rig.toml", tmp_path / "run"
    rig.write_text(RIG, encoding="utf-8")
    program = subprocess.Popen(
        [sys.executable, "-c", NOTING, "live", "--rig", str(rig)]
        + ["--frames", "100000", "-o", str(folder)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with program:
        try:
            lines = folder / FRAMES
            wait_for(lambda: lines.exists() and len(lines.read_bytes().splitlines()) > 10)
            begun_s = time.time()
            program.send_signal(number)
            out, told = program.communicate(timeout=PATIENCE_S)
        finally:
            program.kill()
    log.info("ended after %.3f s", time.time() - begun_s)
    for name in ("off", "stop"):
        times = [float(line.split()[1]) for line in out.splitlines() if line.startswith(name)]
        took_s = min(one for one in times if one > begun_s) - begun_s
        log.info("%s after %.3f s", name, took_s)
        assert took_s < SOON_S
    assert program.returncode == 128 + number
    assert told.strip().splitlines()[-1] == "Stopped."
    assert "Traceback" not in told
    facts, report = read_facts(folder), check(folder)
    assert facts.state == "stopped"
    assert report.frames == facts.frames.written == facts.frames.received > 10
    assert report.problems == ()
