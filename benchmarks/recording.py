"""How fast frames get to the disk, beside writing the same bytes with nothing around them.

    python -m benchmarks.recording [--folder DIR] [--size 1200] [--gigabytes 2] [--rounds 4]
    python -m benchmarks.recording --minutes M

Each round writes the same frames to the same disk in both ways, one after the other, and the order
changes from round to round. A recording is timed from the first frame until it is closed, and the
plain file until it is closed, both with all bytes on the disk. Before each, a plain file is written
and removed untimed: where a virtual machine gets its memory as it is used, the first would pay.

With --minutes: records at about 100 MB/s, one recording of 2 GB after another, and tells the memory
that this process holds.
"""

import argparse
import math
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np

from dsacq.files.movies import open_movie
from dsacq.files.recording import Counters, Facts, read_facts
from dsacq.files.recording_writer import RecordingWriter
from dsacq.stream import Frame
from dsacq.version import software

SIZES_PX = (512, 1200, 2048)
SOAK_BYTES_PER_S = 100e6
SOAK_FILE_BYTES = 2e9  # a recording of the soak
SOAK_TOLD_S = 10.0


@dataclass(frozen=True)
class Timing:
    """bytes_per_s; cpu_s_per_gb of all threads; longest_put_s; lost frames."""

    bytes_per_s: float
    cpu_s_per_gb: float
    longest_put_s: float = 0.0
    lost: int = 0


def frames(size_px: int) -> Iterator[Frame]:
    """Frames without end; a few pictures take turns, so that to make them costs nothing."""
    generator = np.random.default_rng(0)
    pictures = [
        generator.poisson(100, (size_px, size_px)).astype(np.uint16) + np.uint16(number)
        for number in range(4)
    ]
    number = 0
    while True:
        yield Frame(pictures[number % len(pictures)], number, time.time(), number)
        number += 1


def facts(size_px: int, count: int) -> Facts:
    """Of a recording of `count` frames."""
    return Facts(
        state="recording",
        reason="",
        started=datetime.now(UTC).isoformat(),
        ended=None,
        software=software(),
        shape_px=(size_px, size_px),
        pixel_um=0.11,
        exposure_s=0.01,
        frames=Counters(asked=count),
    )


def recorded(folder: Path, size_px: int, count: int) -> Timing:
    """Through RecordingWriter."""
    about = facts(size_px, count)
    longest_s = 0.0
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    writer = RecordingWriter(folder, about)
    for frame in islice(frames(size_px), count):
        begun_s = time.perf_counter()
        writer.put(frame)
        longest_s = max(longest_s, time.perf_counter() - begun_s)
    writer.close(replace(about, state="complete"))
    wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    with open_movie(folder) as movie:
        lost = count - min(len(movie), read_facts(folder).frames.written)
    total = 2 * size_px**2 * count
    return Timing(total / wall_s, cpu_s / total * 1e9, longest_s, lost)


def plain(path: Path, size_px: int, count: int) -> Timing:
    """The pixels one after another."""
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    with path.open("wb", buffering=0) as file:
        for frame in islice(frames(size_px), count):
            file.write(frame.pixels.data)
        os.fsync(file.fileno())
    wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    total = 2 * size_px**2 * count
    return Timing(total / wall_s, cpu_s / total * 1e9)


def compare(parent: Path, size_px: int, gigabytes: float, rounds: int) -> None:
    """Measure both ways in turn and print a line a round, and the ratio."""
    count = int(gigabytes * 1e9 / (2 * size_px**2))
    ratios = []
    for number in range(rounds):
        timings = {}
        for way in ("recording", "plain")[:: 1 if number % 2 else -1]:
            with tempfile.TemporaryDirectory(dir=parent) as name:
                plain(Path(name) / "untimed", size_px, count)
                (Path(name) / "untimed").unlink()
                if sys.platform != "win32":
                    os.sync()
                place, write = Path(name) / way, recorded if way == "recording" else plain
                timings[way] = write(place, size_px, count)
        ours, other = timings["recording"], timings["plain"]
        ratios.append(ours.bytes_per_s / other.bytes_per_s)
        print(
            f"{size_px:5} px  {count} frames  recording {ours.bytes_per_s / 1e6:5.0f} MB/s "
            f"{ours.cpu_s_per_gb:5.2f} CPU s/GB   plain {other.bytes_per_s / 1e6:5.0f} MB/s "
            f"{other.cpu_s_per_gb:5.2f} CPU s/GB   ratio {ratios[-1]:5.2f}   "
            f"longest put {1000 * ours.longest_put_s:4.0f} ms   lost {ours.lost}",
            flush=True,
        )
    print(f"{size_px:5} px  ratio: median {statistics.median(ratios):.2f}, worst {min(ratios):.2f}")


def resident_bytes() -> float:
    """Of this process now; where the system does not tell, the most it ever held, or no number."""
    if sys.platform == "win32":
        return math.nan
    import resource

    statm = Path("/proc/self/statm")
    if statm.is_file():
        return float(int(statm.read_text().split()[1]) * resource.getpagesize())
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def soak(parent: Path, size_px: int, minutes: float) -> None:
    """Record at a steady rate, and print what memory is held."""
    frame_bytes = 2 * size_px**2
    interval_s, per_file = frame_bytes / SOAK_BYTES_PER_S, int(SOAK_FILE_BYTES / frame_bytes)
    start_s, total, lost, told_s = time.perf_counter(), 0, 0, 0.0
    while time.perf_counter() - start_s < 60 * minutes:
        with tempfile.TemporaryDirectory(dir=parent) as name:
            folder = Path(name) / "recording"
            about = facts(size_px, per_file)
            writer = RecordingWriter(folder, about)
            begun_s = time.perf_counter()
            for number, frame in enumerate(islice(frames(size_px), per_file)):
                time.sleep(max(0.0, begun_s + number * interval_s - time.perf_counter()))
                writer.put(replace(frame, pixels=frame.pixels.copy()))  # as a camera gives them
                if (now_s := time.perf_counter() - start_s) - told_s >= SOAK_TOLD_S:
                    told_s = now_s
                    print(
                        f"{now_s:6.0f} s  {(total + number) * frame_bytes / 1e9:6.1f} GB  "
                        f"memory {resident_bytes() / 1e6:5.0f} MB  queue {writer.queue_fill:.2f}",
                        flush=True,
                    )
            writer.close(replace(about, state="complete"))
            total += per_file
            lost += per_file - writer.written
    print(f"{total} frames, {lost} lost")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="on the disk to measure; by default temporary")
    parser.add_argument("--size", type=int, help="pixels of a side; by default several")
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--minutes", type=float)
    given = parser.parse_args()
    parent = given.folder or Path(tempfile.gettempdir())
    free = shutil.disk_usage(parent).free
    print(f"{parent}: {free / 1e9:.0f} GB free")
    if given.minutes:
        soak(parent, given.size or 512, given.minutes)
        return
    for size_px in (given.size,) if given.size else SIZES_PX:
        compare(parent, size_px, given.gigabytes, given.rounds)


if __name__ == "__main__":
    main()
