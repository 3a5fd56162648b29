"""Live localization: the model, its threshold, and running curves of what is found."""

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QSettings
from PyQt6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ui.job import Job
from ui.session import Activity, Analysis, Session
from ui.theme import AMBER, BLUE, GREEN

if TYPE_CHECKING:
    from dsacq.live import Update
    from dsacq.networks.model_file import Model
    from hardware.rig import Rig

_KEPT = 600  # points of a curve
_REDRAWN_S = 0.2
_CURVES = (
    ("count", "emitters per frame", BLUE),
    ("photons", "median photons", GREEN),
    ("sigma_nm", "median sigma x, nm", AMBER),
)


class LivePanel(QWidget):
    """Starts and stops the live view, with or without localization."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._job: Job | None = None
        self._model: Model | None = None
        self._points: deque[tuple[float, float, float, float]] = deque(maxlen=_KEPT)
        self._drawn_s = 0.0

        self.start = QPushButton(self.tr("Start live view"))
        self.start.setObjectName("live_start")
        self.start.setToolTip(self.tr("Show what the camera sees; lasers that are in use go on."))
        self.start.clicked.connect(self.toggle)
        self.localize = QCheckBox(self.tr("Localize and track"))
        self.localize.setObjectName("live_localize")
        self.localize.setChecked(True)
        self.localize.setToolTip(self.tr("Find emitters in 3D, live and while recording."))
        self.localize.toggled.connect(self._apply)
        self.model = QComboBox()
        self.model.setObjectName("live_model")
        self.model.setToolTip(self.tr("The network; it must be made for this mask and optics."))
        self.model.activated.connect(self._load)
        browse = QPushButton(self.tr("Open..."))
        browse.setToolTip(self.tr("Take a model file (.safetensors)."))
        browse.clicked.connect(self._browse)
        self.threshold = QDoubleSpinBox()
        self.threshold.setObjectName("live_threshold")
        self.threshold.setRange(0.02, 1000)
        self.threshold.setSingleStep(0.05)
        self.threshold.setKeyboardTracking(False)
        self.threshold.setToolTip(
            self.tr("Least probability (or output) of what is shown; higher: fewer, surer.")
        )
        self.threshold.valueChanged.connect(self._apply)
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.told.setObjectName("live_told")

        row = QHBoxLayout()
        row.addWidget(self.model, 1)
        row.addWidget(browse)
        form = QFormLayout()
        form.addRow(self.start)
        form.addRow(self.localize)
        form.addRow(self.tr("Model"), row)
        form.addRow(self.tr("Threshold"), self.threshold)
        form.addRow(self.told)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        self._curves = {}
        for name, title, colour in _CURVES:
            plot = pg.PlotWidget()
            plot.setMinimumHeight(90)
            plot.setTitle(self.tr(title), size="9pt")
            plot.setLabel("bottom", self.tr("frame"))
            plot.hideButtons()
            self._curves[name] = plot.plot(pen=pg.mkPen(colour, width=1.5))
            layout.addWidget(plot, 1)

        session.opened.connect(self._on_opened)
        session.activity_changed.connect(self._on_activity)
        session.updated.connect(self._on_update)
        self._on_activity(session.activity)

    def toggle(self) -> None:
        """Start the live view, or end it."""
        if self._session.activity is Activity.looking:
            self._session.end()
        else:
            self._session.look()

    def save(self, settings: QSettings) -> None:
        settings.setValue("live/localize", self.localize.isChecked())

    def restore(self, settings: QSettings) -> None:
        self.localize.setChecked(settings.value("live/localize", True, bool))

    def _on_opened(self, rig: "Rig") -> None:
        from ui.commands.models import model_folder, shipped_models

        self.model.clear()
        for folder in (model_folder(), shipped_models()):
            for path in sorted(folder.glob("*.safetensors")):
                self.model.addItem(path.stem, path)
        wanted = rig.settings.use.model
        if wanted is not None:
            place = self.model.findText(Path(wanted).stem)
            if place < 0:
                self.model.addItem(Path(wanted).stem, Path(wanted))
                place = self.model.count() - 1
            self.model.setCurrentIndex(place)
            self._load()

    def _browse(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, self.tr("Open a model"), "", self.tr("Models (*.safetensors)")
        )
        if name:
            self.model.addItem(Path(name).stem, Path(name))
            self.model.setCurrentIndex(self.model.count() - 1)
            self._load()

    def _load(self) -> None:
        path = self.model.currentData()
        if path is None:
            return

        def loading() -> Any:
            from dsacq.networks.model_file import load_model

            yield load_model(path)

        self.told.setText(self.tr("Loading {}...").format(path.stem))
        self._job = Job(loading, "loading a model", self)
        self._job.yielded.connect(self._on_loaded)
        self._job.failed.connect(lambda error: self.told.setText(str(error)))
        self._job.start()

    def _on_loaded(self, model: "Model") -> None:
        card = model.card
        self.told.setText(
            self.tr("{}: mask {}, z {:g} to {:g} um").format(
                card.name, card.mask_name, *card.optics.z_range_um
            )
        )
        self.threshold.blockSignals(True)
        self.threshold.setValue(card.input.threshold)
        self.threshold.blockSignals(False)
        self._model = model
        self._apply()

    def _apply(self) -> None:
        model = self._model if self.localize.isChecked() else None
        wanted = None if model is None else Analysis(model, self.threshold.value())
        self._session.analysis = wanted
        self._session.restart_look()

    def _on_activity(self, activity: Activity) -> None:
        looking = activity is Activity.looking
        if looking or activity is Activity.recording:
            self._points.clear()
            self._drawn_s = 0.0
        self.start.setText(self.tr("Stop live view") if looking else self.tr("Start live view"))
        self.start.setEnabled(activity in (Activity.idle, Activity.looking))

    def _on_update(self, update: "Update") -> None:
        for found in update.found:
            table = found.table
            if len(table):
                self._points.append(
                    (
                        float(table["frame"].iloc[0]),
                        float(len(table)),
                        float(table["photons"].median()),
                        float(table["sigma_x_um"].median() * 1000),
                    )
                )
        if update.analysis_failure:
            self.told.setText(update.analysis_failure)
        if update.elapsed_s < self._drawn_s or update.elapsed_s - self._drawn_s > _REDRAWN_S:
            self._drawn_s = update.elapsed_s
            points = np.array(self._points).reshape(-1, 4)
            for column, (name, _, _) in enumerate(_CURVES, 1):
                self._curves[name].setData(points[:, 0], points[:, column])
