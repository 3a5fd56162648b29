"""Grey levels that make 2 pi, measured on the simulated bench, whose levels are known."""

from pathlib import Path

import numpy as np
import pytest
from rig_samples import SMALL, write_rig

from dsacq.errors import SettingsError
from hardware.protocols import DeviceError
from hardware.rig import open_rig
from hardware.rig_file import read_rig
from hardware.rig_file_edit import write_levels
from hardware.two_pi import LevelSeen, fitted_levels, measure_levels

BEADS = SMALL.replace(
    "spacing_um = 3.0", 'spacing_um = 12.0\nphotons = { kind = "fixed", photons = 2e5 }'
)
BEADS = BEADS.replace("focus_um = 4.5", "focus_um = 0.0").replace(
    "z_range_um = [2.0, 6.0]", "z_range_um = [0.0, 1.0]"
)


def light(levels: float, level: np.ndarray) -> np.ndarray:
    return 100 + 900 * np.cos(np.pi * level / levels) ** 2


@pytest.mark.parametrize("levels", [120.0, 256.0, 400.0])
def test_the_period_is_found(levels: float) -> None:
    grey = np.arange(0, 256, 8)
    noisy = light(levels, grey) + np.random.default_rng(1).normal(0, 10, len(grey))
    found = fitted_levels([LevelSeen(int(g), float(v)) for g, v in zip(grey, noisy, strict=True)])
    assert found.levels_per_2pi == pytest.approx(levels, rel=0.02)
    assert found.linear


def test_a_bent_phase_is_told() -> None:
    grey = np.arange(0, 256, 8)
    bent = light(1.0, (grey / 255) ** 2.5 * 1.4)
    found = fitted_levels([LevelSeen(int(g), float(v)) for g, v in zip(grey, bent, strict=True)])
    assert not found.linear


def test_light_that_does_not_change_is_told() -> None:
    with pytest.raises(SettingsError, match="hardly changes"):
        fitted_levels([LevelSeen(g, 1000.0 + g % 3) for g in range(0, 256, 8)])


def test_on_the_bench(tmp_path: Path) -> None:
    path = write_rig(tmp_path, BEADS + "[bench.true_levels]\nlevels_per_2pi = 190\n")
    with open_rig(read_rig(path)) as rig:
        assert rig.slm is not None
        rig.light({"561": 50.0})
        found = fitted_levels(list(measure_levels(rig.slm, rig.camera, frames=2, step=16)))
    assert found.levels_per_2pi == pytest.approx(190, rel=0.03)
    assert found.linear
    write_levels(path, 190.5)
    assert read_rig(path).pattern.levels.levels_per_2pi == 190.5


def test_without_light_it_is_told(tmp_path: Path) -> None:
    with open_rig(read_rig(write_rig(tmp_path, BEADS))) as rig:
        assert rig.slm is not None
        with pytest.raises(DeviceError, match="no bright bead"):
            next(measure_levels(rig.slm, rig.camera, frames=1))
