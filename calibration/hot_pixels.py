"""Pixels of a camera that shine by themselves, in images through a changing focus."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, median_filter

_AROUND = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
_BRIGHTER = 3.0  # times the brightest neighbour, above the level around
_SIGNAL_TO_NOISE = 6.0


def hot_pixels(planes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(H, W) pixels far brighter than all their neighbours, in the median of the planes (K, H, W).

    A bead is not: it covers several pixels, and spreads when the focus moves.
    """
    values = planes.astype(np.float32)
    steady = np.median(values - median_filter(values, (1, 7, 7)), 0)
    noise = 1.4826 * float(np.median(abs(steady)))
    beside = np.maximum(maximum_filter(steady, footprint=_AROUND), 0.0)
    hot: NDArray[np.bool_] = steady - _BRIGHTER * beside > _SIGNAL_TO_NOISE * max(noise, 1e-6)
    return hot


def without(planes: NDArray[np.floating], hot: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The planes, these pixels replaced by the median of those around them."""
    mended = planes.astype(np.float64)
    rows, columns = planes.shape[1:]
    for row, column in np.argwhere(hot):
        part = (
            slice(max(row - 2, 0), min(row + 3, rows)),
            slice(max(column - 2, 0), min(column + 3, columns)),
        )
        mended[:, row, column] = np.median(mended[:, *part][:, ~hot[part]], 1)
    return mended
