"""Pictures of a mask: its phase, its pattern on the SLM, its PSF through z, what it can reach."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from ui.panels.mask_work import BACKGROUND, PHOTONS, Bounds, Images, Pattern
from ui.theme import AMBER, BLUE, FOREGROUND, GREEN

if TYPE_CHECKING:
    from dsacq.physics.masks import PhaseMask
    from dsacq.physics.optics import Optics

_CYCLIC = "CET-CBC1"  # told apart by the colour-blind too
_COLUMNS = 5  # of the images through z
_AXES = (
    ("x", BLUE, Qt.PenStyle.SolidLine),
    ("y", GREEN, Qt.PenStyle.DashLine),
    ("z", AMBER, Qt.PenStyle.SolidLine),
)
_BAR_UM = 2.0
_WORST_NM = 1000.0  # that the bounds' axis reaches to
_TICKS_NM = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SHARE = 1.04  # of the picture's width to the pupil's


class MaskPreviews(QWidget):
    """Shows what it is given."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._phase: np.ndarray[Any, Any] | None = None

        self.wrapped = QCheckBox(self.tr("Wrapped"))
        self.wrapped.setObjectName("mask_wrapped")
        self.wrapped.setChecked(True)
        self.wrapped.setToolTip(
            self.tr("Phase modulo 2 pi, which is what light gets; off: as it was designed.")
        )
        self.wrapped.toggled.connect(self._draw_phase)
        self._phase_plot, self._phase_image = _picture(170)
        self._phase_plot.setToolTip(
            self.tr(
                "Phase of the mask. Solid: edge of the pupil; dashed: edge of the light that "
                "propagates in the sample."
            )
        )
        self._edges = [
            self._phase_plot.plot(pen=pg.mkPen(FOREGROUND, width=width, style=style))
            for width, style in ((1.5, Qt.PenStyle.SolidLine), (1.0, Qt.PenStyle.DashLine))
        ]
        self._bar = pg.ColorBarItem(
            colorMap=_CYCLIC, width=10, interactive=False, label=self.tr("rad")
        )
        self._bar.setImageItem(self._phase_image, insert_in=self._phase_plot.getPlotItem())

        self.on_slm = QLabel()
        self.on_slm.setObjectName("mask_on_slm")
        self.on_slm.setWordWrap(True)
        self._slm_plot, self._slm_image = _picture(128)
        self._slm_plot.setToolTip(
            self.tr("The 8-bit pattern that this mask makes on the SLM, and the edge of the pupil.")
        )
        self._slm_edge = self._slm_plot.plot(pen=pg.mkPen(AMBER, width=1.5))

        self._psf_plot, self._psf_image = _picture(150)
        self._psf_image.setColorMap(pg.colormap.get("inferno"))
        self._psf_plot.setToolTip(
            self.tr(
                "Images of a point at these heights above the coverslip, through this mask; each "
                "is scaled to its own brightest pixel."
            )
        )
        self._psf_labels: list[Any] = []
        self._psf_bar = self._psf_plot.plot(pen=pg.mkPen(FOREGROUND, width=2))

        self._bounds_plot = _plot(160)
        self._bounds_plot.setLogMode(y=True)
        self._bounds_plot.getAxis("left").setTicks(
            [[(np.log10(value), f"{value:g}") for value in _TICKS_NM]]
        )
        self._bounds_plot.showGrid(x=True, y=True, alpha=0.2)
        self._bounds_plot.setLabel("bottom", self.tr("height above the coverslip, µm"))
        self._bounds_plot.setLabel("left", self.tr("nm"))
        self._bounds_plot.setTitle(
            self.tr("Best precision, {:g} photons on {:g} per pixel").format(PHOTONS, BACKGROUND),
            size="9pt",
        )
        self._bounds_plot.setToolTip(
            self.tr("Cramer-Rao bounds: no method localizes a lone emitter more precisely.")
        )
        self._bounds_plot.addLegend(offset=(-4, 2), colCount=3, labelTextSize="8pt")
        self._curves = [
            self._bounds_plot.plot(name=name, pen=pg.mkPen(colour, width=1.8, style=style))
            for name, colour, style in _AXES
        ]
        self._lay_out()

    def show_phase(self, mask: "PhaseMask", optics: "Optics") -> None:
        """The mask where the light of the objective meets it."""
        rows, columns = (np.arange(n) - (n - 1) / 2 for n in mask.phase_rad.shape)
        radius_px = optics.pupil_diameter_um / 2 / mask.pixel_um
        outside = np.hypot(rows[:, None], columns[None, :]) > radius_px
        phase = mask.phase_rad.astype(np.float32, copy=True)
        phase[outside] = np.nan
        self._phase = phase
        self._draw_phase()
        height, width = phase.shape
        self._phase_image.setRect(QRectF(-width / 2, -height / 2, width, height))
        turn = np.linspace(0, 2 * np.pi, 91)
        inner_px = radius_px * optics.na_sample / optics.na
        for edge, radius in zip(self._edges, (radius_px, inner_px), strict=True):
            edge.setData(radius * np.cos(turn), radius * np.sin(turn))
        far = _SHARE * radius_px
        self._phase_plot.setRange(xRange=(-far, far), yRange=(-far, far), padding=0)

    def show_pattern(self, pattern: Pattern | None) -> None:
        """The pattern for the SLM; None where there is no SLM."""
        if pattern is None:
            self._slm_image.clear()
            self._slm_edge.setData([], [])
            return
        rows, columns = pattern.thumbnail.shape
        step = pattern.step
        self._slm_image.setImage(pattern.thumbnail, levels=(0, 255))
        # the centre of the SLM's first pixel is at (0, 0)
        self._slm_image.setRect(QRectF(-0.5, -0.5, columns * step, rows * step))
        self._slm_edge.setData(pattern.edge_px[1], pattern.edge_px[0])
        self._slm_plot.setRange(
            xRange=(-0.5, columns * step), yRange=(-0.5, rows * step), padding=0.01
        )

    def mark(self, sentence: str, good: bool) -> None:
        """Whether the pattern is on the SLM."""
        self.on_slm.setText(sentence)
        self.on_slm.setStyleSheet(f"color: {GREEN if good else AMBER};")

    def show_images(self, images: Images, pixel_um: float) -> None:
        """The PSF through z, row by row; the last place holds the scale."""
        count, height, width = images.relative.shape
        lines = -(-(count + 1) // _COLUMNS)
        mosaic = np.full((lines * (height + 1), _COLUMNS * (width + 1)), np.nan, np.float32)
        if not self._psf_labels:
            self._psf_labels = [_label(self._psf_plot) for _ in range(count + 1)]
        for index, image in enumerate(images.relative):
            row, column = (height + 1) * (index // _COLUMNS), (width + 1) * (index % _COLUMNS)
            mosaic[row : row + height, column : column + width] = image
            self._psf_labels[index].setText(f"{images.heights_um[index]:.2f} µm")
            self._psf_labels[index].setPos(column, row)
        row, column = (height + 1) * (count // _COLUMNS), (width + 1) * (count % _COLUMNS)
        self._psf_labels[count].setText(f"{_BAR_UM:g} µm")
        self._psf_labels[count].setPos(column + 0.1 * width, row + 0.5 * height)
        left = column + 0.15 * width
        self._psf_bar.setData([left, left + _BAR_UM / pixel_um], [row + 0.5 * height] * 2)
        self._psf_image.setImage(mosaic, levels=(0, 1))
        self._psf_plot.setRange(xRange=(0, mosaic.shape[1]), yRange=(0, mosaic.shape[0]), padding=0)

    def show_bounds(self, bounds: Bounds) -> None:
        """Precision through z; where there is none, in perfect focus say, a gap."""
        finite = np.where(np.isfinite(bounds.sigma_nm), bounds.sigma_nm, np.nan)
        for curve, values in zip(self._curves, finite.T, strict=True):
            curve.setData(bounds.heights_um, values)
        self._bounds_plot.setXRange(bounds.heights_um[0], bounds.heights_um[-1])
        if np.isfinite(finite).any():
            low, high = np.nanmin(finite), min(np.nanmax(finite), _WORST_NM)
            self._bounds_plot.setYRange(np.log10(0.8 * low), np.log10(1.8 * high), padding=0)

    def _draw_phase(self) -> None:
        if self._phase is None:
            return
        phase, levels, colours = self._phase, (-np.pi, np.pi), _CYCLIC
        if self.wrapped.isChecked():
            phase = np.angle(np.exp(1j * phase)).astype(np.float32)
        else:
            middle, half = _middle(phase)
            levels, colours = (middle - half, middle + half), "viridis"
        self._phase_image.setImage(phase, levels=levels)
        self._bar.setColorMap(pg.colormap.get(colours))
        self._bar.setLevels(levels)

    def _lay_out(self) -> None:
        right = QVBoxLayout()
        right.addWidget(QLabel(self.tr("Pattern for the SLM")))
        right.addWidget(self._slm_plot)
        right.addWidget(self.on_slm)
        right.addStretch(1)
        left = QVBoxLayout()
        heading = QHBoxLayout()
        heading.addWidget(QLabel(self.tr("Phase")))
        heading.addStretch(1)
        heading.addWidget(self.wrapped)
        left.addLayout(heading)
        left.addWidget(self._phase_plot)
        above = QHBoxLayout()
        above.addLayout(left, 6)
        above.addLayout(right, 5)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(above)
        layout.addWidget(QLabel(self.tr("PSF through z")))
        layout.addWidget(self._psf_plot)
        layout.addWidget(self._bounds_plot)


def _middle(phase: "np.ndarray[Any, Any]") -> tuple[float, float]:
    """Middle of the phases, and how far they lie off it; never 0."""
    low, high = float(np.nanmin(phase)), float(np.nanmax(phase))
    return (low + high) / 2, max((high - low) / 2, 0.01)


def _plot(height_px: int) -> Any:
    """A plot that is looked at only, as wide as there is room."""
    plot = pg.PlotWidget(enableMenu=False)
    plot.setMouseEnabled(False, False)
    plot.hideButtons()
    plot.setFixedHeight(height_px)
    plot.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return plot


def _picture(height_px: int) -> tuple[Any, Any]:
    """A plot without axes, of square pixels with rows downwards, and its image."""
    plot = _plot(height_px)
    plot.hideAxis("left")
    plot.hideAxis("bottom")
    plot.setAspectLocked(True)
    plot.invertY(True)
    image = pg.ImageItem(axisOrder="row-major")
    plot.addItem(image)
    return plot, image


def _label(plot: Any) -> Any:
    label = pg.TextItem(color=FOREGROUND, anchor=(0, 0))
    font = label.textItem.font()
    font.setPointSize(7)
    label.setFont(font)
    plot.addItem(label)
    return label
