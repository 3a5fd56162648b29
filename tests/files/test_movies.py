"""Movies of every format come back as they were written, however large and by whomever shared."""

import itertools
import shutil
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from movie_samples import (
    FORMATS,
    Writer,
    dax,
    folder_of_files,
    imagej_one_directory,
    micromanager,
    micromanager_file,
    ndtiff,
    random_frames,
    with_tifffile,
)

from dsacq.errors import FileError
from dsacq.files.movies import open_movie


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS.keys())
def test_every_format_gives_its_frames(tmp_path: Path, write: Writer) -> None:
    frames = random_frames(count=7)
    with open_movie(write(tmp_path, frames)) as movie:
        assert (len(movie), movie.shape, movie.dtype) == (7, (21, 34), np.dtype("uint16"))
        for index in (6, 0, 3):  # in any order
            assert movie.frame(index).dtype == np.dtype("uint16")
            np.testing.assert_array_equal(movie.frame(index), frames[index])
        assert [index for index, _ in movie.frames(2, 5)] == [2, 3, 4]
        np.testing.assert_array_equal([frame for _, frame in movie.frames()], frames)


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("uint8", "uint16"),
        ("int8", "int16"),
        ("int16", "int16"),
        ("int32", "int32"),
        ("uint32", "uint32"),
        ("int64", "int64"),
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pixel_types(
    tmp_path: Path, stored: str, read: str, order: str, compression: str | None
) -> None:
    frames = (np.random.default_rng(1).normal(0, 50, (3, 8, 9)) ** 2).astype(stored)
    predictor = bool(compression) and stored != "int64"  # tifffile has none for 64 bits
    options: dict[str, Any] = {
        "byteorder": order,
        "compression": compression,
        "predictor": predictor,
    }
    with open_movie(with_tifffile(**options)(tmp_path, frames)) as movie:
        assert movie.dtype == np.dtype(read)
        assert movie.frame(2).dtype == np.dtype(read)
        assert movie.frame(2).dtype.isnative
        np.testing.assert_array_equal(movie.frame(2), frames[2].astype(read))


def test_display_colours_of_imagej_leave_the_values(tmp_path: Path) -> None:
    frame = random_frames(count=1)[0].astype(np.uint8)
    green = np.zeros((3, 256), np.uint16)
    green[1] = np.arange(256) * 257
    tifffile.imwrite(tmp_path / "a.tif", frame, photometric="palette", colormap=green)
    with open_movie(tmp_path / "a.tif") as movie:
        np.testing.assert_array_equal(movie.frame(0), frame)


def test_8_bit_ndtiff(tmp_path: Path) -> None:
    frames = random_frames().astype(np.uint8)
    with open_movie(ndtiff(tmp_path, frames)) as movie:
        np.testing.assert_array_equal(movie.frame(5), frames[5].astype(np.uint16))


def test_what_files_tell(tmp_path: Path) -> None:
    frames = random_frames()

    def told(name: str) -> dict[str, Any]:
        folder = tmp_path / name
        folder.mkdir()
        with open_movie(FORMATS[name](folder, frames)) as movie:
            return movie.metadata

    about_camera = {"pixel_um": 0.1, "exposure_s": 0.03, "camera": "Cam"}
    assert told("OME-TIFF") == {"format": "OME-TIFF", "axes": "TYX", "pixel_um": 0.1}
    assert told("ImageJ") == {"format": "ImageJ", "axes": "CYX", "pixel_um": 0.1}
    assert told("ImageJ, one directory")["interval_s"] == 0.05
    assert told("Micro-Manager") == {"format": "OME-TIFF"} | about_camera
    assert told("NDTiff") == {"format": "NDTiff"} | about_camera
    assert told("BigTIFF") == {"format": "BigTIFF"}


def test_any_file_of_a_micromanager_recording_opens_all_of_it(tmp_path: Path) -> None:
    frames = random_frames(count=32)
    first = micromanager(tmp_path, frames, frames_per_file=3)  # 11 files: _10 comes after _9
    assert (tmp_path / "run_1_MMStack_Pos0_10.ome.tif").exists()
    for path in (first, first.with_name("run_1_MMStack_Pos0_10.ome.tif"), tmp_path):
        with open_movie(path) as movie:
            np.testing.assert_array_equal([frame for _, frame in movie.frames()], frames)


def test_micromanager_positions_are_separate_movies(tmp_path: Path) -> None:
    frames = random_frames(count=6)
    names = [f"run_1_MMStack_1-Pos_{row:03d}_{column:03d}" for row in (0, 1) for column in (0, 1)]
    for number, name in enumerate(names):
        (tmp_path / f"{name}.ome.tif").write_bytes(micromanager_file(frames[number : number + 1]))
    (tmp_path / f"{names[1]}_1.ome.tif").write_bytes(micromanager_file(frames[4:]))
    with open_movie(tmp_path / f"{names[1]}.ome.tif") as movie:
        np.testing.assert_array_equal([frame for _, frame in movie.frames()], frames[[1, 4, 5]])
    with pytest.raises(FileError, match="holds 4 Micro-Manager recordings"):
        open_movie(tmp_path)


def test_a_number_without_a_first_file_belongs_to_the_name(tmp_path: Path) -> None:
    frames = random_frames(count=2)
    path = tmp_path / "run_1_MMStack_Pos0_2.ome.tif"
    path.write_bytes(micromanager_file(frames))
    with open_movie(path) as movie:
        np.testing.assert_array_equal([frame for _, frame in movie.frames()], frames)


