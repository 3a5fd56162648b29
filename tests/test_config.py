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
        ("na = 1.45", "na = 1.6", "optics: na=1.6: expected less than"),
        ("na = 1.45", 'na = "big"', "optics.na = 'big'"),
        ("magnification = 100", "magnification = 0", "optics.magnification = 0: input should be"),
        ("[2.0, 6.0]", "[6.0, 2.0]", "expected low, high"),
        ("[2.0, 6.0]", "[2.0]", "optics.z_range_um.1 is missing"),
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
