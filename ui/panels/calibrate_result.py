"""A bead beside its model, the phase behind it, and how well the two agree."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtWidgets import QGridLayout, QLabel, QWidget

from ui.theme import BLUE

if TYPE_CHECKING:
    from calibration.result import Calibrated

_CYCLIC = "CET-CBC1"  # told apart by the colour-blind too
_SHOWN = 7  # planes
_GAP_PX = 2


class ResultView(QWidget):
    """Shows a bead, and, once it is there, a result."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._strip, self._strip_image = _picture(104)
        self._strip.setToolTip(
            self.tr("The bead through the focus; below it the retrieved PSF, once it is there.")
        )
        self._phase, self._phase_image = _picture(130)
        self._phase_image.setColorMap(pg.colormap.get(_CYCLIC))
        self._phase.setToolTip(
            self.tr("Retrieved phase in the pupil, wrapped: mask and aberrations together.")
        )
        self._curve = pg.PlotWidget(enableMenu=False)
        self._curve.setFixedHeight(130)
        self._curve.hideButtons()
        self._curve.setMouseEnabled(x=False, y=False)
        self._curve.setLabel("bottom", self.tr("focus, µm"))
        self._curve.setToolTip(self.tr("Correlation of each plane with the model; 1 is perfect."))
        self._line = self._curve.plot(pen=pg.mkPen(BLUE, width=1.5))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        grid.addWidget(self._strip, 0, 0, 1, 2)
        grid.addWidget(QLabel(self.tr("Phase, -π to π")), 1, 0)
        grid.addWidget(QLabel(self.tr("Correlation")), 1, 1)
        grid.addWidget(self._phase, 2, 0)
        grid.addWidget(self._curve, 2, 1)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 2)

    def show_bead(self, planes: NDArray[Any]) -> None:
        """planes (K, H, W) of a bead that has no result yet."""
        self._strip_image.setImage(_montage([planes]))
        self._phase_image.clear()
        self._line.setData([], [])

    def show_result(self, result: "Calibrated") -> None:
        found, scan = result.found, result.scan
        self._strip_image.setImage(_montage([scan.planes, found.model_planes]))
        self._phase_image.setImage(found.mask.phase_rad, levels=(-np.pi, np.pi))
        self._line.setData(np.asarray(scan.focus_um), found.correlation)

    def clear(self) -> None:
        for image in (self._strip_image, self._phase_image):
            image.clear()
        self._line.setData([], [])


def _montage(rows: list[NDArray[Any]]) -> NDArray[np.float32]:
    """Some planes of each (K, H, W) beside each other, all on the first one's scale."""
    chosen = np.linspace(0, len(rows[0]) - 1, min(_SHOWN, len(rows[0]))).round().astype(int)
    low, high = np.percentile(rows[0], (1, 99.9))
    gap = ((0, _GAP_PX), (0, _GAP_PX))
    tiles = [
        [np.pad(np.clip((planes[k] - low) / max(high - low, 1e-9), 0, 1), gap) for k in chosen]
        for planes in rows
    ]
    return np.block(tiles).astype(np.float32)


def _picture(height: int) -> tuple[pg.PlotWidget, pg.ImageItem]:
    plot = pg.PlotWidget(enableMenu=False)
    plot.setFixedHeight(height)
    plot.hideButtons()
    plot.setMouseEnabled(x=False, y=False)
    for side in ("left", "bottom"):
        plot.hideAxis(side)
    item = plot.getPlotItem()
    item.setAspectLocked(True)
    item.invertY(True)
    image = pg.ImageItem(axisOrder="row-major")
    plot.addItem(image)
    return plot, image
