"""What the encoding of a console or pipe lacks ends no command, and is still told.

With Python's own switch for the encoding of the streams, in processes of their own.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ui.cli import _recorded
from ui.commands.models import shipped_models

ENCODINGS = ("cp1252", "cp437", "cp850", "cp932", "ascii")
GREEK = "Ωμέγα-µ±"


def run(folder: Path, encoding: str, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command whose streams go into pipes."""
    done = subprocess.run(
        [sys.executable, "-m", "ui.cli", *words],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONIOENCODING": encoding,
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_DATA_HOME": str(folder / "data"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
    )
    told = [stream.decode(encoding) for stream in (done.stdout, done.stderr)]
    assert "itself failed" not in told[1], told[1]
    assert "Traceback" not in told[1], told[1]
    return done.returncode, told[0], told[1]


def as_told(text: str, encoding: str) -> str:
    """Letters where the encoding has them, their numbers where it does not."""
    return text.encode(encoding, "backslashreplace").decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS[:-1])  # typer takes ASCII for a mistake
def test_what_is_asked_for_is_told(tmp_path: Path, encoding: str) -> None:
    model = tmp_path / f"{GREEK}.safetensors"
    shutil.copy(shipped_models() / "bench-nano.safetensors", model)
    code, out, _ = run(tmp_path, encoding, "models", model.name)
    assert code == 0
    assert as_told(model.name, encoding) in out
    code, out, _ = run(tmp_path, encoding, "models", model.name, "--json")
    assert code == 0
    assert json.loads(out)["models"][0]["file"] == model.name


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_went_wrong_is_told(tmp_path: Path, encoding: str) -> None:
    code, _, said = run(tmp_path, encoding, "convert", f"{GREEK}.csv", "out.csv")
    assert code == 1
    assert as_told(f"{GREEK}.csv: there is no such file", encoding) in said
    code, _, said = run(tmp_path, encoding, "render", "no.csv", "-o", "x.png", f"--{GREEK}")
    assert code == 2  # a mistake in the typing, which is told otherwise
    assert "No such option" in said


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_help(tmp_path: Path, encoding: str) -> None:
    for words in ((), ("localize",), ("calibrate",)):
        code, out, _ = run(tmp_path, encoding, *words, "--help")
        assert code == 0
        assert "Usage:" in out
    code, out, _ = run(tmp_path, encoding, "--version")
    assert (code, out.split()[0]) == (0, "dsacq")


@pytest.mark.parametrize("encoding", ["cp1252", "cp437"])
def test_work_is_not_lost(tmp_path: Path, encoding: str) -> None:
    code, out, _ = run(
        tmp_path, encoding, "live", "--rig", "simulated", "--frames", "2", "-o", GREEK
    )
    assert code == 0
    assert as_told(f"{GREEK}: complete", encoding) in out
    assert (tmp_path / GREEK / "localizations.parquet").is_file()


def test_a_defect_is_recorded_whatever_it_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.cli.user_log_path", lambda *_, **__: tmp_path)
    monkeypatch.setattr(sys, "argv", ["dsacq", "models", "\udce4"])
    recorded = _recorded(RuntimeError("a defect, in \ud83d"))
    told = recorded.read_text(encoding="utf-8")
    assert "\\udce4" in told
    assert "a defect, in \\ud83d" in told


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere names are always letters"
)
@pytest.mark.parametrize(
    "words",
    [
        ("convert", "IN.csv", "out.csv"),
        ("convert", "t.csv", "IN.parquet"),
        ("models", "IN.safetensors"),
        ("masks", "--show", "flat", "-o", "IN.png"),
        ("live", "--rig", "simulated", "-o", "IN"),
        ("live", "--rig", "simulated", "-o", "IN/run"),
        ("rig", "check", "IN.toml"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_names_with_bytes_that_are_no_letters(
    tmp_path: Path, words: tuple[str, ...], encoding: str
) -> None:
    name = os.fsdecode(b"Z\xe4hler\xff")
    (tmp_path / name).mkdir()
    (tmp_path / "t.csv").write_text("frame,x_um,y_um,z_um\n0,1,1,1\n", encoding="utf-8")
    shutil.copy(tmp_path / "t.csv", tmp_path / f"{name}.csv")
    before = sorted(tmp_path.rglob("*"))
    code, out, said = run(tmp_path, encoding, *(one.replace("IN", name) for one in words))
    assert (code, out) == (1, "")
    assert said.startswith("Error: Z\\udce4hler\\udcff")
    assert "has bytes that are no letters" in said
    assert sorted(tmp_path.rglob("*")) == before
