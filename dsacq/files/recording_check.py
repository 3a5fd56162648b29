"""What a recording holds, and mending one that was cut short."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsacq.errors import FileError
from dsacq.files.atomic import rename
from dsacq.files.change_remarks import change_remarks
from dsacq.files.image_description import json_object
from dsacq.files.localization_stream import finish, streamed_origin
from dsacq.files.reading import unread_file
from dsacq.files.recording import (
    CHANGE,
    FACTS,
    FRAMES,
    LONGEST_LINE,
    STREAMS,
    Facts,
    changes_of,
    frame_times,
    movie_files,
    movie_metadata,
    read_facts,
    write_facts,
)
from dsacq.files.tiff_trim import end_pages, survey
from dsacq.files.tiff_writer import describe, is_described, ome_xml

_QUIET_S = 5.0  # a recording shows each second that it is going on


@dataclass(frozen=True, kw_only=True)
class Report:
    """frames: those that can be read. problems: a sentence each; none for a sound recording. lost:
    those of them that tell of what was on the disk and cannot be read. unread_bytes: of files that
    could not be read to their end; they are kept.
    remarks: on what was not the same for all frames, and what a repaired recording lacks for good.
    """

    facts: Facts
    frames: int
    problems: tuple[str, ...]
    lost: tuple[str, ...]
    unread_bytes: int
    remarks: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is missing of what was asked for or, of a repaired one, of what it says
        itself that there is."""
        return not self.problems


def check(folder: Path) -> Report:
    """Read every frame of a recording, and compare with what is known of it. Raises FileError."""
    facts = read_facts(folder)
    problems, missing = [], []
    if facts.state == "recording":
        problems.append("It was not ended: it is still being made, or the program was cut short.")
    elif facts.state == "failed":
        problems.append(f"It failed: {facts.reason}")
    frames, lost, unread = _movie(folder)
    counted = facts.frames
    if facts.state != "recording" and frames < counted.written:
        lost.append(f"{counted.written} frames were written, but {frames} can be read.")
    elif facts.state in ("complete", "repaired") and frames < (counted.asked or 0):
        missing.append(f"{counted.asked} frames were asked for, but there are {frames}.")
    for count, where in (
        (counted.lost_in_core, "between camera and disk"),
        (counted.lost_in_camera, "in the camera"),
    ):
        if count:
            missing.append(f"{count} frames were lost {where}.")
    # What was told to be missing just now is not told again by its lines.
    told, of_lines, rest = _lines(folder, frames, max(frames, counted.written))
    missing += told
    for sentences, count in ((of_lines, rest), _set_aside(folder)):
        lost += sentences
        unread += count
    if any((folder / name).exists() for name in STREAMS):
        problems.append("Its localizations are not in their final form.")
    remarks = change_remarks(changes_of(folder, facts))
    if facts.state == "repaired":  # it was mended as far as it can be, and says so
        remarks = [*missing, *remarks]
    else:
        problems += missing
    return Report(
        facts=facts,
        frames=frames,
        problems=(*problems, *lost),
        lost=tuple(lost),
        unread_bytes=unread,
        remarks=tuple(remarks),
    )


def repair(folder: Path) -> Report:
    """Mend a recording that was cut short: all whole frames, lines and localizations are kept.

    Nothing is deleted that could not be read: the rest of a movie file stays in it, behind its last
    frame; other rests, and a last movie file without a frame, get a name of their own. Where the
    repair itself is cut short, it can be done again. Raises FileError, with nothing changed, when
    the recording may still be going on.
    """
    facts = read_facts(folder)
    parts = movie_files(folder)
    cut_short = facts.state == "recording"
    if cut_short:
        _refuse_living(folder, parts)
    frames = _mended_frames(folder, facts, parts)
    for name, target in STREAMS.items():
        if (folder / name).exists():
            origin = streamed_origin(folder / name) or {"recording": dict(facts.about)}
            if "frames" in origin:
                origin["frames"] = frames
            finish(folder / name, folder / target, origin)
    if cut_short:  # last, so that a repair that was cut short is offered again
        counted = facts.frames
        counted = replace(counted, received=max(counted.received, frames), written=frames)
        reason = "It was cut short and repaired."
        times = frame_times(folder)
        mended = replace(facts, state="repaired", reason=reason, frames=counted)
        changes = changes_of(folder, facts)
        write_facts(folder, replace(mended, frame_interval_s=times.interval_s, changes=changes))
    return check(folder)


