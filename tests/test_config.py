"""Settings files: what is wrong in them is told by key, all at once."""

from pathlib import Path

import pytest

from dsacq.config import read_settings, read_toml
from dsacq.errors import FileError, SettingsError
from dsacq.physics.optics import differing_fields
from dsacq.physics.optics_file import OpticsFile, read_optics

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
GOOD = (EXAMPLES / "optics-telomeres.toml").read_text(encoding="utf-8")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "optics.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["optics-telomeres.toml", "optics-storm.toml"])
def test_examples_are_valid(name: str) -> None:
    settings = read_optics(EXAMPLES / name)
    assert settings.optics.pixel_um == pytest.approx(0.11)
    assert settings.input is not None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("na = 1.45", "Na = 1.45", "optics.na is missing; optics.Na is not a known key"),
        ("na = 1.45", "na = 1.6", "na = 1.6: expected less than index_immersion = 1.518"),
        ("na = 1.45", 'na = "big"', "optics.na = 'big'"),
        (
            "magnification = 100",
            "magnification = 0",
            "magnification = 0: expected more than 0.",
        ),
        ("[2.0, 6.0]", "[6.0, 2.0]", "z_range_um = [6.0, 2.0]: expected the lower one first"),
        ("[2.0, 6.0]", "[2.0]", "value 2 of optics.z_range_um is missing"),
        ("[input]", "[inputs]", "inputs is not a known key"),
        ('"minmax"', '"max"', "input.normalise = 'max'"),
        ("focus_um = 4.5", "focus_um = nan", "focus_um"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(SettingsError) as error:
        read_optics(written(tmp_path, GOOD.replace(old, new)))
    assert said in str(error.value)
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)


def test_files_that_are_no_toml(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="not a valid TOML"):
        read_toml(written(tmp_path, "na = = 1"))
    with pytest.raises(FileError, match="No such file"):
        read_settings(OpticsFile, tmp_path / "none.toml")
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="not a valid TOML"):
        read_toml(path)


def test_optics_differ_by_name(tmp_path: Path) -> None:
    mine = read_optics(written(tmp_path, GOOD.replace("focus_um = 4.5", "focus_um = 3"))).optics
    theirs = read_optics(EXAMPLES / "optics-telomeres.toml").optics
    assert differing_fields(mine, theirs) == ["focus_um 3 (model 4.5)"]
    assert differing_fields(theirs, theirs) == []


@pytest.mark.parametrize(
    "line",
    [
        r'config = "C:\temp\new.cfg"',
        r'config = "C:\Program Files\Micro-Manager\a.cfg"',
        r'config = "C:\Users\me\a.cfg"',
        r'config = "D:\bin\a.cfg"',
        r'config = "D:\fast\a.cfg"',
        r'config = "D:\rigs\a.cfg"',
        r'config = "D:\u0041bc\a.cfg"',
        r'config = "masks\new.tif"',
        r'config = "\\server\new"',
        r'use = { mask = { file = "..\tetra.tif" } }',
    ],
)
def test_backslashes_in_double_quotes_are_told(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, f"# a comment\n{line}\n")
    with pytest.raises(FileError, match=r"line 2, .* in single quotes") as told:
        read_toml(path)
    assert line.split('"')[1] in str(told.value)  # as it was typed
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "text",
    [
        r"a = 'C:\temp\new.cfg'",
        r'a = "C:\\temp\\new.cfg"',
        r'a = "C:/temp/new.cfg"',
        r'a = 1 # not "C:\temp\new.cfg"',
        r'a = "\u00b5m"',
        r'a = "\r\n"',
        r'a = "he said \"no\""',
        'a = """first\n\\tsecond"""',
        "a = 'it is \"C:\\temp\"'",
    ],
)
def test_other_texts_are_read(tmp_path: Path, text: str) -> None:
    assert list(read_toml(written(tmp_path, text + "\n"))) == ["a"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_of_windows_editors(tmp_path: Path, end: str) -> None:
    path = tmp_path / "rig.toml"
    path.write_bytes(b"\xef\xbb\xbf" + f"a = 1{end}b = 'µ'{end}".encode())
    assert read_toml(path) == {"a": 1, "b": "µ"}
    for encoding in ("utf-16", "utf-16-be"):
        content = ("\ufeff" if encoding == "utf-16-be" else "") + "a = 1\n"
        path.write_bytes(content.encode(encoding))
        with pytest.raises(FileError, match="stored as UTF-16; save it as UTF-8"):
            read_toml(path)
    path.write_bytes("a = 1\nb = 'µ'\n".encode("latin-1"))
    with pytest.raises(FileError, match="line 2 is not in UTF-8"):
        read_toml(path)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "9" * 5000,
        "a = 0x" + "f" * 5000,
        "a = " + "[" * 5000 + "]" * 5000,
        "a = " + "{ b = " * 3000 + "1" + " }" * 3000,
        "[t]\nb = [1, 9223372036854775808]",
    ],
)
def test_bombs_are_told_in_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(FileError) as told:
        read_toml(written(tmp_path, text))
    assert len(str(told.value)) < 400 + len(str(tmp_path))
    assert "\n" not in str(told.value)


def test_a_movie_given_for_settings_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FileError, match="too long"):
        read_toml(path)
