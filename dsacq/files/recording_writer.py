"""Frames to disk as they come: in a thread of its own, behind a bounded queue, guarded.

The writer never drops a frame: when its queue is full, whoever brings frames waits, and frames
gather in the camera's buffer. A disk that fails or fills up ends the recording, and all frames up
to there are readable.
"""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from typing import IO, Any

import numpy as np

from dsacq.errors import FileError
from dsacq.files.recording import FRAMES, Facts, movie_file, movie_metadata, write_facts
from dsacq.files.tiff_trim import trim
from dsacq.files.tiff_writer import TiffPages
from dsacq.stream import Frame

_SYNC_S = 1.0
_STEP_S = 0.05
_GIGABYTE = 1e9


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
    no room for the frames that facts ask for.
    """

    def __init__(self, folder: Path, facts: Facts, disk: DiskSettings = DiskSettings()) -> None:
        self.folder, self.facts = folder, facts
        self._disk = disk
        self._frame_bytes = 2 * facts.shape_px[0] * facts.shape_px[1]
        rate = self._frame_bytes / facts.exposure_s
        self._reserve_bytes = max(disk.reserve_bytes, disk.reserve_s * rate)
        _make(folder)
        self._check_room()
        write_facts(folder, facts)
        self._pages = self._part(0)
        self._lines: IO[str] = (folder / FRAMES).open("w", encoding="utf-8")
        self._queue: Queue[Frame | None] = Queue(max(2, int(disk.queue_bytes / self._frame_bytes)))
        self._files = Lock()  # held where files are changed or synced
        self._text = Lock()
        self._ended = Event()
        self._written = 0
        self._trouble: FileError | None = None
        self._failed = False
        self._threads = [
            Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for work, name in ((self._write_all, "recording"), (self._sync_often, "recording sync"))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def written(self) -> int:
        """Frames that the system has: they survive the end of this process."""
        return self._written

    @property
    def trouble(self) -> FileError | None:
        """Why the recording must end, once it must."""
        return self._trouble

    @property
    def queue_fill(self) -> float:
        """Used part of the queue, 0 to 1."""
        return self._queue.qsize() / self._queue.maxsize

    def free_bytes(self) -> float:
        """On the disk of the recording."""
        return float(shutil.disk_usage(self.folder).free)

    def put(self, frame: Frame) -> None:
        """Hand over a frame; waits while the queue is full. Raises FileError once a write failed.

        The frame's pixels must not be changed afterwards.
        """
        while True:
            if self._failed:
                assert self._trouble is not None
                raise self._trouble
            try:
                return self._queue.put(frame, timeout=_STEP_S)
            except Full:
                continue

    def close(self, facts: Facts) -> None:
        """Write what waits, complete the files, and store facts, with the frames really written.

        Raises FileError when that fails, or a write had failed; the facts are stored all the same
        where the disk lets it. Does no harm twice.
        """
        if self._ended.is_set():
            return
        while self._threads[0].is_alive():
            try:
                self._queue.put(None, timeout=_STEP_S)
                break
            except Full:
                continue
        self._threads[0].join()
        self._ended.set()
        self._threads[1].join()
        try:
            self._finish()
        finally:
            frames = replace(facts.frames, written=self._written)
            write_facts(self.folder, replace(facts, frames=frames))
        if self._failed:
            assert self._trouble is not None
            raise self._trouble

    def _finish(self) -> None:
        with self._files:
            self._end_part()
        try:
            self._lines.close()
        except OSError as error:
            raise self._failure(FRAMES, error) from error

    def _end_part(self) -> None:
        if self._failed:  # perhaps half a page was written: cut off, it is room for the facts
            with suppress(FileError):
                self._pages.close()
            trim(self._pages.path)
            return
        self._pages.sync()
        self._pages.finish()

    def _part(self, number: int) -> TiffPages:
        path = movie_file(self.folder, number)
        return TiffPages(path, self.facts.shape_px, np.uint16, movie_metadata(self.facts))

    def _write_all(self) -> None:
        part = 0
        while (frame := self._queue.get()) is not None:
            full = self._pages.size + self._frame_bytes > self._disk.part_bytes
            if self._pages.count and (full or self._pages.count >= self._disk.part_frames):
                part += 1
                with self._files:
                    self._end_part()
                    self._pages = self._part(part)
            self._pages.write(frame.pixels)
            with self._text:
                self._lines.write(_line(self._written, frame))
            self._written += 1

    def _sync_often(self) -> None:
        while not self._ended.wait(_SYNC_S):
            with self._text:
                self._lines.flush()
            with self._files:
                self._pages.sync()
            if self._trouble is None and (free := self.free_bytes()) < self._reserve_bytes:
                self._trouble = FileError(
                    f"{self.folder}: the disk is nearly full, {free / _GIGABYTE:.1f} GB are left "
                    f"and {self._reserve_bytes / _GIGABYTE:.1f} GB are kept free; the frames so "
                    "far are kept."
                )

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._trouble = self._failure("", error)
            self._failed = True
            while True:  # whoever waits for room is let go
                try:
                    self._queue.get_nowait()
                except Empty:
                    return

    def _failure(self, name: str, error: Exception) -> FileError:
        if isinstance(error, FileError):
            return error
        told = error.strerror if isinstance(error, OSError) else error
        return FileError(f"{self.folder / name}: cannot be written ({told}).")

    def _check_room(self) -> None:
        asked = self.facts.frames.asked or 0
        needed = asked * self._frame_bytes * self._disk.margin + self._reserve_bytes
        if (free := self.free_bytes()) < needed:
            raise FileError(
                f"{self.folder}: {asked} frames need {needed / _GIGABYTE:.1f} GB with what is kept "
                f"free, but the disk has {free / _GIGABYTE:.1f} GB; free some or record fewer."
            )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise FileError(f"{folder}: cannot be made ({error.strerror or error}).") from None
    if occupied:
        raise FileError(f"{folder}: is not empty; give a recording a folder of its own.")


def _line(number: int, frame: Frame) -> str:
    values: dict[str, Any] = {"frame": number, "index": frame.index, "time_s": frame.time_s}
    if frame.camera_index is not None:
        values["camera_index"] = frame.camera_index
    return json.dumps(values | dict(frame.metadata), default=str) + "\n"
