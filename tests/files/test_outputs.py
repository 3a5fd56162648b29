"""What a command writes takes the place of nothing that is to stay."""

import os
import sys
from pathlib import Path

import pytest

from dsacq.errors import FileError
from dsacq.files.camera_maps import MAPS
from dsacq.files.outputs import check_outputs
from dsacq.files.recording import FACTS, FRAMES, LOCALIZATIONS, MASK, STREAMED, TRUTH

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (FACTS, FRAMES, MASK, "movie_000.tif"):
        (folder / name).write_bytes(b"kept")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *(FACTS, FRAMES, LOCALIZATIONS, STREAMED, MASK, TRUTH, "truth.arrows", *MAPS.values()),
        *("movie_000.tif", "movie_001.tif", "movie_12345.tif", "frames.jsonl.unread"),
        *("MASK.TIF", "Movie_000.tif", "Recording.JSON"),
    ],
)
def test_a_recordings_own_files_are_refused(recording: Path, name: str) -> None:
    said = "is a file of the recording run itself; choose another name"
    for folder in (recording, recording / ".." / "run"):
        with pytest.raises(FileError, match=said):
            check_outputs(folder / name)
    check_outputs(recording.parent / name)  # no recording


@pytest.mark.parametrize("name", ["found.csv", "movie.tif", "mask-2.tif", "movie_a.tif", "x.json"])
def test_other_files_may_be_beside_them(recording: Path, name: str) -> None:
    check_outputs(recording / name)


@POSIX_ONLY
def test_links_lead_to_a_recording(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(recording)
    (tmp_path / "other.tif").symlink_to(recording / MASK)
    (tmp_path / "far.tif").write_bytes(b"kept")
    (recording / "truth.parquet").symlink_to(tmp_path / "far.tif")
    for path in ("other/mask.tif", "other.tif", "run/truth.parquet"):
        with pytest.raises(FileError, match="is a file of the recording"):
            check_outputs(tmp_path / path)


def test_one_name_under_the_folder_itself(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recording)
    with pytest.raises(FileError, match="recording run itself"):
        check_outputs(Path("mask.tif"))


def test_what_is_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, link = tmp_path / "a.csv", tmp_path / "b.csv"
    table.write_bytes(b"kept")
    os.link(table, link)
    monkeypatch.chdir(tmp_path)
    for path in (table, link, Path("a.csv"), tmp_path / "." / "a.csv"):
        with pytest.raises(FileError, match="is read by this command"):
            check_outputs(path, reads=(None, Path("none"), table))
    check_outputs(tmp_path / "c.csv", None, reads=(table,))


def test_the_images_of_a_folder_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "1.tif").write_bytes(b"kept")
    (tmp_path / "found.csv").write_bytes(b"from before")
    check_outputs(tmp_path / "found.csv", reads=(tmp_path,))
    with pytest.raises(FileError, match="is read by this command"):
        check_outputs(tmp_path / "1.tif", reads=(tmp_path,))


def test_two_results_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="two results"):
        check_outputs(tmp_path / "a.tif", None, tmp_path / ".." / tmp_path.name / "a.tif")


@POSIX_ONLY
def test_a_pipe_or_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="as it is no file"):
        check_outputs(tmp_path / "pipe")
    with pytest.raises(FileError, match="as it is no file"):
        check_outputs(Path(os.devnull))
