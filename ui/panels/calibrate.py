"""From a z scan of beads to the PSF of this microscope."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QSettings, QStandardPaths, pyqtSignal
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from dsacq.errors import UserError
from ui.calibrating import Scanned, opened_scan, retrieving, scanning
from ui.job import Job
from ui.latest import Latest
from ui.panels.calibrate_result import ResultView
from ui.panels.controls import button, number_box, without_wheel
from ui.panels.record_place import free_name
from ui.session import Activity, Session, told
from ui.theme import AMBER

if TYPE_CHECKING:
    from calibration.finding import Bead
    from calibration.result import Calibrated
    from hardware.rig import Rig
    from hardware.slm_pattern import PupilAlignment

_RANGE_UM = 2.0  # around the middle of a scan
_BEADS_PX = 92  # high, the table


class CalibratePanel(QWidget):
    """plane_shown: pixels (rows, columns) of a plane. wanted_for_training: a Calibrated.
    alignment_wanted: a PupilAlignment, to be kept."""

    plane_shown = pyqtSignal(object)
    alignment_wanted = pyqtSignal(object)
    wanted_for_training = pyqtSignal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._scanned: Scanned | None = None
        self._result: Calibrated | None = None
        self._job: Job | None = None
        self._reading = Latest("opening a z scan", self)
        self._make_controls()
        self.view = ResultView()
        self._lay_out()
        self._connect()
        self._show_state()

    def _make_controls(self) -> None:
        tr = self.tr
        span = (-1e6, 1e6)
        focus = tr("Positions of the focus stage; beads sharp in the middle are best.")
        self.first = number_box("calibrate_first", span, 2, "µm", focus)
        self.last = number_box("calibrate_last", span, 2, "µm", focus)
        self.step = number_box("calibrate_step", (0.005, 10.0), 3, "µm", tr("Between two planes."))
        self.first.setValue(-_RANGE_UM)
        self.last.setValue(_RANGE_UM)
        self.step.setValue(0.1)
        self.frames = _whole("calibrate_frames", (1, 1000), 5, tr("Frames added up in each plane."))
        self.side = _whole(
            "calibrate_side",
            (15, 301),
            61,
            tr("Side of the square around a bead: its image at every focus fits in, no other's."),
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
        self.beads = QTableWidget(0, 4)
        self.beads.setObjectName("calibrate_beads")
        self.beads.setToolTip(tr("The beads found, the best first. The chosen one is used."))
        self.beads.setHorizontalHeaderLabels([tr("row"), tr("column"), tr("photons"), tr("remark")])
        self.beads.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.beads.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.beads.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.beads.setFixedHeight(_BEADS_PX)
        for header in (self.beads.verticalHeader(), self.beads.horizontalHeader()):
            assert header is not None
        self.beads.verticalHeader().hide()  # type: ignore[union-attr]
        header = self.beads.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.radius = number_box(
            "calibrate_radius", (0.0, 1000.0), 0, "nm", tr("Radius of the beads.")
        )
        self.radius.setValue(50)
        self.zero = number_box(
            "calibrate_zero", span, 2, "µm", tr("Focus stage where the coverslip is in focus.")
        )
        self.search = QComboBox()
        self.search.setObjectName("calibrate_search")
        self.search.addItem(tr("Pupil on the SLM, aberrations"), True)
        self.search.addItem(tr("Phase of every sample"), False)
        self.search.setToolTip(
            tr(
                "With a known mask of some structure on the SLM: where the pupil lies on it, and "
                "aberrations; surer, as few numbers are searched. Or the whole phase, from none."
            )
        )
        without_wheel(self.search)
        self.retrieve_button = button(
            tr("Retrieve PSF"),
            "calibrate_retrieve",
            tr("What explains the chosen bead; takes half a minute to two."),
        )
        self.cancel_button = button(
            tr("Cancel"), "calibrate_cancel", tr("End what runs; a scan is dark at once.")
        )
        self.save_button = button(
            tr("Save..."),
            "calibrate_save",
            tr("The phase as a mask file, its quality (.json) and a page to judge it by (.png)."),
        )
        self.keep_button = button(
            tr("Keep alignment"),
            "calibrate_keep",
            tr("Where the pupil lies on the SLM: into the rig file, and used for the next mask."),
        )
        self.train_button = button(
            tr("Train with it"), "calibrate_train", tr("Fill the Train tab with this PSF.")
        )
        self.bar = QProgressBar()
        self.bar.setObjectName("calibrate_bar")
        self.bar.hide()
        self.told = QLabel()
        self.told.setObjectName("calibrate_told")
        self.told.setWordWrap(True)

    def _lay_out(self) -> None:
        tr = self.tr
        scan, psf = QGroupBox(tr("Bead z scan")), QGroupBox(tr("PSF"))
        form = QFormLayout(scan)
        form.setVerticalSpacing(4)
        form.addRow(tr("Focus"), _row(self.first, QLabel(tr("to")), self.last))
        form.addRow(tr("Step"), _row(self.step, QLabel(tr("frames")), self.frames))
        form.addRow(tr("Folder"), self.folder)
        form.addRow(_row(self.scan_button, self.open_button))
        column = QVBoxLayout(psf)
        column.setSpacing(4)
        column.addWidget(self.beads)
        numbers = QFormLayout()
        numbers.setVerticalSpacing(4)
        numbers.addRow(tr("Square, px"), _row(self.side, QLabel(tr("radius")), self.radius))
        numbers.addRow(tr("Coverslip at"), self.zero)
        numbers.addRow(tr("Search"), self.search)
        column.addLayout(numbers)
        column.addLayout(_row(self.retrieve_button, self.cancel_button))
        column.addWidget(self.view)
        column.addLayout(_row(self.save_button, self.keep_button, self.train_button))
        layout = QVBoxLayout(self)
        layout.setSpacing(4)
        layout.addWidget(scan)
        layout.addWidget(self.bar)
        layout.addWidget(self.told)
        layout.addWidget(psf)
        layout.addStretch(1)

    def _connect(self) -> None:
        self.scan_button.clicked.connect(self.scan)
        self.open_button.clicked.connect(self._browse_scan)
        self.retrieve_button.clicked.connect(self.retrieve)
        self.cancel_button.clicked.connect(self.cancel)
        self.save_button.clicked.connect(self._browse_save)
        self.keep_button.clicked.connect(lambda: self.alignment_wanted.emit(self._aligned()))
        self.train_button.clicked.connect(lambda: self.wanted_for_training.emit(self._result))
        self.beads.itemSelectionChanged.connect(self._on_bead)
        self.side.valueChanged.connect(self._find_again)
        self._reading.answered.connect(self._on_item)
        self._reading.failed.connect(self._fail)
        self._session.opened.connect(self._on_opened)
        self._session.activity_changed.connect(lambda _activity: self._on_activity())

    def scan(self) -> None:
        """Take a z scan as the numbers say."""
        from calibration.z_scan import ZScanSettings

        folder = Path(self.folder.text().strip()).expanduser()
        try:
            settings = ZScanSettings(
                first_um=self.first.value(),
                last_um=self.last.value(),
                step_um=self.step.value(),
                frames=self.frames.value(),
            )
        except UserError as error:
            self._fail(error)
            return
        if not self.folder.text().strip() or folder.exists():
            self._warn(self.tr("{} exists already; name a folder that does not.").format(folder))
            return
        lasers_mw, side_px = dict(self._session.lasers_mw), self.side.value()
        self._tell("")
        self.bar.setRange(0, len(settings.positions_um))
        self.bar.setValue(0)
        self.bar.setFormat(self.tr("plane %v of %m"))
        self._session.calibrate(
            lambda rig, stop: scanning(rig, stop, settings, lasers_mw, folder, side_px),
            "z scan",
            self._on_item,
        )

    def open(self, folder: Path) -> None:
        """Take a scan from disk."""
        side_px = self.side.value()
        self._reading.ask(lambda: opened_scan(folder, side_px))

    def retrieve(self) -> None:
        """Search the phase behind the chosen bead."""
        scanned, bead = self._scanned, self._bead()
        if scanned is None or bead is None or self._job is not None:
            return
        radius_um, zero_um = self.radius.value() / 1000, self.zero.value()
        pupil: bool = self.search.currentData()
        job = Job(
            lambda: retrieving(scanned, bead, radius_um, zero_um, pupil=pupil),
            "retrieving the PSF",
            self,
        )
        job.yielded.connect(self._on_item)
        job.failed.connect(self._fail)
        job.finished.connect(self._on_searched)
        self._job, self._result = job, None
        self._tell("")
        self.bar.setRange(0, 0)
        self.bar.setFormat("")
        self._show_state()
        job.start()

    def cancel(self) -> None:
        """End the scan or the search."""
        if self._job is not None:
            self._job.ask_to_stop()
        elif self._session.activity is Activity.calibrating:
            self._session.end()
            self._tell(self.tr("Stopped; the scan is not kept."))

    def save_result(self, path: Path) -> None:
        """Write the phase, its quality and its page."""
        from calibration.result import write_result

        if self._result is None:
            return
        path = path.with_suffix(".tif")
        try:
            write_result(self._result, path, path.with_suffix(".png"))
        except UserError as error:
            self._fail(error)
        else:
            self._session.said.emit(self.tr("The PSF is written: {}").format(path))
            self._tell(self.tr("Written: {}, with .json and .png beside it.").format(path))

    def stop(self) -> None:
        """End what goes on beside the window; waits for it."""
        self._reading.stop()
        if self._job is not None:
            self._job.stop()

    def save(self, settings: QSettings) -> None:
        for name, control in self._numbers().items():
            settings.setValue(f"calibrate/{name}", control.value())

    def restore(self, settings: QSettings) -> None:
        for name, control in self._numbers().items():
            value = settings.value(f"calibrate/{name}", control.value(), type(control.value()))
            control.setValue(value)

    def _numbers(self) -> dict[str, Any]:
        return {
            "step_um": self.step,
            "frames": self.frames,
            "side_px": self.side,
            "radius_nm": self.radius,
        }

    def _on_opened(self, rig: "Rig") -> None:
        if rig.focus is not None:
            low, high = rig.focus.limits_um
            for box, value in ((self.first, -_RANGE_UM), (self.last, _RANGE_UM)):
                box.setRange(low, high)
                box.setValue(value)
        self._show_state()

    def _on_item(self, item: Any) -> None:
        if isinstance(item, Scanned):
            self._on_scanned(item)
        elif hasattr(item, "focus_um"):  # a plane
            self.bar.setValue(item.number + 1)
            self.plane_shown.emit(item.counts)
        elif hasattr(item, "found"):
            self._on_result(item)
        else:
            self.bar.setRange(0, item.of)
            self.bar.setValue(item.passes)
            self.bar.setFormat(self.tr("chi-square {:.2f}, %p %").format(item.chi_square))

    def _on_scanned(self, scanned: Scanned) -> None:
        self._scanned, self._result = scanned, None
        self.folder.setText(str(_free(scanned.folder)))
        self.view.clear()
        self.beads.setRowCount(0)
        for bead in scanned.beads:
            place = self.beads.rowCount()
            self.beads.insertRow(place)
            words = (f"{bead.row:.0f}", f"{bead.column:.0f}", f"{bead.photons:,.0f}", bead.problem)
            for column, word in enumerate(words):
                self.beads.setItem(place, column, QTableWidgetItem(word))
        usable = sum(not bead.problem for bead in scanned.beads)
        self._tell(
            self.tr("{}: {} planes, {} beads, {} to use.").format(
                scanned.folder.name, len(scanned.scan.planes), len(scanned.beads), usable
            )
        )
        self.plane_shown.emit(scanned.scan.planes[len(scanned.scan.planes) // 2])
        if usable:
            self.beads.selectRow(0)
        self._show_state()

    def _on_bead(self) -> None:
        scanned, bead = self._scanned, self._bead()
        if scanned is not None and bead is not None:
            from calibration.finding import bead_scan

            try:
                self.view.show_bead(bead_scan(scanned.scan, bead, scanned.side_px, 0.0).planes)
            except UserError:
                self.view.clear()
            self._result = None
        self._show_state()

    def _on_result(self, result: "Calibrated") -> None:
        self._result = result
        self.view.show_result(result)
        self._tell(" ".join([result.summary, *result.doubts]))
        if result.doubts:
            self.told.setStyleSheet(f"color: {AMBER};")

    def _on_searched(self) -> None:
        self._job = None
        self._show_state()

    def _on_activity(self) -> None:
        self._show_state()

    def _find_again(self) -> None:
        if self._scanned is not None and self._job is None:
            self.open(self._scanned.folder)

    def _aligned(self) -> "PupilAlignment | None":
        aligned = None if self._result is None else self._result.aligned
        return None if aligned is None else aligned.alignment

    def _bead(self) -> "Bead | None":
        chosen = self.beads.selectedIndexes()
        return self._scanned.beads[chosen[0].row()] if self._scanned and chosen else None

    def _show_state(self) -> None:
        session = self._session
        scanning = session.activity is Activity.calibrating
        searching = self._job is not None
        bead = self._bead()
        ready = session.rig is not None and session.rig.focus is not None
        self.scan_button.setEnabled(ready and not session.activity.exclusive)
        self.open_button.setEnabled(not scanning and not searching)
        for control in (self.beads, self.side):
            control.setEnabled(not searching)
        self.retrieve_button.setEnabled(bead is not None and not bead.problem and not searching)
        self.cancel_button.setEnabled(scanning or searching)
        for one in (self.save_button, self.train_button):
            one.setEnabled(self._result is not None and not searching)
        self.keep_button.setEnabled(self._aligned() is not None and not searching)
        self.search.setEnabled(not searching)
        self.bar.setVisible(scanning or searching)

    def _fail(self, error: Exception) -> None:
        self._warn(told(error))

    def _warn(self, sentence: str) -> None:
        self.told.setStyleSheet(f"color: {AMBER};")
        self.told.setText(sentence)

    def _tell(self, sentence: str) -> None:
        self.told.setStyleSheet("")
        self.told.setText(sentence)

    def _browse_scan(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, self.tr("Open a z scan"), str(Path(self.folder.text()).parent)
        )
        if name:
            self.open(Path(name))

    def _browse_save(self) -> None:
        start = _home() if self._scanned is None else self._scanned.folder
        name, _ = QFileDialog.getSaveFileName(
            self, self.tr("Save the PSF"), str(start / "psf.tif"), self.tr("Masks (*.tif)")
        )
        if name:
            self.save_result(Path(name))


def _whole(name: str, limits: tuple[int, int], value: int, tip: str) -> QSpinBox:
    box = QSpinBox()
    box.setObjectName(name)
    box.setRange(*limits)
    box.setValue(value)
    box.setKeyboardTracking(False)
    box.setToolTip(tip)
    without_wheel(box)
    return box


def _row(*parts: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for part in parts:
        row.addWidget(part, 0 if isinstance(part, QLabel) else 1)
    return row


def _home() -> Path:
    documents = QStandardPaths.StandardLocation.DocumentsLocation
    return Path(QStandardPaths.writableLocation(documents)) / "dsacq"


def _free(folder: Path) -> Path:
    return folder.with_name(free_name(folder)) if folder.exists() else folder
