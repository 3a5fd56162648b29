"""A user's mistakes are told in one sentence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from movie_samples import (
    dax,
    ndtiff,
    page_by_page,
    random_frames,
)

from dsacq.errors import FileError
from dsacq.files.movies import open_movie


def _colour(folder: Path) -> Path:
    tifffile.imwrite(folder / "a.tif", np.zeros((8, 9, 3), np.uint8), photometric="rgb")
    return folder / "a.tif"


def _complex(folder: Path) -> Path:
    tifffile.imwrite(folder / "a.tif", np.zeros((8, 9), np.complex64))
    return folder / "a.tif"


def _bool(folder: Path) -> Path:
    tifffile.imwrite(folder / "a.tif", np.zeros((8, 9), bool))
    return folder / "a.tif"


def _jpeg(folder: Path) -> Path:
    tifffile.imwrite(folder / "a.tif", np.zeros((16, 16), np.uint8), compression="jpeg")
    return folder / "a.tif"


def _content(content: bytes, name: str = "a.tif") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def _shapes(folder: Path) -> Path:
    for number in range(3):
        tifffile.imwrite(folder / f"{number}.tif", np.zeros((32, 32 + number), np.uint16))
    return folder


def _types(folder: Path) -> Path:
    tifffile.imwrite(folder / "1.tif", np.zeros((32, 32), np.uint16))
    tifffile.imwrite(folder / "2.tif", np.zeros((32, 32), np.int32))
    return folder


def _colour_ndtiff(folder: Path) -> Path:
    index = ndtiff(folder, random_frames(count=1)) / "NDTiff.index"
    data = bytearray(index.read_bytes())
    data[-20] = 2
    index.write_bytes(data)
    return folder


def _other_size_ndtiff(folder: Path) -> Path:
    index = ndtiff(folder, random_frames()) / "NDTiff.index"
    data = bytearray(index.read_bytes())
    data[-24] -= 1
    index.write_bytes(data)
    return folder


def _lonely_dax(folder: Path) -> Path:
    path = dax("big")(folder, random_frames())
    path.with_suffix(".inf").unlink()
    return path


def _silent_dax(folder: Path) -> Path:
    path = dax("big")(folder, random_frames())
    path.with_suffix(".inf").write_text("frame dimensions = 34 x 21\n")
    return path


MISTAKES: dict[str, Callable[[Path], Path]] = {
    "no such file": lambda folder: folder / "absent.tif",
    "holds no movie": lambda folder: folder,
    "xxx": lambda folder: folder / ("x" * 300),  # longer than a name may be
    "is empty": _content(b""),
    "is not a TIFF file": _content(b"\x89PNG\r\n\x1a\n" + bytes(100)),
    "is not a TIFF": _content(b"II"),
    "a page is missing": _content(b"II*\0\x08\0\0\0" + bytes(20)),
    "cut short": _content(b"II*\0\xff\0\0\0"),
    "colour image": _colour,
    "pixels of a kind": _complex,
    "1 bits": _bool,
    "TIFF compression 7": _jpeg,
    "32 x 33.*frames of one kind": _shapes,
    "int32.*frames of one kind": _types,
    "colour images": _colour_ndtiff,
    "unlike the first": _other_size_ndtiff,
    "is empty or damaged; move it": lambda folder: _content(b"", "NDTiff.index")(folder).parent,
    "has no movie_0001.inf": _lonely_dax,
    "number of frames": _silent_dax,
}


def _read_all(path: Path) -> None:
    with open_movie(path) as movie:
        for _ in movie.frames():
            pass


@pytest.mark.parametrize("told", MISTAKES)
def test_mistakes_are_told_in_one_sentence(tmp_path: Path, told: str) -> None:
    with pytest.raises(FileError, match=told) as error:
        _read_all(MISTAKES[told](tmp_path))
    message = str(error.value)
    assert str(tmp_path) in message
    assert message.endswith(".")
    assert "\n" not in message


def test_frames_that_are_not_there(tmp_path: Path) -> None:
    with open_movie(page_by_page(tmp_path, random_frames())) as movie:
        with pytest.raises(FileError, match="has 7 frames, so there is no frame 7"):
            movie.frame(7)
        with pytest.raises(ValueError, match="index=-1"):
            movie.frame(-1)
