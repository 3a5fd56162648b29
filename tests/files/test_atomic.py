"""A file that is being written appears whole or not at all, and only its own troubles are told."""

import ast
import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import tifffile
from held_files import Held

from dsacq.errors import FileError
from dsacq.files import atomic
from dsacq.files.atomic import HeldError, going_on, remove, rename, replacing, write_atomically

ROOT = Path(__file__).parents[2]


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


@pytest.mark.parametrize("name", ["a.csv", "a.csv.partial"])
@pytest.mark.parametrize("times", [1, 3, 7])
def test_a_file_that_is_held_for_a_moment(
    tmp_path: Path, held: Held, name: str, times: int
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"before")
    held.refusals[name] = times
    write_atomically(path, b"after")
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]
    assert len(held.waited_s) == times
    assert held.waited_s == sorted(held.waited_s)
    assert sum(held.waited_s) < 5


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.csv", "a-kept.csv"),
        ("a.thunderstorm.csv", "a-kept.thunderstorm.csv"),
        ("a", "a-kept"),
        ("m.progress.csv", "m-kept.progress.csv"),
    ],
)
def test_a_file_that_stays_held_loses_nothing(
    tmp_path: Path, held: Held, name: str, kept: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"before")
    held.refusals[name] = 1000
    with pytest.raises(HeldError) as told:
        write_atomically(path, b"after")
    assert f"what was to be in it is in {kept} beside it" in str(told.value)
    assert str(path) in str(told.value)
    assert str(told.value).count(". ") == 0  # one sentence
    assert path.read_bytes() == b"before"
    assert (tmp_path / kept).read_bytes() == b"after"
    assert {one.name for one in tmp_path.iterdir()} == {name, kept}


def test_what_was_written_is_held_itself(tmp_path: Path, held: Held) -> None:
    """A scanner that looks at what was just written, and for long."""
    path = tmp_path / "a.csv"
    held.refusals["a.csv.partial"] = 1000
    with pytest.raises(HeldError, match=r"is in a-kept\.csv beside it"):
        write_atomically(path, b"whole")
    assert (tmp_path / "a-kept.csv").read_bytes() == b"whole"
    assert not path.exists()


def test_no_other_name_can_be_had_either(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_copy(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.shutil, "copyfile", no_copy)
    held.refusals["a.csv.partial"] = 1000
    with pytest.raises(HeldError, match=r"is in a\.csv\.partial beside it"):
        write_atomically(tmp_path / "a.csv", b"whole")
    assert (tmp_path / "a.csv.partial").read_bytes() == b"whole"


def test_a_folder_in_its_place_is_not_held(tmp_path: Path, held: Held) -> None:
    (tmp_path / "a.csv").mkdir()
    held.refusals["a.csv"] = 1000
    with pytest.raises(FileError, match="cannot be written") as told:
        write_atomically(tmp_path / "a.csv", b"whole")
    assert not isinstance(told.value, HeldError)


def test_removing_waits_too(tmp_path: Path, held: Held) -> None:
    path = tmp_path / "a.arrows"
    path.write_bytes(b"content")
    held.refusals[path.name] = 3
    remove(path)
    assert not path.exists()
    remove(path)  # it is gone already
    path.write_bytes(b"content")
    held.refusals[path.name] = 1000
    with pytest.raises(HeldError, match="another program has it open"):
        remove(path)
    assert path.read_bytes() == b"content"


def test_renaming_waits_too(tmp_path: Path, held: Held) -> None:
    path, other = tmp_path / "a.tif", tmp_path / "a.tif.unread"
    path.write_bytes(b"content")
    held.refusals[path.name] = 3
    rename(path, other)
    assert other.read_bytes() == b"content"
    held.refusals[other.name] = 1000
    with pytest.raises(HeldError, match="another program has it open"):
        rename(other, path)
    assert other.read_bytes() == b"content"
    with pytest.raises(FileError, match="cannot be renamed"):
        rename(path, tmp_path / "b.tif")  # it is not there


def test_work_goes_on_without_a_file_that_is_held(
    tmp_path: Path, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.csv"
    held.refusals[path.name] = 1000
    with caplog.at_level(logging.WARNING), going_on():
        write_atomically(path, b"whole")
    assert (tmp_path / "a-kept.csv").read_bytes() == b"whole"
    assert "a-kept.csv" in caplog.text
    with pytest.raises(FileError, match="cannot be written"), going_on():  # this ends it
        write_atomically(tmp_path / "absent" / "a.csv", b"whole")


def moves(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls that replace, rename or remove files; those of texts, tables and dataclasses differ
    in what they are given."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = call.func
        if not isinstance(function, ast.Attribute):
            continue
        owner = function.value.id if isinstance(function.value, ast.Name) else ""
        one = len(call.args) == 1 and not call.keywords
        if (
            (owner in ("os", "shutil") and function.attr in WAYS)
            or function.attr in ("unlink", "rmdir", "rmtree", "renames")
            or (function.attr in ("replace", "rename", "move") and one)
        ):
            yield call


WAYS = {"replace", "rename", "renames", "remove", "unlink", "rmdir", "move", "rmtree"}


def test_the_search_for_bare_moves_finds_them() -> None:
    for code in (
        "a.replace(b)",
        "os.replace(a, b)",
        "a.unlink()",
        "shutil.move(a, b)",
        "a.rename(b)",
    ):
        assert list(moves(ast.parse(code)))
    for code in ("'a'.replace('b', 'c')", "replace(a, b=1)", "t.rename(columns={})", "a.remove(b)"):
        assert not list(moves(ast.parse(code)))


def test_files_are_replaced_and_removed_in_one_place() -> None:
    """Elsewhere it would be done without patience."""
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for package in ("dsacq", "hardware", "calibration", "ui")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path != Path(atomic.__file__)
        for call in moves(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []
