"""Every command that writes refuses what cannot be written before it does anything else."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from running import Run

from ui.cli import app

# With inputs that are not there: a command that began its work would tell of those. OUT is what
# is to be refused.
FILES = {
    "localize": ("no.tif", "--model", "none", "-o", "OUT.csv"),
    "link": ("no.csv", "-o", "OUT.csv"),
    "merge": ("no.csv", "-o", "OUT.parquet"),
    "filter": ("no.csv", "-o", "OUT.csv"),
    "drift": ("no.csv", "-o", "OUT.csv"),
    "drift --plot": ("no.csv", "-o", "good.csv", "--plot", "OUT.png"),
    "resolution": ("no.csv", "-o", "OUT.png"),
    "render": ("no.csv", "-o", "OUT.png"),
    "motion": ("no.csv", "-o", "OUT.pdf"),
    "report": ("no", "-o", "OUT.html"),
    "convert": ("no.csv", "OUT.thunderstorm.csv"),
    "convert --format": ("no.csv", "OUT.csv", "--format", "napari"),
    "simulate": ("no.toml", "-o", "OUT.tif", "--truth", "good.csv"),
    "simulate --truth": ("no.toml", "-o", "good.tif", "--truth", "OUT.csv"),
    "estimate": ("no.tif", "-o", "OUT.toml"),
    "train": ("no.toml", "-o", "OUT.safetensors"),
    "design": ("no.toml", "-o", "OUT.tif"),
    "import-deepstorm3d": (
        *("no.pkl", "--mask", "no.mat", "--optics", "no.toml"),
        *("-o", "OUT.safetensors"),
    ),
    "export-onnx": ("none", "-o", "OUT.onnx"),
    "masks": ("--show", "none", "-o", "OUT.png"),
    "masks -o mask": ("--show", "none", "-o", "OUT.tif"),
    "masks --pattern": ("--show", "none", "--pattern", "OUT.bmp"),
    "masks --plate": ("--show", "none", "--plate", "OUT.tif"),
    "masks compare": ("none", "-o", "OUT.png"),
    "masks compare --train": ("none", "-o", "OUT.png", "--train", "no.toml"),
    "calibrate beads": ("no.tif", "-o", "OUT.tif"),
    "calibrate beads --report": ("no.tif", "-o", "good.tif", "--report", "OUT.png"),
    "calibrate pupil": ("no", "-o", "OUT.tif"),
    "calibrate pupil --report": ("no", "-o", "good.tif", "--report", "OUT.pdf"),
    "calibrate precision": ("no.tif", "--rig", "no.toml", "-o", "OUT.png"),
    "calibrate field": ("no", "no.tif", "-o", "OUT.png"),
    "calibrate stack": ("no", "-o", "OUT.tif"),
    "calibrate truth": ("no.tif", "--optics", "no.toml", "-o", "OUT.csv"),
}
FOLDERS = {
    "overlay": ("no.tif", "no.csv", "-o", "OUT"),
    "live": ("--rig", "no.toml", "--frames", "9", "-o", "OUT"),
    "benchmark accuracy": ("no.toml", "--model", "none", "-o", "OUT"),
    "calibrate scan": ("--rig", "no.toml", "-o", "OUT"),
    "calibrate camera": ("--dark", "no.tif", "--flat", "no.tif", "-o", "OUT"),
}
BAD = {
    "con": "means a device on Windows",
    "LPT1.old": "means a device on Windows",
    "a:b": "must not contain :",
    "what?": "must not contain ?",
    "tab\there": "must not contain control characters",
    "x" * 300: "is longer than 200 characters",
    "x" * 6000: "is longer than 200 characters",
    "nul/good": "means a device on Windows",
}


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")


def words(command: str, given: tuple[str, ...], name: str) -> list[str]:
    """What to type. command: what follows a dash tells the cases of one command apart."""
    return [*command.partition(" -")[0].split(), *(one.replace("OUT", name) for one in given)]


def test_no_command_is_forgotten() -> None:
    writing = {
        name
        for name, command in commands(typer.main.get_command(app))
        if any(parameter.name == "output" for parameter in command.params)
    }
    assert len(writing) > 20
    assert writing <= {*FILES, *FOLDERS}


@pytest.mark.parametrize("command", [*FILES, *FOLDERS])
def test_names_that_cannot_be(dsacq: Run, tmp_path: Path, command: str) -> None:
    given = FILES.get(command) or FOLDERS[command]
    for name, said in BAD.items():
        told = dsacq.fails(*words(command, given, name))
        assert "cannot be written, as the name" in told
        assert said in told
        assert len(told) < 1500
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("command", FOLDERS)
def test_folders_that_end_with_a_dot(dsacq: Run, tmp_path: Path, command: str) -> None:
    for name in ("a.", "a. ", "b./c"):
        told = dsacq.fails(*words(command, FOLDERS[command], name))
        assert "must not end with a dot or a blank" in told
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("command", FOLDERS)
def test_folders_that_are_none(dsacq: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    for name in ("file", "file/deeper", os.devnull):
        told = dsacq.fails(*words(command, FOLDERS[command], name))
        above = "file" if "file" in name else name
        assert f"{name}: cannot be made, as {above} is not a folder; choose" in told
    assert (tmp_path / "file").read_bytes() == b"kept"


@pytest.mark.parametrize("command", FOLDERS)
def test_no_folder_is_made_for_nothing(dsacq: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new", "deep/new"):
        told = dsacq.fails(*words(command, FOLDERS[command], name))
        assert name not in told  # but what it was to read
    assert [one.name for one in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("command", FILES)
def test_places_that_cannot_be(dsacq: Run, tmp_path: Path, command: str) -> None:
    told = dsacq.fails(*words(command, FILES[command], "missing/good"))
    assert "the folder missing does not exist; make it first" in " ".join(told.split())
    output = next(one for one in words(command, FILES[command], "taken") if "taken" in one)
    (tmp_path / output).mkdir()
    told = dsacq.fails(*words(command, FILES[command], "taken"))
    assert "cannot be written, as it is a folder" in told
    assert [one.name for one in tmp_path.rglob("*")] == [output]


OWN = {
    ".tif": ("mask.tif", "movie_000.tif", "offset.tif", "recording.tif"),
    ".csv": ("truth.parquet", "localizations.parquet"),
    ".parquet": ("truth.parquet", "localizations.parquet"),
}


@pytest.mark.parametrize("command", [one for one in FILES if "napari" not in FILES[one]])
def test_what_a_recording_holds_is_left_alone(dsacq: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "run").mkdir()
    kept = {"recording.json", "mask.tif", "movie_000.tif", "truth.parquet", "offset.tif"}
    for one in kept:
        (tmp_path / "run" / one).write_bytes(b"kept")
    out = next(one for one in FILES[command] if "OUT" in one)
    own = OWN.get(Path(out).suffix, ())
    if "good" in " ".join(FILES[command]) and Path(out).suffix == ".csv":
        own = OWN[".csv"]
    for name in own:
        if name == "recording.tif" and "calibrate" not in command:
            continue  # only those write a .json beside it
        given = (one.replace(out, f"run/{name}") for one in FILES[command])
        told = dsacq.fails(*command.partition(" -")[0].split(), *given)
        assert "is a file of the recording run itself; choose another name." in told
    assert {one.name for one in (tmp_path / "run").iterdir()} == kept
    assert all((tmp_path / "run" / one).read_bytes() == b"kept" for one in kept)


# What it reads in place of what it writes.
BOTH = {
    "convert": ("a.csv", "a.csv"),
    "convert --format": ("a.csv", "./a.csv", "--format", "thunderstorm"),
    "convert picasso": ("a.hdf5", "a.h5"),
    "link": ("a.csv", "-o", "a.csv"),
    "merge": ("a.csv", "-o", "a.csv"),
    "filter": ("a.csv", "-o", "a.csv"),
    "drift": ("a.csv", "-o", "a.csv"),
    "drift beside": ("b.drift.csv", "-o", "b.csv"),
    "localize": ("no.tif", "--mask", "a.csv", "--method", "pursuit", "-o", "a.csv"),
    "localize --optics": ("no.tif", "--optics", "a.csv", "-o", "a.csv"),
    "masks": ("--show", "m.tif", "-o", "m.tif"),
    "masks --plate": ("--show", "m.tif", "-o", "new.png", "--plate", "m.tif"),
    "masks compare": ("tetrapod", "m.tif", "--optics", "a.csv", "-o", "a.png"),
    "calibrate beads": ("m.tif", "-o", "m.tif"),
    "calibrate beads series": (".", "-o", "m.tif"),
    "calibrate truth": ("m.tif", "--optics", "no", "--compare", "a.csv", "-o", "a.csv"),
    "train": ("a.safetensors", "-o", "a.safetensors"),
    "design": ("m.tif", "-o", "m.tif"),
    "simulate": ("m.tif", "-o", "m.tif", "--truth", "new.csv"),
    "simulate truth": ("a.csv", "-o", "new.tif", "--truth", "a.csv"),
    "import-deepstorm3d": (
        *("a.safetensors", "--mask", "no", "--optics", "no"),
        *("-o", "a.safetensors"),
    ),
    "estimate": ("m.tif", "--optics", "p.toml", "-o", "p.toml"),
    "overlay": ("m.tif", "correlation.csv", "-o", "."),
    "report": ("no", "--table", "a.html", "-o", "a.html"),
}


@pytest.mark.parametrize("case", BOTH)
def test_what_a_command_reads_it_does_not_write(dsacq: Run, tmp_path: Path, case: str) -> None:
    names = {
        *("a.csv", "a.hdf5", "a.yaml", "b.drift.csv", "m.tif", "a.safetensors", "p.toml"),
        *("correlation.csv", "a.html"),
    }
    for name in names:
        (tmp_path / name).write_bytes(b"kept")
    told = dsacq.fails(*_command(case), *BOTH[case])
    assert "is read by this command; choose another name" in told
    assert {one.name for one in tmp_path.iterdir()} == names
    assert all((tmp_path / one).read_bytes() == b"kept" for one in names)


def _command(case: str) -> list[str]:
    known = {name for name, _ in commands(typer.main.get_command(app))}
    words = case.split()
    while " ".join(words) not in known:
        words.pop()
    return words


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("calibrate beads", ("no.tif", "-o", "psf.png")),
        ("calibrate beads", ("no.tif", "-o", "psf.tif", "--report", "psf.txt")),
        ("calibrate precision", ("no.tif", "--rig", "no.toml", "-o", "page.jpeg")),
        ("calibrate field", ("no", "no.tif", "-o", "page.html")),
        ("motion", ("no.csv", "-o", "motion.tif")),
        ("drift", ("no.csv", "-o", "still.csv", "--plot", "drift.gif")),
        ("resolution", ("no.csv", "-o", "frc.csv")),
        ("masks compare", ("none", "-o", "masks.csv")),
        ("design", ("no.toml", "-o", "mask.png")),
        ("convert", ("no.csv", "table.xlsx")),
        ("convert", ("no.csv", "table.csv", "--format", "picasso")),
    ],
)
def test_endings_are_refused_first(dsacq: Run, command: str, given: tuple[str, ...]) -> None:
    told = dsacq.fails(*command.split(), *given)
    assert "no.tif" not in told
    assert "there is no such" not in told
    assert any(word in told for word in ("written as", "is of an unknown kind", "ends in"))


@pytest.mark.parametrize("name", ["x" * 300, "y/" * 3000 + "z"])
@pytest.mark.parametrize(
    "given",
    [
        ("convert", "IN.csv", "good.csv"),
        ("localize", "IN.tif", "--model", "bench-nano", "-o", "good.csv"),
        ("report", "IN", "-o", "good.html"),
        ("recording", "check", "IN"),
        ("rig", "check", "IN.toml"),
        ("models", "IN"),
        ("masks", "--show", "IN.tif"),
        ("calibrate", "pupil", "IN", "-o", "good.tif"),
        ("calibrate", "field", "IN", "IN.tif", "-o", "good.png"),
        ("train", "IN.toml", "-o", "good.safetensors"),
    ],
)
def test_inputs_that_cannot_be(dsacq: Run, given: tuple[str, ...], name: str) -> None:
    told = dsacq.fails(*(one.replace("IN", name) for one in given))
    assert "itself failed" not in told
