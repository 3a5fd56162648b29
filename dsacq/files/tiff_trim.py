"""Cutting off what a crash left behind the last whole page of a BigTIFF that we wrote."""

import struct
from pathlib import Path
from typing import BinaryIO

from dsacq.errors import FileError
from dsacq.files.tiff import TiffStack

_FIRST_LINK = 8  # place of the link to the first page in the header
_HEADER_BYTES = 16
_TAG_BYTES = 20


def trim(path: Path) -> int:
    """End a file after its last page that can be read; returns the pages it has.

    Pages follow one another in the file, as `TiffPages` writes them. Raises FileError when the file
    cannot be read or changed.
    """
    try:
        stack = TiffStack(path)
    except FileError:
        _end(path, None, _HEADER_BYTES)
        return 0
    try:
        offsets, count = list(stack.offsets), len(stack.offsets)
        while count and not readable(stack, count - 1):
            count -= 1
    finally:
        stack.close()
    if count < len(offsets):
        _end(path, offsets[count - 1] if count else None, offsets[count])
    return count


def readable(stack: TiffStack, index: int) -> bool:
    """Whether a page can be read."""
    try:
        stack.read(index)
    except FileError:
        return False
    return True


def _end(path: Path, last_page: int | None, size: int) -> None:
    """Make this the last page, and cut the file to `size` bytes."""
    try:
        with path.open("r+b") as file:
            file.seek(_FIRST_LINK if last_page is None else _link(file, last_page))
            file.write(struct.pack("<Q", 0))
            file.truncate(size)
    except (OSError, struct.error) as error:
        raise FileError(f"{path}: cannot be repaired ({error}).") from None


def _link(file: BinaryIO, page: int) -> int:
    """Place of the link from a page to the next."""
    file.seek(page)
    (tags,) = struct.unpack("<Q", file.read(8))
    return page + 8 + _TAG_BYTES * int(tags)
