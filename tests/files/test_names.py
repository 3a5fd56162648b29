"""New names are good on every system, and what is wrong with one is told in a sentence."""

import os
import sys
from pathlib import Path

import pytest

from dsacq.errors import FileError
from dsacq.files.atomic import made_folder, write_atomically
from dsacq.files.names import check_name, fault_of_name, make_folder


@pytest.mark.parametrize(
    "name",
    [
        "recording-001",
        "a.csv",
        "Zelle 3, 561 nm (2)",
        "µm-Skala",
        "細胞.tif",
        ".hidden",
        "console",
        "com10.csv",
        "lpt",
        "auxiliary.toml",
        "a.con",
        "nul-1",
        "x" * 200,
        "μ" * 100,
    ],
)
def test_good_names(name: str) -> None:
    assert fault_of_name(name) == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((name, "means a device on Windows") for name in ("con", "CON", "Aux", "nul", "prn")),
        *((name, "means a device on Windows") for name in ("COM1", "lpt9", "com0", "LPT\u00b2")),
        *((name, "means a device") for name in ("con.txt", "aux.tar.gz", "COM1.toml", "nul .csv")),
        ("conout$", "means a device"),
        *((name, "must not end with a dot or a blank") for name in ("a.", "a..", "a ", "a. .")),
        *((f"a{one}b", f"must not contain {one}") for one in '<>:"/\\|?*'),
        ("a<b>c", "must not contain < >"),
        *((f"a{one}b", "control characters") for one in "\t\n\r\x00\x1b"),
        *((name, "is empty") for name in ("", " ", "...", ". .")),
        ("x" * 201, "longer than 200"),
        ("μ" * 101, "longer than 200"),  # as bytes, which count on Linux
        ("x" * 259, "longer than 200"),
        ("Z\udce4hler", "no letters"),  # a byte that is none in UTF-8
        ("\ud83d", "no letters"),  # half of a character, as Windows lets names be
    ],
)
def test_bad_names(name: str, said: str) -> None:
    assert said in fault_of_name(name)


def test_every_folder_that_is_to_be_made_counts(tmp_path: Path) -> None:
    (tmp_path / "aux").mkdir()  # from elsewhere: nobody chose it now
    check_name(tmp_path / "aux" / "run")
    make_folder(tmp_path / "aux" / "run" / "deeper")
    with pytest.raises(FileError, match="the name con means a device"):
        make_folder(tmp_path / "con" / "run")
    with pytest.raises(FileError, match=r"the name must not end with a dot"):
        check_name(tmp_path / "a." / "b" / "c.csv")
    assert {one.name for one in tmp_path.iterdir()} == {"aux"}


@pytest.mark.parametrize("path", ["a.csv", "b/a.csv", "../a.csv", ".", "..", "/", "b/.."])
def test_paths_may_be_relative(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    check_name(Path(path))


def test_files_that_are_there_may_be_replaced(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("there is no such file")
    path = tmp_path / "a:b.toml"
    path.write_bytes(b"before")
    write_atomically(path, b"after")
    assert path.read_bytes() == b"after"
    with pytest.raises(FileError, match="must not contain :"):
        write_atomically(tmp_path / "c:d.toml", b"new")


@pytest.mark.parametrize("length", [256, 259, 5000])
def test_a_name_that_is_too_long_is_told_in_a_sentence(tmp_path: Path, length: int) -> None:
    with pytest.raises(FileError, match="longer than 200") as told:
        make_folder(tmp_path / ("x" * length))
    assert len(str(told.value)) < 700


def test_paths_too_long_for_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path.joinpath(*["x" * 60] * 4)
    check_name(path)
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(FileError, match="too long for Windows"):
        check_name(path)
    check_name(tmp_path / "short")


def test_a_folder_cannot_take_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    for path in (tmp_path / "a", tmp_path / "a" / "b" / "c", Path(os.devnull)):
        with pytest.raises(FileError, match=r"cannot be made, as .* is not a folder"):
            make_folder(path)


def test_a_new_folder_may_be_there_but_empty(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    assert make_folder(tmp_path / "b", new=True) == []
    (tmp_path / "b" / "c").write_bytes(b"")
    make_folder(tmp_path / "b")
    with pytest.raises(FileError, match="is not empty"):
        make_folder(tmp_path / "b", new=True)


def interrupted(folder: Path, *written: Path) -> None:
    with made_folder(folder):
        assert folder.is_dir()
        for one in written:
            one.write_bytes(b"")
        raise KeyboardInterrupt


def test_a_folder_made_for_nothing_goes_again(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for path in ("there", "there/a/b", "x", "y/z"):
        with pytest.raises(KeyboardInterrupt):
            interrupted(tmp_path / path)
    assert [one.name for one in tmp_path.rglob("*")] == ["there"]
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "y" / "z", tmp_path / "y" / "a")
    assert [one.name for one in (tmp_path / "y").iterdir()] == ["a"]
    with made_folder(tmp_path / "kept"):
        pass
    assert (tmp_path / "kept").is_dir()
