"""Positions in a box that turns."""

from typing import Any

import numpy as np
import pyqtgraph as pg
import pyqtgraph.opengl as gl
from PyQt6.QtGui import QFont, QVector3D
from PyQt6.QtWidgets import QWidget

from ui.theme import BACKGROUND, FOREGROUND

_POINT_PX = 8
_LABEL_PT = 9
_HOME = (-60.0, 25.0)  # azimuth, elevation
_FAR = 1.2  # times the box's diagonal
_GROWS_UM = 2.0  # the box, in steps of this


class SpaceGL(gl.GLViewWidget):  # type: ignore[misc]
    """Drag turns, the wheel zooms. x goes right, y to the viewer as in the image, z up."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setBackgroundColor(BACKGROUND)
        self._low, self._high = np.zeros(3), np.ones(3)
        self._box = gl.GLBoxItem(color=pg.mkColor("#454b53"))
        self._points = gl.GLScatterPlotItem(pos=np.zeros((0, 3)), size=_POINT_PX, pxMode=True)
        self._lines = gl.GLLinePlotItem(pos=np.zeros((0, 3)), mode="lines", antialias=True)
        self._labels = [
            gl.GLTextItem(
                text="", color=pg.mkColor(FOREGROUND), pos=np.zeros(3), font=QFont("", _LABEL_PT)
            )
            for _ in range(3)
        ]
        for item in (self._box, self._lines, self._points, *self._labels):
            self.addItem(item)
        self._fresh = True

    def draw(
        self, xyz_um: Any, colours: Any, lines_um: Any, line_colours: Any, z_range_um: Any
    ) -> None:
        """xyz_um (n, 3) with colours (n, 3), lines_um (k, 2, 3) with colours (k, 3)."""
        self._fit_box(xyz_um, z_range_um)
        self._points.setData(pos=_right_handed(xyz_um), color=_rgba(colours, 1.0))
        self._lines.setData(
            pos=_right_handed(lines_um.reshape(-1, 3)),
            color=_rgba(np.repeat(line_colours, 2, axis=0), 0.6),
        )

    def look_from(self, azimuth: float, elevation: float) -> None:
        """The whole box, from there."""
        low, high = _right_handed(np.stack([self._low, self._high]))
        centre = (low + high) / 2
        self.opts["center"] = QVector3D(*map(float, centre))
        far = _FAR * float(np.linalg.norm(self._high - self._low))
        self.setCameraPosition(distance=far, azimuth=azimuth, elevation=elevation)

    def look_home(self) -> None:
        self.look_from(*_HOME)

    def _fit_box(self, xyz_um: Any, z_range_um: tuple[float, float]) -> None:
        """The box only grows, so that it does not jump with every frame."""
        low, high = self._low.copy(), self._high.copy()
        low[2], high[2] = z_range_um
        if len(xyz_um):
            seen_low = np.floor(xyz_um[:, :2].min(0) / _GROWS_UM) * _GROWS_UM
            seen_high = np.ceil(xyz_um[:, :2].max(0) / _GROWS_UM) * _GROWS_UM
            low[:2] = seen_low if self._fresh else np.minimum(low[:2], seen_low)
            high[:2] = seen_high if self._fresh else np.maximum(high[:2], seen_high)
        if not self._fresh and np.array_equal(low, self._low) and np.array_equal(high, self._high):
            return
        self._low, self._high = low, high
        size = high - low
        self._box.setSize(*map(float, size))
        self._box.resetTransform()
        self._box.translate(low[0], -high[1], low[2])
        for axis, label in enumerate(self._labels):
            # on the edges in front, as seen at first
            place = np.array([low[0] if axis == 2 else high[0], high[1], low[2]])
            place[axis] = (low[axis] + high[axis]) / 2
            text = f"{'xyz'[axis]} {low[axis]:g} to {high[axis]:g} µm"
            label.setData(pos=_right_handed(place[None])[0], text=text)
        if self._fresh and len(xyz_um):
            self._fresh = False
            self.look_home()


def _right_handed(xyz_um: Any) -> Any:
    """y of the image goes down."""
    return xyz_um * np.array([1.0, -1.0, 1.0])


def _rgba(colours: Any, alpha: float) -> Any:
    made = np.empty((len(colours), 4), np.float32)
    made[:, :3] = colours / 255 if len(colours) else 0
    made[:, 3] = alpha
    return made