def _mended_frames(folder: Path, facts: Facts, parts: list[Path]) -> int:
    """Let the movie files end with whole frames, and describe them; returns how many there are."""
    frames = 0
    for path in parts:
        last = path == parts[-1]
        # A part before others keeps its damaged end: without it, the frames of the others would
        # take other numbers than in the table and in frames.jsonl.
        pages = end_pages(path) if last else survey(path).readable
        if pages and not is_described(path, pages):
            describe(path, ome_xml(facts.shape_px, np.uint16, pages, movie_metadata(facts)))
        elif last and not pages and facts.state == "recording":
            rename(path, unread_file(path))
        frames += pages
    return frames


def _refuse_living(folder: Path, parts: list[Path]) -> None:
    for path in (folder / FACTS, *parts):
        if abs(time.time() - path.stat().st_mtime) < _QUIET_S:
            raise FileError(
                f"{path}: was changed a moment ago; end the recording first, or wait "
                f"{_QUIET_S:.0f} seconds."
            )


def _movie(folder: Path) -> tuple[int, list[str], int]:
    """Frames that can be read, what is wrong with others, and bytes that belong to no frame."""
    frames, wrong, unread = 0, [], 0
    parts = movie_files(folder)
    for path in parts:
        pages = survey(path)
        frames += pages.readable
        unread += pages.unread
        damaged = pages.announced - pages.readable
        if not pages.readable:
            wrong.append(f"{path.name}: none of its frames can be read; it is left as it is.")
        elif damaged:
            wrong.append(f"{path.name}: {damaged} of {pages.announced} frames are damaged.")
        if pages.readable and pages.unread:
            wrong.append(
                f"{path.name}: {pages.unread} bytes behind its last whole frame could not be read; "
                "they are left there."
            )
        if (damaged or not pages.readable) and path != parts[-1]:
            wrong.append("The movie files after it can be opened one by one.")
    return frames, wrong, unread


def _set_aside(folder: Path) -> tuple[list[str], int]:
    """What a repair could not read and gave a name of its own, and the bytes of it."""
    files = sorted(folder.glob(unread_file(Path("*")).name))
    sizes = [path.stat().st_size for path in files]
    wrong = [
        f"{path.name}: {size} bytes that could not be read are kept there."
        for path, size in zip(files, sizes, strict=True)
    ]
    return wrong, sum(sizes)


def _lines(folder: Path, frames: int, known: int) -> tuple[list[str], list[str], int]:
    """What is wrong with the lines of the frames: what was never written, and what was and is lost;
    and the bytes that are no line. Where the numbers of frames do not follow on is told, too.

    known: frames that there are or are known to be lost.
    """
    described, rest, jumps = 0, 0, []
    last = None
    try:
        with (folder / FRAMES).open("rb") as file:
            while text := file.readline(LONGEST_LINE):
                line = json_object(text.decode(errors="replace"))
                if not line:
                    rest += len(text)
                    continue
                if CHANGE in line:
                    continue
                described += 1
                index = line.get("index")
                if isinstance(last, int) and isinstance(index, int) and index != last + 1:
                    jumps.append(f"Frame {index} of the camera follows frame {last}")
                last = index
    except OSError as error:
        return [], [f"{folder / FRAMES}: cannot be read ({error.strerror or error})."], 0
    told, lost = [], []
    if described < frames:
        told.append(f"{frames - described} of {frames} frames have no line in {FRAMES}.")
    if jumps:
        others = f", and {len(jumps) - 1} more such places" if len(jumps) > 1 else ""
        told.append(f"{jumps[0]}{others}.")
    if described > known:
        lost.append(f"{described - known} frames have a line in {FRAMES}, but cannot be read.")
    if rest:
        lost.append(f"{FRAMES}: {rest} bytes are no line that can be read; they are left there.")
    return told, lost, rest
