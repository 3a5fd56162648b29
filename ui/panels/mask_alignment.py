"""Where the mask lies on the SLM: numbers that change its pattern at once."""

from dataclasses import replace
from math import degrees, radians
from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QWidget,
)

from ui.number_box import NumberBox

if TYPE_CHECKING:
    from hardware.rig_file import PatternSettings
    from hardware.slm_pattern import Carrier, PupilAlignment

_TOO_FINE_PX, _LEAST_PERIOD_PX = 2.0, 3.0
_NARROW_PX = 70


class AlignmentBox(QWidget):
    """Shows PatternSettings. changed: the new ones, when the user changes a number. kept: those
    that the user wants in the rig file.

    Only what is touched changes: what a box shows rounded stays exact.
    """

    changed, kept = pyqtSignal(object), pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings: PatternSettings | None = None
        self._first: PatternSettings | None = None
        self._shape = (0, 0)

        self.column = self._number("column", 1, self.tr("Column of the optical axis on the SLM."))
        self.row = self._number("row", 1, self.tr("Row of the optical axis on the SLM."))
        for box in (self.column, self.row):
            box.setRange(-9999, 9999)
        self.rotation = self._number(
            "rotation",
            2,
            self.tr("How far the pupil's image is turned, from columns towards rows."),
        )
        self.rotation.setRange(-360, 360)
        self.rotation.setSingleStep(0.5)
        self.scale = self._number(
            "scale", 3, self.tr("Size of the pupil's image over that computed from the optics.")
        )
        self.scale.setRange(0.1, 10)
        self.scale.setSingleStep(0.01)
        self.flip_x = self._flip("flip_x", self.tr("flip x"), self.tr("Mirror left and right."))
        self.flip_y = self._flip("flip_y", self.tr("flip y"), self.tr("Mirror up and down."))
        self.period = self._number(
            "period",
            1,
            self.tr("Pixels in which the grating's phase rises by 2 pi; 0: no grating."),
        )
        self.period.setRange(0, 2000)
        self.period.setSpecialValueText(self.tr("none"))
        self.direction = self._number(
            "direction", 1, self.tr("Where the grating's phase rises, from columns towards rows.")
        )
        self.direction.setRange(-360, 360)
        self.direction.setSingleStep(5)
        self.live = QCheckBox(self.tr("live"))
        self.live.setObjectName("mask_live")
        self.live.setToolTip(self.tr("Change the pattern on the SLM with every number, at once."))
        self.undo = QPushButton(self.tr("As in the rig file"))
        self.undo.setToolTip(self.tr("Take back what was changed here."))
        self.undo.clicked.connect(self._take_back)
        self.keep = QPushButton(self.tr("Keep"))
        self.keep.setObjectName("mask_keep")
        self.keep.setToolTip(self.tr("Write these numbers into the rig file."))
        self.keep.setEnabled(False)
        self.keep.clicked.connect(lambda: self.kept.emit(self._settings))
        self._lay_out()

        self.row.valueChanged.connect(lambda value: self._move(0, value))
        self.column.valueChanged.connect(lambda value: self._move(1, value))
        self.rotation.valueChanged.connect(lambda value: self._align(rotation_rad=radians(value)))
        self.scale.valueChanged.connect(lambda value: self._align(scale=value))
        self.flip_x.toggled.connect(lambda on: self._align(flip_x=on))
        self.flip_y.toggled.connect(lambda on: self._align(flip_y=on))
        self.period.valueChanged.connect(self._set_carrier)
        self.direction.valueChanged.connect(self._set_carrier)

    def set_settings(self, settings: "PatternSettings", shape: tuple[int, int]) -> None:
        """Show these, which a rig file gave for an SLM of (rows, columns)."""
        self._first, self._shape = settings, shape
        self._show(settings)

    def set_alignment(self, alignment: "PupilAlignment") -> None:
        """Take one that was measured; `changed` and `kept` follow."""
        if self._settings is not None:
            found = replace(self._settings, alignment=alignment)
            self._show(found)
            self.changed.emit(found)
            self.kept.emit(found)

    def set_kept(self, settings: "PatternSettings") -> None:
        """The rig file holds these now."""
        self._first = settings
        self._mark()

    def _mark(self) -> None:
        self.keep.setEnabled(self._settings != self._first)

    def _show(self, settings: "PatternSettings") -> None:
        self._settings = settings
        alignment, carrier = settings.alignment, settings.carrier
        row, column = self._centre(settings)
        for box, value in (
            (self.row, row),
            (self.column, column),
            (self.rotation, degrees(alignment.rotation_rad)),
            (self.scale, alignment.scale),
            (self.period, 0.0 if carrier is None else carrier.period_px),
            (self.direction, 0.0 if carrier is None else degrees(carrier.direction_rad)),
        ):
            box.blockSignals(True)
            box.setValue(value)
            box.blockSignals(False)
        for tick, on in ((self.flip_x, alignment.flip_x), (self.flip_y, alignment.flip_y)):
            tick.blockSignals(True)
            tick.setChecked(on)
            tick.blockSignals(False)
        self.direction.setEnabled(carrier is not None)
        self._mark()

    def _take_back(self) -> None:
        if self._first is not None:
            self._show(self._first)
            self.changed.emit(self._first)

    def _centre(self, settings: "PatternSettings") -> tuple[float, float]:
        rows, columns = self._shape
        return settings.alignment.centre_px or ((rows - 1) / 2, (columns - 1) / 2)

    def _move(self, axis: int, value: float) -> None:
        if self._settings is not None:
            row, column = self._centre(self._settings)
            self._align(centre_px=(value, column) if axis == 0 else (row, value))

    def _align(self, **values: object) -> None:
        if self._settings is not None:
            alignment = replace(self._settings.alignment, **values)  # type: ignore[arg-type]
            self._change(replace(self._settings, alignment=alignment))

    def _set_carrier(self) -> None:
        if self._settings is None:
            return
        period_px, had = self.period.value(), self._settings.carrier is not None
        if 0 < period_px <= _TOO_FINE_PX:  # no grating has it: on to the nearest that does
            self.period.setValue(0.0 if had else _LEAST_PERIOD_PX)
            return
        self.direction.setEnabled(period_px > 0)
        self._change(replace(self._settings, carrier=self._carrier()))

    def _carrier(self) -> "Carrier | None":
        from hardware.slm_pattern import Carrier

        if self.period.value() == 0:
            return None
        return Carrier(period_px=self.period.value(), direction_rad=radians(self.direction.value()))

    def _change(self, settings: "PatternSettings") -> None:
        self._settings = settings
        self._mark()
        self.changed.emit(settings)

    def _number(self, name: str, decimals: int, tip: str) -> NumberBox:
        box = NumberBox()
        box.setObjectName(f"mask_{name}")
        box.setDecimals(decimals)
        box.setMinimumWidth(_NARROW_PX)  # else as wide as the longest number there is room for
        box.setToolTip(tip)
        return box

    def _flip(self, name: str, text: str, tip: str) -> QCheckBox:
        tick = QCheckBox(text)
        tick.setObjectName(f"mask_{name}")
        tick.setToolTip(tip)
        return tick

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(6, 6, 6, 6)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        rows = (
            (self.tr("Column, px"), self.column, self.tr("row, px"), self.row),
            (self.tr("Rotation, deg"), self.rotation, self.tr("scale"), self.scale),
            (self.tr("Grating, px"), self.period, self.tr("towards, deg"), self.direction),
        )
        for place, (left, first, right, second) in enumerate(rows):
            grid.addWidget(QLabel(left), place, 0)
            grid.addWidget(first, place, 1)
            grid.addWidget(QLabel(right), place, 2)
            grid.addWidget(second, place, 3)
        ticks = QHBoxLayout()
        for tick in (self.flip_x, self.flip_y):
            ticks.addWidget(tick)
        ticks.addStretch(1)
        grid.addWidget(QLabel(self.tr("Mirror")), 3, 0)
        grid.addLayout(ticks, 3, 1, 1, 3)
        below = QHBoxLayout()
        below.addWidget(self.live)
        below.addStretch(1)
        below.addWidget(self.undo)
        below.addWidget(self.keep)
        grid.addLayout(below, 4, 0, 1, 4)
        grid.setRowStretch(5, 1)
