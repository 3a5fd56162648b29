"""A simulated bench small enough to be quick: one bead in the middle third of each field."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import STANDARD_OPTICS, Optics
from dsacq.simulation.background import Constant
from dsacq.simulation.brightness import Fixed
from hardware.bench import Bench, BenchSettings
from hardware.simulated_camera import SimulatedCamera, SimulatedCameraSettings
from hardware.slm_pattern import GreyLevels, Panel, PupilAlignment, slm_pattern
from hardware.specimens import BeadSettings

SIDE = 48
PANEL = Panel((600, 640), 8.0)
PHOTONS = 40_000.0


def bead_bench(optics: Optics = STANDARD_OPTICS, **changed: Any) -> Bench:
    """In focus on the coverslip unless the optics say otherwise."""
    settings: dict[str, Any] = {
        "specimen": BeadSettings(
            spacing_um=SIDE * optics.pixel_um,
            photons=Fixed(photons=PHOTONS),
            background=Constant(photons=10.0, steady=True),
        ),
        "shape_px": (SIDE, SIDE),
        "slm_shape": PANEL.shape,
    }
    bench = Bench(BenchSettings(**settings | changed), optics)
    bench.change(focus_um=0.0)
    return bench


def camera_of(bench: Bench, **settings: Any) -> SimulatedCamera:
    quick = {"exposure_s": 0.002, "readout_s": 0.001}
    return SimulatedCamera("camera", SimulatedCameraSettings(**quick | settings), bench)


def pattern_of(
    mask: PhaseMask,
    alignment: PupilAlignment | None = None,
    levels: GreyLevels | None = None,
    optics: Optics = STANDARD_OPTICS,
) -> NDArray[np.uint8]:
    """The pattern for a bench that is aligned, or not, in this way."""
    table = (levels or GreyLevels()).table(optics.wavelength_um)
    return slm_pattern(mask, optics, PANEL, alignment or PupilAlignment(), table)
