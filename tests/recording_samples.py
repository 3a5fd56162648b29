"""Small recordings whose frames tell their number, and a program that is made to be killed.

    python recording_samples.py FOLDER

records frames and localizations for ever, as fast as it can, and tells after each frame how many
frames and how many frames' localizations it believes to be safe.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.data import Localizations
from dsacq.files.localization_stream import LocalizationStream
from dsacq.files.recording import STREAMED, Counters, Facts
from dsacq.files.recording_writer import DiskSettings, RecordingWriter
from dsacq.stream import Frame

SHAPE = (24, 36)
ROWS_PER_FRAME = 3
ORIGIN = {"model": "nano", "frames": 0, "link": {"frame_interval_s": 0.02}}
SMALL = DiskSettings(reserve_bytes=0, reserve_s=0, queue_bytes=20_000)


def facts(
    state: Any = "recording", shape: tuple[int, int] = SHAPE, asked: int | None = None
) -> Facts:
    return Facts(
        state=state,
        reason="",
        started="2026-01-02T03:04:05+00:00",
        ended=None if state == "recording" else "2026-01-02T03:05:05+00:00",
        software="dsacq test",
        shape_px=shape,
        pixel_um=0.11,
        exposure_s=0.02,
        frames=Counters(asked=asked),
        about={"mask": "tetrapod", "gains": [1, 2.5]},
    )


def pixels(number: int, shape: tuple[int, int] = SHAPE) -> NDArray[np.uint16]:
    """Differs in every pixel from those of any other number below 65536."""
    return (np.arange(shape[0] * shape[1]) * 7 + number * 31).astype(np.uint16).reshape(shape)


def frame(number: int, shape: tuple[int, int] = SHAPE) -> Frame:
    about = {"temperature_c": -20.5, "frame": "of the camera's software"}
    return Frame(pixels(number, shape), number, 1.7e9 + number, 1000 + number, about)


def localizations(number: int) -> Localizations:
    """ROWS_PER_FRAME rows of this frame."""
    ones = np.ones(ROWS_PER_FRAME)
    return Localizations.from_columns(
        frame=number * ones.astype(int),
        x_um=number + np.arange(ROWS_PER_FRAME) / 8,
        y_um=ones,
        z_um=ones,
        track=number * ROWS_PER_FRAME + np.arange(ROWS_PER_FRAME),
    )


def record(folder: Path, count: int, disk: DiskSettings = SMALL, **changes: Any) -> None:
    """A complete recording."""
    writer = RecordingWriter(folder, facts(**changes), disk)
    for number in range(count):
        writer.put(frame(number))
    writer.close(facts("complete", **changes))


def record_until_killed(folder: Path) -> None:
    writer = RecordingWriter(folder, facts(), replace(SMALL, part_frames=60))
    with LocalizationStream(folder / STREAMED, ORIGIN) as stream:
        for number in range(60_000):
            writer.put(frame(number))
            stream.append(localizations(number))
            sys.stdout.write(f"{writer.written} {number + 1}\n")
            sys.stdout.flush()
            time.sleep(0.0003)  # else the queue is always full, and only the disk is waited for


if __name__ == "__main__":
    record_until_killed(Path(sys.argv[1]))
