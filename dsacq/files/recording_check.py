"""What a recording holds, and mending one that was cut short."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsacq.errors import FileError
from dsacq.files.atomic import remove
from dsacq.files.localization_stream import to_parquet
from dsacq.files.recording import (
    FACTS,
    FRAMES,
    LOCALIZATIONS,
    STREAMED,
    Facts,
    movie_files,
    movie_metadata,
    read_facts,
    read_frame_lines,
    write_facts,
)
from dsacq.files.tiff import TiffStack
from dsacq.files.tiff_trim import readable, trim
from dsacq.files.tiff_writer import describe, is_described, ome_xml

_QUIET_S = 5.0  # a recording shows each second that it is going on


@dataclass(frozen=True, kw_only=True)
class Report:
    """frames: those that can be read. problems: a sentence each; none for a sound recording."""

    facts: Facts
    frames: int
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is missing of what was asked for."""
        return not self.problems


def check(folder: Path) -> Report:
    """Read every frame of a recording, and compare with what is known of it. Raises FileError."""
    facts = read_facts(folder)
    problems = []
    if facts.state == "recording":
        problems.append("It was not ended: it is still being made, or the program was cut short.")
    elif facts.state == "failed":
        problems.append(f"It failed: {facts.reason}")
    frames = 0
    for path in movie_files(folder):
        whole, announced = _readable_pages(path)
        frames += whole
        if whole < announced:
            problems.append(f"{path.name}: {announced - whole} of {announced} frames are damaged.")
    counted = facts.frames
    if facts.state != "recording" and frames < counted.written:
        problems.append(f"{counted.written} frames were written, but {frames} can be read.")
    elif facts.state in ("complete", "repaired") and frames < (counted.asked or 0):
        problems.append(f"{counted.asked} frames were asked for, but there are {frames}.")
    for lost, where in (
        (counted.lost_in_core, "between camera and disk"),
        (counted.lost_in_camera, "in the camera"),
    ):
        if lost:
            problems.append(f"{lost} frames were lost {where}.")
    problems += _problems_of_lines(folder, frames)
    if (folder / STREAMED).exists():
        problems.append("Its localizations are not in their final form.")
    return Report(facts=facts, frames=frames, problems=tuple(problems))


def repair(folder: Path) -> Report:
    """Mend a recording that was cut short: all whole frames, lines and localizations are kept.

    Raises FileError, with nothing changed, when it may still be going on; and, with the frames
    mended, when its localizations are damaged.
    """
    facts = read_facts(folder)
    parts = movie_files(folder)
    if facts.state == "recording":
        _refuse_living(folder, parts)
    frame_bytes = 2 * facts.shape_px[0] * facts.shape_px[1]
    frames = 0
    for path in parts:
        pages = trim(path, frame_bytes)
        if pages and not is_described(path, pages):
            xml = ome_xml(facts.shape_px, np.uint16, pages, movie_metadata(facts))
            describe(path, xml)
        frames += pages
    if facts.state == "recording":
        counted = facts.frames
        counted = replace(counted, received=max(counted.received, frames), written=frames)
        reason = "It was cut short and repaired."
        write_facts(folder, replace(facts, state="repaired", reason=reason, frames=counted))
    if (folder / STREAMED).exists():
        to_parquet(folder / STREAMED, folder / LOCALIZATIONS, dict(facts.about))
        remove(folder / STREAMED)
    return check(folder)


def _refuse_living(folder: Path, parts: list[Path]) -> None:
    for path in (folder / FACTS, *parts):
        if abs(time.time() - path.stat().st_mtime) < _QUIET_S:
            raise FileError(
                f"{path}: was changed a moment ago; end the recording first, or wait "
                f"{_QUIET_S:.0f} seconds."
            )


def _readable_pages(path: Path) -> tuple[int, int]:
    """How many frames of a movie file can be read, and how many it announces."""
    try:
        stack = TiffStack(path)
    except FileError:
        return 0, 1
    try:
        return sum(readable(stack, index) for index in range(stack.count)), stack.count
    finally:
        stack.close()


def _problems_of_lines(folder: Path, frames: int) -> list[str]:
    """Frames without a line, and where the numbers that frames were given do not follow on."""
    described, jumps = 0, []
    last = None
    try:
        for line in read_frame_lines(folder):
            described += 1
            index = line.get("index")
            if isinstance(last, int) and isinstance(index, int) and index != last + 1:
                jumps.append(f"Frame {index} of the camera follows frame {last}")
            last = index
    except FileError as error:
        return [str(error)]
    problems = []
    if described < frames:
        problems.append(f"{frames - described} of {frames} frames have no line in {FRAMES}.")
    if jumps:
        others = f", and {len(jumps) - 1} more such places" if len(jumps) > 1 else ""
        problems.append(f"{jumps[0]}{others}.")
    return problems
