"""Damaged files: a frame comes in its shape, or a FileError tells why not. Nothing else happens.

Every file is damaged in a reproducible way: cut, bytes changed, numbers overwritten. A reader that
hangs is stopped by the watchdog.
"""

import faulthandler
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from movie_samples import (
    TIFF_FORMATS,
    Frames,
    Writer,
    dax,
    folder_of_files,
    micromanager,
    ndtiff,
    random_frames,
)

from dsacq.errors import FileError
from dsacq.files.movies import MovieWriter, open_movie

FILES = 600
WATCHDOG_S = 120
MOST_BYTES = 200_000_000
NUMBERS = [0, 1, 2, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**31, 2**63, 2**64 - 1]


def ome(folder: Path, frames: Frames) -> Path:
    with MovieWriter(folder / "movie.ome.tif", frames.shape[1:], metadata={"pixel_um": 0.1}) as out:
        for frame in frames:
            out.write(frame)
    return folder / "movie.ome.tif"


FAMILIES: dict[str, list[Writer]] = {
    "TIFF": list(TIFF_FORMATS.values()),
    "written here": [ome],
    "several files": [micromanager, folder_of_files(1), folder_of_files(3)],
    "NDTiff": [ndtiff],
    "dax": [dax("big"), dax("little")],
}


def damaged(data: bytes, generator: np.random.Generator) -> bytes:
    """Cut, changed in some bytes, or overwritten with numbers; mostly near the start."""
    out = bytearray(data)
    span = len(out) if generator.random() < 0.3 else min(len(out), 400)
    for _ in range(generator.integers(1, 4)):
        place = int(generator.integers(0, max(span, 1)))
        match generator.integers(0, 4):
            case 0:
                out[place:] = b""
            case 1:
                out[place : place + 1] = generator.bytes(1)
            case _:
                width = int(generator.choice([1, 2, 4, 8]))
                number = int(generator.choice(np.array(NUMBERS, object)))
                order = "little" if generator.random() < 0.7 else "big"
                value = (number % 256**width).to_bytes(width, order)
                out[place : place + width] = value[: max(0, len(out) - place)]
    return bytes(out)


def read(path: Path) -> int:
    """How many of the first frames, and of the last, could be read."""
    done = 0
    try:
        with open_movie(path) as movie:
            for index in {*range(min(len(movie), 12)), len(movie) - 1}:
                try:
                    frame = movie.frame(index)
                except FileError:
                    continue
                assert (frame.shape, frame.dtype) == (movie.shape, movie.dtype)
                done += 1
    except FileError:
        pass
    return done


@pytest.fixture
def guarded() -> Iterator[None]:
    """Stops the tests when they hang; fails them when they ask for too much memory."""
    faulthandler.dump_traceback_later(WATCHDOG_S, exit=True)
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
        faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize("family", FAMILIES)
def test_damaged_files(tmp_path: Path, family: str, guarded: None) -> None:
    frames = random_frames(count=6, rows=18, columns=20)
    outcomes = []
    for number, write in enumerate(FAMILIES[family]):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = write(folder, frames)
        assert read(path) >= 6
        files = {file: file.read_bytes() for file in sorted(folder.iterdir())}
        for seed in range(-(-FILES // len(FAMILIES[family]))):
            generator = np.random.default_rng(seed)
            victim = list(files)[generator.integers(len(files))]
            victim.write_bytes(damaged(files[victim], generator))
            outcomes.append(read(path))
            victim.write_bytes(files[victim])
    assert len(outcomes) >= FILES
    assert min(outcomes) == 0  # the damage was real, and yet
    assert max(outcomes) >= 6  # not always fatal
