"""Localizations at a glance: the histogram of a column, and where they lie."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import QRectF
from PyQt6.QtGui import QShowEvent
from PyQt6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from ui.latest import Latest
from ui.number_box import WholeBox
from ui.overlay import COLOUR_MAP, ZLegend
from ui.quick_plots import histogram, rendered
from ui.theme import BLUE

if TYPE_CHECKING:
    from dsacq.data import Localizations

_COLUMN = "photons"  # shown first
_GREY = "CET-L1"


class ResultsPlots(QWidget):
    """Plots the rows of a table that pass its filter; drawn when they are looked at."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found: Localizations | None = None
        self._rows: NDArray[np.intp] | None = None
        self._stale = False

        self.column = QComboBox()
        self.column.setObjectName("plots_column")
        self.column.setToolTip(self.tr("The column whose values are counted."))
        self.column.currentTextChanged.connect(self._count)
        self._histogram = pg.PlotWidget(enableMenu=False)
        self._histogram.setLabel("left", self.tr("rows"))
        self._histogram.hideButtons()
        self._bars = self._histogram.plot(
            [0, 1], [0], stepMode="center", fillLevel=0, brush=BLUE, pen=None
        )
        self.counted = QLabel()
        self.counted.setObjectName("plots_counted")

        self.pixel_nm = WholeBox()
        self.pixel_nm.setObjectName("plots_pixel")
        self.pixel_nm.setRange(1, 1000)
        self.pixel_nm.setValue(100)
        self.pixel_nm.setSuffix(" nm")
        self.pixel_nm.setToolTip(self.tr("Size of a pixel of the picture below, in the sample."))
        self.pixel_nm.valueChanged.connect(self._render)
        self.coloured = QCheckBox(self.tr("Colour by z"))
        self.coloured.setObjectName("plots_coloured")
        self.coloured.setToolTip(self.tr("The colour tells the mean height in each pixel."))
        self.coloured.toggled.connect(self._render)
        self.image = pg.ImageItem(
            autoDownsample=True
        )  # no emitter is lost between pixels of the screen
        self._picture = pg.PlotWidget(enableMenu=False)
        self._picture.addItem(self.image)
        self._picture.setAspectLocked(True)
        self._picture.invertY(True)
        self._picture.setLabel("bottom", self.tr("x, down y (µm)"))
        self._legend = ZLegend()
        self._legend.hide()
        self.told = QLabel()
        self.told.setObjectName("plots_told")
        self.told.setWordWrap(True)

        self._counting = self._worker("counting", self._on_counted)
        self._rendering = self._worker("rendering", self._on_rendered)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(_row(self.tr("Histogram of"), self.column, self.counted))
        layout.addWidget(self._histogram, 2)
        layout.addLayout(_row(self.tr("Picture, pixel"), self.pixel_nm, self.coloured))
        layout.addWidget(self._picture, 4)
        layout.addWidget(self._legend)
        layout.addWidget(self.told)

    def set_localizations(self, found: "Localizations | None") -> None:
        """Plot a table from now on, all its rows."""
        self._counting.drop()
        self._rendering.drop()
        self._found, self._rows = found, None
        before = self.column.currentText() or _COLUMN
        names = [] if found is None else [
            str(name) for name in found.table if found.table[name].dtype.kind in "iuf"
        ]  # fmt: skip
        self.column.blockSignals(True)
        self.column.clear()
        self.column.addItems(names)
        self.column.setCurrentText(before)
        self.column.blockSignals(False)
        self._refresh()

    def set_rows(self, rows: NDArray[np.intp] | None) -> None:
        """Plot these rows of it; None for all."""
        self._rows = rows
        self._refresh()

    @property
    def busy(self) -> bool:
        """Whether something is still being worked out."""
        return self._counting.busy or self._rendering.busy

    def stop(self) -> None:
        """End what goes on beside the window."""
        self._counting.stop()
        self._rendering.stop()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        super().showEvent(event)
        if self._stale:
            self._refresh()

    def _worker(self, name: str, show: Callable[[Any], None]) -> Latest:
        worker = Latest(name, self)
        worker.answered.connect(show)
        worker.failed.connect(lambda error: self.told.setText(str(error)))
        return worker

    def _refresh(self) -> None:
        self._stale = not self.isVisible()
        if not self._stale:
            self._count()
            self._render()

    def _count(self) -> None:
        name, found, rows = self.column.currentText(), self._found, self._rows
        if found is None or not name:
            self._on_counted((name, *histogram(np.empty(0)), np.nan))
            return

        def counting() -> object:
            (column,) = _columns(found, rows, name)
            known = column[np.isfinite(column)]
            middle = float(np.median(known)) if len(known) else np.nan
            return name, *histogram(column), middle

        self._counting.ask(counting)

    def _on_counted(self, counted: tuple[str, NDArray[Any], NDArray[Any], float]) -> None:
        name, edges, counts, middle = counted
        if len(counts):
            self._bars.setData(edges, counts)
            self.counted.setText(self.tr("median {}").format(f"{middle:.5g}"))
        else:
            self._bars.setData([0, 1], [0])
            self.counted.setText(self.tr("no values") if name else "")

    def _render(self) -> None:
        found, rows = self._found, self._rows
        pixel_um, coloured = self.pixel_nm.value() / 1000, self.coloured.isChecked()
        self.told.clear()
        if found is None:
            self.image.clear()
            return

        def rendering() -> object:
            x_um, y_um, z_um = _columns(found, rows, "x_um", "y_um", "z_um")
            bright, height_um, corner_um = rendered(
                x_um, y_um, pixel_um, z_um if coloured else None
            )
            area = QRectF(*corner_um, bright.shape[1] * pixel_um, bright.shape[0] * pixel_um)
            if height_um is None:
                return bright, area, None
            return _by_height(bright, height_um), area, _ends(height_um)

        self._rendering.ask(rendering)

    def _on_rendered(
        self, picture: tuple[NDArray[Any], QRectF, tuple[float, float] | None]
    ) -> None:
        image, area, heights_um = picture
        self.image.setColorMap(pg.colormap.get(_GREY))
        self.image.setImage(image, levels=(0, 1 if heights_um is None else 255))
        self.image.setRect(area)
        self._legend.setVisible(heights_um is not None)
        if heights_um is not None:
            self._legend.set_range(*heights_um)


def _columns(
    found: "Localizations", rows: NDArray[np.intp] | None, *names: str
) -> list[NDArray[Any]]:
    columns = [found.table[name].to_numpy() for name in names]
    return columns if rows is None else [values[rows] for values in columns]


def _ends(height_um: NDArray[np.float64]) -> tuple[float, float]:
    """Heights between which the colours run."""
    known = height_um[np.isfinite(height_um)]
    low, high = np.percentile(known, (1, 99))
    return float(low), max(float(high), float(low) + 1e-3)


def _by_height(bright: NDArray[np.float64], height_um: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours (rows, columns, 3)."""
    low, high = _ends(height_um)
    place = np.nan_to_num((height_um - low) / (high - low)).clip(0, 1)
    colours = pg.colormap.get(COLOUR_MAP).map(place, mode="byte")[..., :3]
    shown: NDArray[np.uint8] = (colours * bright[..., None]).astype(np.uint8)
    return shown


def _row(text: str, first: QWidget, second: QWidget) -> QHBoxLayout:
    row, label = QHBoxLayout(), QLabel(text)
    label.setBuddy(first)
    row.addWidget(label)
    row.addWidget(first, 1)
    row.addWidget(second)
    return row
