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
from calibration.registration import offset_px, shifted
from dsacq.files.atomic import replacing, write_atomically
from dsacq.physics.optics import Optics
from dsacq.version import software

Floats = NDArray[np.float64]

_SMOOTH_PLANES = 0.6  # standard deviation along the focus


def average_psf(scan: BeadScan) -> Floats:
    """(K, H, W) of the focus positions of the first bead, each plane with the sum 1.

    Beads are registered in x and y with all their planes at once, on the first one, and shifted
    without interpolation, by phase factors. Noise is smoothed along the focus. All beads must have
    been taken at the same positions.
    """
    singles = scan.singles
    if any(not np.allclose(one.focus_um, singles[0].focus_um) for one in singles):
        raise ValueError("scan: expected beads at the same positions of the focus")
    stacks = [_without_background(one.planes) for one in singles]
    total = np.zeros_like(stacks[0])
    for stack in stacks:
        shift = offset_px(stacks[0], stack)
        total += shifted(stack, -shift)
    smooth = ndimage.gaussian_filter1d(total, _SMOOTH_PLANES, axis=0, mode="nearest")
    return np.asarray(smooth / smooth.sum((1, 2), keepdims=True))


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


def _without_background(planes: NDArray[np.floating]) -> Floats:
    values = planes.astype(np.float64)
    border = np.concatenate(
        [values[:, :2].reshape(len(values), -1), values[:, -2:].reshape(len(values), -1)], 1
    )
    return np.asarray(values - np.median(border, 1)[:, None, None])
