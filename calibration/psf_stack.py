"""The plain average of beads at each focus: a PSF without a model."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from calibration.retrieve import BeadScan
from dsacq.files.atomic import replacing, write_atomically
from dsacq.physics.optics import Optics
from dsacq.version import software

Floats = NDArray[np.float64]

_FINER = 20  # parts of a pixel, in which beads are registered
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
        shift = _offset_px(stacks[0], stack)
        total += _shifted(stack, -shift)
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


def _offset_px(first: Floats, other: Floats) -> Floats:
    """(rows, columns) that `other` lies beside `first`: the peak of their correlation, summed over
    the planes, and around it on a finer grid by a matrix Fourier transform (Guizar-Sicairos et al.,
    Opt. Lett. 33, 156 (2008))."""
    spectrum = (np.conj(np.fft.fft2(first)) * np.fft.fft2(other)).sum(0)
    correlation = np.fft.ifft2(spectrum).real
    shape = np.array(correlation.shape)
    peak = np.array(np.unravel_index(int(correlation.argmax()), correlation.shape), float)
    peak = np.where(peak > shape / 2, peak - shape, peak)
    fine = np.arange(-1.5, 1.5 + 1e-9, 1 / _FINER)
    rates = [np.fft.fftfreq(size) for size in correlation.shape]
    rows = np.exp(2j * np.pi * np.outer(peak[0] + fine, rates[0]))
    columns = np.exp(2j * np.pi * np.outer(rates[1], peak[1] + fine))
    finer = (rows @ spectrum @ columns).real
    row, column = np.unravel_index(int(finer.argmax()), finer.shape)
    return np.asarray(peak + [fine[row], fine[column]])


def _shifted(planes: Floats, shift_px: Floats) -> Floats:
    rows, columns = (np.fft.fftfreq(size) for size in planes.shape[1:])
    turn = np.exp(-2j * np.pi * (rows[:, None] * shift_px[0] + columns * shift_px[1]))
    return np.asarray(np.fft.ifft2(np.fft.fft2(planes) * turn).real)
