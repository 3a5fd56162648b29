"""Positions seen along z, y and x, side by side."""

from typing import Any

import numpy as np
import pyqtgraph as pg
from PyQt6.QtWidgets import QGridLayout, QWidget

_POINT_PX = 6


class Projections(QWidget):
    """xy large, xz below it, yz to its right; all in um, at the same scale."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        self._parts: list[tuple[int, int, pg.ScatterPlotItem, pg.PlotCurveItem]] = []
        plots = {}
        for name, across, up, row, column in (
            ("xy", 0, 1, 0, 0),
            ("xz", 0, 2, 1, 0),
            ("yz", 1, 2, 1, 1),
        ):
            plot = pg.PlotWidget(enableMenu=False)
            plot.setObjectName(f"projection_{name}")
            plot.setLabel("bottom", f"{'xyz'[across]}, µm")
            plot.setLabel("left", f"{'xyz'[up]}, µm")
            plot.hideButtons()
            plot.setAspectLocked(True)
            plot.invertY(up == 1)  # as rows of the image go
            points = pg.ScatterPlotItem(size=_POINT_PX, pen=None)
            lines = pg.PlotCurveItem(pen=pg.mkPen("#8a929c", width=1), connect="pairs")
            plot.addItem(lines)
            plot.addItem(points)
            grid.addWidget(plot, row, column, 1, 2 if name == "xy" else 1)
            self._parts.append((across, up, points, lines))
            plots[name] = plot
        grid.setRowStretch(0, 3)
        grid.setRowStretch(1, 2)

    def draw(
        self, xyz_um: Any, colours: Any, lines_um: Any, line_colours: Any, z_range_um: Any
    ) -> None:
        """xyz_um (n, 3) with colours (n, 3), lines_um (k, 2, 3)."""
        brushes = [pg.mkBrush(*colour) for colour in colours]
        for across, up, points, lines in self._parts:
            points.setData(
                x=xyz_um[:, across], y=xyz_um[:, up], **({"brush": brushes} if brushes else {})
            )
            flat = np.ascontiguousarray(lines_um.reshape(-1, 3))
            lines.setData(x=flat[:, across], y=flat[:, up])
