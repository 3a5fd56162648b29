"""Which pages a TIFF file has, and whether a page can be read: what tifffile leaves to its callers.

tifffile follows pages that link in a circle without end or loses some, passes over tags that it
cannot read, and asks for the memory that the tags of a damaged page announce.
"""

import math
import random
import struct
from array import array
from pathlib import Path

import tifffile

from dsacq.errors import FileError
from dsacq.files.binary import checked_shape

MOST_TAGS = 4096
SAMPLE = 64
PIXEL_TAGS = {256, 257, 258, 259, 273, 277, 278, 279, 317, 322, 323, 324, 325, 339}
COLOUR_MODELS = (2, 5, 6, 8)  # RGB, CMYK, YCbCr, CIE L*a*b*; a palette is ImageJ's display colour
MOST_SHRINKING = {  # by how much at most, for each compression that is read; all without loss
    1: 1,  # none
    5: 3000,  # LZW
    8: 1100,  # deflate
    32946: 1100,  # deflate, the old number
    32773: 64,  # packbits
    34926: 2**16,  # zstd, the old number
    50000: 2**16,  # zstd
}


def page_offsets(tiff: tifffile.TiffFile) -> tuple["array[int]", bool]:
    """Where the directories of all pages are, and whether the last says that it is the last.

    Where not, the last offset is one at which the file should have a page but has none.
    """
    offsets = array("Q", [tiff.pages.first.offset])
    landmark = offsets[0]
    try:
        while following := _next_directory(tiff, offsets[-1]):
            if following == landmark:  # Brent, BIT 20, 176 (1980): a circle comes by again
                return array("Q", [*dict.fromkeys(offsets), tiff.filehandle.size]), False
            if len(offsets) & (len(offsets) - 1) == 0:
                landmark = following
            offsets.append(following)
            if len(offsets) == 3:
                offsets.extend(_evenly_spaced(tiff, following, following - offsets[1]))
    except LookupError:
        return offsets, False
    return offsets, True


def _evenly_spaced(tiff: tifffile.TiffFile, third: int, step: int) -> range:
    """Offsets of the fourth to last page if pages come at equal steps; empty if they do not.

    To follow every link of a file of 100 GB is to read it in 200 000 places: minutes on a disk or
    network. Where a scattered sample of the links lies on the grid, and the last one where the file
    ends, they all do: pages that differ in length leave the grid and do not come back to it.
    """
    last = (tiff.filehandle.size - third - 1) // step if step > 0 else 0
    if last < 2 * SAMPLE:
        return range(0)
    sample = random.Random(0).sample(range(last), SAMPLE)
    try:
        even = all(
            _next_directory(tiff, third + k * step) == third + (k + 1) * step
            for k in (*sample, last - 1)
        )
        if not even or _next_directory(tiff, third + last * step) != 0:
            return range(0)
    except LookupError:
        return range(0)
    return range(third + step, third + last * step + 1, step)


def _next_directory(tiff: tifffile.TiffFile, offset: int) -> int:
    """Offset of the directory after the one at this offset; 0 after the last.

    Raises LookupError where there is no directory.
    """
    _entries(tiff, offset)
    link = tiff.filehandle.read(tiff.tiff.offsetsize)
    if len(link) < tiff.tiff.offsetsize:
        raise LookupError
    return int(struct.unpack(tiff.tiff.offsetformat, link)[0])


def _entries(tiff: tifffile.TiffFile, offset: int) -> bytes:
    """The entries of the directory at this offset, one a tag. Raises LookupError."""
    file, layout = tiff.filehandle, tiff.tiff
    if offset + layout.tagnosize > file.size:
        raise LookupError
    file.seek(offset)
    (tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    entries = file.read(min(tags, MOST_TAGS) * layout.tagsize)
    if not 0 < tags * layout.tagsize == len(entries):
        raise LookupError
    return entries


def check_page(page: tifffile.TiffPage, path: Path) -> None:
    """Raises FileError where a page is not monochrome or cannot be what it says.

    This comes before memory is asked for. The page is of an open file.
    """
    _check_tags(page, path)
    kind, bits = page.dtype, page.bitspersample
    if page.samplesperpixel != 1 or page.photometric in COLOUR_MODELS:
        raise FileError(
            f"{path}: is a colour image or has several values in a pixel; a movie needs "
            "monochrome frames, so save the channel of interest on its own."
        )
    flat = page.imagedepth == page.tiledepth == 1
    if kind is None or kind.kind not in "uif" or bits != 8 * kind.itemsize or not flat:
        raise FileError(
            f"{path}: has pixels of a kind that is not read ({bits} bits, format "
            f"{page.sampleformat}); save it as 8, 16 or 32 bits, monochrome."
        )
    if page.compression not in MOST_SHRINKING:
        raise FileError(
            f"{path}: is compressed in a way that is not read (TIFF compression "
            f"{page.compression}); save it uncompressed or with LZW, deflate or zstd."
        )
    rows, columns = page.chunks  # of a strip or tile
    checked_shape(path, page.imagelength, page.imagewidth, kind)
    checked_shape(path, rows, columns, kind)
    if page.is_contiguous:
        refuse_missing(page.parent, page.dataoffsets[0], page.nbytes, path)
    else:
        _check_pieces(page, rows * columns * kind.itemsize, path)


def refuse_missing(tiff: tifffile.TiffFile, offset: int, count: int, path: Path) -> None:
    """Raises FileError where the file does not hold `count` bytes at this offset."""
    if not 0 < offset <= tiff.filehandle.size - count:
        raise FileError(
            f"{path}: is cut short or damaged; {count} bytes are expected at byte {offset}, but it "
            f"has only {tiff.filehandle.size} bytes."
        )


def _check_tags(page: tifffile.TiffPage, path: Path) -> None:
    tiff = page.parent
    try:
        entries = _entries(tiff, page.offset)
    except LookupError:
        raise FileError(f"{path}: a page is missing or damaged (byte {page.offset}).") from None
    places = range(0, len(entries), tiff.tiff.tagsize)
    codes = {struct.unpack_from(tiff.tiff.tagformat1, entries, place)[0] for place in places}
    if lost := sorted(codes & PIXEL_TAGS - {*page.tags.keys()}):
        raise FileError(f"{path}: is damaged; a page has no valid TIFF tag {lost[0]}.")


def _check_pieces(page: tifffile.TiffPage, piece_bytes: int, path: Path) -> None:
    pieces = math.prod(page.chunked)
    offsets, sizes = page.dataoffsets[:pieces], page.databytecounts[:pieces]
    if min(len(offsets), len(sizes)) < pieces or min(*offsets, *sizes) < 1:
        raise FileError(f"{path}: is damaged; a page lacks a part of its pixels.")
    stored, needed = sum(sizes), max(page.nbytes, piece_bytes)
    most_stored = min(page.parent.filehandle.size, 2 * pieces * (piece_bytes + 100))
    if stored > most_stored or needed > stored * MOST_SHRINKING[page.compression]:
        raise FileError(
            f"{path}: is cut short or damaged; {stored} stored bytes cannot become {needed} bytes "
            "of pixels."
        )
