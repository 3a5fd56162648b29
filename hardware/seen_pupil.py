"""What the simulated bench's SLM and aberrations do to the light, sampled for quick rendering."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsacq.files.grey_levels import Table
from dsacq.physics.masks import zernike_mask
from dsacq.physics.optics import Optics
from hardware.slm_pattern import Panel, PupilAlignment, seen_phase

# The pupil is sampled as coarsely as whole SLM pixels allow for an image of this period.
_PERIOD_PX = 300
# Patterns that rise by more than this between SLM pixels, in more than this part of the pupil, need
# every pixel; then light farther than this from its emitter is left out, as it takes long to draw.
_STEEP_RAD, _STEEP_PART, _REACH_PX = 1.0, 1e-3, 64.0


@dataclass(frozen=True, eq=False)
class SeenPupil:
    """phase_rad: (n, n), sampled at pixel_um on the SLM. reach_px: as for `FrameRenderer`."""

    phase_rad: Tensor
    pixel_um: float
    reach_px: float | None


def seen_pupil(
    grey: NDArray[np.uint8],
    optics: Optics,
    panel: Panel,
    alignment: PupilAlignment,
    table: Table,
    aberration_rad: Mapping[tuple[int, int], float],
) -> SeenPupil:
    """The phase of a pattern, as alignment and grey levels truly are, and of the aberrations.

    aberration_rad: Zernike coefficients, {(n, m): rad rms}.
    """
    pitch_um, reach_px = _coarse_pitch_um(optics, panel.pixel_um), None
    phase = seen_phase(grey, optics, panel, alignment, table, pixel_um=panel.pixel_um)
    if _steep(phase, optics.pupil_diameter_um / panel.pixel_um):
        pitch_um, reach_px = panel.pixel_um, _REACH_PX
    else:
        phase = seen_phase(grey, optics, panel, alignment, table, pixel_um=pitch_um)
    side = (phase.shape[0], phase.shape[1])
    wrong = zernike_mask(replace(optics, mask_pixel_um=pitch_um), aberration_rad, shape=side)
    return SeenPupil(torch.from_numpy(phase + wrong.phase_rad), pitch_um, reach_px)


def _coarse_pitch_um(optics: Optics, slm_pixel_um: float) -> float:
    """Some SLM pixels, few enough that images do not repeat within _PERIOD_PX camera pixels."""
    light_um = optics.wavelength_um * optics.focal_4f_um
    period_px = light_um / (slm_pixel_um * optics.relay_magnification * optics.pixel_um)
    return slm_pixel_um * max(1, int(period_px / _PERIOD_PX))


def _steep(phase: NDArray[np.float32], pupil_px: float) -> bool:
    """Whether a pattern, given by SLM pixels, is too steep to be sampled more coarsely."""
    places = (np.arange(size) - (size - 1) / 2 for size in phase.shape)
    row, column = np.meshgrid(*places, indexing="ij")
    inside = np.hypot(row, column) < pupil_px / 2
    across, down = (
        np.pi - np.abs(np.pi - np.abs(np.diff(phase, axis=axis))) for axis in (1, 0)
    )  # wrapped, as phases are from -pi to pi
    steep = (across[1:] > _STEEP_RAD) | (down[:, 1:] > _STEEP_RAD)
    return bool(steep[inside[1:, 1:]].mean() > _STEEP_PART)
