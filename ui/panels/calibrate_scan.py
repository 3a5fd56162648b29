"""Choices of a z scan of beads: through which focus, and into which folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QStandardPaths, pyqtSignal
from PyQt6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QLabel,
    QLineEdit,
    QWidget,
)

from dsacq.files.paths import is_there
from ui.panels.controls import button, number_box, row, typed_path, whole_box, without_wheel
from ui.panels.record_place import free_name

if TYPE_CHECKING:
    from calibration.z_scan import ZScanSettings

_RANGE_UM = 2.0  # around where the focus stands
_ANYWHERE_UM = (-1e6, 1e6)  # until a rig tells its limits


class ScanBox(QGroupBox):
    """Shows ZScanSettings and a folder. open_wanted: the folder (Path) of an earlier scan. agreed:
    to a long way, as `ask` told it."""

    open_wanted = pyqtSignal(object)
    agreed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        tr = self.tr
        self.setTitle(tr("Bead z scan"))
        self._limits_um = _ANYWHERE_UM
        self._stands_um = 0.0
        focus = tr("Lowest and highest focus; beads sharp in the middle are best.")
        self.first = number_box("calibrate_first", _ANYWHERE_UM, 2, "µm", focus)
        self.last = number_box("calibrate_last", _ANYWHERE_UM, 2, "µm", focus)
        self.step = number_box("calibrate_step", (0.005, 10.0), 3, "µm", tr("Between two planes."))
        self.first.setValue(-_RANGE_UM)
        self.last.setValue(_RANGE_UM)
        self.step.setValue(0.1)
        self.origin = QComboBox()
        self.origin.setObjectName("calibrate_origin")
        self.origin.addItem(tr("around where it stands"), True)
        self.origin.addItem(tr("positions of the stage"), False)
        self.origin.setToolTip(tr("What the two numbers count from."))
        without_wheel(self.origin)
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
        self.agree_button = button(
            tr("Go so far"), "calibrate_agree", tr("Scan, though the focus goes a long way.")
        )
        self.agree_button.hide()
        self._connect()
        form = QFormLayout(self)
        form.setVerticalSpacing(4)
        form.addRow(tr("Focus"), row(self.first, QLabel(tr("to")), self.last))
        form.addRow("", self.origin)
        form.addRow(tr("Step"), row(self.step, QLabel(tr("frames")), self.frames))
        form.addRow(tr("Folder"), self.folder)
        form.addRow(row(self.scan_button, self.agree_button, self.open_button))

    def _connect(self) -> None:
        self.open_button.clicked.connect(self._browse)
        self.agree_button.clicked.connect(self.agreed)
        self.scan_button.clicked.connect(self.agree_button.hide)
        self.origin.currentIndexChanged.connect(self._on_origin)
        for box in (self.first, self.last):
            box.valueChanged.connect(self.agree_button.hide)

    @property
    def target(self) -> Path:
        """The folder that a scan goes to."""
        return typed_path(self.folder.text())

    @property
    def relative(self) -> bool:
        """Whether the numbers count from where the focus stands."""
        return bool(self.origin.currentData())

    def ask(self) -> None:
        """Let the user agree to a long way; a changed number takes the question away."""
        self.agree_button.show()

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
        """Where the focus stage can go; the usual numbers, as a new rig has been opened."""
        self._limits_um = limits_um
        self.origin.setCurrentIndex(0)
        self._set_ranges()
        self.first.setValue(-_RANGE_UM)
        self.last.setValue(_RANGE_UM)

    def show_position(self, position_um: float | None) -> None:
        """Where the focus stands, as it was last read."""
        if position_um is not None:
            self._stands_um = position_um

    def _on_origin(self) -> None:
        """The same positions, counted otherwise."""
        moved_um = -self._stands_um if self.relative else self._stands_um
        first_um, last_um = self.first.value() + moved_um, self.last.value() + moved_um
        self._set_ranges()
        self.first.setValue(first_um)
        self.last.setValue(last_um)
        self.agree_button.hide()

    def _set_ranges(self) -> None:
        low, high = self._limits_um
        limits = (low - high, high - low) if self.relative else self._limits_um
        for box in (self.first, self.last):
            box.setRange(*limits)

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
    return folder.with_name(free_name(folder)) if is_there(folder) else folder
