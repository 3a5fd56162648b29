"""Movies that miss a part or hold a wrong one: what is whole is read, and the rest told of."""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from movie_samples import (
    Writer,
    dax,
    folder_of_files,
    micromanager,
    ndtiff,
    page_by_page,
    random_frames,
    with_tifffile,
)

from dsacq.errors import FileError
from dsacq.files.movies import open_movie


def test_a_missing_continuation_is_named(tmp_path: Path) -> None:
    first = micromanager(tmp_path, random_frames(count=9))
    first.with_name("run_1_MMStack_Pos0_1.ome.tif").unlink()
    with pytest.raises(FileError, match="continuation number 1 is missing"):
        open_movie(first)


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
