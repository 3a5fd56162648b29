"""From a z scan of beads to the PSF of this microscope."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QSettings, pyqtSignal
from PyQt6.QtWidgets import QLabel, QProgressBar, QVBoxLayout, QWidget

from dsacq.errors import UserError
from dsacq.files.names import check_name
from dsacq.files.paths import is_there
from ui.calibrating import Scanned, ScanWanted, opened_scan, retrieving, scanning
from ui.job import Job
from ui.latest import Latest
from ui.panels.calibrate_psf import PsfBox
from ui.panels.calibrate_scan import ScanBox
from ui.panels.readings import RigState, readings_of
from ui.session import Activity, Session, told
from ui.theme import AMBER

if TYPE_CHECKING:
    from calibration.result import Calibrated
    from hardware.rig import Rig
    from hardware.slm_pattern import PupilAlignment


class CalibratePanel(QWidget):
    """plane_shown: pixels (rows, columns) of a plane. wanted_for_training: a Calibrated.
    alignment_wanted: a PupilAlignment, to be kept."""

    plane_shown = pyqtSignal(object)
    alignment_wanted = pyqtSignal(object)
    wanted_for_training = pyqtSignal(object)
    _stands = pyqtSignal(object, float)  # a ScanWanted, and where the focus stands, um

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._job: Job | None = None
        self._asked: ScanWanted | None = None  # a scan that waits for an answer
        self._reading = Latest("opening a z scan", self)
        self._scan_box, self._psf_box = scan, psf = ScanBox(), PsfBox()
        self.first, self.last, self.step = scan.first, scan.last, scan.step
        self.frames, self.folder, self.scan_button = scan.frames, scan.folder, scan.scan_button
        self.beads, self.search = psf.beads, psf.search
        self.side, self.radius = psf.side, psf.radius
        self.retrieve_button, self.cancel_button = psf.retrieve_button, psf.cancel_button
        self.save_button, self.keep_button = psf.save_button, psf.keep_button
        self.train_button = psf.train_button
        self.bar = QProgressBar()
        self.bar.setObjectName("calibrate_bar")
        self.bar.hide()
        self.told = QLabel()
        self.told.setObjectName("calibrate_told")
        self.told.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setSpacing(4)
        for part in (self._scan_box, self.bar, self.told, self._psf_box):
            layout.addWidget(part)
        layout.addStretch(1)
        self._connect()
        self._show_state()

    def _connect(self) -> None:
        self.scan_button.clicked.connect(self.scan)
        self._scan_box.open_wanted.connect(self.open)
        self._scan_box.agreed.connect(self._on_agreed)
        self._stands.connect(self._on_stands)
        readings_of(self._session).taken.connect(self._on_reading)
        self.side.valueChanged.connect(self._find_again)
        self._psf_box.bead_chosen.connect(self._show_state)
        self.retrieve_button.clicked.connect(self.retrieve)
        self.cancel_button.clicked.connect(self.cancel)
        self._psf_box.save_wanted.connect(self.save_result)
        self.keep_button.clicked.connect(lambda: self.alignment_wanted.emit(self._aligned()))
        self.train_button.clicked.connect(
            lambda: self.wanted_for_training.emit(self._psf_box.result)
        )
        self._reading.answered.connect(self._on_item)
        self._reading.failed.connect(self._fail)
        self._session.opened.connect(self._on_opened)
        self._session.activity_changed.connect(lambda _activity: self._show_state())

    def scan(self) -> None:
        """Take a z scan as the numbers say."""
        folder = self._scan_box.target
        try:
            settings = self._scan_box.settings()
            check_name(folder)
        except UserError as error:
            self._fail(error)
            return
        if is_there(folder):  # also where none is named
            self._warn(self.tr("{} exists already; name a folder that does not.").format(folder))
            return
        wanted = ScanWanted(
            settings,
            self._scan_box.relative,
            dict(self._session.lasers_mw),
            folder,
            self.side.value(),
        )
        self._tell("")
        self._asked = None
        self._session.ask(lambda rig: self._tell_position(rig, wanted))

    def _tell_position(self, rig: "Rig", wanted: ScanWanted) -> None:
        """In the thread of the commands."""
        from calibration.z_scan import focus_of

        self._stands.emit(wanted, focus_of(rig)[1])

    def _on_stands(self, wanted: ScanWanted, stands_um: float) -> None:
        from calibration.z_scan import FARTHEST_UM, farthest

        way_um = farthest(wanted.settings, 0.0 if wanted.relative else stands_um)
        if way_um <= FARTHEST_UM:
            self._begin(wanted)
            return
        self._asked = replace(wanted, far=True)
        self._scan_box.ask()
        self._warn(
            self.tr("The focus stands at {:.2f} µm; this scan takes it {:.1f} µm away.").format(
                stands_um, way_um
            )
        )

    def _on_agreed(self) -> None:
        wanted, self._asked = self._asked, None
        self._scan_box.agree_button.hide()
        if wanted is not None:
            self._tell("")
            self._begin(wanted)

    def _begin(self, wanted: ScanWanted) -> None:
        self.bar.setRange(0, len(wanted.settings.positions_um))
        self.bar.setValue(0)
        self.bar.setFormat(self.tr("plane %v of %m"))
        self._session.calibrate(
            lambda rig, stop: scanning(rig, stop, wanted), "z scan", self._on_item
        )

    def open(self, folder: Path) -> None:
        """Take a scan from disk."""
        side_px = self.side.value()
        self._reading.ask(lambda: opened_scan(folder, side_px))

    def retrieve(self) -> None:
        """Search the phase behind the chosen bead."""
        box = self._psf_box
        scanned, bead = box.scanned, box.beads.chosen
        if scanned is None or bead is None or self._job is not None:
            return
        radius_um, zero_um = box.radius.value() / 1000, box.zero.value()
        pupil: bool = box.search.currentData()
        job = Job(
            lambda: retrieving(scanned, bead, radius_um, zero_um, pupil=pupil),
            "retrieving the PSF",
            self,
        )
        job.yielded.connect(self._on_item)
        job.failed.connect(self._fail)
        job.finished.connect(self._on_searched)
        self._job, box.result = job, None
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
            self._tell(self.tr("Stopped. Planes that were taken are kept."))

    def save_result(self, path: Path) -> None:
        """Write the phase, its quality and its page."""
        from calibration.result import write_result
        from dsacq.files.measured_psf import measured_file
        from dsacq.files.outputs import check_outputs

        result = self._psf_box.result
        if result is None:
            return
        path = path.with_suffix(".tif")
        page = path.with_suffix(".png")
        try:
            check_outputs(path, measured_file(path), page)
            write_result(result, path, page)
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
            self._scan_box.set_limits(rig.focus.limits_um)
        self._show_state()

    def _on_reading(self, state: RigState) -> None:
        self._scan_box.show_position(state.position_um.get("focus"))

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
        self._scan_box.name_next(scanned.folder)
        self._psf_box.show_scanned(scanned)
        planes = scanned.scan.planes
        usable = sum(not bead.problem for bead in scanned.beads)
        told = self.tr("{}: {} planes, {} beads, {} to use.").format(
            scanned.folder.name, len(planes), len(scanned.beads), usable
        )
        if scanned.scan.shortfall:
            self._warn(f"{told} {scanned.scan.shortfall}")
        else:
            self._tell(told)
        self.plane_shown.emit(planes[len(planes) // 2])
        self._show_state()

    def _on_result(self, result: "Calibrated") -> None:
        self._psf_box.show_result(result)
        self._tell(" ".join([result.summary, *result.doubts]))
        if result.doubts:
            self.told.setStyleSheet(f"color: {AMBER};")

    def _on_searched(self) -> None:
        self._job = None
        self._show_state()

    def _find_again(self) -> None:
        scanned = self._psf_box.scanned
        if scanned is not None and self._job is None:
            self.open(scanned.folder)

    def _aligned(self) -> "PupilAlignment | None":
        result = self._psf_box.result
        aligned = None if result is None else result.aligned
        return None if aligned is None else aligned.alignment

    def _show_state(self) -> None:
        session = self._session
        scanning = session.activity is Activity.calibrating
        searching = self._job is not None
        ready = session.rig is not None and session.rig.focus is not None
        self.scan_button.setEnabled(ready and not session.activity.exclusive)
        self._scan_box.open_button.setEnabled(not scanning and not searching)
        self._psf_box.show_state(scanning=scanning, searching=searching)
        self.bar.setVisible(scanning or searching)

    def _fail(self, error: Exception) -> None:
        self._warn(told(error))

    def _warn(self, sentence: str) -> None:
        self.told.setStyleSheet(f"color: {AMBER};")
        self.told.setText(sentence)

    def _tell(self, sentence: str) -> None:
        self.told.setStyleSheet("")
        self.told.setText(sentence)
