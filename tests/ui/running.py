"""Runs `dsacq ...` in this process, as a user would."""

import json
import sys
from dataclasses import dataclass

import pytest

from ui.cli import main

# A config of `dsacq simulate`: four emitters behind a Tetrapod in each of three frames.
SIMULATE = """
[optics]
wavelength_um = 0.58
na = 1.45
index_immersion = 1.518
index_sample = 1.33
magnification = 100
focal_4f_um = 150000
camera_pixel_um = 11
mask_pixel_um = 24
focus_um = 4.5
z_range_um = [2.0, 6.0]
[mask]
design = "tetrapod"
[frames]
count = 3
shape_px = [60, 70]
seed = 4
[emitters]
count = 4
border_px = 15
[photons]
kind = "uniform"
low = 20000
high = 30000
[background]
kind = "constant"
photons = 20
[camera]
kind = "ideal"
"""
SHALLOW_OPTICS = """
[optics]
wavelength_um = 0.67
na = 1.2
index_immersion = 1.33
index_sample = 1.33
magnification = 60
focal_4f_um = 100000
camera_pixel_um = 8
mask_pixel_um = 100
focus_um = 0.5
z_range_um = [0.0, 1.0]
"""


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        values: dict[str, object] = json.loads(self.out)
        return values


class Run:
    """Runs `dsacq ...` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> Result:
        self._monkeypatch.setattr(sys, "argv", ["dsacq", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = self._capsys.readouterr()
        return Result(code, captured.out, captured.err)

    def fails(self, *arguments: object) -> str:
        """The one sentence that it fails with."""
        result = self(*arguments)
        assert result.code == 1
        assert result.out == ""
        assert "Traceback" not in result.err
        assert result.err.strip().startswith("Error:")
        return " ".join(result.err.split())
