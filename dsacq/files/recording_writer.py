"""Frames to disk as they come: in a thread of its own, behind a bounded queue, guarded.

The writer never drops a frame: when its queue is full, whoever brings frames waits, and frames
gather in the camera's buffer. A disk that fails or fills up ends the recording, and all frames up
to there are readable.
"""

import json
import os
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import Full, Queue
from threading import Event, Lock, Thread
from typing import IO, Any

import numpy as np

from dsacq.errors import FileError
from dsacq.files.atomic import made_folder
from dsacq.files.names import check_folder, nearest_there
from dsacq.files.recording import (
    CHANGE,
    FACTS,
    FRAMES,
    Change,
    Facts,
    movie_file,
    movie_metadata,
    write_facts,
)
from dsacq.files.tiff_trim import trim
from dsacq.files.tiff_writer import TiffPages
from dsacq.stream import Frame

_SYNC_S = 1.0
_STEP_S = 0.05
_GIGABYTE = 1e9
_MUCH = 1e15  # bytes, of which no disk has more
_MOST_BYTES_PER_S = 1e9  # of a camera: a short exposure does not make it faster


@dataclass(frozen=True, kw_only=True)
class DiskSettings:
    """reserve_bytes, reserve_s: kept free on the disk, in bytes or in time to record, whichever is
    more. part_bytes, part_frames: of a movie file, which is what damage to a file can cost at most
    and what opens quickly. queue_bytes: frames that wait for the disk. margin: free space wanted
    before the start, in sizes of the recording."""

    reserve_bytes: float = 2e9
    reserve_s: float = 10.0
    part_bytes: float = 4e9
    part_frames: int = 20_000
    queue_bytes: float = 5e8
    margin: float = 1.25


