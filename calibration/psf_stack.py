"""The plain average of beads at each focus: a PSF without a model."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from calibration.bead_scan import BeadScan
from calibration.beads import levelled, require_usable, scan_doubts
from calibration.registration import offset_px, shifted
from dsacq.files.atomic import replacing, write_atomically
from dsacq.physics.optics import Optics
from dsacq.version import software

Floats = NDArray[np.float64]

_SMOOTH_PLANES = 0.6  # standard deviation along the focus
_POOR, _GOOD = 0.95, 0.98  # correlations of a bead with the others; below, told, and above, not
_UNLIKE = 2.0  # times what beads usually lack of 1, in between


def average_psf(scan: BeadScan) -> tuple[Floats, Floats]:
    """(K, H, W) of the focus positions of the first bead, each plane with the sum 1; and (B,) how
    well each bead agrees with the average of the others: the median correlation of its planes, 1
    for a bead alone.

    Beads are registered in x and y with all their planes at once, on the first one, and shifted
    without interpolation, by phase factors. Noise is smoothed along the focus. All beads must have
    been taken at the same positions. Raises SettingsError as `require_usable`.
    """
    require_usable(scan)
    singles = scan.singles
    if any(not np.allclose(one.focus_um, singles[0].focus_um) for one in singles):
        raise ValueError("scan: expected beads at the same positions of the focus")
    stacks = [levelled(one.planes)[0] for one in singles]
    stacks = [_smooth(shifted(stack, -offset_px(stacks[0], stack))) for stack in stacks]
    total = np.sum(stacks, axis=0)
    agreement = [_correlation(stack, total - stack) if len(stacks) > 1 else 1 for stack in stacks]
    return total / total.sum((1, 2), keepdims=True), np.array(agreement, np.float64)


def stack_doubts(scan: BeadScan, agreement: Floats) -> list[str]:
    """What speaks against an average, each in a sentence. agreement: as `average_psf` tells."""
    usual = 1 - _UNLIKE * float(np.median(1 - agreement))
    least = min(max(usual, _POOR), _GOOD)
    return scan_doubts(scan) + [
        f"Bead {number} is unlike the average of the others (median correlation {one:.3f}, "
        f"expected {least:.3f} or more): it is not one bead alone, or dim, or aberrations change "
        "over the field."
        for number, one in enumerate(agreement)
        if one < least
    ]


def write_psf_stack(
    planes: Floats, scan: BeadScan, optics: Optics, source: str, path: Path
) -> None:
    """As a TIFF stack that ImageJ opens with its scale, and a JSON file beside it."""
    focus_um = scan.singles[0].focus_um
    step_um = abs(float(focus_um[-1] - focus_um[0])) / (len(focus_um) - 1)
    with replacing(path) as unfinished:
        tifffile.imwrite(
            unfinished,
            planes.astype(np.float32),
            imagej=True,
            resolution=(1 / optics.pixel_um, 1 / optics.pixel_um),
            metadata={"axes": "ZYX", "spacing": step_um, "unit": "um"},
        )
    told = {
        "kind": "dsacq psf stack",
        "source": source,
        "beads": len(scan.singles),
        "focus_um": np.asarray(focus_um).tolist(),
        "pixel_um": optics.pixel_um,
        "optics": asdict(optics),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "made_by": software(),
    }
    write_atomically(path.with_suffix(".json"), json.dumps(told, indent=1).encode())


def _smooth(stack: Floats) -> Floats:
    return ndimage.gaussian_filter1d(stack, _SMOOTH_PLANES, axis=0, mode="nearest")


def _correlation(one: Floats, other: Floats) -> float:
    """Of the planes of two stacks, the median."""
    pairs = zip(one, other, strict=True)
    return float(np.median([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]))
