"""Bytes and pixels at given places of a file."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.errors import FileError

LARGEST_FRAME_BYTES = 2**31

Image = NDArray[Any]


class BinaryFile:
    """A file read at given offsets; whatever it does not hold is a FileError.

    Nothing is allocated before the file is known to hold it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb", buffering=0)
            self.size = path.stat().st_size
        except OSError as error:
            raise unreadable(self.path, error) from None

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`. Raises FileError."""
        self._check(offset, count)
        try:
            self._file.seek(offset)
            data = self._file.read(count)
        except OSError as error:
            raise unreadable(self.path, error) from None
        if len(data) < count:
            raise self._shorter()
        return data

    def pixels(self, offset: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Image:
        """An uncompressed image, rows first, from `offset`. Raises FileError."""
        self._check(offset, shape[0] * shape[1] * dtype.itemsize)
        image = np.empty(shape, dtype)
        left = image.reshape(-1).view(np.uint8).data
        try:
            self._file.seek(offset)
            while left:
                count = self._file.readinto(left)
                if not count:
                    raise self._shorter()
                left = left[count:]
        except OSError as error:
            raise unreadable(self.path, error) from None
        return image

    def close(self) -> None:
        self._file.close()

    def _check(self, offset: int, count: int) -> None:
        if offset + count > self.size:
            raise FileError(
                f"{self.path}: is cut short or damaged; "
                f"{count} bytes are expected at byte {offset}, but it has only {self.size} bytes."
            )

    def _shorter(self) -> FileError:
        return FileError(f"{self.path}: has become shorter while it was being read.")


def unreadable(path: Path, error: OSError) -> FileError:
    return FileError(f"{path}: cannot be read ({error.strerror or error}).")


def checked_shape(path: Path, rows: int, columns: int, dtype: np.dtype[Any]) -> tuple[int, int]:
    """(rows, columns) where a frame of that size can be; otherwise FileError."""
    if rows < 1 or columns < 1 or rows * columns * dtype.itemsize > LARGEST_FRAME_BYTES:
        raise FileError(
            f"{path}: says that a frame has {rows} x {columns} pixels, which cannot be; "
            "it is damaged."
        )
    return rows, columns