class RecordingWriter:
    """Writes frames of facts.shape_px into a new folder.

    Raises FileError when the folder exists and is not empty, cannot be made, or when the disk has
    no room for the frames that facts ask for; it is not made for nothing then.
    """

    def __init__(self, folder: Path, facts: Facts, disk: DiskSettings = DiskSettings()) -> None:
        self.folder, self.facts = folder, facts
        self._disk = disk
        self._frame_bytes = 2 * facts.shape_px[0] * facts.shape_px[1]
        interval_s = max(facts.exposure_s, self._frame_bytes / _MOST_BYTES_PER_S)
        reserve_bytes = disk.reserve_s * self._frame_bytes / interval_s
        self._reserve_bytes = max(disk.reserve_bytes, reserve_bytes)
        check_folder(folder, new=True)
        self._check_room()
        with made_folder(folder, new=True):
            write_facts(folder, facts)
        self._parts = 0
        self._pages = self._next_part()
        self._lines = _open_lines(folder / FRAMES)
        self._queue: Queue[Frame | None] = Queue(max(2, int(disk.queue_bytes / self._frame_bytes)))
        self._files = Lock()  # held where a movie file is ended or synced
        self._ended = Event()
        self._written = 0
        self._noted: deque[Change] = deque()
        self._failure: FileError | None = None
        self._nearly_full: FileError | None = None
        self._writer = Thread(target=self._write_all, name="recording", daemon=True)
        self._syncer = Thread(target=self._sync_often, name="recording sync", daemon=True)
        self._writer.start()
        self._syncer.start()

    @property
    def written(self) -> int:
        """Frames that the system has: they survive the end of this process."""
        return self._written

    @property
    def trouble(self) -> FileError | None:
        """Why the recording must end, once it must."""
        return self._failure or self._nearly_full

    @property
    def queue_fill(self) -> float:
        """Used part of the queue, 0 to 1."""
        return self._queue.qsize() / self._queue.maxsize

    def free_bytes(self) -> float:
        """On the disk of the recording."""
        return float(shutil.disk_usage(nearest_there(self.folder.absolute())).free)

    def put(self, frame: Frame) -> None:
        """Hand over a frame; waits while the queue is full. Raises FileError once a write failed.

        The frame's pixels must not be changed afterwards. Not for use beside or after `close`.
        """
        while True:
            if self._failure:
                raise self._failure
            if self._ended.is_set():
                raise ValueError("frame: the recording was closed, expected it before")
            try:
                return self._queue.put(frame, timeout=_STEP_S)
            except Full:
                continue

    def note(self, change: Change) -> None:
        """Keep a change of a device among the frames; never waits."""
        self._noted.append(change)

    def close(self, facts: Facts) -> None:
        """Write what waits, complete the files, and store facts, with the frames really written.

        Of facts.changes those are left out that no frame can show.

        Raises FileError when that fails, or a write had failed; the facts are stored all the same
        where the disk lets it, and their state is "failed" then. Does no harm twice.
        """
        if self._ended.is_set():
            return
        self._queue.put(None)
        self._writer.join()
        self._ended.set()
        self._syncer.join()
        with self._telling():
            self._end_movie()
        with self._telling():
            self._write_changes()
            self._lines.close()
        if self._failure and facts.state != "failed":
            facts = replace(facts, state="failed", reason=str(self._failure))
        frames = replace(facts.frames, written=self._written)
        shown = tuple(change for change in facts.changes if change.frame < self._written)
        with self._telling():
            write_facts(self.folder, replace(facts, frames=frames, changes=shown))
        if self._failure:
            raise self._failure

    def _end_movie(self) -> None:
        if self._failure:  # perhaps half a page was written: cut off, it is room for the facts
            with suppress(FileError):
                self._pages.close()
            trim(self._pages.path, self._frame_bytes)
        else:
            _complete(self._pages)

    def _next_part(self) -> TiffPages:
        path = movie_file(self.folder, self._parts)
        self._parts += 1
        return TiffPages(path, self.facts.shape_px, np.uint16, movie_metadata(self.facts))

    def _write_all(self) -> None:
        while (frame := self._queue.get()) is not None:
            if not self._failure:  # else only make room, so that whoever waits for it goes on
                with self._telling():
                    self._write(frame)

    def _write(self, frame: Frame) -> None:
        pages, disk = self._pages, self._disk
        full = pages.size + self._frame_bytes > disk.part_bytes or pages.count >= disk.part_frames
        if full and pages.count:
            with self._files:
                self._pages = self._next_part()
                _complete(pages)
        self._pages.write(frame.pixels)
        self._written += 1
        self._write_changes()
        self._lines.write(_line(self._written - 1, frame))
        self._lines.flush()

    def _write_changes(self) -> None:
        while self._noted and self._noted[0].frame < self._written:
            self._lines.write(json.dumps({CHANGE: asdict(self._noted.popleft())}) + "\n")

    def _sync_often(self) -> None:
        while not (self._failure or self._ended.wait(_SYNC_S)):
            with self._telling():
                self._watch_disk()
                with self._files:
                    self._pages.sync()
                os.fsync(self._lines.fileno())
                os.utime(self.folder / FACTS)  # a sign of life, also where frames are rare

    def _watch_disk(self) -> None:
        if (free := self.free_bytes()) < self._reserve_bytes:
            self._nearly_full = FileError(
                f"{self.folder}: the disk is nearly full, {free / _GIGABYTE:.1f} GB are left "
                f"and {self._reserve_bytes / _GIGABYTE:.1f} GB are kept free; the frames so "
                "far are kept."
            )

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Keeps the first error as the one that ended the recording."""
        try:
            yield
        except Exception as error:
            told = error.strerror if isinstance(error, OSError) else error
            failure = FileError(f"{self.folder}: cannot be written ({told}).")
            self._failure = self._failure or (error if isinstance(error, FileError) else failure)

    def _check_room(self) -> None:
        asked = self.facts.frames.asked
        frames_bytes = (asked or 0) * self._frame_bytes * self._disk.margin
        needed = frames_bytes + self._reserve_bytes
        if (free := self.free_bytes()) < needed:
            what = "a recording needs" if asked is None else f"{asked} frames need"
            raise FileError(
                f"{self.folder}: {what} {_told(needed)} with what is kept free, but the disk has "
                f"{_told(free)}; free some or record fewer."
            )


def _told(count: float) -> str:
    """Bytes, in the unit that people would use."""
    if count >= _MUCH:
        return f"more than {_MUCH / 1e12:.0f} TB"
    return f"{count / 1e12:.1f} TB" if count >= 1e12 else f"{count / _GIGABYTE:.1f} GB"


def _complete(pages: TiffPages) -> None:
    try:
        pages.sync()
    finally:
        pages.finish()


def _open_lines(path: Path) -> IO[str]:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror or error}).") from None


def _line(number: int, frame: Frame) -> str:
    values: dict[str, Any] = {"frame": number, "index": frame.index, "time_s": frame.time_s}
    if frame.camera_index is not None:
        values["camera_index"] = frame.camera_index
    return json.dumps({**frame.metadata, **values}, default=str) + "\n"
