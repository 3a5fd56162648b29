"""Live localization: model, threshold and heights, the regenerated frame, and running plots."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QSettings, pyqtSignal
from PyQt6.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ui.panels.curves import CurvesPlot
from ui.panels.live_fit import misfit
from ui.panels.live_history import History
from ui.panels.live_limits import height, threshold
from ui.panels.live_model import ModelPicker
from ui.panels.live_plot import PLOTS
from ui.panels.live_regenerated import RegeneratedView
from ui.regenerated import Regenerated, Regenerator
from ui.session import Activity, Analysis, Session, told
from ui.theme import AMBER

if TYPE_CHECKING:
    import pandas as pd

    from dsacq.live import Update
    from dsacq.networks.model_file import Model
    from hardware.rig import Rig

_REDRAWN_S = 0.25
_SHOWN = ("count", "correlation")


class LivePanel(QWidget):
    """Starts and stops the live view, with or without localization.

    found_shown: the table of each localized frame, with the chosen heights only, for an overlay.
    """

    found_shown = pyqtSignal(object)
    _fit_known = pyqtSignal(object, str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._model: Model | None = None
        self._chosen: dict[str, dict[str, Any]] = {}  # by model file: threshold and heights
        self._remembered: tuple[str, str] = ("", "")  # model, and the rig file's model at the time
        self._look_waits = False
        self._history = History()
        self._drawn_s = 0.0
        self._make_controls()
        self.regenerator = Regenerator(self)
        self.regenerator.made.connect(self._on_regenerated)
        self.regenerator.failed.connect(lambda error: self._tell(told(error), warn=True))
        self.picture = RegeneratedView()
        across = self.tr("seconds of the run")
        self.plots = [CurvesPlot(PLOTS, name, across) for name in _SHOWN]
        for plot, name in zip(self.plots, ("live_plot_1", "live_plot_2"), strict=True):
            plot.choice.setObjectName(name)
            plot.changed.connect(self._draw)
        self._lay_out()
        self._fit_known.connect(self._on_fit)
        session.opened.connect(self._on_opened)
        session.activity_changed.connect(self._on_activity)
        session.updated.connect(self._on_update)
        session.device_changed.connect(self._check_fit)
        self._on_activity(session.activity)

    def _make_controls(self) -> None:
        self.start = QPushButton(self.tr("Start live view"))
        self.start.setObjectName("live_start")
        self.start.setToolTip(self.tr("Show what the camera sees; lasers that are in use go on."))
        self.start.clicked.connect(self.toggle)
        self.localize = QCheckBox(self.tr("Localize and track"))
        self.localize.setObjectName("live_localize")
        self.localize.setChecked(True)
        self.localize.setToolTip(self.tr("Find emitters in 3D, live and while recording."))
        self.localize.toggled.connect(self._apply)
        self.model = ModelPicker()
        self.model.loading.connect(self._on_loading)
        self.model.loaded.connect(self._on_loaded)
        self.model.failed.connect(self._on_not_loaded)
        self.threshold, self.lowest, self.highest = threshold(), height("low"), height("high")
        self.threshold.valueChanged.connect(self._on_threshold)
        for one in (self.lowest, self.highest):
            one.valueChanged.connect(self._keep_choice)
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.told.setObjectName("live_told")

    def _lay_out(self) -> None:
        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.start, 1)
        first.addWidget(self.localize)
        second.addWidget(self.lowest, 1)
        second.addWidget(QLabel(self.tr("to")))
        second.addWidget(self.highest, 1)
        form = QFormLayout()
        form.setVerticalSpacing(4)
        form.addRow(first)
        form.addRow(self.tr("Model"), self.model)
        form.addRow(self.tr("Threshold"), self.threshold)
        form.addRow(self.tr("z, µm"), second)
        form.addRow(self.told)
        layout = QVBoxLayout(self)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addWidget(self.picture, 4)
        for plot in self.plots:
            layout.addWidget(plot, 3)

    def toggle(self) -> None:
        """Start the live view, or end it."""
        if self._session.activity is Activity.looking:
            self._session.end()
        else:
            self._session.look()

    def look_when_ready(self) -> None:
        """Start the live view once the model that is being loaded is there, or at once."""
        self._look_waits = self.model.busy
        if not self._look_waits:
            self._session.look()

    def stop(self) -> None:
        """Wait for the threads."""
        self.model.stop()
        self.regenerator.stop()

    def save(self, settings: QSettings) -> None:
        model, rig = self._remembered
        kept = {
            "opened": [str(path) for path in self.model.opened],
            "model": model,
            "model_of_rig": rig,
            "chosen": self._chosen,
            "plots": [plot.name for plot in self.plots],
        }
        settings.setValue("live/localize", self.localize.isChecked())
        settings.setValue("live/kept", json.dumps(kept))

    def restore(self, settings: QSettings) -> None:
        self.localize.setChecked(settings.value("live/localize", True, bool))
        text = settings.value("live/kept", "", str)
        if not text:
            return
        kept = json.loads(text)
        self.model.opened = [Path(name) for name in kept["opened"]]
        self._remembered = kept["model"], kept["model_of_rig"]
        self._chosen = kept["chosen"]
        for plot, name in zip(self.plots, kept["plots"], strict=False):
            plot.show_plot(name)

    def shown(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """The rows between the chosen heights."""
        z_um = table["z_um"].to_numpy()
        inside = (z_um >= self.lowest.value()) & (z_um <= self.highest.value())
        return table if inside.all() else table[inside]

    def _on_opened(self, rig: "Rig") -> None:
        model, used = self._remembered
        same = model and used == (rig.settings.use.model or "")
        self.model.fill(rig, Path(model) if same else None)

    def _on_loading(self, path: Path) -> None:
        self._tell(self.tr("Loading {}...").format(path.stem))

    def _on_loaded(self, path: Path, model: "Model") -> None:
        card, chosen = model.card, self._chosen.get(str(path), {})
        heights_um = chosen.get("z_um", card.optics.z_range_um)
        values = (chosen.get("threshold", card.input.threshold), *heights_um)
        for spin, value in zip((self.threshold, self.lowest, self.highest), values, strict=True):
            spin.blockSignals(True)
            spin.setValue(value)
            spin.blockSignals(False)
        rig = self._session.rig
        self._remembered = str(path), (rig and rig.settings.use.model) or ""
        self._model = model
        self._tell_model(model)
        self._apply()
        self._check_fit()
        self._look_if_waiting()

    def _on_not_loaded(self, error: Exception) -> None:
        self._model = None
        self._apply()
        self._tell(told(error), warn=True)
        self._look_if_waiting()

    def _look_if_waiting(self) -> None:
        if self._look_waits:
            self._look_waits = False
            self._session.look()

    def _check_fit(self) -> None:
        model = self._model
        if model is not None:
            self._session.ask(lambda rig: self._fit_known.emit(model, misfit(rig, model)))

    def _on_fit(self, model: "Model", sentence: str) -> None:
        if model is not self._model:
            return
        if sentence:
            self._tell(sentence, warn=True)
        else:
            self._tell_model(model)

    def _tell_model(self, model: "Model") -> None:
        card = model.card
        self._tell(
            self.tr("Mask {}, z {:g} to {:g} µm").format(card.mask_name, *card.optics.z_range_um)
        )

    def _tell(self, sentence: str, *, warn: bool = False) -> None:
        self.told.setText(sentence)
        self.told.setStyleSheet(f"color: {AMBER};" if warn else "")

    def _on_threshold(self) -> None:
        self._keep_choice()
        self._apply()

    def _keep_choice(self) -> None:
        path = self.model.path
        if path is not None and self._model is not None:
            heights_um = [self.lowest.value(), self.highest.value()]
            self._chosen[str(path)] = {"threshold": self.threshold.value(), "z_um": heights_um}

    def _apply(self) -> None:
        model = self._model if self.localize.isChecked() else None
        wanted = None if model is None else Analysis(model, self.threshold.value())
        if wanted != self._session.analysis:
            self._session.analysis = wanted
            self._session.restart_look()

    def _on_activity(self, activity: Activity) -> None:
        looking = activity is Activity.looking
        if looking or activity is Activity.recording:
            self._history.clear()
            self.regenerator.restart()
            self.picture.clear()
            self._drawn_s = 0.0
        self.start.setText(self.tr("Stop live view") if looking else self.tr("Start live view"))
        self.start.setEnabled(activity in (Activity.idle, Activity.looking))

    def _on_update(self, update: "Update") -> None:
        self._history.add(update)
        for found in update.found:
            self.found_shown.emit(self.shown(found.table))
        if update.analysis_failure:
            self._tell(update.analysis_failure, warn=True)
        analysis, newest = self._session.analysis, update.newest_analysed
        if analysis is not None and newest is not None and self.isVisible():
            self.regenerator.offer(newest, analysis.model, update.elapsed_s)
        if update.elapsed_s - self._drawn_s > _REDRAWN_S:
            self._drawn_s = update.elapsed_s
            self._draw()

    def _on_regenerated(self, one: Regenerated) -> None:
        self._history.add_correlation(one.elapsed_s, one.correlation)
        self.picture.show_one(one)

    def _draw(self) -> None:
        for plot in self.plots:
            plot.draw(self._history)
