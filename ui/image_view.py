"""The camera's image and what was found in it, with the controls around it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import QSettings, QTimer, pyqtSignal
from PyQt6.QtGui import QAction, QKeySequence
from PyQt6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from ui.image_canvas import ImageCanvas
from ui.overlay import ZLegend
from ui.theme import AMBER

if TYPE_CHECKING:
    import pandas as pd

_REDRAW_MS = 50
_Z_RANGE_UM = (0.0, 4.0)  # until the rig tells


class ImageView(QWidget):
    """Shows the newest frame, 20 times a second at most, with localizations and tracks over it.

    region_chosen: (column, row, width, height) in pixels of the frame shown. region_cleared: the
    whole sensor is wanted.
    """

    region_chosen = pyqtSignal(tuple)
    region_cleared = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pixels: NDArray[np.uint16] | None = None
        self._stale = False
        self._pixel_um: float | None = None
        self._saturation: int | None = 65535
        self._mouse = (-1.0, -1.0)  # x, y in pixels of the image
        self.canvas = ImageCanvas()
        self.canvas.hovered.connect(self._on_hovered)
        self.canvas.region.sigRegionChanged.connect(self._name_region)
        self.canvas.levels.chosen.connect(lambda: self.autoscale.setChecked(False))
        self._legend = ZLegend()
        self.readout, self.warning = QLabel(), QLabel()
        self._lay_out()
        self.set_z_range(*_Z_RANGE_UM)
        timer = QTimer(self)
        timer.timeout.connect(self.redraw)
        timer.start(_REDRAW_MS)

    def set_frame(self, pixels: NDArray[np.uint16]) -> None:
        """Take a frame (rows, columns), to be drawn soon unless a newer one comes."""
        if pixels.ndim != 2 or not pixels.size:
            raise ValueError(f"pixels of shape {pixels.shape}: expected (rows, columns)")
        self._pixels, self._stale = pixels, True

    def set_pixel_um(self, pixel_um: float) -> None:
        """Size of a pixel of the frames in the sample, binning included."""
        if not pixel_um > 0:
            raise ValueError(f"pixel_um={pixel_um}: expected more than 0")
        self._pixel_um = pixel_um
        self.canvas.scale_bar.set_pixel_um(pixel_um)
        self.canvas.overlay.redraw()

    def set_saturation(self, level: int | None) -> None:
        """Counts from which a pixel is saturated; None for no warning."""
        self._saturation, self._stale = level, True

    def add_found(self, table: "pd.DataFrame") -> None:
        """Take the localizations of one more frame: x_um, y_um, z_um, and track if linked."""
        self.canvas.overlay.add(table)

    def clear_found(self) -> None:
        """Forget localizations and tracks, such as before another movie."""
        self.canvas.overlay.clear()

    def set_z_range(self, low_um: float, high_um: float) -> None:
        """Heights between which the colours of localizations run."""
        if not low_um < high_um:
            raise ValueError(f"low_um={low_um}: expected less than high_um={high_um}")
        self.canvas.overlay.set_z_range(low_um, high_um)
        self._legend.set_range(low_um, high_um)

    def save(self, settings: QSettings) -> None:
        settings.setValue("view/colours", self.colours.currentData())
        for name, switch in self._switches().items():
            settings.setValue(f"view/{name}", switch.isChecked())

    def restore(self, settings: QSettings) -> None:
        place = self.colours.findData(settings.value("view/colours", "", str))
        self.colours.setCurrentIndex(max(place, 0))
        for name, switch in self._switches().items():
            switch.setChecked(settings.value(f"view/{name}", switch.isChecked(), bool))

    def _switches(self) -> dict[str, QAction]:
        return {
            "autoscale": self.autoscale,
            "crosshair": self.crosshair,
            "grid": self.grid,
            "markers": self.markers,
            "tails": self.tails,
        }

    def redraw(self) -> None:
        """Draw what is new; the timer calls it."""
        if self._stale and self._pixels is not None:
            self._stale = False
            if self.canvas.show_pixels(self._pixels, autoscale=self.autoscale.isChecked()):
                self.draw_region.setChecked(False)
                self.draw_region.setEnabled(True)
            self._count_saturated(self._pixels)
            self._read_out()
        if self._pixel_um is not None:
            self.canvas.overlay.draw(self._pixel_um)

    def _count_saturated(self, pixels: NDArray[np.uint16]) -> None:
        level = self._saturation
        count = 0 if level is None else int(np.count_nonzero(pixels >= level))
        text = self.tr("{} pixel saturated") if count == 1 else self.tr("{} pixels saturated")
        self.warning.setText(text.format(count) if count else "")

    def _read_out(self) -> None:
        (x, y), pixels = self._mouse, self._pixels
        if pixels is None or not (0 <= x < pixels.shape[1] and 0 <= y < pixels.shape[0]):
            self.readout.clear()
            return
        parts = [self.tr("column {}, row {}").format(int(x), int(y))]
        if self._pixel_um is not None:
            parts.append(f"x {x * self._pixel_um:.2f}, y {y * self._pixel_um:.2f} µm")
        parts.append(self.tr("{} counts").format(pixels[int(y), int(x)]))
        self.readout.setText("   ".join(parts))

    def _on_hovered(self, x: float, y: float) -> None:
        self._mouse = x, y
        self._read_out()

    def _on_autoscale(self, on: bool) -> None:
        self._stale |= on

    def _on_draw_region(self, on: bool) -> None:
        if on:
            self.canvas.place_region()
        self.canvas.region.setVisible(on)
        self.use_region.setEnabled(on)
        self._name_region()

    def _name_region(self) -> None:
        if self.use_region.isEnabled():
            size = "{} x {}".format(*self.canvas.region_px()[2:])
            self.use_region.setText(self.tr("Use {}").format(size))
        else:
            self.use_region.setText(self.tr("Use region"))

    def _on_use_region(self) -> None:
        self.region_chosen.emit(self.canvas.region_px())
        self.draw_region.setChecked(False)

    def _on_whole_sensor(self) -> None:
        self.draw_region.setChecked(False)
        self.region_cleared.emit()

    def _lay_out(self) -> None:
        self.readout.setObjectName("readout")
        # its text must not widen the window
        self.readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.warning.setObjectName("saturation")
        self.warning.setStyleSheet(f"color: {AMBER}; font-weight: bold;")
        below = QHBoxLayout()
        below.setContentsMargins(4, 0, 4, 0)
        below.setSpacing(14)
        below.addWidget(self.readout, 1)
        below.addWidget(self.warning)
        below.addWidget(self._legend)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self._toolbar())
        column.addWidget(self.canvas, 1)
        column.addLayout(below)

    def _toolbar(self) -> QToolBar:
        bar, canvas, tr = QToolBar(), self.canvas, self.tr
        self.autoscale = self._switch(
            tr("Autoscale"), "Ctrl+U", tr("Fit black and white to every frame."), self._on_autoscale
        )
        self.crosshair = self._switch(
            tr("Cross"), "Ctrl+H", tr("Mark the centre of the image."), canvas.show_crosshair
        )
        self.grid = self._switch(
            tr("Grid"), "Ctrl+G", tr("Lines at round pixel numbers."), canvas.grid.setVisible
        )
        self.markers = self._switch(
            tr("Markers"), "", tr("A circle around each emitter that was found."),
            lambda on: canvas.overlay.set_visible(canvas.overlay.markers, on),
        )  # fmt: skip
        self.tails = self._switch(
            tr("Tails"), "", tr("Where each track came from: its last 20 positions."),
            lambda on: canvas.overlay.set_visible(canvas.overlay.tails, on),
        )  # fmt: skip
        self.draw_region = self._switch(
            tr("Region"), "F8", tr("Draw a region: move and pull it with the mouse."),
            self._on_draw_region,
        )  # fmt: skip
        self.draw_region.setEnabled(False)  # until there is an image to draw it on
        self.use_region = QAction(tr("Use region"), self)
        self.use_region.setToolTip(
            tr("The camera reads out only the region that is drawn; in Reanalyse, a run takes it.")
        )
        self.use_region.triggered.connect(self._on_use_region)
        self.use_region.setEnabled(False)
        self.whole_sensor = whole = QAction(tr("Whole sensor"), self)
        whole.setToolTip(tr("The camera reads out all of its sensor again."))
        whole.triggered.connect(self._on_whole_sensor)
        for switch in (self.autoscale, self.markers, self.tails):
            switch.setChecked(True)
        bar.addAction(self.autoscale)
        self.colours = self._colour_maps()
        bar.addWidget(self.colours)
        bar.addActions([self.crosshair, self.grid, self.markers, self.tails])
        bar.addSeparator()
        bar.addActions([self.draw_region, self.use_region, whole])
        return bar

    def _switch(self, text: str, keys: str, tip: str, on: Callable[[bool], None]) -> QAction:
        action = QAction(text, self)
        action.setCheckable(True)
        action.setShortcut(QKeySequence(keys))
        action.setToolTip(f"{tip} ({keys})" if keys else tip)
        action.toggled.connect(on)
        return action

    def _colour_maps(self) -> QComboBox:
        maps = QComboBox()
        maps.setObjectName("colour_map")
        maps.setToolTip(self.tr("Colours of the image."))
        maps.addItem(self.tr("Grey"), "CET-L1")
        maps.addItem(self.tr("Viridis"), "viridis")
        maps.addItem(self.tr("Inferno"), "inferno")

        def choose() -> None:
            self.canvas.image.setColorMap(pg.colormap.get(maps.currentData()))

        maps.currentIndexChanged.connect(choose)
        choose()
        return maps
