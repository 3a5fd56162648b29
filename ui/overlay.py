"""What was found, over the image: a circle per emitter, a tail per track, coloured by z."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QImage, QPainter, QPainterPath, QPen, QPixmap
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QWidget

if TYPE_CHECKING:
    import pandas as pd

COLOUR_MAP = "CET-I1"  # equally bright everywhere, so that no z hides on a dark image
_COLOURS = 24
_FADE_FRAMES = 5
TAIL_FRAMES = 20
_MARKER_PX = 8

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """Emitters of one frame. track: (n,), below 0 where not linked. xyz_um: (n, 3)."""

    track: Integers
    xyz_um: Floats


def tails(found: Sequence[Found]) -> tuple[Floats, Floats, Integers]:
    """Steps of the tracks through the last localized frames, oldest first.

    Returns start_um and end_um (n, 3) of each step, and for how many of these frames its track has
    not been seen (n,). Tracks unseen for five frames have none.
    """
    sizes = [len(one.track) for one in found]
    time = np.repeat(np.arange(len(found)), sizes)
    track = np.concatenate([one.track for one in found])
    xyz_um = np.concatenate([one.xyz_um for one in found])
    order = np.lexsort((time, track))
    time, track, xyz_um = time[order], track[order], xyz_um[order]
    same = track[1:] == track[:-1]
    last = np.flatnonzero(np.append(~same, len(track) > 0))  # rows of newest positions
    unseen = len(found) - 1 - np.repeat(time[last], np.diff(last, prepend=-1))
    kept = same & (track[1:] >= 0) & (unseen[1:] < _FADE_FRAMES)
    return xyz_um[:-1][kept], xyz_um[1:][kept], unseen[1:][kept]


class FoundOverlay:
    """Markers of the newest localized frame and tails of the tracks, in a view of image pixels."""

    def __init__(self, view: pg.ViewBox) -> None:
        self.markers = pg.ScatterPlotItem(size=_MARKER_PX, brush=None)
        self.tails = _Tails()
        for item in (self.tails, self.markers):
            item.setZValue(10)
            view.addItem(item, ignoreBounds=True)
        colours = pg.colormap.get(COLOUR_MAP).getLookupTable(nPts=_COLOURS)
        self._marker_pens = [pg.mkPen(*colour, width=1.5) for colour in colours]
        self._tail_pens = [
            pg.mkPen(*colour, round(220 * (1 - age / _FADE_FRAMES)))
            for colour in colours
            for age in range(_FADE_FRAMES)
        ]
        self._found: deque[Found] = deque(maxlen=TAIL_FRAMES)
        self._z_range_um = (0.0, 1.0)
        self._stale = False

    def add(self, table: "pd.DataFrame") -> None:
        """Take the table of a frame; what is drawn changes with the next `draw`."""
        xyz_um = table[["x_um", "y_um", "z_um"]].to_numpy(np.float64)
        linked = "track" in table
        track = table["track"].to_numpy(np.int64) if linked else np.full(len(table), -1)
        self._found.append(Found(track, xyz_um))
        self._stale = True

    def clear(self) -> None:
        self._found.clear()
        self._stale = True

    def set_z_range(self, low_um: float, high_um: float) -> None:
        self._z_range_um = low_um, high_um
        self._stale = True

    def set_visible(self, item: pg.GraphicsObject, visible: bool) -> None:
        item.setVisible(visible)
        self._stale = True

    def redraw(self) -> None:
        """What is drawn holds no longer, such as after a change of the pixel size."""
        self._stale = True

    def draw(self, pixel_um: float) -> bool:
        """Bring the items up to date; False when there was nothing new."""
        if not self._stale:
            return False
        self._stale = False
        nothing = np.empty((0, 3))
        newest = self._found[-1].xyz_um if self._found else nothing
        if self.markers.isVisible():
            pens = [self._marker_pens[colour] for colour in self._colour(newest[:, 2])]
            x, y = newest[:, 0] / pixel_um, newest[:, 1] / pixel_um
            self.markers.setData(x=x, y=y, **({"pen": pens} if pens else {}))
        if self.tails.isVisible():
            self._draw_tails(pixel_um)
        return True

    def _draw_tails(self, pixel_um: float) -> None:
        paths: list[tuple[QPen, QPainterPath]] = []
        if self._found:
            start_um, end_um, unseen = tails(self._found)
            which = self._colour(end_um[:, 2]) * _FADE_FRAMES + unseen
            lines = np.stack([start_um[:, :2], end_um[:, :2]], 1) / pixel_um  # (n, 2, 2)
            order = np.argsort(which, kind="stable")
            edges = np.searchsorted(which[order], np.arange(len(self._tail_pens) + 1))
            lines = lines[order]
            for pen, first, stop in zip(self._tail_pens, edges[:-1], edges[1:], strict=True):
                if stop > first:
                    x, y = np.ascontiguousarray(lines[first:stop].reshape(-1, 2).T)
                    paths.append((pen, pg.arrayToQPath(x, y, connect="pairs")))
        self.tails.set_paths(paths)

    def _colour(self, z_um: Floats) -> Integers:
        low_um, high_um = self._z_range_um
        place = (z_um - low_um) / (high_um - low_um) * _COLOURS
        return np.clip(place, 0, _COLOURS - 1).astype(np.int64)


class _Tails(pg.GraphicsObject):  # type: ignore[misc]
    """Lines in a few pens; the painter takes thousands of them in the time of one slow item."""

    def __init__(self) -> None:
        super().__init__()
        self._paths: list[tuple[QPen, QPainterPath]] = []
        self._bounds = QRectF()

    def set_paths(self, paths: list[tuple[QPen, QPainterPath]]) -> None:
        self.prepareGeometryChange()
        self._paths, self._bounds = paths, QRectF()
        for _, path in paths:
            self._bounds = self._bounds.united(path.controlPointRect())
        self.update()

    def boundingRect(self) -> QRectF:  # noqa: N802
        return self._bounds.adjusted(-1, -1, 1, 1)

    def paint(self, painter: QPainter, *_: Any) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for pen, path in self._paths:
            painter.setPen(pen)
            painter.drawPath(path)


class ZLegend(QWidget):
    """Which colour is which z."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        colours = pg.colormap.get(COLOUR_MAP).getLookupTable(nPts=80)
        rows = np.broadcast_to(colours, (10, 80, 3)).tobytes()  # kept until the pixmap has a copy
        image = QImage(rows, 80, 10, 240, QImage.Format.Format_RGB888)
        bar = QLabel()
        bar.setPixmap(QPixmap.fromImage(image))
        self.low, self.high = QLabel(), QLabel()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        for label in (self.low, bar, self.high):
            row.addWidget(label, 0, Qt.AlignmentFlag.AlignVCenter)
        self.setToolTip(self.tr("Colours of circles and tails: height above the coverslip."))

    def set_range(self, low_um: float, high_um: float) -> None:
        self.low.setText(f"z {low_um:.3g}")
        self.high.setText(f"{high_um:.3g} µm")
