"""The camera: exposure, region, binning, single frames, and what else it can be set to."""

from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtGui import QAction, QKeySequence
from PyQt6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ui.number_box import take_typed
from ui.panels.controls import number_box, set_quietly, without_wheel
from ui.panels.properties import PropertiesDialog
from ui.panels.readings import CameraState, RigState, readings_of
from ui.session import Activity, Session

if TYPE_CHECKING:
    from dsacq.live import Update
    from dsacq.stream import Frame
    from hardware.rig import Rig

_LONGEST_MS = 3_600_000.0


class CameraPanel(QWidget):
    """snapped: a Frame that the user wanted to keep. saturation_changed: counts."""

    snapped = pyqtSignal(object)
    saturation_changed = pyqtSignal(int)
    _accepted = pyqtSignal(float)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._state: CameraState | None = None
        self._newest: Frame | None = None
        self._dialog: PropertiesDialog | None = None
        self._build()
        self._accepted.connect(self._show_exposure)
        readings_of(session).taken.connect(self._on_reading)
        session.opened.connect(self._on_opened)
        session.activity_changed.connect(self._on_activity)
        session.updated.connect(self._on_update)
        self._on_activity(session.activity)
        if session.rig is not None:
            self._on_opened(session.rig)

    def set_region(self, region: tuple[int, int, int, int] | None) -> None:
        """Read out (column, row, width, height) of the frames as they are now; None: all."""

        def work(rig: "Rig") -> None:
            from dsacq.data import Roi

            if region is None:
                rig.camera.set_roi(None)
                return
            column, row, width, height = region
            now = rig.camera.roi
            rig.camera.set_roi(Roi(now.column + column, now.row + row, width, height))

        self._session.between_sequences(work)

    def snap(self) -> None:
        """The newest frame of what is running; else one is taken, with the lasers in use."""
        if self._session.activity in (Activity.looking, Activity.recording):
            if self._newest is not None:
                self.snapped.emit(self._newest)
            return
        if self._session.activity is not Activity.idle:
            return
        powers, stop = dict(self._session.lasers_mw), self._session.until_stopped()

        def work(rig: "Rig") -> None:
            from dsacq.live_acquisition import StreamError
            from hardware.acquire import acquire

            if stop.is_set():  # while it waited for other commands
                return
            *_, last = acquire(rig, 1, lasers_mw=powers, stop=stop)
            if last.state == "stopped":
                return
            if last.newest is None:
                raise StreamError(last.reason or f"{rig.camera.name}: sent no frame.")
            self.snapped.emit(last.newest)
            self._session.said.emit(took)

        took = self.tr("Took one frame.")
        self._session.command(work)

    def _build(self) -> None:
        self.exposure = number_box(
            "camera_exposure_ms",
            (0.001, _LONGEST_MS),
            3,
            "ms",
            self.tr("How long a frame is exposed. Enter applies it."),
        )
        self.exposure.setStepType(self.exposure.StepType.AdaptiveDecimalStepType)
        self.exposure.valueChanged.connect(self._set_exposure)
        self.rate = QLabel()
        self.rate.setObjectName("camera_rate")
        self.rate.setToolTip(self.tr("Frames per second that this exposure allows at most."))
        self.region = QLabel("-")
        self.region.setObjectName("camera_region")
        self.region.setToolTip(
            self.tr(
                "Part of the sensor that is read out, in (binned) pixels. Choose it in the image."
            )
        )
        self.whole = QPushButton(self.tr("Whole sensor"))
        self.whole.setObjectName("camera_whole_sensor")
        self.whole.setToolTip(self.tr("Read out all of the sensor again."))
        self.whole.clicked.connect(lambda: self.set_region(None))
        self.binning = QComboBox()
        self.binning.setObjectName("camera_binning")
        self.binning.setToolTip(
            self.tr("Joins n x n pixels into one; the region becomes the whole sensor.")
        )
        self.binning.activated.connect(self._set_binning)
        without_wheel(self.binning)
        self.frame = QLabel("-")
        self.frame.setObjectName("camera_frame")
        self.frame.setToolTip(self.tr("Pixels, and room on the disk, of one frame."))
        self.temperature = QLabel("-")
        self.temperature.setObjectName("camera_temperature")
        self.temperature.setToolTip(self.tr("Of the sensor, where the camera tells it."))
        self.snap_action = QAction(self.tr("Snap"), self)
        self.snap_action.setShortcuts([QKeySequence("F5"), QKeySequence("Ctrl+K")])
        self.snap_action.triggered.connect(take_typed)
        self.snap_action.triggered.connect(self.snap)
        self.addAction(self.snap_action)
        self.snap_button = QPushButton(self.tr("Snap"))
        self.snap_button.setObjectName("camera_snap")
        self.snap_button.setToolTip(
            self.tr("Keep one frame (F5 or Ctrl+K): the newest of the live view, or a new one.")
        )
        self.snap_button.clicked.connect(self.snap)
        self.properties = QPushButton(self.tr("Properties..."))
        self.properties.setObjectName("camera_properties")
        self.properties.setToolTip(
            self.tr("All devices and presets of Micro-Manager; gain and cooling are there.")
        )
        self.properties.clicked.connect(self._show_properties)
        self.properties.hide()
        self._lay_out()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow(self.tr("Exposure"), _row(self.exposure, self.rate))
        form.addRow(self.tr("Region"), self.region)
        form.addRow(self.tr("Binning"), _row(self.binning, self.whole))
        form.addRow(self.tr("Frame"), self.frame)
        form.addRow(self.tr("Temperature"), self.temperature)
        form.addRow(_row(self.snap_button, self.properties))
        self._group = QGroupBox(self.tr("Camera"))
        self._group.setLayout(form)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._group)

    def _set_exposure(self, exposure_ms: float) -> None:
        def work(rig: "Rig") -> None:
            try:
                rig.camera.set_exposure(exposure_ms / 1000)
            finally:  # what holds, also where it was refused
                self._accepted.emit(rig.camera.exposure_s)

        self._session.command(work)
        if self._session.analysis is not None:  # linking goes by the time between frames
            self._session.restart_look()

    def _set_binning(self) -> None:
        factor = self.binning.currentData()
        self._session.between_sequences(lambda rig: rig.camera.set_binning(factor))

    def _show_properties(self) -> None:
        if self._dialog is None:
            self._dialog = PropertiesDialog(self._session, self)
        self._dialog.refresh()
        self._dialog.show()
        self._dialog.raise_()

    def _on_opened(self, rig: "Rig") -> None:
        from hardware.micromanager_browser import browser_of

        self.properties.setVisible(browser_of(rig) is not None)

    def _on_activity(self, activity: Activity) -> None:
        self._group.setEnabled(activity not in (Activity.closed, Activity.opening))
        self.snap_action.setEnabled(
            self._group.isEnabled() and activity is not Activity.calibrating
        )
        for control in (self.exposure, self.whole, self.binning, self.properties):
            control.setEnabled(not activity.exclusive)
        self._newest = None

    def _on_update(self, update: "Update") -> None:
        self._newest = update.newest

    def _on_reading(self, reading: RigState) -> None:
        state, before = reading.camera, self._state
        if state is None:
            return
        self._state = state
        if before is None or state.exposure_s != before.exposure_s:
            self._show_exposure(state.exposure_s)
        column, row, width, height = state.region
        self.region.setText(self.tr("{} x {} at {}, {}").format(width, height, column, row))
        if before is None or state.binnings != before.binnings:
            self.binning.clear()
            for factor in sorted({*state.binnings, state.binning}):
                self.binning.addItem(f"{factor} x {factor}", factor)
        if before is None or state.saturation_level != before.saturation_level:
            self.saturation_changed.emit(state.saturation_level)
        choices = self.binning.view()
        if choices is None or not choices.isVisible():  # not while the user chooses
            self.binning.setCurrentIndex(self.binning.findData(state.binning))
        rows, columns = state.shape_px
        size_mb = 2 * rows * columns / 1e6
        size = f"{size_mb:.1f} MB" if size_mb >= 1 else f"{1000 * size_mb:.0f} kB"
        self.frame.setText(self.tr("{} x {} pixels, {}").format(columns, rows, size))
        cold = state.temperature_c
        self.temperature.setText(
            self.tr("not told by the camera") if cold is None else f"{cold:.1f} \N{DEGREE SIGN}C"
        )

    def _show_exposure(self, exposure_s: float) -> None:
        set_quietly(self.exposure, exposure_s * 1000)
        self.rate.setText(self.tr("{:.3g} frames/s").format(1 / exposure_s))


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, 1)
    return row
