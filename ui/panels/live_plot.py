"""A running plot, of what the user chooses to see."""

from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ui.panels.live_history import History
from ui.theme import AMBER, BLUE, GREEN

_BAND = "#4a90d950"


@dataclass(frozen=True)
class _Plot:
    title: str
    curves: tuple[tuple[str, str], ...]  # name and colour; the name is empty where it needs none
    tip: str


PLOTS = {
    "count": _Plot("Emitters per frame", (("", BLUE),), "How many were found in each frame."),
    "photons": _Plot("Photons, median", (("", GREEN),), "Of the emitters of each frame."),
    "z": _Plot(
        "z, µm",
        (("", _BAND), ("median, 5-95 %", BLUE), ("", _BAND)),
        "Height of the emitters of each frame: the middle one, and where nine of ten are.",
    ),
    "sigma": _Plot(
        "Precision, nm",
        (("x", BLUE), ("y", GREEN), ("z", AMBER)),
        "Standard deviation that the model states, the median of each frame.",
    ),
    "latency": _Plot(
        "Latency, ms", (("", AMBER),), "From the arrival of a frame to its localizations."
    ),
    "rate": _Plot(
        "Frames per second",
        (("localized", GREEN), ("skipped", AMBER)),
        "A recording keeps the frames that localization skips.",
    ),
    "correlation": _Plot(
        "Correlation", (("", BLUE),), "Of the regenerated frame with the data, once a second."
    ),
}


class LivePlot(QWidget):
    """One of PLOTS. name: which one is shown at first. changed: the user chose another."""

    changed = pyqtSignal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.choice = QComboBox()
        for key, plot in PLOTS.items():
            self.choice.addItem(self.tr(plot.title), key)
        self.choice.setToolTip(self.tr("What this plot shows, over the seconds of the run."))
        self.choice.currentIndexChanged.connect(self._on_chosen)
        self._legend = QLabel()
        self._plot = pg.PlotWidget()
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
        if name in PLOTS:
            self.choice.setCurrentIndex(self.choice.findData(name))

    def draw(self, history: History) -> None:
        """Bring the curves up to date."""
        times_s, values = history.curves(self.name)
        for line, one in zip(self._lines, values, strict=True):
            line.setData(times_s, one)

    def _on_chosen(self) -> None:
        plot = PLOTS[self.name]
        self._plot.clear()
        self._plot.setToolTip(self.tr(plot.tip))
        self._lines = [
            self._plot.plot(pen=pg.mkPen(colour, width=1.5), connect="finite")
            for _, colour in plot.curves
        ]
        if self.name == "z":
            low, _, high = self._lines
            self._plot.addItem(pg.FillBetweenItem(low, high, brush=pg.mkBrush(_BAND)))
        named = [(name, colour) for name, colour in plot.curves if name]
        self._legend.setText(
            "&nbsp; ".join(f'<span style="color:{c}">{self.tr(name)}</span>' for name, c in named)
        )
        for line in self._lines:
            line.setData(np.empty(0), np.empty(0))
        self.changed.emit()
