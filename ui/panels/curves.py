"""A plot of what the user chooses to see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ui.plain_text import show_coloured

_AROUND = 0.1  # of a value that is the only one, shown on either side

Curves = tuple[NDArray[np.float64], NDArray[np.float64]]


class HasCurves(Protocol):
    """What can be plotted."""

    def curves(self, name: str) -> Curves:
        """Abscissae (n,), and values (curves, n), of a plot by its name."""
        ...


@dataclass(frozen=True)
class Plot:
    """curves: name and colour; the name is empty where it needs none. band: the first and last
    curve are the edges of a band in this colour."""

    title: str
    curves: tuple[tuple[str, str], ...]
    tip: str
    band: str = ""


class CurvesPlot(QWidget):
    """One of `plots`, drawn over `across`. changed: the user chose another."""

    changed = pyqtSignal()

    def __init__(
        self, plots: Mapping[str, Plot], name: str, across: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._plots = plots
        self.choice = QComboBox()
        for key, plot in plots.items():
            self.choice.addItem(self.tr(plot.title), key)
        self.choice.setToolTip(self.tr("What this plot shows, over the {}.").format(across))
        self.choice.currentIndexChanged.connect(self._on_chosen)
        self._legend = QLabel()
        self._plot = pg.PlotWidget(enableMenu=False)
        self._plot.setMinimumHeight(64)
        self._plot.hideButtons()
        self._plot.setMouseEnabled(x=False, y=False)
        self._plot.getAxis("left").setWidth(44)
        self._lines: list[pg.PlotDataItem] = []
        row = QHBoxLayout()
        row.addWidget(self.choice)
        row.addWidget(self._legend, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self._plot, 1)
        self.show_plot(name)
        self._on_chosen()

    @property
    def name(self) -> str:
        chosen: str = self.choice.currentData()
        return chosen

    def show_plot(self, name: str) -> None:
        """Choose; an unknown name is left out."""
        if name in self._plots:
            self.choice.setCurrentIndex(self.choice.findData(name))

    def draw(self, history: HasCurves) -> None:
        """Bring the curves up to date."""
        across, values = history.curves(self.name)
        for line, one in zip(self._lines, values, strict=True):
            line.setData(across, one)
        self._scale(np.asarray(values)[np.isfinite(values)])

    def _scale(self, known: NDArray[np.float64]) -> None:
        """Axes without numbers while there is nothing; close around a value that is the only one,
        which would else stand on an axis of its own, such as a correlation of 0.8 on 0.3 to 1.3.
        """
        for name in ("left", "bottom"):
            axis = self._plot.getAxis(name)
            if axis.style["showValues"] is not bool(known.size):
                axis.setStyle(showValues=bool(known.size))
        if known.size and known.min() == known.max():
            middle = float(known[0])
            half = _AROUND * abs(middle) or 1.0
            self._plot.setYRange(middle - half, middle + half, padding=0)
        else:
            self._plot.enableAutoRange(y=True)

    def _on_chosen(self) -> None:
        plot = self._plots[self.name]
        self._plot.clear()
        self._plot.setToolTip(self.tr(plot.tip))
        self._lines = [
            self._plot.plot(pen=pg.mkPen(colour, width=1.5), connect="finite")
            for _, colour in plot.curves
        ]
        if plot.band:
            low, *_, high = self._lines
            self._plot.addItem(pg.FillBetweenItem(low, high, brush=pg.mkBrush(plot.band)))
        named = [(f"{self.tr(name)} ", colour) for name, colour in plot.curves if name]
        show_coloured(self._legend, *named)
        for line in self._lines:
            line.setData(np.empty(0), np.empty(0))
        self._scale(np.empty(0))
        self.changed.emit()
