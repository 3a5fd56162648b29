"""How the process of a command ends: with its exit code, its threads and its last words."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import sys, threading, time, typer
from ui import cli
def late():
    time.sleep(0.3)
    print("the last frame is written")
@cli.app.command("last-words")
def last_words(code: str, qt: bool = False):
    if qt:
        import PyQt6.QtCore
    threading.Thread(target=late).start()
    print("nearly done")
    if code == "none":
        return
    if code == "wrong":
        raise cli.UserError("nothing is right.")
    if code == "broken":
        raise LookupError("lost")
    raise SystemExit(int(code))
sys.argv = ["dsacq", "last-words", *sys.argv[1:]]
cli.program()
"""


@pytest.mark.parametrize("qt", ["--qt", "--no-qt"])
@pytest.mark.parametrize(
    ("code", "expected"), [("none", 0), ("0", 0), ("3", 3), ("wrong", 1), ("broken", 1)]
)
def test_its_code_its_threads_and_its_last_words(
    code: str, expected: int, qt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where Qt is not taken apart, as PyQt does it when Python ends."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", CODE, code, qt],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == expected
    assert done.stdout.splitlines() == ["nearly done", "the last frame is written"]
    assert ("nothing is right" in done.stderr) == (code == "wrong")
    assert ("lost" in done.stderr) == (code == "broken")
