"""Commands as processes whose output goes nowhere: the work is done, and what is wrong is told."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rig_samples import write_rig

from dsacq.files.recording_check import check

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="streams are given as descriptors")
ROOT = Path(__file__).parents[2]
PATIENCE_S = 120
FULL = Path("/dev/full")


@contextmanager
def nowhere(kind: str) -> Iterator[int]:
    """A descriptor that cannot be written to: of a full disk, or a pipe that nobody reads."""
    if kind == "full":
        if not FULL.exists():
            pytest.skip("there is no /dev/full")
        descriptor = os.open(FULL, os.O_WRONLY)
    else:
        reading, descriptor = os.pipe()
        os.close(reading)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def ended(*words: str, unbuffered: bool = False, **streams: int) -> tuple[int, str, str]:
    """Exit code, and what was written to standard output and error where that can be read."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    more = {"PYTHONUNBUFFERED": "1"} if unbuffered else {}
    call = [sys.executable, "-m", "ui.cli", *words]
    done = subprocess.run(
        call, cwd=ROOT, env=os.environ | more, text=True, timeout=PATIENCE_S, **given
    )
    return done.returncode, done.stdout or "", done.stderr or ""


@pytest.mark.parametrize("kind", ["full", "unread"])
@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("words", ["--help", "masks", "models --json", "rig check RIG"])
def test_results_that_cannot_be_written(
    tmp_path: Path, kind: str, unbuffered: bool, words: str
) -> None:
    rig = str(write_rig(tmp_path))
    with nowhere(kind) as stream:
        given = words.replace("RIG", rig).split()
        code, _, told = ended(*given, unbuffered=unbuffered, stdout=stream)
    why = "No space left on device" if kind == "full" else "Broken pipe"
    assert (code, told) == (1, f"Error: The output cannot be written ({why}).\n")


@pytest.mark.parametrize("kind", ["full", "unread"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_recording_is_told_of_all_the_same(tmp_path: Path, kind: str, as_json: bool) -> None:
    folder = tmp_path / "bead"
    words = ["live", "--rig", str(write_rig(tmp_path)), "--frames", "3", "-o", str(folder)]
    with nowhere(kind) as stream:
        code, _, told = ended(*words, *(["--json"] if as_json else []), stdout=stream)
    assert code == 1
    *_, end, error = told.splitlines()
    assert end == f"{folder}: complete; 3 of 3 frames received, 3 written, 0 lost."
    assert error.startswith("Error: The output cannot be written (")
    assert check(folder).sound


@pytest.mark.parametrize("kind", ["full", "unread"])
def test_words_that_cannot_be_written_end_nothing(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "bead"
    words = ("live", "--rig", str(write_rig(tmp_path)), "--frames", "3", "-o", str(folder))
    with nowhere(kind) as stream:
        code, told, _ = ended(*words, stderr=stream)
        assert (code, "complete" in told) == (0, True)
        assert ended("models", "--none", stderr=stream)[:2] == (2, "")
        assert ended(*words, stderr=stream)[:2] == (1, "")  # the folder is there
    assert check(folder).sound


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2), (0, 1, 2)])
def test_closed_streams_end_nothing(tmp_path: Path, closed: tuple[int, ...]) -> None:
    """Nor are their descriptors given to files of the recording, into which libraries print."""
    folder = tmp_path / "bead"
    words = ["live", "--rig", str(write_rig(tmp_path)), "--frames", "3", "-o", str(folder)]
    shut = " ".join(f"{one}>&-" for one in closed)
    call = ["sh", "-c", f'exec "$@" {shut}', "sh", sys.executable, "-m", "ui.cli", *words]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert check(folder).sound
    json.loads((folder / "recording.json").read_text(encoding="utf-8"))


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_exit_code_tells_the_signal(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    folder = tmp_path / "bead"
    words = ["live", "--rig", str(write_rig(tmp_path)), "--frames", "100000", "-o", str(folder)]
    with subprocess.Popen(
        [sys.executable, "-m", "ui.cli", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            lines = folder / "frames.jsonl"
            until_s = time.monotonic() + PATIENCE_S
            while time.monotonic() < until_s and not (lines.exists() and lines.stat().st_size):
                time.sleep(0.05)
            process.send_signal(number)
            _, told = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert told.splitlines()[-1] == "Stopped."
    assert check(folder).facts.state == "stopped"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("masks", "--show", "flat", "-o", ""), "-o: the name or value after it is empty"),
        (("live", "--frames", "2", "--output="), "--output: the name or value after it is empty"),
        (("convert", "", "a.csv"), "convert: the name or value after it is empty"),
        (("models", ""), "models: the name or value after it is empty"),
    ],
)
def test_empty_names(words: tuple[str, ...], said: str) -> None:
    code, out, told = ended(*words)
    assert (code, out) == (1, "")
    assert told.startswith(f"Error: {said}")
