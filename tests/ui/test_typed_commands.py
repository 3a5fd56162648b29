"""Numbers on the command line are meant as they are typed, or refused before anything is done."""

from pathlib import Path

import pytest
from rig_samples import write_rig
from running import Run

from hardware.rig import Rig


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No command is to open it."""
    monkeypatch.setattr(Rig, "__init__", lambda *_: pytest.fail("the rig is opened"))
    return write_rig(tmp_path)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--laser", "561=1_0"), "--laser 561=1_0: '1_0' is no number."),
        (("--laser", "561=nan"), "--laser 561=nan: 'nan' is no number."),
        (("--laser", "561=inf"), "--laser 561=inf: 'inf' is no number."),
        (("--laser", "561=1,5"), "--laser 561=1,5: write 1.5 with a point."),
        (("--laser", "561=1", "--laser", "561=2"), "--laser 561=2: the laser 561 is there twice."),
        (("--laser", "=5"), "laser '=5' is not of the form NAME=MW, as 561=20."),
        (("--laser", "561="), "laser '561=' is not of the form NAME=MW, as 561=20."),
        (("--exposure-ms", "nan"), "--exposure-ms nan: is no number that can be used."),
        (("--threshold", "inf"), "--threshold inf: is no number that can be used."),
    ],
)
def test_what_live_is_told(
    dsacq: Run, rig: Path, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    assert told in dsacq.fails("live", "--rig", rig, "--frames", 2, "-o", "bead", *options)
    assert not (tmp_path / "bead").exists()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            ("calibrate", "scan", "--rig", "rig.toml", "-o", "b", "--around-um=-0,2:0,2"),
            "--around-um -0,2:0,2: write -0.2 with a point.",
        ),
        (
            ("calibrate", "scan", "--rig", "rig.toml", "-o", "b", "--focus-um=nan:1"),
            "--focus-um nan:1: 'nan' is no number.",
        ),
        (
            ("calibrate", "camera", "--rig", "rig.toml", "-o", "b", "--exposures-ms", "10,10"),
            "Exposures 10,10: expected two or more that differ, as in 10,20,40.",
        ),
        (
            ("calibrate", "camera", "--rig", "rig.toml", "-o", "b", "--exposures-ms", "10,20,0"),
            "Exposures 10,20,0: expected times above 0, in ms.",
        ),
        (("filter", "a.csv", "-o", "b.csv"), "Give --where, --duplicates-nm or --density-um"),
        (("evaluate", "a.csv", "b.csv", "--radius-nm", "nan"), "--radius-nm nan: is no number"),
    ],
)
def test_other_commands(dsacq: Run, rig: Path, command: tuple[str, ...], told: str) -> None:
    Path("a.csv").write_text("frame,x_um,y_um,z_um\n0,1,1,1\n", encoding="utf-8")
    assert told in dsacq.fails(*command)


@pytest.mark.parametrize("typed", ["20,5", "--exposure-ms=20,5"])
def test_a_decimal_comma_is_explained(dsacq: Run, rig: Path, typed: str) -> None:
    options = [typed] if typed.startswith("--") else ["--exposure-ms", typed]
    refused = dsacq("live", "--rig", rig, "--frames", 2, "-o", "bead", *options)
    assert refused.code == 2
    assert refused.err.endswith("Numbers are written with a point: 20.5.\n")
    other = dsacq("live", "--rig", rig, "--frames", "two", "-o", "bead")
    assert (other.code, "with a point" in other.err) == (2, False)


@pytest.mark.parametrize("name", ["evaluate", "link", "merge"])
def test_a_folder_is_no_table(dsacq: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "rec").mkdir()
    rest = ("t.csv",) if name == "evaluate" else ("-o", "b.csv")
    assert "rec: is a folder, and no table." in dsacq.fails(name, "rec", *rest)
    table = tmp_path / "rec" / "localizations.parquet"
    table.touch()
    told = "rec: is a folder, and no table; its table is rec/localizations.parquet."
    assert told.replace("/", str(Path("/"))[0]) in dsacq.fails(name, "rec", *rest)
