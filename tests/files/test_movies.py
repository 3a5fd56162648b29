"""Movies of every format come back as they were written, and mistakes are told in one sentence."""

import itertools
import shutil
import struct
import threading
import tracemalloc
from collections.abc import Callable
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
    page_by_page,
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


def test_a_missing_continuation_is_named(tmp_path: Path) -> None:
    first = micromanager(tmp_path, random_frames(count=9))
    first.with_name("run_1_MMStack_Pos0_1.ome.tif").unlink()
    with pytest.raises(FileError, match="continuation number 1 is missing"):
        open_movie(first)


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


def test_imagej_stack_whose_directories_were_cut_off(tmp_path: Path) -> None:
    frames = random_frames(count=40)
    path = with_tifffile(imagej=True)(tmp_path, frames)
    data = path.read_bytes()
    path.write_bytes(data[: 20 * frames[0].nbytes])  # ImageJ writes directories after all frames
    with open_movie(path) as movie:
        assert len(movie) == 40
        np.testing.assert_array_equal(movie.frame(18), frames[18])
        with pytest.raises(FileError, match=r"Frame 20 of .*movie\.tif"):
            movie.frame(20)


@pytest.mark.parametrize("write", [page_by_page, with_tifffile(compression="zlib")])
def test_a_truncated_movie_gives_its_first_frames(tmp_path: Path, write: Writer) -> None:
    frames = random_frames(count=10)
    path = write(tmp_path, frames)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with open_movie(path) as movie:
        assert 5 <= len(movie) <= 10
        for index in range(5):
            np.testing.assert_array_equal(movie.frame(index), frames[index])
        with pytest.raises(FileError, match=rf"Frame {len(movie) - 1} of .*movie\.tif"):
            movie.frame(len(movie) - 1)


def _directories(path: Path) -> list[int]:
    with tifffile.TiffFile(path) as tiff:
        return [page.offset for page in tiff.pages]


def test_a_damaged_page_leaves_the_others(tmp_path: Path) -> None:
    frames = random_frames(count=5)
    path = page_by_page(tmp_path, frames)
    directory = _directories(path)[2]
    data = bytearray(path.read_bytes())
    width = directory + 8 + 12  # the value of the first tag
    assert data[width] == 34
    data[width] += 1
    path.write_bytes(data)
    with open_movie(path) as movie:
        with pytest.raises(FileError, match=r"Frame 2 of .*35 pixels"):
            movie.frame(2)
        np.testing.assert_array_equal(movie.frame(4), frames[4])


@pytest.mark.parametrize(("kept", "readable"), [(0.7, 6), (0, 4)])
def test_a_series_ends_where_a_file_cannot_be_counted(
    tmp_path: Path, kept: float, readable: int
) -> None:
    frames = random_frames(count=12)
    first = micromanager(tmp_path, frames, frames_per_file=4)
    middle = first.with_name("run_1_MMStack_Pos0_1.ome.tif")
    data = middle.read_bytes()
    middle.write_bytes(data[: int(kept * len(data))])
    with open_movie(first) as movie:
        for index in range(readable):
            np.testing.assert_array_equal(movie.frame(index), frames[index])
        assert readable < len(movie) <= 8  # not 12: the frames of the third file have no number
        with pytest.raises(FileError, match=rf"Frame {readable} of .*Pos0_1\.ome\.tif"):
            movie.frame(readable)


def test_an_unreadable_frame_in_a_folder_leaves_the_others(tmp_path: Path) -> None:
    frames = random_frames(count=5)
    folder_of_files(1)(tmp_path, frames)
    (tmp_path / "frame11.tif").write_bytes(b"")
    with open_movie(tmp_path) as movie:
        assert len(movie) == 5
        np.testing.assert_array_equal(movie.frame(4), frames[4])
        with pytest.raises(FileError, match=r"Frame 2 of .*frame11\.tif: is empty"):
            movie.frame(2)


def test_a_truncated_index_tells_so_at_its_end(tmp_path: Path) -> None:
    frames = random_frames()
    index = ndtiff(tmp_path, frames) / "NDTiff.index"
    index.write_bytes(index.read_bytes()[:-10])
    with open_movie(tmp_path) as movie:
        assert len(movie) == 7
        np.testing.assert_array_equal(movie.frame(5), frames[5])
        with pytest.raises(FileError, match=r"Frame 6 of .*NDTiff\.index: breaks off"):
            movie.frame(6)


