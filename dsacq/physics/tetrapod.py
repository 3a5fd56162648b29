"""The Tetrapod: the mask whose images tell most about an emitter's position over a depth range.

Shechtman et al., PRL 113, 133902 (2014): minimise the mean Cramer-Rao bound over depth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, pi, sqrt

import torch

from dsacq.physics.fisher import crlb
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel
from dsacq.physics.zernike import mask_disc, zernike, zernike_modes

# Even in both axes: the others gain nothing, and sines only turn the mask about the axis.
MODES = ((2, 0), (2, 2), (4, 0), (4, 2), (4, 4), (6, 0), (6, 2), (6, 4), (6, 6))

# Optimal phase in the pupil (mask plus defocus of the central depth), rad rms per rad by which the
# wavefronts of the two ends of the depth range differ between axis and rim. Straight lines through
# optima that `tetrapod_design` finds over 2 to 8 um: for a pupil filled up to the critical angle,
# and for one that is not (na_sample < 0.9 index_sample), where defocus has no steep rim.
_FILLED = {(2, 0): -0.0028, (2, 2): 0.0076, (4, 0): -0.0066, (4, 2): -0.0314, (6, 0): -0.0073}
_PARTIAL = {(2, 0): 0.0, (2, 2): 0.034, (4, 0): 0.0, (4, 2): -0.0354, (6, 0): 0.0}
_SIXFOLD = 0.0054  # (6, 6), for both


@dataclass(frozen=True)
class DesignStep:
    """One step of the optimiser: the mean bound over x, y, z and depth, and what reached it."""

    index: int
    cost_um: float
    coefficients_rad: dict[tuple[int, int], float]


def tetrapod_coefficients(optics: Optics) -> dict[tuple[int, int], float]:
    """Zernike coefficients, rad rms, near the best Tetrapod for the optics' focus and depths.

    Their cost is within 3 % of the optimum's for oil objectives and depths of 2 to 8 um, within
    10 % elsewhere.
    """
    filled = min(max(10 * optics.na_sample / optics.index_sample - 9, 0.0), 1.0)
    bend, defocus = _defocus_bend(optics), _central_defocus(optics)
    shape = {mode: filled * _FILLED[mode] + (1 - filled) * _PARTIAL[mode] for mode in _FILLED}
    near = {mode: bend * slope - defocus.get(mode, 0.0) for mode, slope in shape.items()}
    return near | {(6, 6): bend * _SIXFOLD}


def tetrapod_design(
    optics: Optics,
    *,
    photons: float = 1e4,
    background: float = 50.0,
    blur_px: float = 1.0,
    steps: int = 40,
) -> Iterator[DesignStep]:
    """Optimise a Tetrapod for the optics' focus and depths; yields each step.

    The cost is the mean over x, y, z and `z_range_um` of the bound for the given photons,
    background per pixel and blur. It may rise between steps: keep the best.
    """
    if steps < 1:
        raise ValueError(f"steps={steps}: expected 1 or more")
    shape, samples = crop_shape(optics), _pupil_samples(optics)
    depths = max(9, ceil(_defocus_bend(optics) / 3.6))
    pitch_um = 2 * optics.focal_4f_um * optics.na_sample / optics.relay_magnification / samples
    modes = zernike_modes(MODES, *mask_disc(optics, (samples, samples), pitch_um)).float()
    xyz_um = torch.zeros(depths, 3)
    xyz_um[:, 2] = torch.linspace(*optics.z_range_um, depths)

    start = tetrapod_coefficients(optics)
    coefficients = torch.tensor([start.get(mode, 0.0) for mode in MODES], requires_grad=True)
    optimizer = torch.optim.Adam([coefficients], lr=0.08)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0.005)
    for index in range(steps):
        phase = torch.tensordot(coefficients, modes, 1)
        bound = crlb(
            phase,
            xyz_um,
            optics,
            shape,
            PsfModel(blur_px=blur_px),
            photons=photons,
            background=background,
            mask_pixel_um=pitch_um,
        )
        cost = bound[:, :3].mean()
        reached = dict(zip(MODES, coefficients.tolist(), strict=True))
        (coefficients.grad,) = torch.autograd.grad(cost, coefficients)
        optimizer.step()
        schedule.step()
        yield DesignStep(index, cost.item(), reached)


def crop_shape(optics: Optics) -> tuple[int, int]:
    """Odd (H, W) that holds most light of an engineered PSF over the optics' depths."""
    low, high = optics.z_range_um
    width_um = 1.7 * (high - low) * optics.na_sample / optics.index_sample
    pixels = min(max(31, round(width_um / optics.pixel_um)), 151) | 1
    return pixels, pixels


def _pupil_samples(optics: Optics) -> int:
    """Samples across the pupil for which the image repeats only after twice the crop."""
    width_um = crop_shape(optics)[1] * optics.pixel_um
    return max(48, ceil(2 * width_um * 2 * optics.na_sample / optics.wavelength_um))


def _defocus_bend(optics: Optics) -> float:
    """Phase between axis and rim by which the ends of the depth range differ, rad."""
    low, high = optics.z_range_um
    rim = sqrt(optics.index_sample**2 - optics.na_sample**2)
    return 2 * pi / optics.wavelength_um * (high - low) * (optics.index_sample - rim)


def _central_defocus(optics: Optics) -> dict[tuple[int, int], float]:
    """Zernike coefficients of the unmasked pupil's phase for the middle of the depth range."""
    height_um = sum(optics.z_range_um) / 2
    # Midpoints of rings of equal area: means over them are means over the disc.
    radius = ((torch.arange(2000, dtype=torch.float64) + 0.5) / 2000).sqrt()
    square = (radius * optics.na_sample) ** 2
    path = height_um * (optics.index_sample**2 - square).sqrt()
    path = path - optics.focus_um * (optics.index_immersion**2 - square).sqrt()

    def coefficient(mode: tuple[int, int]) -> float:
        polynomial = zernike(*mode, radius, torch.zeros_like(radius))
        return 2 * pi / optics.wavelength_um * float((path * polynomial).mean())

    return {mode: coefficient(mode) for mode in ((2, 0), (4, 0), (6, 0))}
