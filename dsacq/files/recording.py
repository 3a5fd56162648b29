"""A recording: the folder that holds a movie as it was taken, and what is known of it.

    recording.json          camera, optics, mask, rig; when; frames asked for, written and lost
    movie_000.tif ...       the frames: BigTIFF, 4 GB or 20000 frames each
    frames.jsonl            a line per frame: its number in the movie, the camera's, the time; and
                            one per change of a device between them
    localizations.parquet   what was localized live, with the tracks
    localizations.arrows    the same, while it is being written
    mask.tif                the mask that was on the SLM
    offset.tif ...          maps of the camera's pixels, of the part that the frames show
    truth.parquet           on the simulated bench: who was where
    truth.arrows            the same, while it is being written
    *.unread                what a repair could not read of a file

`recording.json` is first written before the first frame, so a recording that was cut short by a
crash or power cut is known by its state and opens like any other.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from dsacq.config import validated
from dsacq.errors import FileError, SettingsError
from dsacq.files.atomic import replacing
from dsacq.files.image_description import json_object
from dsacq.files.paths import is_there
from dsacq.files.reading import parsed_json
from dsacq.frame_times import FrameTimes

FACTS, FRAMES = "recording.json", "frames.jsonl"
LOCALIZATIONS, STREAMED = "localizations.parquet", "localizations.arrows"
MASK, TRUTH, STREAMED_TRUTH = "mask.tif", "truth.parquet", "truth.arrows"
STREAMS = {STREAMED: LOCALIZATIONS, STREAMED_TRUTH: TRUTH}  # and what they become
CHANGE = "change"  # the key of a line of frames.jsonl that is none of a frame
_LOOKED_AT = 2000  # frames whose times tell the interval
EMPTY_TIFF_BYTES = 16  # of a file that was made but got no frame

_STRICT = ConfigDict(extra="forbid")
_FINITE = ConfigDict(extra="forbid", allow_inf_nan=False)
LONGEST_LINE = 1 << 20  # bytes
State = Literal["recording", "complete", "stopped", "failed", "repaired"]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Counters:
    """Frames: asked for (None: until stopped), from the camera, on disk, localized, and lost."""

    asked: NonNegativeInt | None = None
    received: NonNegativeInt = 0
    written: NonNegativeInt = 0
    analysed: NonNegativeInt = 0
    lost_in_core: NonNegativeInt = 0
    lost_in_camera: NonNegativeInt = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Change:
    """Something that was not the same from the first frame of a recording to its last.

    frame: of the movie, the first that may show it. time_s: as frames have it. what: with its unit,
    such as power_mw. before, after: None where it was not known. asked: whether it was set through
    dsacq, or found when the device was asked.
    """

    frame: int
    time_s: float
    device: str
    what: str
    before: float | bool | None
    after: float | bool | None
    asked: bool


@dataclass(frozen=True, kw_only=True, config=_FINITE)
class Facts:
    """What recording.json holds.

    state: "recording" until it ends, or for ever where the program was killed; "complete" with all
    frames asked for; "stopped" by the user; "failed" for `reason`; "repaired". about: rig, optics,
    mask, settings, the camera's noise (maps by the names of their files), as JSON can hold them, as
    they were before the first frame. frame_interval_s: from one frame's start to the next's, by the
    times of the frames, or None where fewer than three came. changes: of the devices, in time.
    """

    state: State
    reason: str
    started: str  # ISO 8601
    ended: str | None
    software: str
    shape_px: tuple[PositiveInt, PositiveInt]  # rows, columns
    pixel_um: PositiveFloat | None  # in the sample
    exposure_s: NonNegativeFloat
    frames: Counters
    about: dict[str, Any] = field(default_factory=dict)
    frame_interval_s: PositiveFloat | None = None
    changes: tuple[Change, ...] = ()


def is_recording(folder: Path) -> bool:
    """Whether a folder is a recording."""
    return is_there(folder / FACTS, Path.is_file)


def movie_file(folder: Path, part: int) -> Path:
    """Where a part of the movie is."""
    return folder / f"movie_{part:03d}.tif"


def movie_files(folder: Path) -> list[Path]:
    """The parts of the movie that have frames, in order. Raises FileError where one is missing."""
    found = []
    numbered = [path for path in folder.glob("movie_*.tif") if _digits(path).isdecimal()]
    for part, path in enumerate(sorted(numbered, key=lambda path: int(_digits(path)))):
        if path != movie_file(folder, part):
            raise FileError(f"{movie_file(folder, part)}: is missing; the movie goes on after it.")
        if path.stat().st_size > EMPTY_TIFF_BYTES:
            found.append(path)
    return found


def _digits(path: Path) -> str:
    return path.stem.removeprefix("movie_")


def read_facts(folder: Path) -> Facts:
    """What is known of a recording. Raises FileError."""
    path = folder / FACTS
    try:
        return validated(Facts, parsed_json(path.read_bytes()), str(path))
    except OSError as error:
        raise FileError(
            f"{path}: cannot be read ({error.strerror or error}); movie files in its folder can be "
            "opened one by one."
        ) from None
    except (ValueError, TypeError, SettingsError):
        raise FileError(
            f"{path}: is damaged or from another version of dsacq; the movie files beside it can "
            "be opened one by one."
        ) from None


def write_facts(folder: Path, facts: Facts) -> None:
    """Write recording.json, down to the disk. Raises FileError."""
    text = json.dumps(asdict(facts), indent=1, default=str)
    with replacing(folder / FACTS) as partial, partial.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def movie_metadata(facts: Facts) -> dict[str, Any]:
    """As a movie tells it."""
    values = {"pixel_um": facts.pixel_um, "exposure_s": facts.exposure_s}
    return {name: value for name, value in values.items() if value}


def read_frame_lines(folder: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of frames.jsonl that are of frames. Raises FileError."""
    return (line for line in _lines(folder) if CHANGE not in line)


