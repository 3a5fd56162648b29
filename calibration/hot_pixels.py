"""Pixels of a camera that shine by themselves, in images through a changing focus."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, median_filter

_AROUND = np.array([[[1, 1, 1], [1, 0, 1], [1, 1, 1]]], bool)
_BRIGHTER = 3.0  # times the brightest neighbour, above the level around
_SIGNAL_TO_NOISE = 6.0
_IN_PLANES = 0.8  # of the planes


def hot_pixels(planes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(H, W) pixels far brighter than all their neighbours in nearly all planes (K, H, W).

    A bead is not: it covers several pixels, and spreads when the focus moves.
    """
    values = planes.astype(np.float32)
    around = values - median_filter(values, (1, 7, 7))
    noise = 1.4826 * np.median(abs(around), (1, 2), keepdims=True)
    beside = maximum_filter(around, footprint=_AROUND).clip(min=0)
    sharp = around - _BRIGHTER * beside > _SIGNAL_TO_NOISE * np.maximum(noise, 1e-6)
    hot: NDArray[np.bool_] = sharp.mean(0) >= _IN_PLANES
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
