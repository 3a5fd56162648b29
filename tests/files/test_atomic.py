"""A file that is being written appears whole or not at all, and only its own troubles are told."""

import errno
import os
from pathlib import Path

import pytest
import tifffile

from dsacq.errors import FileError
from dsacq.files.atomic import replacing, write_atomically


def write_and_fail(path: Path, error: BaseException) -> None:
    with replacing(path) as partial:
        partial.write_bytes(b"half")
        raise error


def test_the_name_appears_with_the_last_byte(tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    with replacing(path) as partial:
        partial.write_bytes(b"whole")
        assert partial.parent == tmp_path  # a rename is one step only within a disk
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"before, and longer")
    write_atomically(path, b"after")
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_part_of_an_earlier_attempt_does_not_hinder(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.with_name("a.csv.partial").write_bytes(b"left by a power cut, and longer")
    write_atomically(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt(), FileError("other")])
def test_an_exception_leaves_nothing_and_harms_nothing(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"before")
    with pytest.raises(type(error)) as raised:
        write_and_fail(path, error)
    assert raised.value is error
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(FileError, match=r"a\.csv: cannot be written \(.*space.*\)\.$"):
        write_and_fail(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_makes_no_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"before")
    with pytest.raises(FileError, match="cannot be written"), replacing(path):
        pass
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize("place", ["absent/a.csv", "file/a.csv", "x" * 300, "folder"])
def test_places_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"no folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="cannot be written"):
        write_atomically(tmp_path / place, b"content")
    assert {entry.name for entry in tmp_path.iterdir()} == {"file", "folder"}


def test_paths_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomically(Path("a.csv"), b"whole")
    assert (tmp_path / "a.csv").read_bytes() == b"whole"
    with (  # a library that tells the absolute path
        pytest.raises(FileError, match=r"^absent[/\\]a\.tif: cannot be written"),
        replacing(Path("absent/a.tif")) as partial,
    ):
        tifffile.TiffWriter(partial)


def copy(source: Path, path: Path) -> None:
    with replacing(path) as partial:
        partial.write_bytes(source.read_bytes())


def test_troubles_with_another_file_are_not_about_this_one(tmp_path: Path) -> None:
    source = tmp_path / "absent.csv"
    with pytest.raises(FileNotFoundError) as raised:
        copy(source, tmp_path / "a.csv")
    assert raised.value.filename == str(source)
    assert list(tmp_path.iterdir()) == []
