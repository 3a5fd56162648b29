"""What is written as a movie can be read, here and elsewhere, or is not there at all."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from movie_samples import FORMATS, Frames, random_frames

from dsacq.errors import FileError
from dsacq.files.movies import MovieWriter, open_movie

SIZES = st.integers(1, 40)


def write(path: Path, frames: Frames, metadata: dict[str, Any] | None = None) -> None:
    with MovieWriter(path, frames.shape[1:], frames.dtype, metadata) as writer:
        for frame in frames:
            writer.write(frame)


@settings(deadline=None, max_examples=60)
@given(
    dtype=st.sampled_from(["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"]),
    count=st.integers(1, 150),  # from 128 on the pages are not looked for one by one
    rows=SIZES,
    columns=SIZES,
    seed=st.integers(0, 99),
)
def test_what_is_written_is_read(
    dtype: str, count: int, rows: int, columns: int, seed: int
) -> None:
    raw = np.random.default_rng(seed).bytes(count * rows * columns * int(dtype[1]))
    frames = np.frombuffer(raw, dtype).reshape(count, rows, columns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.ome.tif"
        write(path, frames)
        with open_movie(path) as movie:
            assert (len(movie), movie.shape) == (count, (rows, columns))
            np.testing.assert_array_equal([frame for _, frame in movie.frames()], frames)


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(FORMATS)),
    count=st.integers(1, 14),
    rows=st.integers(2, 40),  # the library that writes them takes a 1 for something else
    columns=st.integers(2, 40),
    seed=st.integers(0, 99),
)
def test_every_format_at_every_size(
    name: str, count: int, rows: int, columns: int, seed: int
) -> None:
    frames = random_frames(count, rows, columns, seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_movie(FORMATS[name](Path(folder), frames)) as movie,
    ):
        assert (len(movie), movie.shape) == (count, (rows, columns))
        np.testing.assert_array_equal([frame for _, frame in movie.frames()], frames)


def test_metadata_come_back(tmp_path: Path) -> None:
    about = {"pixel_um": 0.11, "camera": "simulated <µ & more>", "exposure_s": 0.03, "seed": [1, 2]}
    write(tmp_path / "movie.ome.tif", random_frames(), about)
    with open_movie(tmp_path / "movie.ome.tif") as movie:
        assert movie.metadata == about | {"format": "OME-TIFF", "axes": "TYX"}


def test_other_programs_read_it(tmp_path: Path) -> None:
    frames = random_frames(count=12)
    path = tmp_path / "movie.ome.tif"
    write(path, frames, {"pixel_um": 0.11})
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        assert tiff.is_ome
        assert (tiff.series[0].axes, tiff.series[0].shape) == ("TYX", frames.shape)
        np.testing.assert_array_equal(tiff.asarray(), frames)
        assert 'PhysicalSizeX="0.11" PhysicalSizeXUnit="µm"' in (tiff.ome_metadata or "")
        page = tiff.pages.first
        assert page.resolutionunit == tifffile.RESUNIT.CENTIMETER
        # ImageJ shows um for pixels in cm of at most 0.001 (ij.io.FileOpener.setCalibration)
        assert 1e4 / page.resolution[0] == pytest.approx(0.11, rel=1e-6)


def test_the_name_appears_with_the_last_frame(tmp_path: Path) -> None:
    path = tmp_path / "movie.ome.tif"
    path.write_bytes(b"before")
    with MovieWriter(path, (4, 5)) as writer:
        writer.write(np.ones((4, 5), np.uint16))
        assert path.read_bytes() == b"before"
    with open_movie(path) as movie:
        assert len(movie) == 1
    assert list(tmp_path.iterdir()) == [path]


def write_and_fail(path: Path, error: type[BaseException]) -> None:
    with MovieWriter(path, (4, 5)) as writer:
        writer.write(np.ones((4, 5), np.uint16))
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_leaves_nothing_and_harms_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "movie.ome.tif"
    path.write_bytes(b"before")
    with pytest.raises(error):
        write_and_fail(path, error)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"before"


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of file size are not on Windows")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        with pytest.raises(FileError, match=r"movie\.tif: cannot be written"):
            write(tmp_path / "movie.tif", random_frames(count=100, rows=64, columns=64))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written"):
        MovieWriter(tmp_path / "absent" / "movie.tif", (4, 5))


def test_wrong_calls(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    with pytest.raises(ValueError, match="dtype=complex64"):
        MovieWriter(path, (4, 5), np.complex64)
    with pytest.raises(ValueError, match="no frame"), MovieWriter(path, (4, 5)):
        pass
    with pytest.raises(ValueError, match="frame: uint16"), MovieWriter(path, (4, 5)) as writer:
        writer.write(np.ones((5, 4), np.uint16))
    assert list(tmp_path.iterdir()) == []
