"""Choices of a z scan of beads: through which focus, and into which folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QStandardPaths, pyqtSignal
from PyQt6.QtWidgets import QFileDialog, QFormLayout, QGroupBox, QLabel, QLineEdit, QWidget

from ui.panels.controls import button, number_box, row, typed_path, whole_box
from ui.panels.record_place import free_name

if TYPE_CHECKING:
    from calibration.z_scan import ZScanSettings

_RANGE_UM = 2.0  # around the middle of a scan
_ANYWHERE_UM = (-1e6, 1e6)  # until a rig tells its limits


class ScanBox(QGroupBox):
    """Shows ZScanSettings and a folder. open_wanted: the folder (Path) of an earlier scan."""

    open_wanted = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        tr = self.tr
        self.setTitle(tr("Bead z scan"))
        focus = tr("Positions of the focus stage; beads sharp in the middle are best.")
        self.first = number_box("calibrate_first", _ANYWHERE_UM, 2, "µm", focus)
        self.last = number_box("calibrate_last", _ANYWHERE_UM, 2, "µm", focus)
        self.step = number_box("calibrate_step", (0.005, 10.0), 3, "µm", tr("Between two planes."))
        self.first.setValue(-_RANGE_UM)
        self.last.setValue(_RANGE_UM)
        self.step.setValue(0.1)
        self.frames = whole_box(
            "calibrate_frames", (1, 1000), 5, tr("Frames added up in each plane.")
        )
        self.folder = QLineEdit(str(_free(_home() / "beads-001")))
        self.folder.setObjectName("calibrate_folder")
        self.folder.setToolTip(tr("Where the scan is kept; the folder is made."))
        self.scan_button = button(
            tr("Scan"), "calibrate_scan", tr("Lasers in use go on; the focus moves upwards.")
        )
        self.open_button = button(
            tr("Open scan..."), "calibrate_open", tr("The folder of a scan taken before.")
        )
        self.open_button.clicked.connect(self._browse)
        form = QFormLayout(self)
        form.setVerticalSpacing(4)
        form.addRow(tr("Focus"), row(self.first, QLabel(tr("to")), self.last))
        form.addRow(tr("Step"), row(self.step, QLabel(tr("frames")), self.frames))
        form.addRow(tr("Folder"), self.folder)
        form.addRow(row(self.scan_button, self.open_button))

    @property
    def target(self) -> Path:
        """The folder that a scan goes to."""
        return typed_path(self.folder.text())

    def settings(self) -> "ZScanSettings":
        """Raises SettingsError for numbers that make no scan."""
        from calibration.z_scan import ZScanSettings

        return ZScanSettings(
            first_um=self.first.value(),
            last_um=self.last.value(),
            step_um=self.step.value(),
            frames=self.frames.value(),
        )

    def set_limits(self, limits_um: tuple[float, float]) -> None:
        """Where the focus stage can go."""
        for box, value in ((self.first, -_RANGE_UM), (self.last, _RANGE_UM)):
            box.setRange(*limits_um)
            box.setValue(value)

    def name_next(self, folder: Path) -> None:
        """Offer the next free name after this folder."""
        self.folder.setText(str(_free(folder)))

    def _browse(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, self.tr("Open a z scan"), str(Path(self.folder.text()).parent)
        )
        if name:
            self.open_wanted.emit(Path(name))


def _home() -> Path:
    documents = QStandardPaths.StandardLocation.DocumentsLocation
    return Path(QStandardPaths.writableLocation(documents)) / "dsacq"


def _free(folder: Path) -> Path:
    return folder.with_name(free_name(folder)) if folder.exists() else folder
