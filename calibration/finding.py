"""Beads in a z scan: where they are, and which of them can be used."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from calibration.bead_scan import BeadScan
from calibration.beads import LEAST_PHOTONS, SATURATED_PX
from calibration.z_scan import ZScan
from dsacq.errors import SettingsError

_SMOOTH = 1 / 8  # of a bead's image: merges what a phase mask spreads
_SIGNAL_TO_NOISE = 8.0
_NEIGHBOUR = 0.1  # of a bead's brightness, from which another one disturbs it


@dataclass(frozen=True)
class Bead:
    """Place in the frame, px; photons in a plane, the median; why it is not to be used, or ""."""

    row: float
    column: float
    photons: float
    problem: str = ""


def find_beads(scan: ZScan, side_px: int) -> list[Bead]:
    """All beads, the usable ones first, then by brightness.

    side_px: of the square that holds a bead's image at all positions of the focus.
    """
    planes = scan.planes.astype(np.float64)
    flat = planes - np.median(planes, (1, 2), keepdims=True)
    smooth = gaussian_filter(flat.mean(0), side_px * _SMOOTH)
    middle = np.median(smooth)
    noise = 1.4826 * np.median(abs(smooth - middle))
    near = maximum_filter(smooth, max(3, side_px // 4) | 1)
    peaks = np.argwhere((smooth == near) & (smooth - middle > _SIGNAL_TO_NOISE * noise))
    heights = np.array([smooth[row, column] - middle for row, column in peaks])
    beads = [_examined(scan, flat, peaks, heights, number, side_px) for number in range(len(peaks))]
    return sorted(beads, key=lambda bead: (bool(bead.problem), -bead.photons))


def bead_scan(scan: ZScan, bead: Bead, side_px: int, radius_um: float) -> BeadScan:
    """One bead, for `retrieve`. Raises SettingsError where its square leaves the frame."""
    window = bead_window(bead.row, bead.column, side_px, scan.planes.shape[1:])
    if window is None:
        raise SettingsError("The bead is too near to the edge of the frame.")
    return BeadScan(
        planes=scan.planes[:, *window].astype(np.float64),
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


def _examined(
    scan: ZScan,
    flat: NDArray[np.float64],
    peaks: NDArray[np.intp],
    heights: NDArray[np.float64],
    number: int,
    side_px: int,
) -> Bead:
    row, column = (float(place) for place in peaks[number])
    window = bead_window(row, column, side_px, flat.shape[1:])
    if window is None:
        return Bead(row, column, 0.0, "too near to the edge")
    part = flat[:, *window]
    edge = np.concatenate([part[:, side] for side in (0, -1)], 1)
    light = (part - np.median(edge, 1)[:, None, None]).sum((1, 2)) / scan.counts_per_photon
    photons = float(np.median(light))
    problem = ""
    away = np.hypot(*(peaks - peaks[number]).T)
    disturbing = (heights > _NEIGHBOUR * heights[number]) & (away > 0) & (away < side_px)
    top = (scan.planes[:, *window] >= scan.saturated).sum((1, 2)).max()
    if disturbing.any():
        problem = f"another one {away[disturbing].min():.0f} px away"
    elif top >= SATURATED_PX:
        problem = "saturated: take less light"
    elif photons < LEAST_PHOTONS:
        problem = "too dim"
    return Bead(row, column, photons, problem)


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
