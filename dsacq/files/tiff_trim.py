"""Cutting off what a crash left behind the last whole page of a BigTIFF that we wrote."""

import struct
from pathlib import Path
from typing import BinaryIO

from dsacq.errors import FileError
from dsacq.files.tiff import TiffStack

_FIRST_LINK = 8  # place of the link to the first page in the header
_HEADER_BYTES = 16
_TAG_BYTES = 20
_MOST_DIRECTORY_BYTES = 1 << 16  # of a page, beside its pixels


def trim(path: Path, frame_bytes: int) -> int:
    """End a file after its last page that can be read; returns the pages it has.

    Pages follow one another in the file, as `TiffPages` writes them. A part of a page at the end is
    cut off. More than that is not what a crash leaves, so it stays behind the last page, where it
    may still be rescued; and a long file without a page that can be read is left as it is. Raises
    FileError when the file cannot be changed.
    """
    offsets, count = _pages(path)
    if count == len(offsets) > 0:
        return count
    try:
        size = path.stat().st_size
        end = offsets[count] if count else _HEADER_BYTES
        partial = size - end <= frame_bytes + _MOST_DIRECTORY_BYTES
        if size > _HEADER_BYTES and (partial or count):
            with path.open("r+b") as file:
                file.seek(_link(file, offsets[count - 1]) if count else _FIRST_LINK)
                file.write(struct.pack("<Q", 0))
                if partial:
                    file.truncate(min(size, end))
    except OSError as error:
        raise FileError(f"{path}: cannot be repaired ({error.strerror or error}).") from None
    return count


def _pages(path: Path) -> tuple[list[int], int]:
    """Where pages are or should be, and how many of them come before the first lost one at the end.

    None where the file cannot be read at all.
    """
    try:
        stack = TiffStack(path)
    except FileError:
        return [], 0
    try:
        count = len(stack.offsets)
        while count and not readable(stack, count - 1):
            count -= 1
        return list(stack.offsets), count
    finally:
        stack.close()


def readable(stack: TiffStack, index: int) -> bool:
    """Whether a page can be read."""
    try:
        stack.read(index)
    except FileError:
        return False
    return True


def _link(file: BinaryIO, page: int) -> int:
    """Place of the link from a page to the next."""
    file.seek(page)
    (tags,) = struct.unpack("<Q", file.read(8))
    return page + 8 + _TAG_BYTES * int(tags)
