"""Heights of emitters that stand still, from the light in a z stack with the standard PSF.

Each emitter is brightest where the objective has it in focus. What the sample's refractive index
does to that focus is computed by the exact PSF. To be compared with heights from single images, as
Nehme et al., Nat. Methods 17, 734 (2020), do with telomeres.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, optimize

from calibration.bead_scan import BeadScan
from dsacq.analysis.metrics import match
from dsacq.data import Localizations
from dsacq.errors import SettingsError
from dsacq.physics.masks import flat
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel

Floats = NDArray[np.float64]

_RADIUS_PX = 3  # of the light that is summed: of an emitter in focus, little more
_AROUND_PX = 7
_SIGNAL_TO_NOISE = 8.0
_STEP_UM = 0.1  # of the focus, in the computed table
_LEAST_PLANES = 5


@dataclass(frozen=True)
class Agreement:
    """Heights from single images against those from the stack, of `pairs` emitters: z = slope
    z_stack + offset_um, and the spread around that line and of the plain differences."""

    pairs: int
    slope: float
    offset_um: float
    spread_um: float
    difference_um: float


def heights(scan: BeadScan, optics: Optics, model: PsfModel) -> Localizations:
    """Places and heights of the emitters of a stack of whole frames, all in frame 0.

    scan: planes (K, H, W) and focus_um of the objective. photons: at the brightest plane;
    sigma_z_um: of the fit; probability 1. Emitters whose brightest plane is at an end of the stack
    are left out. Raises SettingsError for too few planes.
    """
    if len(scan.planes) < _LEAST_PLANES:
        raise SettingsError(f"A z stack of {len(scan.planes)} planes is too short to find heights.")
    order = np.argsort(scan.focus_um)
    focus_um, planes = np.asarray(scan.focus_um, np.float64)[order], scan.planes[order]
    planes = planes.astype(np.float64) / scan.counts_per_photon
    sharp = ndimage.gaussian_filter(planes, (0, 1, 1)) - ndimage.gaussian_filter(planes, (0, 4, 4))
    highest = sharp.max(0)
    noise = 1.4826 * float(np.median(abs(highest - np.median(highest))))
    near = ndimage.maximum_filter(highest, 2 * _RADIUS_PX + 1)
    level = np.median(highest) + _SIGNAL_TO_NOISE * noise
    found = [
        one
        for row, column in np.argwhere((highest == near) & (highest > level))
        if (one := _measured(planes, focus_um, int(row), int(column))) is not None
    ]
    columns = np.array(found, float).reshape(-1, 5).T
    best_um, focused_um = best_focus(optics, model)
    keep = (columns[2] >= focused_um[0]) & (columns[2] <= focused_um[-1])
    x_px, y_px, peak_um, sigma_um, photons = columns[:, keep]
    slope = np.gradient(best_um, focused_um)
    z_um = np.interp(peak_um, focused_um, best_um)
    return Localizations.from_columns(
        {"made_by": "z stack"},
        frame=np.zeros(len(z_um), np.int64),
        x_um=(x_px + 0.5) * optics.pixel_um,
        y_um=(y_px + 0.5) * optics.pixel_um,
        z_um=z_um,
        photons=photons,
        sigma_z_um=sigma_um * np.interp(peak_um, focused_um, slope),
        probability=np.ones(len(z_um)),
    )


def best_focus(optics: Optics, model: PsfModel) -> tuple[Floats, Floats]:
    """Heights, and the focus of the objective that makes an emitter there brightest, rising."""
    low, high = optics.z_range_um
    z_um = np.linspace(low, high, 2 * max(2, round((high - low) / 0.5)) + 1)
    # Nominal focus is farther than the height by the ratio of the indices, about.
    ratio = optics.index_immersion / optics.index_sample
    first, last = low - 2.0, high * ratio + 2.0
    focus_um = np.arange(first, last, _STEP_UM)
    side = 2 * _RADIUS_PX + 1
    mask = torch.from_numpy(flat(optics).phase_rad)
    inside = torch.from_numpy(_disc(side))
    peaks = []
    for height in z_um:
        xyz_um = torch.tensor([[0.0, 0.0, height]], dtype=torch.float32).expand(len(focus_um), 3)
        images = psf(
            mask, xyz_um, optics, (side, side), model, focus_um=torch.tensor(focus_um).float()
        )
        light = (images * inside).sum((1, 2)).double().numpy()
        peaks.append(_peak(focus_um, light)[0])  # as those of the emitters are found
    rising = np.maximum.accumulate(np.array(peaks))
    return z_um, rising + 1e-9 * np.arange(len(rising))


def agreement(stack: Localizations, single: Localizations, gate_um: float = 0.3) -> Agreement:
    """Compare heights; emitters of each frame are paired with those of the stack by x and y.

    Raises SettingsError for fewer than 3 pairs.
    """
    one, lateral = stack.positions_um(), np.array([1, 1, 0])
    pairs: list[Floats] = []
    for _, rows in single.table.groupby("frame"):
        other = rows[["x_um", "y_um", "z_um"]].to_numpy(np.float64)
        first, second = match(one * lateral, other * lateral, gate_um)
        pairs.append(np.stack((one[first, 2], other[second, 2])))
    truth, told = np.concatenate(pairs, 1) if pairs else np.empty((2, 0))
    if len(truth) < 3:
        raise SettingsError(f"Only {len(truth)} emitters are in both tables; 3 or more are needed.")
    slope, offset = np.polyfit(truth, told, 1)
    return Agreement(
        pairs=len(truth),
        slope=float(slope),
        offset_um=float(offset),
        spread_um=float(np.std(told - slope * truth - offset)),
        difference_um=float(np.sqrt(np.mean((told - truth) ** 2))),
    )


def _measured(
    planes: Floats, focus_um: Floats, row: int, column: int
) -> tuple[float, float, float, float, float] | None:
    """x, y (px, of pixel centres), best focus, its error, photons there; or None at an edge."""
    reach = _AROUND_PX
    rows, columns = planes.shape[1:]
    if not (reach <= row < rows - reach and reach <= column < columns - reach):
        return None
    part = planes[:, row - reach : row + reach + 1, column - reach : column + reach + 1]
    away = np.hypot(*(np.indices(part.shape[1:]) - reach))
    inside, around = away <= _RADIUS_PX, away > _AROUND_PX - 2
    light = (part - np.median(part[:, around], 1)[:, None, None])[:, inside].sum(1)
    best = int(light.argmax())
    if best in (0, len(light) - 1) or light[best] <= 0:
        return None
    try:
        peak_um, error_um = _peak(focus_um, light)
    except RuntimeError:
        return None
    if not (focus_um[0] < peak_um < focus_um[-1] and np.isfinite(error_um)):
        return None
    image = np.clip(part[best] - np.median(part[best][around]), 0, None) * inside
    y, x = ndimage.center_of_mass(image)
    return column + x - reach, row + y - reach, peak_um, error_um, float(light[best])


def _peak(focus_um: Floats, light: Floats) -> tuple[float, float]:
    """Middle of a Gaussian through the light, and its error. Raises RuntimeError."""
    best = int(np.argmax(light))
    near = abs(focus_um - focus_um[best]) < 1.0
    if near.sum() < 4:
        raise RuntimeError("too few planes near the brightest one")
    start = (float(light[best] - light.min()), float(focus_um[best]), 0.4, float(light.min()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optimize.OptimizeWarning)
        found, covariance = optimize.curve_fit(
            lambda f, height, middle, width, base: (
                base + height * np.exp(-((f - middle) ** 2) / (2 * width**2))
            ),
            focus_um[near],
            light[near],
            start,
        )
    return float(found[1]), float(np.sqrt(max(covariance[1, 1], 0.0)))


def _disc(side: int) -> NDArray[np.float32]:
    away = np.hypot(*(np.indices((side, side)) - (side - 1) / 2))
    return np.asarray(away <= side // 2, np.float32)
