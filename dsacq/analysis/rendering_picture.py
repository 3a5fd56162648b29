"""Localizations on the pixels of a picture, drawn window by window.

A window shows what the whole picture holds there: localizations around it reach in.
"""

import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
Kernel = NDArray[np.float64]
Method = Literal["histogram", "ash", "gaussian"]
Made = TypeVar("Made")

AXES = {
    "xy": ("x_um", "y_um", "z_um"),
    "xz": ("x_um", "z_um", "y_um"),
    "yz": ("y_um", "z_um", "x_um"),
}
METHODS: tuple[Method, ...] = ("histogram", "ash", "gaussian")
DARK = 1e-3  # localizations per pixel, up to which it has no depth
_SHIFTS = 4  # of an average shifted histogram, along each axis
_WIDTHS = 8  # different Gaussians; precisions between are shown as the next
_UNKNOWN_PX = 2.0  # precision that is not stated
_CUT = 3.5  # where a Gaussian ends, in units of its width
_TILE_PX = 512  # along a side, where no wide Gaussian asks for more
_BAND_PX = 32_000_000  # of a row of tiles
_MOST_THREADS = 8  # each has a tile in memory


class Window(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    rows: int
    columns: int


@dataclass(frozen=True, eq=False)
class Layer:
    """Localizations that are drawn alike.

    row (N,), rising, and column (N,) are pixels. height_um (N,): of the third axis. kernel
    (2 reach + 1,): what one localization becomes, along either axis.
    """

    row: Integers
    column: Integers
    height_um: Floats
    kernel: Kernel

    @property
    def reach(self) -> int:
        """How many pixels away a localization is still seen."""
        return len(self.kernel) // 2

    def near(self, window: Window) -> tuple[NDArray[np.int64], Floats]:
        """Those that are seen in a window: flat places in it and the margin around it, heights."""
        reach, (top, left, rows, columns) = self.reach, window
        # In the type of the rows, lest they be converted as a whole.
        ends = np.array([top - reach, top + rows + reach], self.row.dtype)
        own = slice(*np.searchsorted(self.row, ends))
        column = self.column[own] - (left - reach)
        seen = (column >= 0) & (column < columns + 2 * reach)
        row = self.row[own][seen].astype(np.int64) - (top - reach)
        return row * (columns + 2 * reach) + column[seen], self.height_um[own][seen]

    def drawn(self, place: NDArray[np.int64], weight: Floats | None, window: Window) -> Floats:
        """(rows, columns) of the window."""
        reach = self.reach
        shape = window.rows + 2 * reach, window.columns + 2 * reach
        counts = np.bincount(place, weight, minlength=shape[0] * shape[1])
        image: Floats = counts.reshape(shape).astype(np.float32)
        if reach:
            image = ndimage.correlate1d(image, self.kernel, axis=0)[reach:-reach]
            image = ndimage.correlate1d(image, self.kernel, axis=1)[:, reach:-reach]
        return image


@dataclass(frozen=True, eq=False)
class Picture:
    """Localizations on (rows, columns) of pixels, not drawn yet.

    corner_um: of the upper-left pixel. depth_range_um: of the third axis, as it is shown in colour;
    None for pictures without.
    """

    layers: list[Layer]
    shape: tuple[int, int]
    corner_um: tuple[float, float]
    pixel_um: float
    plane: str
    depth_range_um: tuple[float, float] | None

    @property
    def whole(self) -> Window:
        """All of it."""
        return Window(0, 0, *self.shape)

    def counts(self, window: Window) -> Floats:
        """Localizations per pixel."""
        counts = np.zeros((window.rows, window.columns), np.float32)
        for layer in self.layers:
            place, _ = layer.near(window)
            if len(place):
                counts += layer.drawn(place, None, window)
        return counts

    def depth_um(self, window: Window, counts: Floats) -> Floats:
        """The mean of their third axis, NaN where there are none."""
        sums = np.zeros_like(counts)
        for layer in self.layers:
            place, height_um = layer.near(window)
            if len(place):
                sums += layer.drawn(place, height_um, window)
        none = np.full_like(counts, np.nan)
        return np.divide(sums, counts, out=none, where=counts > DARK)

    def bands(self) -> Generator[list[Window]]:
        """Rows of tiles, from the top."""
        rows, columns = self.shape
        # What is drawn around a tile is drawn again by its neighbours: it stays less than the tile.
        side = max(_TILE_PX, 4 * max(layer.reach for layer in self.layers))
        tall = min(side, max(1, _BAND_PX // columns))
        for top in range(0, rows, tall):
            high = min(tall, rows - top)
            lefts = range(0, columns, side)
            yield [Window(top, left, high, min(side, columns - left)) for left in lefts]

    def each(self, make: Callable[[Window], Made]) -> Generator[tuple[float, list[Made]]]:
        """What is made of tiles, on several cores, band after band; and how much is done, of 1."""
        with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
            for band in self.bands():
                done = (band[0].top + band[0].rows) / self.shape[0]
                yield done, list(pool.map(make, band))


def layers_of(
    method: Method, row: Integers, column: Integers, height_um: Floats, sigma_px: Floats
) -> list[Layer]:
    """Layers of localizations in any order; only "gaussian" asks for their precision."""
    which = np.zeros(len(row), np.uint8)
    if method == "histogram":
        kernels = [np.ones(1)]
    elif method == "ash":
        # The mean of histograms of larger pixels, shifted: a triangle over the smaller ones.
        away = np.arange(-_SHIFTS + 1, _SHIFTS)
        kernels = [(1 - abs(away) / _SHIFTS) / _SHIFTS]
    else:
        widths_px, which = _widths(sigma_px)
        kernels = [_gaussian(width_px) for width_px in widths_px]
    # Numbers of 16 bits are sorted several times as fast.
    order = np.lexsort((row.astype(np.min_scalar_type(row.max())), which))
    ends = np.cumsum(np.bincount(which, minlength=len(kernels)))[:-1]
    parts = (
        np.split(row[order], ends),
        np.split(column[order], ends),
        np.split(height_um[order], ends),
    )
    return [Layer(*layer) for layer in zip(*parts, kernels, strict=True)]


def _widths(sigma_px: Floats) -> tuple[Floats, NDArray[np.uint8]]:
    """A few widths, and which of them each localization has."""
    known = np.where(np.isfinite(sigma_px) & (sigma_px > 0), sigma_px, np.float32(_UNKNOWN_PX))
    known = np.clip(known, 0.5, 200.0)
    low, high = np.percentile(known[:: max(1, len(known) // 1_000_000)], (0.5, 99.5))
    widths_px = np.geomspace(low, max(high, low * 1.01), _WIDTHS, dtype=np.float32)
    which = np.searchsorted(np.sqrt(widths_px[1:] * widths_px[:-1]), known)
    return widths_px, which.astype(np.uint8)


def _gaussian(width_px: float) -> Kernel:
    reach = int(_CUT * width_px + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / float(width_px)) ** 2)
    return np.asarray(kernel / kernel.sum())
