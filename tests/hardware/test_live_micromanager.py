"""Micro-Manager's simulated camera, recorded: nothing lost, doubled or out of order."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from live_samples import PATIENCE_S, Witness, movie_sums
from micromanager_demo import open_camera, open_demo, write_config

from dsacq.files.movies import open_movie
from dsacq.files.recording import FRAMES, Counters, read_facts, read_frame_lines
from dsacq.files.recording_check import check, repair
from dsacq.files.recording_writer import DiskSettings
from dsacq.files.tiff_writer import TiffPages
from dsacq.live import RecordingPlan, live
from hardware.micromanager import MicroManager

LARGE = {"OnCameraCCDXSize": 512, "OnCameraCCDYSize": 512, "FastImage": 1}
Demo = Callable[[int], MicroManager]
DISK = DiskSettings(reserve_bytes=0, reserve_s=0)
SMALL_QUEUE = replace(DISK, queue_bytes=1)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For a recording too large to be kept."""
    yield tmp_path / "run"
    shutil.rmtree(tmp_path / "run")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """Opens it with so many MB for frames that wait."""
    with ExitStack() as stack:
        yield lambda buffer_mb: stack.enter_context(
            closing(open_demo(tmp_path, buffer_mb=buffer_mb))
        )


def indices(folder: Path) -> list[Any]:
    return [line["index"] for line in read_frame_lines(folder)]


@pytest.mark.parametrize(
    ("count", "properties"),
    [(2000, LARGE), (200, {"Mode": "Noise"})],  # no two pictures of noise are the same
    ids=["large", "noise"],
)
def test_every_frame_once_and_in_order(
    demo: Demo, folder: Path, count: int, properties: dict[str, int | str]
) -> None:
    camera = open_camera(demo(1024), exposure_s=0.002, properties=properties)
    stream, dark = Witness(camera), []
    plan = RecordingPlan(folder=folder, disk=DISK)
    *_, last = live(stream, count, plan=plan, on_end=lambda: dark.append(camera.running))
    assert (last.state, last.reason) == ("complete", "")
    assert last.counters == Counters(asked=count, received=count, written=count)
    assert dark
    assert not camera.running
    assert indices(folder) == list(range(count))
    elapsed_ms = [float(line["ElapsedTime-ms"]) for line in read_frame_lines(folder)]
    assert elapsed_ms == sorted(set(elapsed_ms))  # a second witness of the order
    assert movie_sums(folder) == stream.sums
    assert len(set(stream.sums)) == (count if "Mode" in properties else 1)
    assert check(folder).sound


def test_a_disk_that_is_too_slow_ends_it_without_a_gap(
    tmp_path: Path, demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = TiffPages.write

    def slow(pages: TiffPages, frame: Any) -> None:
        time.sleep(0.02)
        write(pages, frame)

    monkeypatch.setattr(TiffPages, "write", slow)
    camera = open_camera(demo(2))  # 32 frames
    stream, folder = Witness(camera), tmp_path / "run"
    *_, last = live(stream, 2000, plan=RecordingPlan(folder=folder, disk=SMALL_QUEUE))
    received = last.counters.received
    assert last.state == "failed"
    assert last.reason == (
        f"camera: its buffer overflowed after {received} frames, as the disk or this computer was "
        f"too slow; the {received} frames up to there are kept."
    )
    assert 32 <= received < 2000
    assert last.counters == Counters(asked=2000, received=received, written=received)
    assert not camera.running
    assert indices(folder) == list(range(received))
    assert movie_sums(folder) == stream.sums
    report = check(folder)
    assert (report.frames, report.problems) == (received, (f"It failed: {last.reason}",))
    camera.start(3)  # it is ready for the next one
    assert [frame.index for _ in range(3) if (frame := camera.next_frame(PATIENCE_S))] == [0, 1, 2]


def test_a_crash_of_a_driver_leaves_the_frames(tmp_path: Path) -> None:
    config, folder = write_config(tmp_path), tmp_path / "run"
    script = f"""
        from pathlib import Path
        from dsacq.files.recording_writer import DiskSettings
        from dsacq.live import RecordingPlan, live
        from hardware.micromanager import MicroManager, MicroManagerSettings
        from hardware.micromanager_camera import MicroManagerCamera, MicroManagerCameraSettings
        settings = MicroManagerSettings(config=Path({str(config)!r}), adapters="demo")
        manager = MicroManager("mm", settings)
        settings = MicroManagerCameraSettings(exposure_s=0.005)
        camera = MicroManagerCamera("camera", settings, manager)
        disk = DiskSettings(reserve_bytes=0, reserve_s=0)
        plan = RecordingPlan(folder=Path({str(folder)!r}), pixel_um=0.11, disk=disk)
        for update in live(camera, plan=plan):
            if update.counters.written > 50:
                print(update.counters.written, flush=True)
                manager.set_property("Camera", "SimulateCrash", "Dereference Null Pointer")
                print("asked", flush=True)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0, ended.stdout + ended.stderr
    written = int(ended.stdout.split()[0])
    assert read_facts(folder).state == "recording"
    with open_movie(folder) as movie:
        frames = len(movie)
        assert frames >= written
        assert all(image.shape == (128, 256) for _, image in movie.frames())
    assert indices(folder)[:written] == list(range(written))
    assert "It was not ended" in check(folder).problems[0]
    for path in folder.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    report = repair(folder)
    assert (report.facts.state, report.facts.frames.written) == ("repaired", report.frames)
    assert report.frames >= written
    assert [one for one in report.problems if "no line" not in one] == []
    assert (folder / FRAMES).exists()
