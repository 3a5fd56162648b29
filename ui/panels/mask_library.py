"""The masks to choose from: designs for the optics of the rig, and files that were opened."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ui.job import Job
from ui.panels.mask_work import read

if TYPE_CHECKING:
    from dsacq.physics.masks import PhaseMask
    from dsacq.physics.optics import Optics

_FILES = "(*.tif *.tiff *.mat *.npy *.csv *.png *.bmp)"
_SOURCE = Qt.ItemDataRole.UserRole


class MaskLibrary(QWidget):
    """chosen: the name of a design, or a PhaseMask. failed: the error of a file."""

    chosen = pyqtSignal(object)
    failed = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._optics: Optics | None = None
        self._reading: Job | None = None

        self.list = QListWidget()
        self.list.setObjectName("mask_library")
        self.list.setToolTip(self.tr("Designs for the optics of this rig, and files you opened."))
        self.list.currentItemChanged.connect(self._on_current)
        self.open = QPushButton(self.tr("Open file..."))
        self.open.setObjectName("mask_open")
        self.open.setToolTip(self.tr("Add a mask from a file: .tif .mat .npy .csv .png .bmp"))
        self.open.clicked.connect(self._browse)
        self.about = QLabel()
        self.about.setObjectName("mask_about")
        self.about.setWordWrap(True)

        row = QHBoxLayout()
        row.addWidget(self.about, 1)
        row.addWidget(self.open)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.list, 1)
        layout.addLayout(row)

    def fill(self, optics: "Optics") -> None:
        """The designs for these optics, none of them chosen yet."""
        from dsacq.physics.masks import DESIGNS

        self._optics = optics
        self.list.clear()
        for name, (_, description) in DESIGNS.items():
            self._add(name, name, description, description)

    def choose(self, name: str) -> None:
        """Select a mask by the name in the list."""
        for item in self.list.findItems(name, Qt.MatchFlag.MatchExactly):
            self.list.setCurrentItem(item)

    def open_file(self, path: Path) -> None:
        """Read a mask in the background; it is added and selected."""
        optics = self._optics
        if optics is None:
            return
        job = Job(lambda: read(path, optics), "reading a mask", self)
        job.yielded.connect(lambda mask: self._on_read(path, mask))
        job.failed.connect(self.failed)
        self._reading = job
        job.start()

    def stop(self) -> None:
        if self._reading is not None:
            self._reading.stop()

    def _on_read(self, path: Path, mask: "PhaseMask") -> None:
        for place in range(self.list.count()):
            item = self.list.item(place)
            if item is not None and item.toolTip() == str(path):  # it was read before
                self.list.takeItem(place)
                break
        rows, columns = mask.phase_rad.shape
        size = self.tr("{} x {} samples of {:g} um").format(columns, rows, mask.pixel_um)
        self.list.setCurrentItem(self._add(path.name, mask, str(path), size))

    def _add(self, name: str, source: Any, tip: str, about: str) -> QListWidgetItem:
        item = QListWidgetItem(name)
        item.setData(_SOURCE, (source, about))
        item.setToolTip(tip)
        self.list.addItem(item)
        return item

    def _on_current(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            source, about = item.data(_SOURCE)
            self.about.setText(about)
            self.chosen.emit(source)

    def _browse(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, self.tr("Open a mask"), "", self.tr("Masks") + f" {_FILES}"
        )
        if name:
            self.open_file(Path(name))
