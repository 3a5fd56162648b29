"""An image with levels, scale bar, grid, crosshair and a region that can be drawn."""

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, QRectF, pyqtSignal

from ui.levels import Levels, auto_levels, sample
from ui.overlay import FoundOverlay
from ui.scale_bar import ScaleBar, round_length
from ui.theme import AMBER

_GRID_SHARE = 0.15  # of the width of the view, at most
_LEAST_SEEN_PX = 4  # of the image, at the closest zoom


class ImageCanvas(pg.GraphicsLayoutWidget):  # type: ignore[misc]
    """Draws what it is given at once; pixel (row 0, column 0) covers 0 to 1, y downwards.

    Drag moves, wheel zooms, double click shows the whole image. hovered: x, y of the mouse in
    pixels of the image.
    """

    hovered = pyqtSignal(float, float)

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumSize(240, 180)
        self.ci.layout.setContentsMargins(0, 0, 0, 0)
        self.box = self.addViewBox(row=0, col=0, lockAspect=True, invertY=True, enableMenu=False)
        self.box.disableAutoRange()
        self.levels = Levels()
        self.addItem(self.levels, row=0, col=1)
        self.image = pg.ImageItem(axisOrder="row-major", autoDownsample=True)
        self.box.addItem(self.image)
        self.overlay = FoundOverlay(self.box)
        self.scale_bar = ScaleBar()
        self.scale_bar.setParentItem(self.box)
        self.grid = pg.GridItem(pen="#ffffff", textPen="#ffffff")
        self.crosshair = [pg.InfiniteLine(angle=angle, pen=AMBER) for angle in (0, 90)]
        self.region = pg.RectROI((0, 0), (1, 1), pen=pg.mkPen(AMBER, width=2), handlePen=AMBER)
        self.region.addScaleHandle((0, 0), (1, 1))
        for item in (self.grid, *self.crosshair, self.region):
            item.setZValue(20)
            item.hide()
            self.box.addItem(item, ignoreBounds=True)
        self.box.sigRangeChanged.connect(self._space_grid)
        self.levels.chosen.connect(lambda low, high: self.image.setLevels((low, high)))
        self.scene().sigMouseMoved.connect(self._on_mouse_moved)
        self.scene().sigMouseClicked.connect(self._on_mouse_clicked)

    def show_pixels(self, pixels: NDArray[np.uint16], *, autoscale: bool) -> bool:
        """Draw an image (rows, columns); True when it has another shape than the one before."""
        before = self.image.image
        if before is None:
            self.levels.begin()
            self.scale_bar.begin()
        values = sample(pixels)
        if autoscale:
            self.levels.set_levels(*auto_levels(values))
        self.levels.show_values(values)
        self.image.setImage(pixels, levels=self.levels.region.getRegion())
        if before is not None and before.shape == pixels.shape:
            return False
        self._fit(*pixels.shape)
        return True

    def show_whole(self) -> None:
        """Zoom out to the whole image."""
        if self.image.image is not None:
            self.box.setRange(self.image.boundingRect(), padding=0)

    def show_crosshair(self, shown: bool) -> None:
        for line in self.crosshair:
            line.setVisible(shown)

    def place_region(self) -> None:
        """A region in the middle of what is seen, to be moved and pulled with the mouse."""
        whole = self.image.boundingRect()
        seen = self.box.viewRect().intersected(whole)
        if seen.isEmpty():
            seen = whole
        width, height = max(1, int(seen.width() / 2)), max(1, int(seen.height() / 2))
        centre = seen.center()
        self.region.setPos(int(centre.x() - width / 2), int(centre.y() - height / 2))
        self.region.setSize((width, height))

    def region_px(self) -> tuple[int, int, int, int]:
        """Column, row, width, height: the whole pixels nearest to what was drawn."""
        left, top = self.region.pos()
        width, height = self.region.size()
        rows, columns = self.image.image.shape
        column, row = min(round(left), columns - 1), min(round(top), rows - 1)
        return column, row, max(1, round(left + width) - column), max(1, round(top + height) - row)

    def _fit(self, rows: int, columns: int) -> None:
        for line in self.crosshair:
            line.setPos((columns / 2, rows / 2))
        self.region.maxBounds = QRectF(0, 0, columns, rows)
        spare = 2 * max(rows, columns)  # on every side, so that a narrow image can be seen whole
        self.box.setLimits(
            xMin=-spare, xMax=columns + spare, yMin=-spare, yMax=rows + spare,
            minXRange=_LEAST_SEEN_PX, minYRange=_LEAST_SEEN_PX,
        )  # fmt: skip
        self.show_whole()

    def _space_grid(self) -> None:
        spacing = [round_length(max(self.box.viewRect().width() * _GRID_SHARE, 1))]
        self.grid.setTickSpacing(x=spacing, y=spacing)

    def _on_mouse_moved(self, position: QPointF) -> None:
        place = self.box.mapSceneToView(position)
        self.hovered.emit(place.x(), place.y())

    def _on_mouse_clicked(self, event: Any) -> None:
        if event.double() and self.box.sceneBoundingRect().contains(event.scenePos()):
            self.show_whole()