def test_an_index_that_was_not_closed_ends_in_zeros(tmp_path: Path) -> None:
    index = ndtiff(tmp_path, random_frames()) / "NDTiff.index"
    index.write_bytes(index.read_bytes() + bytes(100))
    with open_movie(tmp_path) as movie:
        assert len(movie) == 7


def test_an_index_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    index = ndtiff(tmp_path, random_frames()) / "NDTiff.index"
    index.write_bytes(index.read_bytes().replace(b"run_NDTiffStack", b"../_NDTiffStack"))
    with pytest.raises(FileError, match="move it to another place"):
        open_movie(tmp_path)


@pytest.mark.parametrize("count", [5, 150])  # the library alone finds 4, and never ends
def test_pages_in_a_circle_end(tmp_path: Path, count: int) -> None:
    frames = random_frames(count=count, rows=4, columns=5)
    path = page_by_page(tmp_path, frames)
    offsets = _directories(path)
    data = bytearray(path.read_bytes())
    last_link = offsets[-1] + 8 + 20 * data[offsets[-1]]  # a count and 20 bytes a tag
    assert data[last_link : last_link + 8] == bytes(8)
    data[last_link : last_link + 8] = struct.pack("<Q", offsets[1])
    path.write_bytes(data)
    with open_movie(path) as movie:
        np.testing.assert_array_equal([movie.frame(index) for index in range(count)], frames)
        assert len(movie) == count + 1
        with pytest.raises(FileError, match=f"Frame {count}"):
            movie.frame(count)


def _change_tag(path: Path, code: int, place: int, form: str, value: int) -> None:
    """Overwrite a part of a tag of the first page: its type (2) or its length (4)."""
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.tags[code].offset
    with path.open("r+b") as file:
        file.seek(offset + place)
        file.write(struct.pack(form, value))


def test_a_damaged_compression_is_not_taken_for_none(tmp_path: Path) -> None:
    path = with_tifffile(compression="lzw")(tmp_path, random_frames())
    _change_tag(path, 259, 2, "<H", 99)
    with pytest.raises(FileError, match="no valid TIFF tag 259"):
        open_movie(path)


@pytest.mark.parametrize("code", [258, 273])
def test_a_tag_with_too_many_values_does_not_fill_the_memory(tmp_path: Path, code: int) -> None:
    path = page_by_page(tmp_path, random_frames())
    _change_tag(path, code, 4, "<Q", 2**24)
    with path.open("r+b") as file:
        file.truncate(2**28)  # so that the values could be in the file
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match="damaged"):
            open_movie(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000_000


def test_the_log_of_the_library_is_silent_here_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = page_by_page(tmp_path, random_frames())
    _change_tag(path, 259, 2, "<H", 99)
    with pytest.raises(FileError):
        open_movie(path)
    assert caplog.records == []
    tifffile.TiffFile(path).close()
    assert "invalid data type 99" in caplog.text


def test_a_frame_of_the_wrong_length_is_not_read_from_a_dax(tmp_path: Path) -> None:
    frames = random_frames()
    path = dax("little")(tmp_path, frames)
    path.write_bytes(path.read_bytes()[:-1])
    with open_movie(path) as movie:
        np.testing.assert_array_equal(movie.frame(5), frames[5])
        with pytest.raises(FileError, match="Frame 6"):
            movie.frame(6)


def test_a_file_that_shrinks_while_it_is_open(tmp_path: Path) -> None:
    path = page_by_page(tmp_path, random_frames())
    with open_movie(path) as movie:
        with path.open("r+b") as file:
            file.truncate(file.seek(0, 2) // 2)
        with pytest.raises(FileError, match=r"Frame 6 of .*has become shorter"):
            movie.frame(6)


def test_rows_and_columns_of_a_dax_are_not_exchanged(tmp_path: Path) -> None:
    with open_movie(dax("big")(tmp_path, random_frames(rows=5, columns=11))) as movie:
        assert movie.shape == (5, 11)


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
