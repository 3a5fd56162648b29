"""Camera movies, frame by frame: TIFF in many forms, NDTiff and .dax are read, OME-TIFF written.

A movie may be larger than the memory: to open it is to index it, and a frame is read when it is
asked for.
"""

from collections.abc import Generator, Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike

from dsacq.errors import FileError
from dsacq.files.atomic import replacing
from dsacq.files.binary import Image
from dsacq.files.dax import Dax
from dsacq.files.ndtiff import INDEX, NdTiff
from dsacq.files.recording import (
    is_recording,
    movie_files,
    movie_metadata,
    read_facts,
    recorded_times,
)
from dsacq.files.series import Series, micromanager_order, micromanager_sets, tiff_files
from dsacq.files.tiff import TiffStack
from dsacq.files.tiff_writer import TiffPages

WIDENED = {"uint8": "uint16", "int8": "int16", "float16": "float32"}
WRITTEN = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


class FrameReader(Protocol):
    """The frames of one format. `read` takes 0 <= index < count and may raise FileError."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    count: int
    metadata: dict[str, Any]

    def read(self, index: int) -> Image: ...
    def close(self) -> None: ...


class Movie:
    """The frames of a camera, read one at a time; safe to share between threads.

    shape: (rows, columns). dtype: of the frames, in native byte order: as stored, but 8 bits as 16
    and float16 as float32. metadata: what the file tells, of: format, axes (slowest first, as in
    "TYX"), pixel_um, z_step_um, interval_s, exposure_s, camera; of a recording also gaps, where
    frames were lost (see `FrameTimes`). len() counts the frames that the
    file announces, so a movie that was cut short has a frame that cannot be read.
    """

    def __init__(self, path: Path, source: FrameReader) -> None:
        self.path = path
        self.shape = source.shape
        self.dtype = np.dtype(WIDENED.get(source.dtype.name, source.dtype.name))
        self.metadata = source.metadata
        self._source = source
        self._lock = Lock()

    def __len__(self) -> int:
        return self._source.count

    def frame(self, index: int) -> Image:
        """(rows, columns) frame. Raises FileError when the movie is shorter or damaged there."""
        if index < 0:
            raise ValueError(f"index={index}: expected 0 or more")
        if index >= len(self):
            raise FileError(f"{self.path}: has {len(self)} frames, so there is no frame {index}.")
        try:
            with self._lock:
                image = self._source.read(int(index))
            return image.astype(self.dtype, copy=False)
        except FileError as error:
            raise FileError(f"Frame {index} of {error}") from None
        except MemoryError:
            raise FileError(f"Frame {index} of {self.path}: is too large for the memory.") from None

    def frames(self, start: int = 0, stop: int | None = None) -> Generator[tuple[int, Image]]:
        """Yield (index, frame) from `start` up to `stop`, by default the end. Raises FileError."""
        for index in range(start, len(self) if stop is None else stop):
            yield index, self.frame(index)

    def close(self) -> None:
        with self._lock:
            self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_movie(path: Path) -> Movie:
    """The movie in a file or folder.

    A file: TIFF, BigTIFF, OME-TIFF, ImageJ stack, any file of a Micro-Manager recording (it opens
    whole), or .dax with its .inf. A folder: NDTiff, a Micro-Manager recording, TIFF files in
    natural order, or a recording of ours. Channels and z planes come as frames in the order of the
    file. Raises FileError when its first frame cannot be read.
    """
    path = Path(path)
    try:
        source = _open_folder(path) if path.is_dir() else _open_file(path)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error}).") from None
    movie = Movie(path, source)
    try:
        movie.frame(0)
    except FileError:
        movie.close()
        raise
    return movie


def _open_folder(folder: Path) -> FrameReader:
    if is_recording(folder):
        return _open_recording(folder)
    for place in (folder, folder / "Full resolution"):
        if (place / INDEX).is_file():
            return NdTiff(place)
    paths = tiff_files(folder)
    if not paths:
        raise FileError(f"{folder}: holds no movie; a folder needs TIFF files or an {INDEX}.")
    sets = micromanager_sets(paths)
    if len(sets) > 1:
        names = ", ".join(parts[0].name for parts in sets[:3])
        raise FileError(
            f"{folder}: holds {len(sets)} Micro-Manager recordings or positions; "
            f"open one of them by its file ({names}{', ...' if len(sets) > 3 else ''})."
        )
    return Series(micromanager_order(sets[0]) if sets else paths)


def _open_recording(folder: Path) -> FrameReader:
    paths = movie_files(folder)
    if not paths:
        raise FileError(f"{folder}: is a recording without any frame.")
    facts = read_facts(folder)
    series = Series(paths)
    series.metadata |= movie_metadata(facts)  # the files lack it after a crash
    series.metadata |= recorded_times(folder, facts)
    if facts.state == "recording" and series.count > 1:
        try:
            series.read(series.count - 1)
        except FileError:  # only begun when the program was cut short, or just now
            series.count -= 1
    return series


def _open_file(path: Path) -> FrameReader:
    if not path.is_file():
        raise FileError(f"{path}: there is no such file or folder.")
    if path.name == INDEX:
        return NdTiff(path.parent)
    if path.suffix.lower() == ".dax":
        return Dax(path)
    if "NDTiffStack" in path.name and (path.parent / INDEX).is_file():
        return NdTiff(path.parent)
    if "MMStack" in path.name:
        for parts in micromanager_sets(tiff_files(path.parent)):
            if path in parts.values():
                return Series(micromanager_order(parts))
    return TiffStack(path)


class MovieWriter:
    """Writes a movie frame by frame as OME-TIFF (BigTIFF), with a page per frame.

    Used in a `with` block. The file is NAME.partial until it is complete and then gets its name in
    one step; after an exception the part is removed, and what had the name before stays.
    shape: (rows, columns). metadata: what JSON can hold; it comes back as the `metadata` of the
    movie, and `pixel_um` is also the pixel size that Fiji shows. Raises FileError when the file
    cannot be written.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        dtype: DTypeLike = np.uint16,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.shape, self.dtype = Path(path), shape, np.dtype(dtype)
        if self.dtype.name not in WRITTEN:
            raise ValueError(f"dtype={self.dtype}: expected one of {', '.join(WRITTEN)}")
        with ExitStack() as stack:
            partial = stack.enter_context(replacing(self.path))
            self._pages = TiffPages(partial, shape, self.dtype, metadata or {})
            stack.push(self._complete)
            self._exit = stack.pop_all()

    def write(self, frame: Image) -> None:
        """Append a (rows, columns) frame of the movie's dtype. Raises FileError."""
        try:
            self._pages.write(frame)
        except FileError as error:
            raise FileError(str(error).replace(str(self._pages.path), str(self.path))) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._exit.__exit__(*exception)

    def _complete(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._pages.close()
        elif self._pages.count:
            self._pages.finish()
        else:
            self._pages.close()
            raise ValueError("no frame was written: expected at least one")
