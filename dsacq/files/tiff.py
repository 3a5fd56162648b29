"""The pages of one TIFF file as frames, however large the file and whoever wrote it.

Pages are read by their place in the file. What the file says of axes, positions or other files is
not used for that: in Micro-Manager's files it is often wrong.
"""

import io
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from dsacq.errors import FileError
from dsacq.files.binary import Image, unreadable
from dsacq.files.image_description import (
    imagej_metadata,
    imagej_values,
    known,
    length_um,
    micromanager_metadata,
    ome_metadata,
    positive,
)
from dsacq.files.tiff_pages import check_page, page_offsets, refuse_missing

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF and BigTIFF in either byte order
MOST_TAG_BYTES = 2**24  # of one page
READ_COST = 64  # bytes: a tag may ask for little, but millions of times
MOST_FRAMES = 2**40
MOST_PLANES_BYTES = 2**33
X_RESOLUTION, RESOLUTION_UNIT, CENTIMETRE, MICROMANAGER = 282, 296, 3, 51123

_quiet = ContextVar("_quiet", default=False)
tifffile.logger().addFilter(lambda _record: not _quiet.get())  # of other files it still reports


class BoundedFile(io.BufferedReader):
    """A file that gives a page no more than `allow` says, whatever its damaged tags ask for."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.allow(MOST_TAG_BYTES)

    def allow(self, count: int) -> None:
        """How many bytes may be read from now on; at once, a quarter of what is left."""
        self._left = count

    def read(self, size: int | None = None, /) -> bytes:
        return super().read(self._given(sys.maxsize if size is None or size < 0 else size))

    def readinto(self, buffer: Any, /) -> int:
        wanted = buffer.nbytes
        return super().readinto(buffer) if self._given(wanted) == wanted else 0

    def _given(self, wanted: int) -> int:
        given = min(wanted, max(self._left // 4, 0))
        self._left -= given + READ_COST
        return given


class TiffStack:
    """Frames of one TIFF file; monochrome, of one shape and pixel type.

    `count` frames are announced; the last of them is lost where the file was cut short. `complete`
    tells whether the file says where its pages end; `contiguous`, whether the first frame stands in
    it as it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = BoundedFile(path)
        except OSError as error:
            raise unreadable(path, error) from None
        try:
            with self._library():
                self._open()
        except BaseException:
            self._file.close()
            raise

    def read(self, index: int) -> Image:
        """(rows, columns) frame in native byte order. Raises FileError."""
        with self._library():
            if index >= len(self.offsets):  # an ImageJ stack: one directory for all frames
                return self._read_imagej(index)
            page = self._page(index)
            if page.shape != self.shape or page.dtype != self.dtype:
                raise FileError(
                    f"{self._path}: a page has {page.imagelength} x {page.imagewidth} pixels of "
                    f"type {page.dtype}, but the first has {self.shape[0]} x {self.shape[1]} of "
                    f"type {self.dtype}; a movie needs frames of one kind."
                )
            self._file.allow(sys.maxsize)
            image: Image = page.asarray(maxworkers=1)
            return image

    def page_end(self, index: int) -> int:
        """Where in the file the pixels of a page end, of which there is a directory for each.
        Raises FileError."""
        with self._library():
            page = self._page(index)
            return max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=True)))

    def close(self) -> None:
        self._file.close()

    def _page(self, index: int) -> tifffile.TiffPage:
        self._file.allow(MOST_TAG_BYTES)
        self._tiff.filehandle.seek(self.offsets[index])
        page = tifffile.TiffPage(self._tiff, index)
        check_page(page, self._path)
        return page

    @contextmanager
    def _library(self) -> Iterator[None]:
        """The border to tifffile: it is silent, and what it raises, of any kind, is a FileError."""
        token = _quiet.set(True)
        try:
            yield
        except FileError:
            raise
        except MemoryError as error:
            raise FileError(f"{self._path}: is too large for the memory, or damaged.") from error
        except OSError as error:
            raise unreadable(self._path, error) from error
        except Exception as error:
            if os.fstat(self._file.fileno()).st_size < self._size:
                what = "has become shorter while it was being read"
            else:
                what = "is cut short or damaged; a page of it cannot be read"
            raise FileError(f"{self._path}: {what}.") from error
        finally:
            _quiet.reset(token)

    def _open(self) -> None:
        self._size = os.fstat(self._file.fileno()).st_size
        if self._file.peek(4)[:4] not in MAGIC:
            what = "is not a TIFF file nor another movie that can be read"
            raise FileError(f"{self._path}: {what if self._size else 'is empty'}.")
        self._tiff = tifffile.TiffFile(self._file, is_lsm=False, is_scanimage=False, is_ndpi=False)
        if not self._tiff.pages:
            raise FileError(f"{self._path}: is cut short or damaged; it has no page.")
        first = self._tiff.pages.first
        check_page(first, self._path)
        self.shape = (int(first.imagelength), int(first.imagewidth))
        self.dtype = np.dtype(first.dtype)
        self.frame_bytes = int(first.nbytes)
        self.contiguous = bool(first.is_contiguous)
        self._pixels = int(first.dataoffsets[0])
        self._file.allow(sys.maxsize)
        self.offsets, self.complete = page_offsets(self._tiff)
        self.count = len(self.offsets)
        self._file.allow(MOST_TAG_BYTES)
        self.metadata = self._describe(first)

    def _read_imagej(self, index: int) -> Image:
        place = self._pixels + index * self.frame_bytes
        refuse_missing(self._tiff, place, self.frame_bytes, self._path)
        dtype = self.dtype.newbyteorder(self._tiff.byteorder)
        self._file.allow(sys.maxsize)
        pixels = self._tiff.filehandle.read_array(dtype, math.prod(self.shape), place)
        return pixels.reshape(self.shape)

    def _describe(self, first: tifffile.TiffPage) -> dict[str, Any]:
        match first.tags.valueof(X_RESOLUTION):
            case (int(above), int(below)) if below:
                resolution = above / below
            case _:
                resolution = 0.0
        if values := imagej_values(first.description):
            self._count_imagej(values, first)
            return imagej_metadata(values, resolution)
        per_cm = resolution if first.tags.valueof(RESOLUTION_UNIT) == CENTIMETRE else 0.0
        return (
            {"format": "BigTIFF" if self._tiff.tiff.is_bigtiff else "TIFF"}
            | known({"pixel_um": length_um(1 / per_cm, "cm") if per_cm else None})
            | micromanager_metadata(first.tags.valueof(MICROMANAGER))
            | ome_metadata(first.description)
        )

    def _count_imagej(self, values: dict[str, str], first: tifffile.TiffPage) -> None:
        """ImageJ writes one directory for a stack above 4 GB, and directories last in others.

        Its frames always follow one another, so they can be found without.
        """
        images = int(positive(values.get("images")) or 1)
        if self.count < images < MOST_FRAMES and self.contiguous and MICROMANAGER not in first.tags:
            self.count, self.complete = images, True
            del self.offsets[1:]


def read_planes(path: Path) -> Image:
    """(planes, rows, columns) of a TIFF file, all at once. Raises FileError, also where they are
    more than `MOST_PLANES_BYTES`."""
    stack = TiffStack(path)
    try:
        if stack.count * stack.frame_bytes > MOST_PLANES_BYTES:
            raise FileError(
                f"{path}: has {stack.count} planes of {stack.frame_bytes} bytes, too many to be "
                "read at once."
            )
        return np.stack([stack.read(index) for index in range(stack.count)])
    finally:
        stack.close()
