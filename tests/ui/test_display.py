"""Where no window can be opened the program says so in a sentence, before Qt ends it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ui.display import why_no_display

ROOT = Path(__file__).parents[2]
NOWHERE = ":98765"  # a screen that nobody serves
PATIENCE_S = 120

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere there is always a screen"
)


def surroundings(**set_to: str) -> dict[str, str]:
    """Those of this process without its screen, with these variables set."""
    kept = dict(os.environ)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "XDG_RUNTIME_DIR"):
        kept.pop(name, None)
    return kept | {"PYTHONPATH": str(ROOT)} | set_to


def started(*words: object, **set_to: str) -> tuple[int, str]:
    """Exit code and stderr of `dsacq`."""
    done = subprocess.run(
        [sys.executable, "-m", "ui.cli", *map(str, words)],
        env=surroundings(**set_to),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    return done.returncode, " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("set_to", "told"),
    [
        ({}, "neither DISPLAY nor WAYLAND_DISPLAY is set"),
        ({"DISPLAY": NOWHERE}, f"The screen {NOWHERE} cannot be reached"),
        ({"DISPLAY": NOWHERE, "QT_QPA_PLATFORM": "xcb"}, f"The screen {NOWHERE} cannot be reached"),
        ({"DISPLAY": NOWHERE, "QT_QPA_PLATFORM": "xbc"}, "QT_QPA_PLATFORM is 'xbc', which Qt does"),
        ({"WAYLAND_DISPLAY": "wayland-77"}, "The screen wayland-77 cannot be reached"),
    ],
)
def test_no_screen_is_told_in_a_sentence(set_to: dict[str, str], told: str) -> None:
    code, said = started(**set_to)
    assert code == 2
    assert said.startswith("Error: ")
    assert told in said
    assert "dsacq live" in said
    assert "libxcb" not in said
    assert "qt.qpa" not in said


@pytest.mark.parametrize("library", ["libxcb-cursor.so.0", "libEGL.so.1"])
def test_a_library_that_lacks_is_named(tmp_path: Path, library: str) -> None:
    (tmp_path / library).touch()  # in place of the true one
    code, said = started(DISPLAY=NOWHERE, LD_LIBRARY_PATH=str(tmp_path))
    assert code == 2
    assert f"Qt lacks the library {library}" in said
    assert "in Debian" in said


def test_the_rig_file_is_looked_at_first(tmp_path: Path) -> None:
    wrong = tmp_path / "rig.toml"
    wrong.write_text("[camera]\nkindness = 1\n")
    code, said = started("--rig", wrong)
    assert code == 1
    assert "rig.toml" in said
    assert "DISPLAY" not in said
    code, said = started("--rig", tmp_path / "none.toml")
    assert code == 1
    assert "none.toml" in said


@pytest.mark.parametrize("platform", ["offscreen", "minimal", "offscreen:size=800x600"])
def test_platforms_without_a_screen_are_taken_as_meant(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", platform)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert why_no_display() == ""


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_other_systems_always_have_a_screen(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    for name in ("DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert why_no_display() == ""


@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="no X server here")
def test_with_a_screen_there_is_nothing_to_tell() -> None:
    asked = "from ui.display import why_no_display; print(repr(why_no_display()))"
    words = ["xvfb-run", "-a", sys.executable, "-c", asked]
    done = subprocess.run(
        words, env=surroundings(), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.stdout.strip() == "''"
