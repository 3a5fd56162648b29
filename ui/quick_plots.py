"""Pictures of a table of localizations that are quick to make, for looking at."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.errors import SettingsError

Floats = NDArray[np.float64]

_BINS = 100
_OUTLIERS = 0.001  # at each end of a histogram
_LARGEST_PX = 1 << 23  # of a rendered image
_BRIGHTEST = 0.95  # of the occupied pixels; the rest are saturated


def histogram(values: NDArray[Any]) -> tuple[Floats, NDArray[np.int64]]:
    """Edges (B + 1,) and counts (B,) of numbers, without unknown ones and a few far out.

    Whole numbers get bins of whole widths. Without any number, both are empty.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return np.empty(0), np.empty(0, np.int64)
    if known.dtype.kind in "iub":
        low, high = int(known.min()), int(known.max())
        width = -(-(high - low + 1) // _BINS)
        edges = np.arange(low, high + 1 + width, width) - 0.5
    else:
        first = int(_OUTLIERS * len(known))
        last = len(known) - 1 - first
        ends = np.partition(known, (first, last))[[first, last]].astype(np.float64)
        edges = np.histogram_bin_edges(ends, _BINS)
    counts, _ = np.histogram(known, edges)
    return edges.astype(np.float64), counts.astype(np.int64)


def rendered(
    x_um: Floats, y_um: Floats, pixel_um: float, z_um: Floats | None = None
) -> tuple[Floats, Floats | None, tuple[float, float]]:
    """Localizations per pixel, (rows, columns), as brightness from 0 to 1, by their root.

    With z_um also the mean height of each pixel, NaN where there is none. Last, (x, y) of the upper
    left corner in um. Raises SettingsError when the image would be too large.
    """
    if not len(x_um):
        return np.zeros((1, 1)), None, (0.0, 0.0)
    corner = float(x_um.min()), float(y_um.min())
    wide, high = float(x_um.max()) - corner[0], float(y_um.max()) - corner[1]
    columns, rows = int(wide / pixel_um) + 1, int(high / pixel_um) + 1
    if rows * columns > _LARGEST_PX:
        least_nm = 1000 * (wide * high / _LARGEST_PX) ** 0.5
        raise SettingsError(
            f"A pixel of {1000 * pixel_um:g} nm makes an image of {columns} x {rows} pixels; "
            f"choose {np.ceil(least_nm * 1.05):.0f} nm or more."
        )
    column = np.minimum(((x_um - corner[0]) / pixel_um).astype(np.int64), columns - 1)
    row = np.minimum(((y_um - corner[1]) / pixel_um).astype(np.int64), rows - 1)
    place = row * columns + column
    counts = np.bincount(place, minlength=rows * columns)
    occupied = counts[counts > 0]
    last = int(_BRIGHTEST * (len(occupied) - 1))
    brightest = np.partition(occupied, last)[last]
    bright = np.sqrt(np.minimum(counts / brightest, 1.0)).reshape(rows, columns)
    if z_um is None:
        return bright, None, corner
    total = np.bincount(place, weights=z_um, minlength=rows * columns)
    with np.errstate(invalid="ignore"):
        return bright, (total / counts).reshape(rows, columns), corner
