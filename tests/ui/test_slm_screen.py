"""Patterns reach the pixels of a screen unchanged, under each display scaling; offscreen."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PyQt6.QtCore import QRect

from ui.screen_pixels import covering_points, points_of, possible_pixels, screen_pixels

ROOT = Path(__file__).parents[2]
SCREENS = {  # x, y, width, height
    "MAIN": [(0, 0, 1280, 1024)],
    "PLUTO": [(1280, 0, 1920, 1080)],
    "TWINS": [(14000, 0, 1920, 1080), (16000, 0, 1920, 1080)],
    "MIRROR": [(0, 0, 800, 600)],
    "ODD": [(18000, 0, 403, 301)],
}


SCALES = [
    1.0,
    1.1,
    106 / 96,
    1.15,
    1.2,
    1.25,
    4 / 3,
    1.4,
    1.5,
    1.6,
    1.75,
    2,
    2.25,
    2.5,
    2.75,
    3,
    3.5,
]
SIZES = [  # columns, rows: those of SLMs and of screens
    (1280, 1024), (1920, 1080), (1920, 1152), (1920, 1200), (4160, 2464), (3840, 2160),
    (1272, 1024), (792, 600), (800, 600), (1024, 768), (1366, 768), (403, 301),
]  # fmt: skip


@pytest.mark.parametrize(
    ("scale", "size"),
    [(1.0, (1920, 1080)), (1.25, (1920, 1080)), (1.5, (1920, 1080)), (2.0, (403, 301))]
    + [(1.75, (1280, 1024)), (2.25, (1920, 1080)), (2.5, (4160, 2464)), (3.0, (4160, 2464))]
    + [(106 / 96, (4160, 2464))],
)
def test_on_a_made_up_screen(scale: float, size: tuple[int, int], tmp_path: Path) -> None:
    places_of = SCREENS | {"PLUTO": [(1280, 0, *size)]}
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
        for name, places in places_of.items()
        for x, y, width, height in places
    ]
    (tmp_path / "screens.json").write_text(json.dumps({"screens": screens}), encoding="utf-8")
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen:configfile=screens.json",  # a path with ":" would not do
        "QT_SCREEN_SCALE_FACTORS": f"PLUTO={scale}",
        "PLUTO_SHAPE": f"{size[1]}x{size[0]}",
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


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_never_reckoned_back(scale: float, size: tuple[int, int]) -> None:
    for pixels in size:
        points = points_of(pixels, scale)
        possible = possible_pixels(points, scale)
        assert pixels in possible
        assert {points_of(one, scale) for one in possible} == {points}
        assert points not in (points_of(possible[0] - 1, scale), points_of(possible[-1] + 1, scale))
        covered = covering_points(points, pixels, scale)
        assert math.floor(covered * scale + 0.5) >= pixels  # as Qt makes a window's pixels
        assert covered - points <= 1


def test_without_scaling_there_is_no_doubt() -> None:
    for pixels in (1, 301, 1080, 4160):
        assert list(possible_pixels(pixels, 1.0)) == [pixels]
        assert covering_points(pixels, pixels, 1.0) == pixels


class FakeScreen:
    """A screen of 1280 x 1024 pixels at 175 %, right of another."""

    def geometry(self) -> QRect:
        return QRect(1920, 0, 731, 585)

    def devicePixelRatio(self) -> float:  # noqa: N802
        return 1.75


@pytest.mark.parametrize(
    ("monitors", "rows", "columns"),
    [
        ([], [1023, 1024], [1279, 1280]),
        ([(0, 0, 1920, 1080), (1920, 0, 3200, 1024)], [1024], [1280]),
        ([(0, 0, 1920, 1080), (1920, 0, 3199, 1023)], [1023], [1279]),
        ([(1920, 0, 3200, 1024)] * 2, [1023, 1024], [1279, 1280]),  # mirrored
        ([(1920, 0, 3840, 1080)], [1023, 1024], [1279, 1280]),  # another than Qt's
        ([(3360, 0, 4640, 1024)], [1023, 1024], [1279, 1280]),  # elsewhere
    ],
)
def test_what_the_system_tells_decides(
    monitors: list, rows: list[int], columns: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.screen_pixels.monitors", lambda: monitors)
    found = screen_pixels(FakeScreen())  # type: ignore[arg-type]
    assert [list(side) for side in found] == [rows, columns]


def test_without_the_app() -> None:
    code = (
        "from hardware.slm_screen import ScreenSLMSettings\n"
        "from ui.slm_screen import ScreenSLM\n"
        "ScreenSLM('slm', ScreenSLMSettings(kind='screen', screen='PLUTO'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "slm: shows a window, so it works in the app only." in done.stderr