def test_any_file_of_an_ndtiff_opens_all_of_it(tmp_path: Path) -> None:
    frames = random_frames()
    folder = tmp_path / "Full resolution"
    folder.mkdir()
    ndtiff(folder, frames)
    for path in (tmp_path, folder / "NDTiff.index", folder / "run_NDTiffStack_1.tif"):
        with open_movie(path) as movie:
            np.testing.assert_array_equal(movie.frame(6), frames[6])


def test_an_ndtiff_without_its_index_is_a_folder_of_stacks(tmp_path: Path) -> None:
    frames = random_frames()
    (ndtiff(tmp_path, frames) / "NDTiff.index").unlink()
    with open_movie(tmp_path) as movie:
        np.testing.assert_array_equal([frame for _, frame in movie.frames()], frames)


def test_a_folder_of_many_files_stays_in_natural_order(tmp_path: Path) -> None:
    frames = random_frames(count=120, rows=32, columns=32)
    folder_of_files(1)(tmp_path, frames)
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / "._frame9.tif").write_bytes(b"left by another operating system")
    with open_movie(tmp_path) as movie:
        assert len(movie) == 120
        np.testing.assert_array_equal([frame for _, frame in movie.frames()], frames)


def test_rows_and_columns_of_a_dax_are_not_exchanged(tmp_path: Path) -> None:
    with open_movie(dax("big")(tmp_path, random_frames(rows=5, columns=11))) as movie:
        assert movie.shape == (5, 11)


def test_closing_releases_the_files(tmp_path: Path) -> None:
    for number, write in enumerate(FORMATS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        with open_movie(write(folder, random_frames())) as movie:
            movie.frame(6)
        shutil.rmtree(folder)  # on Windows impossible while a file is open


def test_threads_may_share_a_movie(tmp_path: Path) -> None:
    frames = random_frames(count=30)
    with open_movie(folder_of_files(2)(tmp_path, frames)) as movie:
        wrong: list[int] = []

        def look(seed: int) -> None:
            for index in np.random.default_rng(seed).integers(0, 30, 100):
                if not np.array_equal(movie.frame(int(index)), frames[index]):
                    wrong.append(int(index))

        threads = [threading.Thread(target=look, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_large_contiguous_movie_is_indexed_in_little_memory(tmp_path: Path) -> None:
    count = 200_000
    path = tmp_path / "movie.tif"
    tifffile.imwrite(
        path, shape=(count, 2, 8), dtype=np.uint16, bigtiff=True, photometric="minisblack"
    )
    tracemalloc.start()
    try:
        with open_movie(path) as movie:
            assert len(movie) == count
            assert movie.frame(count - 1).shape == (2, 8)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * count + 1_000_000  # an 8-byte offset per frame


def test_evenly_spaced_pages_are_found_like_others(tmp_path: Path) -> None:
    frames = random_frames(count=300, rows=4, columns=5)
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path, bigtiff=True, ome=False) as tiff:
        for frame in frames:
            tiff.write(frame, contiguous=False, metadata=None)
    with open_movie(path) as movie:
        np.testing.assert_array_equal([frame for _, frame in movie.frames()], frames)
    cut = path.read_bytes()[:-200]
    path.write_bytes(cut)
    with open_movie(path) as movie:
        np.testing.assert_array_equal([f for _, f in movie.frames(0, 298)], frames[:298])


def test_steps_that_only_begin_evenly_are_followed_one_by_one(tmp_path: Path) -> None:
    frames = random_frames(count=400, rows=4, columns=5)
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path, bigtiff=True, ome=False) as tiff:
        for frame, length in zip(frames, itertools.cycle([30] * 99 + [60]), strict=False):
            tiff.write(frame, contiguous=False, metadata=None, description="x" * length)
    with open_movie(path) as movie:
        np.testing.assert_array_equal([frame for _, frame in movie.frames()], frames)


def test_imagej_frames_are_not_guessed_in_a_micromanager_file(tmp_path: Path) -> None:
    frames = random_frames(count=1)
    path = tmp_path / "x.ome.tif"
    path.write_bytes(micromanager_file(frames).replace(b"<?xml", b"ImageJ=1\nimages=99\n", 1))
    with open_movie(path) as movie:
        assert len(movie) == 1
    with open_movie(imagej_one_directory(tmp_path, random_frames(count=4))) as movie:
        assert len(movie) == 4


REAL = {
    "deepstorm3d/storm": (10, (332, 492)),
    "deepstorm3d/telomeres/telomeres1.tif": (1, (253, 197)),
    "beads_tetrapod/TP_im.tif": (55, (80, 80)),
    "double_helix/zscan_DH1_580nm_1um_-1um_50nm.tif": (41, (39, 39)),
    "double_helix/frames": (6, (169, 159)),
}


@pytest.mark.parametrize("name", REAL)
def test_real_movies(shared_data: Path, name: str) -> None:
    path = shared_data / name
    with open_movie(path) as movie:
        assert (len(movie), movie.shape) == REAL[name]
        if path.is_dir():
            files = sorted(path.glob("*.tif"), key=lambda file: int(file.stem))
            expected = np.stack([tifffile.imread(file) for file in files])
        else:
            expected = tifffile.imread(path).reshape(-1, *movie.shape)
        np.testing.assert_array_equal([frame for _, frame in movie.frames()], expected)
