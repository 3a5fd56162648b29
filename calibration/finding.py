"""Beads in a z scan: where they are, and which of them can be used."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from calibration.bead_scan import BeadScan
from calibration.beads import LEAST_PHOTONS, SATURATED_PX, above_background, light_doubt
from calibration.hot_pixels import hot_pixels, without
from calibration.z_scan import ZScan
from dsacq.errors import SettingsError

Floats = NDArray[np.float64]

_SPOT_PX, _AROUND_PX = 1.2, 4.0  # finest details of images, and what is compared with
_BORDER_PX = 4
_SIGNAL_TO_NOISE = 7.0  # of such details
_LEFT = 1 / (4 * math.pi) * (1 / _SPOT_PX**2 + 1 / _AROUND_PX**2 - 4 / (_SPOT_PX**2 + _AROUND_PX**2))
_TOGETHER = 1 / 6  # of a bead's square: merges what a phase mask spreads
_LEAST = 1e-3  # of the brightest, that is looked at
_NEIGHBOUR = 0.1  # of a bead's brightness, from which another one disturbs it


@dataclass(frozen=True)
class Bead:
    """Place in the frame, px; photons in a plane, the median; why it is not to be used, or "";
    what speaks against it where there are others, or ""."""

    row: float
    column: float
    photons: float
    problem: str = ""
    doubt: str = ""


def find_beads(scan: ZScan, side_px: int) -> list[Bead]:
    """All beads, the usable ones first, then by brightness.

    side_px: of the square that holds a bead's image at all positions of the focus.
    """
    planes = without(scan.planes, hot_pixels(scan.planes))
    together = gaussian_filter(_details(planes, scan.counts_per_photon), _TOGETHER * side_px)
    near = maximum_filter(together, max(3, side_px // 4) | 1)
    peaks = np.argwhere((together == near) & (together > _LEAST * together.max()))
    heights = together[*peaks.T]
    beads = [
        _examined(scan, planes, _disturbing(peaks, heights, number, side_px), place, side_px)
        for number, place in enumerate(peaks)
    ]
    return sorted(beads, key=lambda bead: (bool(bead.problem), bool(bead.doubt), -bead.photons))


def _details(planes: Floats, counts_per_photon: float) -> Floats:
    """(H, W) of what stands out sharply from its surroundings, over all planes; 0 elsewhere.

    Beads have fine details at some focus at least, behind every mask; backgrounds have none.
    """
    total = np.zeros(planes.shape[1:])
    for plane in planes:
        around = gaussian_filter(plane, _AROUND_PX)
        detail = gaussian_filter(plane, _SPOT_PX) - around
        usual = (1.4826 * np.median(abs(detail - np.median(detail)))) ** 2
        # The camera's noise and that of the usual light is everywhere; more light, more noise.
        more = counts_per_photon * (around - np.median(around)).clip(min=0)
        total += np.where(detail > _SIGNAL_TO_NOISE * np.sqrt(usual + _LEFT * more), detail, 0.0)
    inside = np.zeros_like(total)  # at its border, a slope looks like a detail
    inside[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = 1
    return total * inside


def bead_scan(scan: ZScan, bead: Bead, side_px: int, radius_um: float) -> BeadScan:
    """One bead, for `retrieve`. Raises SettingsError where its square leaves the frame."""
    window = bead_window(bead.row, bead.column, side_px, scan.planes.shape[1:])
    if window is None:
        raise SettingsError("The bead is too near to the edge of the frame.")
    return BeadScan(
        planes=without(scan.planes, hot_pixels(scan.planes))[:, *window],
        focus_um=scan.focus_um,
        counts_per_photon=scan.counts_per_photon,
        radius_um=radius_um,
        drift_px=scan.drift_px or (0.0, 0.0),
    )


def best_beads(scan: ZScan, side_px: int, radius_um: float, most: int = 1) -> BeadScan:
    """The brightest of the usable beads, at most so many, as one scan. Raises SettingsError as
    `usable_beads`."""
    beads = usable_beads(scan, side_px)[:most]
    singles = [bead_scan(scan, bead, side_px, radius_um) for bead in beads]
    return singles[0] if len(singles) == 1 else BeadScan.joined(singles)


def usable_beads(scan: ZScan, side_px: int) -> list[Bead]:
    """By brightness. Raises SettingsError, saying why, when there is none."""
    beads = find_beads(scan, side_px)
    if not beads:
        raise SettingsError("No bead stands out in the z scan; check light, focus and mask.")
    if beads[0].problem:
        problems = "; ".join(sorted({bead.problem for bead in beads}))
        raise SettingsError(f"None of the {len(beads)} beads can be used: {problems}.")
    return [bead for bead in beads if not bead.problem]


def _disturbing(
    peaks: NDArray[np.intp], heights: Floats, number: int, side_px: int
) -> float | None:
    """How far the nearest other bead is that shines into a bead's image."""
    away = np.hypot(*(peaks - peaks[number]).T)
    others = (heights > _NEIGHBOUR * heights[number]) & (away > 0) & (away < side_px)
    return float(away[others].min()) if others.any() else None


def _examined(
    scan: ZScan, planes: Floats, other_px: float | None, place: NDArray[np.intp], side_px: int
) -> Bead:
    row, column = (float(one) for one in place)
    window = bead_window(row, column, side_px, planes.shape[1:])
    if window is None:
        return Bead(row, column, 0.0, "too near to the edge")
    light = above_background(planes[:, *window]) / scan.counts_per_photon
    photons = float(np.median(light))
    top = (scan.planes[:, *window] >= scan.saturated * (1 - 1e-6)).sum((1, 2)).max()
    problem = ""
    if other_px is not None:
        problem = f"another one {other_px:.0f} px away"
    elif top >= SATURATED_PX:
        problem = "saturated: take less light"
    elif photons < LEAST_PHOTONS:
        problem = "too dim"
    return Bead(row, column, photons, problem, light_doubt(light))


def bead_window(
    row: float, column: float, side_px: int, shape: tuple[int, ...]
) -> tuple[slice, slice] | None:
    """(rows, columns) of the odd square around a place, if it lies in the frame."""
    half = side_px // 2
    first = round(row) - half, round(column) - half
    last = first[0] + 2 * half + 1, first[1] + 2 * half + 1
    if min(first) < 0 or last[0] > shape[0] or last[1] > shape[1]:
        return None
    return slice(first[0], last[0]), slice(first[1], last[1])
