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
from ui.panels.mask_work import designed, read

if TYPE_CHECKING:
    from dsacq.design.fisher import FisherStep
    from dsacq.physics.masks import PhaseMask
    from dsacq.physics.optics import Optics
    from dsacq.physics.pupil import PsfModel

_FILES = "(*.tif *.tiff *.mat *.npy *.csv *.png *.bmp)"
_SOURCE = Qt.ItemDataRole.UserRole


class MaskLibrary(QWidget):
    """chosen: the name of a design, or a PhaseMask. failed: the error of a file."""

    chosen = pyqtSignal(object)
    failed = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._optics: Optics | None = None
        self._model: PsfModel | None = None
        self._reading: Job | None = None
        self._designing: Job | None = None
        self._designed = 0
        self._best: FisherStep | None = None

        self.list = QListWidget()
        self.list.setObjectName("mask_library")
        self.list.setToolTip(self.tr("Designs for the optics of this rig, and files you opened."))
        self.list.currentItemChanged.connect(self._on_current)
        self.open = QPushButton(self.tr("Open file..."))
        self.open.setObjectName("mask_open")
        self.open.setToolTip(self.tr("Add a mask from a file: .tif .mat .npy .csv .png .bmp"))
        self.open.clicked.connect(self._browse)
        self.design = QPushButton(self.tr("Design"))
        self.design.setObjectName("mask_design")
        self.design.setToolTip(
            self.tr("Search the mask that is most precise for single emitters over this depth.")
        )
        self.design.clicked.connect(self.start_design)
        self.about = QLabel()
        self.about.setObjectName("mask_about")
        self.about.setWordWrap(True)

        row = QHBoxLayout()
        row.addWidget(self.about, 1)
        row.addWidget(self.design)
        row.addWidget(self.open)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.list, 1)
        layout.addLayout(row)

    def fill(self, optics: "Optics", model: "PsfModel") -> None:
        """The designs for these optics, none of them chosen yet."""
        from dsacq.files.mask_library import MASKS

        self._optics, self._model = optics, model
        self.list.clear()
        for name, (_, description) in MASKS.items():
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

    def start_design(self) -> None:
        """Search a mask for the rig's optics; what is best so far is shown as it comes. A second
        click ends it, and keeps the best so far."""
        optics, model = self._optics, self._model
        if self._designing is not None:
            self._designing.ask_to_stop()
            return
        if optics is None or model is None:
            return
        job = Job(lambda: designed(optics, model), "designing a mask", self)
        job.yielded.connect(self._on_design)
        job.failed.connect(self.failed)
        job.finished.connect(self._on_designed)
        self._designing, self._best = job, None
        self.design.setText(self.tr("Stop"))
        job.start()

    def stop(self) -> None:
        for job in (self._reading, self._designing):
            if job is not None:
                job.stop()

    def _on_design(self, step: "FisherStep") -> None:
        before, self._best = self._best, step
        self.about.setText(
            self.tr("designing, {} %: {:.1f} nm").format(100 * step.step // step.of, step.best_nm)
        )
        if before is None or before.mask is not step.mask:
            self.chosen.emit(step.mask)

    def _on_designed(self) -> None:
        if self._designing is not None:
            self._designing.deleteLater()
        self._designing = None
        self.design.setText(self.tr("Design"))
        if self._best is not None:
            self._designed += 1
            about = self.tr("mean bound over x, y, z and depth: {:.1f} nm").format(
                self._best.best_nm
            )
            name = self.tr("designed {}").format(self._designed)
            self.list.setCurrentItem(self._add(name, self._best.mask, about, about))

    def _on_read(self, path: Path, mask: "PhaseMask") -> None:
        for place in range(self.list.count()):
            item = self.list.item(place)
            if item is not None and item.toolTip() == str(path):  # it was read before
                self.list.takeItem(place)
                break
        rows, columns = mask.phase_rad.shape
        size = self.tr("{} x {} samples of {:g} µm").format(columns, rows, mask.pixel_um)
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
