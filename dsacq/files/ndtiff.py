"""NDTiff folders of Micro-Manager and Pycro-Manager, by their index.

Source: the NDTiff specification, version 3, in the README of micro-manager/NDStorage. NDTiff.index
has an entry per image, in the order of saving: uint32 n and n bytes of JSON (the image's axes);
uint32 n and n bytes (the name of the TIFF file that holds the image); eight uint32: offset of the
pixels, width, height, pixel type, compression; offset, length, compression of the metadata.
Numbers are little-endian on all computers that write it.
"""

import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dsacq.errors import FileError
from dsacq.files.binary import BinaryFile, Image, checked_shape
from dsacq.files.image_description import json_object, micromanager_metadata

INDEX = "NDTiff.index"
COLOUR = 2
PIXEL_TYPES = {0: "u1", 1: "u2", 3: "u2", 4: "u2", 5: "u2", 6: "u2"}  # 8, 16, 10, 12, 14, 11 bits
MOST_TEXT = 2**16
LENGTH = struct.Struct("<I")
NUMBERS = struct.Struct("<8I")


class Kind(NamedTuple):
    """What the images of a data set have in common, file by file."""

    name: str  # of the TIFF file
    columns: int
    rows: int
    pixel_type: int
    compression: int


class Entry(NamedTuple):
    kind: Kind
    pixels: int  # offset
    metadata: tuple[int, int]  # offset, length


class NdTiff:
    """The images of an NDTiff folder, in the order of its index.

    Where the index breaks off, the last of the `count` frames is lost.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, BinaryFile] = {}
        self._kind_of, self._offsets = array("I"), array("I")
        self._broken = ""
        first: Entry | None = None
        numbers: dict[Kind, int] = {}
        try:
            for entry in read_index(folder / INDEX):
                first = first or entry
                self._kind_of.append(numbers.setdefault(entry.kind, len(numbers)))
                self._offsets.append(entry.pixels)
        except FileError as error:
            self._broken = str(error)
        self._kinds = list(numbers)
        if first is None:
            raise FileError(
                f"{folder / INDEX}: is empty or damaged; move it to another place, and the folder "
                "opens as a folder of TIFF files."
            )
        self.dtype = _pixel_type(folder / INDEX, first.kind)
        self.shape = checked_shape(folder / INDEX, first.kind.rows, first.kind.columns, self.dtype)
        self.count = len(self._offsets) + bool(self._broken)
        self.metadata = self._describe(first)

    def read(self, index: int) -> Image:
        """(rows, columns) frame in the byte order of the file. Raises FileError."""
        if index == len(self._offsets):
            raise FileError(self._broken)
        kind = self._kinds[self._kind_of[index]]
        if kind[1:] != self._kinds[0][1:]:
            raise FileError(
                f"{self._folder / INDEX}: an image has {kind.rows} x {kind.columns} pixels of type "
                f"{kind.pixel_type}, unlike the first; a movie needs frames of one kind."
            )
        file = self._file(kind.name)
        big = file.read(0, 2) == b"MM"
        dtype = self.dtype.newbyteorder(">" if big else "<")
        return file.pixels(self._offsets[index], self.shape, dtype)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _file(self, name: str) -> BinaryFile:
        if name not in self._files:
            self._files[name] = BinaryFile(self._folder / name)
        return self._files[name]

    def _describe(self, first: Entry) -> dict[str, Any]:
        offset, length = first.metadata
        try:
            text = self._file(first.kind.name).read(offset, min(length, MOST_TEXT))
        except FileError:
            text = b""
        return {"format": "NDTiff"} | micromanager_metadata(
            json_object(text.decode(errors="replace"))
        )


def read_index(path: Path) -> Iterator[Entry]:
    """The entries of an NDTiff.index, one by one. Raises FileError where it breaks off."""
    file = BinaryFile(path)
    try:
        data = file.read(0, file.size)
    finally:
        file.close()
    place = 0
    while place < len(data) and data[place : place + 4] != b"\0\0\0\0":  # zeros: never closed
        try:
            _axes, after = _text(data, place)
            name, after = _text(data, after)
            pixels, columns, rows, kind, compression, *metadata = NUMBERS.unpack_from(data, after)
        except (struct.error, UnicodeDecodeError):
            raise FileError(f"{path}: breaks off or is damaged at byte {place}.") from None
        if not name or Path(name).name != name or set(name) & set("/\\:\0"):
            raise FileError(f"{path}: is damaged at byte {place}; {name!r} is no file name.")
        yield Entry(Kind(name, columns, rows, kind, compression), pixels, tuple(metadata[:2]))
        place = after + NUMBERS.size


def _text(data: bytes, place: int) -> tuple[str, int]:
    (length,) = LENGTH.unpack_from(data, place)
    start = place + LENGTH.size
    if start + length > len(data):
        raise struct.error
    return data[start : start + length].decode(), start + length


def _pixel_type(path: Path, kind: Kind) -> np.dtype[Any]:
    if kind.pixel_type == COLOUR:
        raise FileError(f"{path}: holds colour images; a movie needs monochrome frames.")
    if kind.pixel_type not in PIXEL_TYPES or kind.compression:
        raise FileError(
            f"{path}: is damaged or too new; its images have pixel type {kind.pixel_type} and "
            f"compression {kind.compression}."
        )
    return np.dtype(PIXEL_TYPES[kind.pixel_type])
