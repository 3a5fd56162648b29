"""Every command that writes refuses what cannot be written before it does anything else."""

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


@pytest.mark.parametrize("command", FILES)
def test_places_that_cannot_be(dsacq: Run, tmp_path: Path, command: str) -> None:
    told = dsacq.fails(*words(command, FILES[command], "missing/good"))
    assert "the folder missing does not exist; make it first" in " ".join(told.split())
    output = next(one for one in words(command, FILES[command], "taken") if "taken" in one)
    (tmp_path / output).mkdir()
    told = dsacq.fails(*words(command, FILES[command], "taken"))
    assert "cannot be written, as it is a folder" in told
    assert [one.name for one in tmp_path.rglob("*")] == [output]


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
