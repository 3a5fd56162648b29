"""Phase masks: what one is, and the designs of the field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from dsacq.physics.optics import Optics
from dsacq.physics.tetrapod import tetrapod_coefficients
from dsacq.physics.zernike import mask_disc, zernike

Shape = tuple[int, int]
LIKE = 0.9  # likeness of masks that differ by 0.45 rad rms: more is another mask


@dataclass(frozen=True, eq=False)
class PhaseMask:
    """A phase map in the Fourier plane.

    phase_rad: (rows, columns) float32, a longer optical path is positive; rows along the pupil's
    v (image rows), columns along u (image columns). The optical axis goes through the centre of
    the array. `origin` says how it was made.
    """

    phase_rad: NDArray[np.float32]
    pixel_um: float  # pitch
    wavelength_um: float  # at which phase_rad holds
    name: str
    origin: dict[str, Any]


def flat(optics: Optics, *, shape: Shape | None = None) -> PhaseMask:
    """No phase: the microscope's own PSF."""
    radius, _ = _pupil(optics, shape)
    return _mask(optics, torch.zeros_like(radius), "flat")


def zernike_mask(
    optics: Optics,
    coefficients_rad: Mapping[tuple[int, int], float],
    *,
    shape: Shape | None = None,
    name: str = "zernike",
) -> PhaseMask:
    """Sum of Zernike polynomials, {(n, m): rad rms on the disc |(u, v)| < optics.na_sample}.

    This and the other designs are made for the mask pitch, pupil and wavelength of `optics`; by
    default they just cover the pupil. Outside that disc each goes on with the phase at its edge.
    """
    radius, azimuth = _pupil(optics, shape)
    phase = torch.zeros_like(radius)
    for (order, frequency), amount in coefficients_rad.items():
        phase = phase + amount * zernike(order, frequency, radius, azimuth)
    listed = {f"{n},{m}": float(amount) for (n, m), amount in coefficients_rad.items()}
    return _mask(optics, phase, name, coefficients_rad=listed)


def astigmatism(
    optics: Optics, amount_rad: float = 1.0, *, shape: Shape | None = None
) -> PhaseMask:
    """Z(2, 2): images stretched along one axis above focus, along the other below."""
    return zernike_mask(optics, {(2, 2): amount_rad}, shape=shape, name="astigmatism")


def double_helix(optics: Optics, rings: int = 5, *, shape: Shape | None = None) -> PhaseMask:
    """Two spots that turn about each other with depth: rings of equal area, of 1, 3, 5... turns.

    After Prasad, Opt. Lett. 38, 585 (2013), whose 1, 2, 3... turns give one spot.
    """
    if rings < 1:
        raise ValueError(f"rings={rings}: expected 1 or more")
    radius, azimuth = _pupil(optics, shape)
    ring = (rings * radius**2).floor().clamp_max(rings - 1)
    return _mask(optics, (2 * ring + 1) * azimuth, "double_helix", rings=rings)


def vortex(optics: Optics, charge: int = 1, *, shape: Shape | None = None) -> PhaseMask:
    """A phase of `charge` turns about the axis: a dark centre in focus."""
    _, azimuth = _pupil(optics, shape)
    return _mask(optics, charge * azimuth, "vortex", charge=charge)


def tetrapod(optics: Optics, *, shape: Shape | None = None) -> PhaseMask:
    """A Tetrapod for the optics' focus and depths, at once; `tetrapod_design` refines it."""
    return zernike_mask(optics, tetrapod_coefficients(optics), shape=shape, name="tetrapod")


DESIGNS: dict[str, tuple[Callable[[Optics], PhaseMask], str]] = {
    "flat": (flat, "no phase: the microscope's own PSF"),
    "astigmatism": (astigmatism, "Z(2,2), 1 rad rms: for depths of about 1 um"),
    "double_helix": (double_helix, "two spots that turn about each other with depth"),
    "tetrapod": (tetrapod, "most precise for single emitters over 2 to 8 um of depth"),
    "vortex": (vortex, "one turn of phase about the axis: a ring in focus"),
}


def resampled(mask: PhaseMask, pixel_um: float, shape: Shape) -> PhaseMask:
    """The mask at another pitch and shape about the same axis, bilinear in exp(i phase).

    The phase comes back within -pi to pi; beyond its edges the mask goes on as at them.
    """
    if pixel_um <= 0:
        raise ValueError(f"pixel_um={pixel_um}: expected more than 0")
    field = np.exp(1j * mask.phase_rad.astype(np.float64))
    axes = [
        (np.arange(new) - (new - 1) / 2) * (pixel_um / mask.pixel_um) + (old - 1) / 2
        for new, old in zip(shape, field.shape, strict=True)
    ]
    places = np.meshgrid(*axes, indexing="ij")
    phase = np.angle(ndimage.map_coordinates(field, places, order=1, mode="nearest"))
    return PhaseMask(
        phase.astype(np.float32), pixel_um, mask.wavelength_um, mask.name, dict(mask.origin)
    )


def likeness(first: PhaseMask, second: PhaseMask) -> float:
    """1 for masks that are the same but for a constant phase, about 0 for different ones."""
    second = resampled(second, first.pixel_um, (first.phase_rad.shape[0], first.phase_rad.shape[1]))
    difference = np.exp(1j * (first.phase_rad.astype(np.float64) - second.phase_rad))
    return float(abs(difference.mean()))


def fitted(mask: PhaseMask, made_for: Optics, optics: Optics) -> PhaseMask:
    """A mask for other optics: the same phase at each direction of the light in the sample.

    Its edge lies where light ceases to propagate in the sample, or at the objective's.
    """
    radius_um, wanted_um = (
        one.focal_4f_um * one.na_sample / one.relay_magnification for one in (made_for, optics)
    )
    stretched = replace(mask, pixel_um=mask.pixel_um * wanted_um / radius_um)
    samples = _samples(optics)
    made = resampled(stretched, optics.mask_pixel_um, (samples, samples))
    return replace(made, wavelength_um=optics.wavelength_um)


def _samples(optics: Optics) -> int:
    """Odd, two samples wider than the pupil on each side."""
    return (ceil(optics.pupil_diameter_um / optics.mask_pixel_um) + 4) | 1


def _pupil(optics: Optics, shape: Shape | None) -> tuple[Tensor, Tensor]:
    """Radius on the disc |(u, v)| < optics.na_sample, 1 outside it, and azimuth of each sample."""
    if shape is None:
        shape = (_samples(optics), _samples(optics))
    radius, azimuth = mask_disc(optics, shape, optics.mask_pixel_um)
    return radius.clamp_max(1), azimuth


def _mask(optics: Optics, phase: Tensor, name: str, **made_with: Any) -> PhaseMask:
    return PhaseMask(
        phase.numpy().astype(np.float32),
        optics.mask_pixel_um,
        optics.wavelength_um,
        name,
        {"design": name, "disc_na": optics.na_sample, **made_with},
    )
