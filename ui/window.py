"""The main window: the image in the middle, devices left, tasks right, log and counters below."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QSettings, Qt
from PyQt6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence
from PyQt6.QtWidgets import (
    QDockWidget,
    QFrame,
    QLabel,
    QMainWindow,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from ui.image_view import ImageView
from ui.number_box import take_typed
from ui.overlay import TAIL_FRAMES
from ui.panels.calibrate import CalibratePanel
from ui.panels.camera import CameraPanel
from ui.panels.counters import CountersBar
from ui.panels.lights import LightsPanel
from ui.panels.live import LivePanel
from ui.panels.log import LogPanel
from ui.panels.mask import MaskPanel
from ui.panels.reanalyse import ReanalysePanel, accept_drag, dropped
from ui.panels.record import RecordPanel
from ui.panels.stages import StagesPanel
from ui.panels.train import TrainPanel
from ui.session import Activity, Session
from ui.space_view import SpaceView
from ui.theme import AMBER, RED
from ui.unfinished import UnfinishedBar

if TYPE_CHECKING:
    from calibration.result import Calibrated
    from dsacq.live import Update
    from hardware.rig import Rig

_VERSION = 4  # of the arrangement that is remembered


class MainWindow(QMainWindow):
    """Shows a session. name: of the rig, for the title."""

    def __init__(self, session: Session, name: str, settings: QSettings) -> None:
        super().__init__()
        self._session, self._settings = session, settings
        self.setWindowTitle(f"dsacq - {name}".replace("[*]", "[*][*]"))  # which Qt has a use for
        self.setObjectName("dsacq")
        self.resize(1366, 740)
        self.setDockNestingEnabled(True)
        self.setAcceptDrops(True)

        self.view = ImageView()
        self._frame = QFrame()
        self._frame.setObjectName("image_frame")
        self._banner = QLabel()
        self._banner.setObjectName("banner")
        self._banner.setWordWrap(True)
        self._banner.hide()
        self.unfinished = UnfinishedBar(session, settings)
        self.unfinished.opened.connect(self.open_recording)
        middle = QVBoxLayout(self._frame)
        middle.setContentsMargins(3, 3, 3, 3)
        middle.addWidget(self.unfinished)
        middle.addWidget(self._banner)
        middle.addWidget(self.view, 1)
        self.setCentralWidget(self._frame)

        self.camera = CameraPanel(session)
        self.lights = LightsPanel(session)
        self.stages = StagesPanel(session)
        self.record = RecordPanel(session)
        self.live = LivePanel(session)
        self.masks = MaskPanel(session)
        self.calibrate = CalibratePanel(session)
        self.train = TrainPanel(session)
        self.reanalyse = ReanalysePanel(session)
        self.log = LogPanel(session)
        self.counters = CountersBar(session)
        self._remembering: tuple[Any, ...] = (
            self.view,
            self.stages,
            self.live,
            self.record,
            self.calibrate,
            self.train,
        )
        self._working: tuple[Any, ...] = (
            self.live,
            self.masks,
            self.calibrate,
            self.train,
            self.reanalyse,
            self.unfinished,
            self.log,
        )
        self._tasks = QTabWidget()
        self.space = SpaceView()
        self._add_toolbar(name)
        self._add_docks()
        self._connect()
        self._restore()

    def _add_toolbar(self, name: str) -> None:
        bar = QToolBar(self.tr("Acquisition"))
        bar.setObjectName("toolbar")
        bar.setMovable(False)
        self.stop = QPushButton(self.tr("STOP  (Esc)"))
        self.stop.setObjectName("stop")
        self.stop.setToolTip(self.tr("Lasers off and camera stopped, at once."))
        self.stop.clicked.connect(self._session.stop_all)
        bar.addWidget(self.stop)
        self._add_action(bar, self.tr("Live"), "Ctrl+L", self.live.toggle)
        self._add_action(bar, self.tr("Record"), "Ctrl+R", self.record.toggle)
        self._state = QLabel()
        self._state.setObjectName("state")
        self._state.setMargin(6)
        bar.addWidget(self._state)
        self._rig_name = QLabel(name)
        self._rig_name.setMargin(6)
        bar.addWidget(self._rig_name)
        self.addToolBar(bar)
        escape = QAction(self)
        escape.setShortcut(QKeySequence("Esc"))
        escape.setShortcutContext(Qt.ShortcutContext.ApplicationShortcut)
        escape.triggered.connect(self._session.stop_all)
        self.addAction(escape)

    def _add_action(self, bar: QToolBar, text: str, keys: str, work: Callable[[], object]) -> None:
        action = QAction(text, self)
        action.setShortcut(QKeySequence(keys))
        action.setToolTip(f"{text} ({keys})")
        action.triggered.connect(take_typed)
        action.triggered.connect(lambda _checked=False: work())
        bar.addAction(action)

    def _add_docks(self) -> None:
        devices = QWidget()
        column = QVBoxLayout(devices)
        column.setContentsMargins(4, 4, 4, 4)
        for panel in (self.camera, self.lights, self.stages):
            column.addWidget(panel)
        column.addStretch(1)
        at_hand = QWidget()  # recording is in sight however many devices there are
        parts = QVBoxLayout(at_hand)
        parts.setContentsMargins(0, 0, 0, 4)
        parts.addWidget(_scrolled(devices), 1)
        parts.addWidget(self.record)
        self._tasks.addTab(self.live, self.tr("Live"))
        self._tasks.addTab(_scrolled(self.masks), self.tr("Mask"))
        self._tasks.addTab(_scrolled(self.calibrate), self.tr("Calibrate"))
        self._tasks.addTab(self.train, self.tr("Train"))
        self._tasks.addTab(self.reanalyse, self.tr("Reanalyse"))
        below = QWidget()
        rows = QVBoxLayout(below)
        rows.setContentsMargins(4, 2, 4, 2)
        rows.addWidget(self.counters)
        rows.addWidget(self.log, 1)
        left = Qt.DockWidgetArea.LeftDockWidgetArea
        self.setCorner(Qt.Corner.BottomLeftCorner, left)
        self._dock(self.tr("Devices"), at_hand, left, 330)
        right = Qt.DockWidgetArea.RightDockWidgetArea
        tasks = self._dock(self.tr("Tasks"), self._tasks, right, 390)
        space = self._dock(self.tr("3D"), self.space, right, 390)
        self.tabifyDockWidget(tasks, space)
        tasks.raise_()
        self._dock(self.tr("Counters and log"), below, Qt.DockWidgetArea.BottomDockWidgetArea, 130)

    def _dock(
        self, title: str, content: QWidget, area: Qt.DockWidgetArea, size: int
    ) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(title)
        dock.setWidget(content)
        dock.setFeatures(  # not closable: what is gone is looked for in vain
            QDockWidget.DockWidgetFeature.DockWidgetMovable
            | QDockWidget.DockWidgetFeature.DockWidgetFloatable
        )
        self.addDockWidget(area, dock)
        along = Qt.Orientation.Vertical
        if area is not Qt.DockWidgetArea.BottomDockWidgetArea:
            along = Qt.Orientation.Horizontal
        self.resizeDocks([dock], [size], along)
        return dock

    def _connect(self) -> None:
        session = self._session
        session.opened.connect(self._on_opened)
        session.activity_changed.connect(self._on_activity)
        session.updated.connect(self._on_update)
        session.failed.connect(self._warn)
        self.view.region_chosen.connect(self._on_region)
        self.view.region_cleared.connect(lambda: self.camera.set_region(None))
        self.camera.saturation_changed.connect(self.view.set_saturation)
        self.camera.snapped.connect(lambda frame: self.view.set_frame(frame.pixels))
        self.live.found_shown.connect(self._show_found)
        self.reanalyse.frame_shown.connect(self._show_stored)
        self.reanalyse.opened.connect(self._on_movie)
        self._tasks.currentChanged.connect(self._on_tab)
        self.calibrate.plane_shown.connect(self.view.set_frame)
        self.calibrate.wanted_for_training.connect(self._train_with)
        self.calibrate.alignment_wanted.connect(self.masks.take_alignment)
        self.train.trained.connect(self.live.model.offer)
        self.train.designed.connect(self.masks.library.open_file)
        self._on_activity(session.activity)

    def _on_opened(self, rig: "Rig") -> None:
        self.view.set_z_range(*rig.optics.z_range_um)
        self.space.set_z_range(*rig.optics.z_range_um)

    def _on_update(self, update: "Update") -> None:
        if update.newest is not None and not self._stored:
            self.view.set_frame(update.newest.pixels)

    def _on_region(self, region_px: tuple[int, int, int, int]) -> None:
        """Of the camera; of a run, where a movie is looked at."""
        if self._stored:
            self.reanalyse.again.set_region(region_px)
        else:
            self.camera.set_region(region_px)

    def _show_found(self, table: Any) -> None:
        if not self._stored:
            self.space.add_found(table)
            self.view.add_found(table)

    @property
    def _stored(self) -> bool:
        """Whether the image is for frames of a movie: they do not take turns with live ones."""
        return self._tasks.currentWidget() is self.reanalyse and self.reanalyse.shows_movie

    def _on_tab(self) -> None:
        self.view.clear_found()
        self.space.clear()
        if self._stored:
            self._on_movie()
            self.reanalyse.show_again()
        else:
            self._use_pixels_of_camera()

    def _on_movie(self, _opened: object = None) -> None:
        pixel_um = self.reanalyse.pixel_um
        if pixel_um is not None:
            self.view.set_pixel_um(pixel_um)

    def _use_pixels_of_camera(self) -> None:
        if (rig := self._session.rig) is not None:
            self.view.set_pixel_um(rig.optics.pixel_um * rig.camera.binning)

    def _on_activity(self, activity: Activity) -> None:
        recording = activity is Activity.recording
        colour = RED if recording else "transparent"
        self._frame.setStyleSheet(f"#image_frame {{ border: 3px solid {colour}; }}")
        self._state.setText(activity.value)
        self._state.setStyleSheet(f"color: {RED}; font-weight: bold;" if recording else "")
        if activity in (Activity.looking, Activity.recording):
            self._banner.hide()
            if not self._stored:
                self.space.clear()
                self.view.clear_found()
                self._use_pixels_of_camera()

    def _show_stored(self, pixels: Any, index: int, _table: object) -> None:
        if not self._stored:
            return
        self.view.clear_found()
        self.view.set_frame(pixels)
        for table in self.reanalyse.recent(index, TAIL_FRAMES):
            self.view.add_found(table)
        self.space.clear()
        for table in self.reanalyse.recent(index, self.space.frames.value()):
            self.space.add_found(table)

    def _train_with(self, result: "Calibrated") -> None:
        self.train.take_psf(result.found.mask, result.psf, result.found.blur_px)
        self._tasks.setCurrentWidget(self.train)

    def _warn(self, sentence: str) -> None:
        self._banner.setText(sentence)
        self._banner.setStyleSheet(f"background: {AMBER}; color: black; padding: 5px;")
        self._banner.show()

    def open_recording(self, path: Path) -> None:
        """Show a recording in Reanalyse."""
        self._tasks.setCurrentWidget(self.reanalyse)
        self.reanalyse.open(path)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        accept_drag(event)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        if (path := dropped(event)) is not None:
            self.open_recording(path)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Everything is stopped, saved and released before the window goes; dark comes first."""
        self._session.stop_all()
        self._settings.setValue("geometry", self.saveGeometry())
        self._settings.setValue("windowState", self.saveState(_VERSION))
        for remembering in self._remembering:
            remembering.save(self._settings)
        for working in self._working:
            working.stop()
        self._session.close()
        if event is not None:
            event.accept()

    def _restore(self) -> None:
        if geometry := self._settings.value("geometry"):
            self.restoreGeometry(geometry)
        if state := self._settings.value("windowState"):
            self.restoreState(state, _VERSION)
        for remembering in self._remembering:
            remembering.restore(self._settings)


def _scrolled(content: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    bar = area.verticalScrollBar()
    assert bar is not None
    area.setMinimumWidth(content.minimumSizeHint().width() + bar.sizeHint().width())
    return area
