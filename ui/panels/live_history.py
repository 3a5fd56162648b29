"""What a live run has found so far, as curves over time."""

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from ui.panels.curves import Curves

if TYPE_CHECKING:
    import pandas as pd

    from dsacq.live import Update

_KEPT = 600  # points of a curve
_RATE_S = 1.0  # over which frames per second are counted
_COLUMNS = ("photons", "z_um", "sigma_x_um", "sigma_y_um", "sigma_z_um")


class History:
    """Numbers per frame, per update and per regenerated frame, the last 600 of each."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, ...]] = deque(maxlen=_KEPT)
        self._updates: deque[tuple[float, ...]] = deque(maxlen=_KEPT)
        self._correlations: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._counts: deque[tuple[float, int, int]] = deque()  # elapsed s, analysed, skipped
        self._elapsed_s = 0.0

    def clear(self) -> None:
        """Before another run."""
        for kept in (self._frames, self._updates, self._correlations, self._counts):
            kept.clear()
        self._elapsed_s = 0.0

    def add(self, update: "Update") -> None:
        """Take what came since the last update."""
        now_s, found = update.elapsed_s, update.found
        times_s = np.linspace(self._elapsed_s, now_s, len(found) + 1)[1:]
        for time_s, one in zip(times_s, found, strict=True):
            self._frames.append((float(time_s), *_numbers(one.table)))
        self._elapsed_s = now_s
        latency_s = update.analysis_latency_s
        if latency_s is None:
            return
        self._counts.append((now_s, update.counters.analysed, update.skipped))
        while len(self._counts) > 2 and self._counts[1][0] <= now_s - _RATE_S:
            self._counts.popleft()
        if found:
            self._updates.append((now_s, latency_s * 1000, *self._rates()))

    def add_correlation(self, elapsed_s: float, correlation: float) -> None:
        """Of a regenerated frame."""
        self._correlations.append((elapsed_s, correlation))

    def curves(self, name: str) -> Curves:
        """Times in s (n,), and values (curves, n) of a plot, by the names of `PLOTS`."""
        rows, first, stop = {
            "count": (self._frames, 1, 2),
            "photons": (self._frames, 2, 3),
            "z": (self._frames, 3, 6),
            "sigma": (self._frames, 6, 9),
            "latency": (self._updates, 1, 2),
            "rate": (self._updates, 2, 4),
            "correlation": (self._correlations, 1, 2),
        }[name]
        if not rows:
            return np.empty(0), np.empty((stop - first, 0))
        points = np.array(rows, np.float64)
        return points[:, 0], points[:, first:stop].T

    def _rates(self) -> tuple[float, float]:
        """Frames analysed and skipped per second."""
        (first_s, *first), (last_s, *last) = self._counts[0], self._counts[-1]
        if last_s <= first_s:
            return np.nan, np.nan
        analysed, skipped = ((b - a) / (last_s - first_s) for a, b in zip(first, last, strict=True))
        return analysed, skipped


def _numbers(table: "pd.DataFrame") -> tuple[float, ...]:
    """Count, median photons, z of 5, 50 and 95 % in um, median sigma of x, y, z in nm."""
    if not len(table):
        return (0.0, *[np.nan] * 7)
    photons, z_um, *sigma_um = (table[name].to_numpy(np.float64) for name in _COLUMNS)
    heights = np.percentile(z_um, (5, 50, 95))
    sigma_nm = (1000 * float(np.median(one)) for one in sigma_um)
    return (float(len(table)), float(np.median(photons)), *map(float, heights), *sigma_nm)