def changes_of(folder: Path, facts: Facts) -> tuple[Change, ...]:
    """What changed during a recording, also one that did not end properly."""
    if facts.state not in ("recording", "repaired") or facts.changes:
        return facts.changes
    found = []
    with suppress(FileError):
        for line in _lines(folder):
            with suppress(ValueError, TypeError):  # a damaged line
                if CHANGE in line:
                    found.append(Change(**line[CHANGE]))
    return tuple(found)


def frame_times(folder: Path, most: int | None = None) -> FrameTimes:
    """Of the first frames of a recording, or of all. Raises FileError."""
    times = FrameTimes()
    for line in islice(read_frame_lines(folder), most):
        index, camera_index, time_s = (line.get(n) for n in ("index", "camera_index", "time_s"))
        if isinstance(index, int) and isinstance(time_s, int | float):
            known = camera_index if isinstance(camera_index, int) else None
            times.add(index, known, float(time_s))
    return times


def recorded_times(folder: Path, facts: Facts) -> dict[str, Any]:
    """interval_s and gaps (as `FrameTimes` has them) of a recording's frames, as far as told.

    Of one that does not tell its interval the first frames' times are read.
    """
    times = FrameTimes()
    counted = facts.frames
    lossy = counted.lost_in_core + counted.lost_in_camera > 0
    ended = facts.state not in ("recording", "repaired")
    if not (facts.frame_interval_s and ended) or lossy:
        with suppress(FileError):
            times = frame_times(folder, _LOOKED_AT if ended and not lossy else None)
    told = {
        "interval_s": facts.frame_interval_s or times.interval_s,
        "gaps": [list(gap) for gap in times.gaps],
    }
    return {name: value for name, value in told.items() if value}


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / FRAMES
    try:
        with path.open("rb") as file:
            while text := file.readline(LONGEST_LINE):
                if line := json_object(text.decode(errors="replace")):
                    yield line
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error}).") from None
