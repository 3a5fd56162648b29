"""Beads in a z scan: where they are, and which of them can be used."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from calibration.bead_scan import LEAST_PLANES, BeadScan
from calibration.beads import bead_light, problem_of, scan_doubts
from calibration.hot_pixels import hot_pixels, without
from calibration.twin import AROUND_PX, SPOT_PX, details
from calibration.z_scan import ZScan
from dsacq.errors import SettingsError

Floats = NDArray[np.float64]

_BORDER_PX = 4
_SIGNAL_TO_NOISE = 7.0  # of details
# Of a pixel's variance, what is left in details: a difference of two Gaussian blurs.
_LEFT = (1 / SPOT_PX**2 + 1 / AROUND_PX**2 - 4 / (SPOT_PX**2 + AROUND_PX**2)) / (4 * math.pi)
_TOGETHER = 1 / 6  # of a bead's square: merges what a phase mask spreads
_LEAST = 1e-3  # of the brightest, that is looked at
_TOLD = 3  # of different problems
_NEIGHBOUR = 0.1  # of a bead's brightness, from which another one disturbs it


@dataclass(frozen=True)
class Bead:
    """Place in the frame, px; photons in a plane, the median; why it cannot be used, or ""; what
    speaks against one that can, or ""."""

    row: float
    column: float
    photons: float
    problem: str = ""
    doubt: str = ""


@dataclass(frozen=True, eq=False)
class _Peaks:
    """places (N, 2), row and column, of what stands out, and its heights (N,)."""

    places: NDArray[np.intp]
    heights: Floats

    def disturbing_px(self, number: int, side_px: int) -> float | None:
        """How far the nearest other one is that shines into a bead's image."""
        away = np.hypot(*(self.places - self.places[number]).T)
        bright = self.heights > _NEIGHBOUR * self.heights[number]
        others = bright & (away > 0) & (away < side_px)
        return float(away[others].min()) if others.any() else None


def find_beads(scan: ZScan, side_px: int) -> list[Bead]:
    """All beads, the usable ones first, then by brightness.

    side_px: of the square that holds a bead's image at all positions of the focus.
    """
    planes = without(scan.planes, hot_pixels(scan.planes))
    together = gaussian_filter(_details(planes, scan.counts_per_photon), _TOGETHER * side_px)
    highest = maximum_filter(together, max(3, side_px // 4) | 1)
    places = np.argwhere((together == highest) & (together > _LEAST * together.max()))
    peaks = _Peaks(places, together[*places.T])
    beads = [_examined(scan, planes, peaks, number, side_px) for number in range(len(places))]
    return sorted(beads, key=lambda bead: (bool(bead.problem), bool(bead.doubt), -bead.photons))


def _details(planes: Floats, counts_per_photon: float) -> Floats:
    """(H, W) of what stands out sharply from its surroundings, over all planes; 0 elsewhere.

    Beads have fine details at some focus at least, behind every mask; backgrounds have none.
    """
    total = np.zeros(planes.shape[1:])
    for plane in planes:
        detail, light = details(plane), gaussian_filter(plane, AROUND_PX)
        usual = (1.4826 * np.median(abs(detail - np.median(detail)))) ** 2
        more = counts_per_photon * (light - np.median(light)).clip(min=0)  # light, more noise
        total += np.where(detail > _SIGNAL_TO_NOISE * np.sqrt(usual + _LEFT * more), detail, 0.0)
    inside = np.zeros_like(total)  # at its border, a slope looks like a detail
    inside[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = 1
    return total * inside


def bead_scan(scan: ZScan, bead: Bead, side_px: int, radius_um: float) -> BeadScan:
    """One bead, for `retrieve`. Raises SettingsError where its square leaves the frame, and for too
    few planes."""
    window = bead_window(bead.row, bead.column, side_px, scan.planes.shape[1:])
    if window is None:
        raise SettingsError("The bead is too near to the edge of the frame.")
    return _cut(scan, without(scan.planes, hot_pixels(scan.planes)), window, radius_um)


def best_beads(scan: ZScan, side_px: int, radius_um: float, most: int = 1) -> BeadScan:
    """The best of the usable beads, at most so many, as one scan. Raises SettingsError as
    `usable_beads`."""
    beads = usable_beads(scan, side_px)[:most]
    singles = [bead_scan(scan, bead, side_px, radius_um) for bead in beads]
    return singles[0] if len(singles) == 1 else BeadScan.joined(singles)


def usable_beads(scan: ZScan, side_px: int) -> list[Bead]:
    """By brightness; those with doubts only where there are no others. Raises SettingsError, saying
    why, when there is none."""
    beads = find_beads(scan, side_px)
    if not beads:
        raise SettingsError("No bead stands out in the z scan; check light, focus and mask.")
    usable = [bead for bead in beads if not bead.problem]
    if not usable:
        problems = "; ".join(list(dict.fromkeys(bead.problem for bead in beads))[:_TOLD])
        raise SettingsError(f"None of the {len(beads)} beads can be used: {problems}.")
    return [bead for bead in usable if not bead.doubt] or usable


def _examined(scan: ZScan, planes: Floats, peaks: _Peaks, number: int, side_px: int) -> Bead:
    row, column = (float(one) for one in peaks.places[number])
    window = bead_window(row, column, side_px, planes.shape[1:])
    if window is None:
        return Bead(row, column, 0.0, "too near to the edge")
    if len(planes) < LEAST_PLANES:
        return Bead(row, column, 0.0, f"too few planes, {LEAST_PLANES} are needed")
    one = _cut(scan, planes, window)
    photons = float(np.median(bead_light(one)[0]))
    other_px = peaks.disturbing_px(number, side_px)
    if other_px is not None:
        return Bead(row, column, photons, f"another one {other_px:.0f} px away")
    problem = problem_of(one)
    return Bead(row, column, photons, problem, "" if problem else " ".join(scan_doubts(one)))


def _cut(
    scan: ZScan, planes: Floats, window: tuple[slice, slice], radius_um: float = 0.0
) -> BeadScan:
    return BeadScan(
        planes=planes[:, *window],
        focus_um=scan.focus_um,
        counts_per_photon=scan.counts_per_photon,
        radius_um=radius_um,
        drift_px=scan.drift_px or (0.0, 0.0),
        saturated=scan.saturated,
    )


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
