"""What is wrong with settings is told in the words of a TOML file."""

import re
from pathlib import Path

import pytest
from rig_samples import SMALL, write_rig

from dsacq.errors import FileError, SettingsError, UserError
from dsacq.mistakes import typed_number
from hardware.rig_file import read_rig

LASER = '[lasers.640]\nkind = "ichrome"\nport = "COM4"\nline = 4\nmw_at_full = 100\nlimit_mw = 60\n'
REST = SMALL.replace('[lasers.640]\nkind = "simulated"\n', LASER)
# Names of Python's and of the libraries that read settings.
FOREIGN = re.compile(
    r"pydantic|[Dd]ataclass|instance of|[Tt]uple|\bdict|\bstr\b|\bint\b|\bfloat\b|self\.|datetime|"
    r"[Ii]nput should|validation|\[key\]|\bNone\b|\bTrue\b|\bFalse\b|\('|WindowsPath|PosixPath|"
    r"[Pp]arsing|\.[0-9] (=|is)"
)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "wavelength_um = 0.58",
            "wavelength_um = true",
            "optics.wavelength_um = true: expected a number.",
        ),
        ("wavelength_um = 0.58", 'wavelength_um = "0.58"', "; write 0.58 without quotes."),
        (
            "wavelength_um = 0.58",
            'wavelength_um = "0,58"',
            "; write 0.58 with a point, without quotes.",
        ),
        ("limit_mw = 100", "limit_mw = true", "lasers.561.limit_mw = true: expected a number."),
        ("limit_mw = 60", "limit_mw = true", "lasers.640.limit_mw = true: expected a number."),
        (
            "mw_at_full = 100",
            "mw_at_full = true",
            "lasers.640.mw_at_full = true: expected a number.",
        ),
        (
            "line = 4",
            "line = true",
            "lasers.640.line = true: expected a whole number or text in quotes.",
        ),
        ("561 = 20.0", "561 = true", "use.lasers_mw.561 = true: expected a number."),
        (
            "shape_px = [48, 64]",
            "shape_px = [48, true]",
            "value 2 of bench.shape_px = true: expected a ",
        ),
        (
            "shape_px = [48, 64]",
            "shape_px = [48, 64, 3]",
            "bench.shape_px = [48, 64, 3]: expected at most 2",
        ),
        (
            "shape_px = [48, 64]",
            'shape_px = "48"',
            "bench.shape_px = '48': expected a list, in [ ].",
        ),
        ("shape_px = [48, 64]", "shape_px = [48]", "value 2 of bench.shape_px is missing."),
        (
            "shape_px = [48, 64]",
            "shape_px = [8, 64]",
            "value 1 of bench.shape_px = 8: expected 16 or more",
        ),
        (
            "z_range_um = [2.0, 6.0]",
            "z_range_um = [6, 2]",
            "z_range_um = [6.0, 2.0]: expected the lower one",
        ),
        (
            "magnification = 100",
            "magnification = 2020-01-01",
            "optics.magnification = 2020-01-01: expected",
        ),
        ("na = 1.45", "na = 1.6", "na = 1.6: expected less than index_immersion = 1.518."),
        ("na = 1.45", "na = []", "optics.na = []: expected a number."),
        ("na = 1.45", "", "optics.na is missing."),
        ("na = 1.45", "na = 1.45\nNA = 2", "optics.NA is not a known key."),
        ('[focus]\nkind = "simulated"', "[focus]\nlimits_um = [0, 1]", "focus.kind is missing."),
        (
            '[focus]\nkind = "simulated"',
            '[focus]\nkind = "asy"',
            "focus.kind = 'asy': expected one of",
        ),
        ("[use]\n", "[use]\nlink = 3\n", "use.link = 3: expected a table."),
        ("[use]\n", "[use]\nmodel = 3\n", "use.model = 3: expected text in quotes."),
        ("[use]\n", "[rig]\nwatchdog = 3\n[use]\n", "rig.watchdog = 3: expected true or false."),
        (
            "[use]\n",
            '[rig]\nwatchdog = "yes"\n[use]\n',
            "rig.watchdog = 'yes': expected true or false; write true without quotes.",
        ),
        (
            "[bench]\n",
            "[bench]\naberration_rad = { 5 = 1e9 }\n",
            "bench.aberration_rad.5 = 1000000000: exp",
        ),
        (
            "[bench]\n",
            "[bench]\naberration_rad = { x = 1 }\n",
            "bench.aberration_rad has the key 'x': exp",
        ),
        ("[lasers.640]", '[lasers.""]', "a device is named '': expected a name of letters."),
    ],
)
def test_settings(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in REST
    with pytest.raises(SettingsError) as error:
        read_rig(write_rig(tmp_path, REST.replace(old, new)))
    said = str(error.value).removeprefix(str(tmp_path))
    assert told in said
    if "aberration" not in new:  # its keys are numbers
        assert not FOREIGN.search(said.partition(": ")[2]), said


def test_all_at_once(tmp_path: Path) -> None:
    wrong = REST.replace("limit_mw = 100", "limit_mw = true").replace("line = 4", "line = true")
    with pytest.raises(SettingsError, match=r"lasers.561.limit_mw.*; lasers.640.line = true"):
        read_rig(write_rig(tmp_path, wrong))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("na = 1.45", "na = 1,45", "(line 4: write 1.45 with a point)"),
        ("na = 1.45", "na = -1,5  # of the objective", "(line 4: write -1.5 with a point)"),
        ("[use]", '[focus]\nkind = "asi"\n[use]', "(the table focus is there twice (at line"),
        ("na = 1.45", "na = 1.45\nna = 1.4", "(a key is there twice (at line 5"),
    ],
)
def test_no_toml(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(FileError) as error:
        read_rig(write_rig(tmp_path, REST.replace(old, new)))
    assert told in str(error.value)


def test_typed_numbers() -> None:
    for text, number in (("1.5", 1.5), ("-.5", -0.5), ("2e3", 2000.0), (" 7 ", 7.0), ("+3.", 3.0)):
        assert typed_number(text, "--laser") == number
    for text in ("1_0", "nan", "inf", "", "1 0", "0x10", "\u0661", "1e999", "5 mW"):
        with pytest.raises(UserError, match=r"^--laser: .* is no number\.$"):
            typed_number(text, "--laser")
    for text in ("1,5", " ,5", "-0,2"):
        with pytest.raises(UserError, match=r"^--laser: write -?[0-9]*\.[0-9] with a point\.$"):
            typed_number(text, "--laser")
