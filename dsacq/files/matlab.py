"""Arrays from MATLAB files.

Of the format up to 7.2 we parse the few fields that numeric arrays need ourselves: scipy's reader
crashes the program on damaged files. Source: MathWorks, MAT-File Level 5 File Format (2023).
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import unpack_from
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dsacq.errors import FileError
from dsacq.files.hdf5 import require_stored
from dsacq.files.reading import reading, require_size

_LARGEST = 1 << 31  # bytes of one array, and of all arrays of a file
_HEAD = 1 << 12  # bytes: holds what an array says of itself
_MOST_COMPRESSED = 1100  # deflate shrinks no further
_MATRIX, _COMPRESSED = 14, 15
_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_NUMERIC_CLASSES = range(6, 16)  # double, single and integers
_COMPLEX = 0x0800


def read_matlab(path: Path) -> dict[str, NDArray[Any]]:
    """The real numeric arrays of a .mat file (MATLAB 5 and later) by name, indexed as in MATLAB.

    Text, structures, cells, sparse and complex arrays are left out. Raises FileError.
    """
    with reading(path, "a MATLAB file"):
        if h5py.is_hdf5(path):  # since MATLAB 7.3
            with h5py.File(path, "r") as file:
                return dict(_hdf5_arrays(path, file))
        require_size(path, _LARGEST)
        content = path.read_bytes()
        order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
        if order is None:
            raise FileError(f"{path}: is no MATLAB file of version 5 or later.")
        return dict(_arrays(path, memoryview(content)[128:], order))


def _hdf5_arrays(path: Path, file: h5py.File) -> Iterator[tuple[str, NDArray[Any]]]:
    left = _LARGEST
    for name, item in file.items():
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiu":
            continue
        left -= item.nbytes
        if left < 0:
            raise FileError(f"{path}: has an array {name!r} too large to be read.")
        require_stored(path, item)
        yield name, item[()].T  # MATLAB stores by columns


def _arrays(path: Path, data: memoryview, order: str) -> Iterator[tuple[str, NDArray[Any]]]:
    left = _LARGEST
    for kind, content in _elements(data, order):
        if kind == _COMPRESSED:
            # Its head alone tells how much the whole becomes.
            head = zlib.decompressobj().decompress(content, _HEAD)
            kind, size = unpack_from(order + "II", head)
            left -= size
            if left < 0 or size > _MOST_COMPRESSED * len(content):
                raise FileError(f"{path}: has an array of {size} bytes, too large to be read.")
            if kind == _MATRIX and _numeric(memoryview(head)[8:], order):
                plain = zlib.decompressobj().decompress(content, size + 8)
                yield from _matrix(memoryview(plain)[8:], order)
        elif kind == _MATRIX and _numeric(content, order):
            yield from _matrix(content, order)


def _numeric(matrix: memoryview, order: str) -> bool:
    """Whether an array, of which there is at least the head, is of real numbers."""
    _, _, word = unpack_from(order + "III", matrix)
    return word & 0xFF in _NUMERIC_CLASSES and not word & _COMPLEX


def _matrix(content: memoryview, order: str) -> Iterator[tuple[str, NDArray[Any]]]:
    parts = _elements(content, order)
    _, (_, lengths), (_, name), (stored, values) = (next(parts) for _ in range(4))
    shape = np.frombuffer(lengths, order + "i4")
    numbers = np.frombuffer(values, order + _STORED[stored])
    yield bytes(name).decode("ascii"), numbers.reshape(shape, order="F")


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element; a short one holds both in eight bytes."""
    start = 0
    while start + 8 <= len(data):
        kind, size = unpack_from(order + "II", data, start)
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            first, end = start + 4, start + 8
        else:
            first = start + 8
            end = first + size + (0 if kind == _COMPRESSED else -size % 8)
        if first + size > len(data):
            raise ValueError("it ends within an array")
        yield kind, data[first : first + size]
        start = end
