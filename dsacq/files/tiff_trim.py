"""The end of a BigTIFF that we wrote and that a crash cut short: what of it can be read."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dsacq.errors import FileError
from dsacq.files.tiff import TiffStack

_FIRST_LINK = 8  # place of the link to the first page in the header
_HEADER_BYTES = 16
_TAG_BYTES = 20
_MOST_DIRECTORY_BYTES = 1 << 16  # of a page, beside its pixels


@dataclass(frozen=True)
class Pages:
    """What a movie file holds: pages that can be read, pages that it announces, and the bytes
    behind the last of its pages that can be read."""

    readable: int
    announced: int
    unread: int


def survey(path: Path) -> Pages:
    """Read every page of a movie file. Raises FileError where the system refuses the file."""
    size = _size(path)
    try:
        stack = TiffStack(path)
    except FileError:
        return Pages(0, 1, max(size - _HEADER_BYTES, 0))
    try:
        whole = [index for index in range(stack.count) if readable(stack, index)]
        end = stack.page_end(whole[-1]) if whole else _HEADER_BYTES
        return Pages(len(whole), stack.count, max(size - end, 0))
    finally:
        stack.close()


def end_pages(path: Path) -> int:
    """Let the pages of a file end with the last that can be read; returns how many there are.

    Only the link to the next page is changed: all that lies behind stays in the file. Nothing is
    changed in a file without a page that can be read. Raises FileError when it cannot be changed.
    """
    offsets, count = _pages(path)
    if 0 < count < len(offsets):
        _set_end(path, offsets[count - 1], None)
    return count


def trim(path: Path, frame_bytes: int) -> int:
    """End a file of whose last page only a part was written; returns the pages it has.

    For whoever wrote the file and knows that the disk refused the page. Pages follow one another in
    the file, as `TiffPages` writes them. A part of a page at the end is cut off. More than that is
    not what a refused page leaves, so it stays behind the last page, where it may still be rescued;
    and a long file without a page that can be read is left as it is. Raises FileError when the file
    cannot be changed.
    """
    offsets, count = _pages(path)
    if count == len(offsets) > 0:
        return count
    end = offsets[count] if count else _HEADER_BYTES
    size = _size(path)
    partial = size - end <= frame_bytes + _MOST_DIRECTORY_BYTES
    if size > _HEADER_BYTES and (partial or count):
        last = offsets[count - 1] if count else None
        _set_end(path, last, min(size, end) if partial else None)
    return count


def _set_end(path: Path, page: int | None, size: int | None) -> None:
    """No page after this one, or none at all; and the file's size, unless it stays."""
    try:
        with path.open("r+b") as file:
            file.seek(_FIRST_LINK if page is None else _link(file, page))
            file.write(struct.pack("<Q", 0))
            if size is not None:
                file.truncate(size)
    except OSError as error:
        raise FileError(f"{path}: cannot be repaired ({error.strerror or error}).") from None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error}).") from None


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
