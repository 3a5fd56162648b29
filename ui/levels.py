"""The histogram beside an image, with the two levels that black and white stand for."""

import math
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import pyqtSignal

_SAMPLE_PIXELS = 40_000
_BINS = 100
_PERCENTILES = (0.1, 99.9)
_SPARE = 0.5  # beyond the automatic levels
_WIDTH_PX = 96


def sample(pixels: NDArray[Any]) -> NDArray[Any]:
    """An even part of an image (rows, columns) that stands for its grey values."""
    step = max(1, math.ceil(math.sqrt(pixels.size / _SAMPLE_PIXELS)))
    return pixels[::step, ::step].ravel()


def auto_levels(values: NDArray[Any]) -> tuple[float, float]:
    """Levels that leave out 0.1 % of the pixels at either end; never equal."""
    low, high = np.percentile(values, _PERCENTILES)
    return float(low), float(max(high, low + 1))


class Levels(pg.PlotItem):  # type: ignore[misc]
    """Histogram of grey values, upright, counts on a logarithmic scale.

    chosen: the levels, when the user has moved them.
    """

    chosen = pyqtSignal(float, float)

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.setFixedWidth(_WIDTH_PX)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.hideAxis("left")
        self.hideAxis("bottom")
        self.vb.setDefaultPadding(0.02)
        self.vb.disableAutoRange()
        self._bars = pg.BarGraphItem(x0=[0], y=[0], width=[0], height=1, pen=None, brush="#5a626c")
        self.addItem(self._bars)
        self.region = pg.LinearRegionItem((0, 1), "horizontal", swapMode="block")
        self.region.setBrush(pg.mkBrush(74, 144, 217, 40))
        self.region.setHoverBrush(pg.mkBrush(74, 144, 217, 70))
        self.region.sigRegionChanged.connect(lambda: self.chosen.emit(*self.region.getRegion()))
        self.addItem(self.region)
        self.region.hide()
        self._shown = (0.0, 0.0)

    def begin(self) -> None:
        """There is an image from now on; without one an axis from 0 to 1 would tell of nothing."""
        self.showAxis("right")
        self.region.show()

    def show_values(self, values: NDArray[Any]) -> None:
        """Draw the histogram of these grey values; far outliers, as hot pixels are, lie outside."""
        low, high = auto_levels(values)
        spare = _SPARE * (high - low)
        low = max(low - spare, float(values.min()))
        high = min(high + spare, float(values.max()) + 1)
        counts, edges = np.histogram(values, _BINS, (low, high))
        lengths, step = np.log1p(counts), edges[1] - edges[0]
        self._bars.setOpts(x0=np.zeros(_BINS), y=edges[:-1] + step / 2, width=lengths, height=step)
        self.setXRange(0, float(lengths.max()))
        self._follow(low, high)

    def set_levels(self, low: float, high: float) -> None:
        """Move the levels without telling."""
        self.region.blockSignals(True)
        self.region.setRegion((low, high))
        self.region.blockSignals(False)
        self._follow(*self._shown)

    def _follow(self, low: float, high: float) -> None:
        """Keep values and levels in sight, with an axis that does not tremble frame by frame."""
        self._shown = low, high
        bottom, top = self.region.getRegion()
        low, high = min(low, bottom), max(high, top)
        seen_low, seen_high = self.vb.viewRange()[1]
        inside = seen_low <= low and high <= seen_high
        if not inside or high - low < 0.6 * (seen_high - seen_low):
            spare = 0.15 * (high - low)
            self.setYRange(max(low - spare, -spare / 2), high + spare)
