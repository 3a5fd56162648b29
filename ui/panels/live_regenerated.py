"""Data and regenerated frame side by side, and how well they correlate."""

import pyqtgraph as pg
from PyQt6.QtWidgets import QLabel, QVBoxLayout, QWidget

from ui.levels import auto_levels, sample
from ui.regenerated import SIDE_PX, Regenerated
from ui.theme import AMBER

# On the simulated bench 0.89 with the right mask, 0.87 with the focus off by 1 um, 0.78 by 2 um or
# with the mask upside down, 0.58 with half of the mask, 0.40 with none: nothing above proves much.
LOW = 0.6


class RegeneratedView(QWidget):
    """Shows a Regenerated, both images on the grey levels of the data."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._graphics = pg.GraphicsLayoutWidget()
        self._graphics.setMinimumHeight(96)
        self._graphics.ci.layout.setContentsMargins(0, 0, 0, 0)
        self._graphics.setToolTip(
            self.tr("Left the frame, right what its localizations would look like, equally grey.")
        )
        self.images = [pg.ImageItem(axisOrder="row-major", autoDownsample=True) for _ in range(2)]
        self._boxes = [
            self._graphics.addViewBox(0, column, lockAspect=True, invertY=True, enableMenu=False)
            for column in range(2)
        ]
        for box, image in zip(self._boxes, self.images, strict=True):
            box.setMouseEnabled(x=False, y=False)
            box.addItem(image)
        self.title = QLabel(self.tr("data | regenerated"))
        self.title.setObjectName("live_regenerated")
        self.title.setWordWrap(True)
        self.hint = QLabel()
        self.hint.setObjectName("live_hint")
        self.hint.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.title)
        column.addWidget(self._graphics, 1)
        column.addWidget(self.hint)

    def clear(self) -> None:
        """Before another run."""
        for image in self.images:
            image.clear()
        self.title.setText(self.tr("data | regenerated"))
        self.hint.clear()

    def show_one(self, one: Regenerated) -> None:
        """Show a frame."""
        levels = auto_levels(sample(one.data))
        for image, pixels in zip(self.images, (one.data, one.regenerated), strict=True):
            image.setImage(pixels, levels=levels)
        for box, image in zip(self._boxes, self.images, strict=True):
            box.setRange(image.boundingRect(), padding=0)
        where = self.tr(", middle {} px").format(SIDE_PX) if one.part else ""
        self.title.setText(
            self.tr("data | regenerated, frame {}{}: correlation {:.2f}").format(
                one.number, where, one.correlation
            )
        )
        low = not one.correlation >= LOW
        self.hint.setText(
            self.tr("Low: many emitters are missed, or mask or model is wrong.")
            if low
            else self.tr("To compare runs by: it proves neither mask nor focus.")
        )
        self.hint.setStyleSheet(f"color: {AMBER};" if low else "")
