"""Zernike polynomials to be added to a mask, a slider each."""

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QGridLayout, QLabel, QPushButton, QSlider, QWidget

from ui.number_box import NumberBox

_LARGEST_RAD, _STEPS = 2.0, 100  # steps of a slider per rad


class AdjustBox(QWidget):
    """Coefficients by Noll's index, rad rms. changed: all of them, when one does."""

    changed = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        names = {
            4: self.tr("Defocus"),
            5: self.tr("Astigmatism, oblique"),
            6: self.tr("Astigmatism"),
            7: self.tr("Coma y"),
            8: self.tr("Coma x"),
            9: self.tr("Trefoil y"),
            10: self.tr("Trefoil x"),
            11: self.tr("Spherical"),
        }
        grid = QGridLayout(self)
        grid.setContentsMargins(6, 4, 6, 4)
        grid.setVerticalSpacing(1)
        grid.setColumnStretch(1, 1)
        self.numbers: dict[int, NumberBox] = {}
        for row, (index, name) in enumerate(names.items()):
            slider, number = self._pair(index, name)
            self.numbers[index] = number
            grid.addWidget(QLabel(name), row, 0)
            grid.addWidget(slider, row, 1)
            grid.addWidget(number, row, 2)
        self.reset = QPushButton(self.tr("Reset"))
        self.reset.setObjectName("mask_reset")
        self.reset.setToolTip(self.tr("All back to 0: the mask as it was designed."))
        self.reset.clicked.connect(self._reset)
        grid.addWidget(QLabel(self.tr("rad rms, added to the mask")), len(names), 0, 1, 2)
        grid.addWidget(self.reset, len(names), 2)
        grid.setRowStretch(len(names) + 1, 1)

    @property
    def added_rad(self) -> dict[int, float]:
        return {index: number.value() for index, number in self.numbers.items()}

    def _pair(self, index: int, name: str) -> tuple[QSlider, NumberBox]:
        tip = self.tr("{} (Noll {}), rad rms on the pupil").format(name, index)
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(-round(_LARGEST_RAD * _STEPS), round(_LARGEST_RAD * _STEPS))
        slider.setPageStep(_STEPS // 4)
        slider.setToolTip(tip)
        number = NumberBox()
        number.setObjectName(f"mask_noll_{index}")
        number.setRange(-_LARGEST_RAD, _LARGEST_RAD)
        number.setSingleStep(0.1)
        number.setToolTip(tip)
        slider.valueChanged.connect(lambda steps: number.setValue(steps / _STEPS))
        number.valueChanged.connect(lambda value: slider.setValue(round(value * _STEPS)))
        number.valueChanged.connect(lambda _: self.changed.emit(self.added_rad))
        return slider, number

    def _reset(self) -> None:
        for number in self.numbers.values():
            number.setValue(0)
