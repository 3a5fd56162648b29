"""Patterns reach the pixels of a screen unchanged, under each display scaling; offscreen."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCREENS = {  # x, y, width, height
    "MAIN": [(0, 0, 1280, 1024)],
    "PLUTO": [(1280, 0, 1920, 1080)],
    "TWINS": [(4000, 0, 1920, 1080), (6000, 0, 1920, 1080)],
    "MIRROR": [(0, 0, 800, 600)],
    "ODD": [(8000, 0, 403, 301)],
}


@pytest.mark.parametrize("scale", [1.0, 1.25, 1.5, 1.75, 2.0])
def test_on_a_made_up_screen(scale: float, tmp_path: Path) -> None:
    screens = [
        {
            "name": name,
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "logicalDpi": 96,
            "logicalBaseDpi": 96,
            "dpr": 1,
        }
        for name, places in SCREENS.items()
        for x, y, width, height in places
    ]
    (tmp_path / "screens.json").write_text(json.dumps({"screens": screens}), encoding="utf-8")
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen:configfile=screens.json",  # a path with ":" would not do
        "QT_SCREEN_SCALE_FACTORS": f"PLUTO={scale}",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests" / "hardware"))),
    }
    checks = Path(__file__).with_name("slm_screen_checks.py")
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider"]
    command += ["-c", str(ROOT / "pyproject.toml"), str(checks)]
    if scale != 1.0:  # all of them once, those that scaling can break at each
        command += ["-k", "every_pixel or stays"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_the_app() -> None:
    code = (
        "from hardware.slm_screen import ScreenSLMSettings\n"
        "from ui.slm_screen import ScreenSLM\n"
        "ScreenSLM('slm', ScreenSLMSettings(kind='screen', screen='PLUTO'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "slm: shows a window, so it works in the app only." in done.stderr
