"""Training a localizer, alone or with its mask: settings, and the model that comes of it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QSettings, pyqtSignal
from PyQt6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from dsacq.errors import SettingsError, UserError
from dsacq.files.names import check_name, make_folder
from dsacq.files.paths import is_there
from ui.job import Job
from ui.latest import Latest
from ui.panels.controls import button
from ui.panels.model_place import ModelPlace, free_model
from ui.panels.train_course import TrainCourse
from ui.panels.train_priors import PriorsForm
from ui.session import Activity, Session, told
from ui.training_plan import (
    Examining,
    Plan,
    measured_plan,
    plan_of_file,
    plan_of_rig,
    with_learned_mask,
    write_plan,
)
from ui.training_process import TrainingProcess

if TYPE_CHECKING:
    from dsacq.physics.masks import PhaseMask
    from dsacq.physics.pupil import PsfModel
    from hardware.rig import Rig


class TrainPanel(QWidget):
    """trained: the Path of a model that was written. designed: that of the mask learned with it."""

    trained, designed = pyqtSignal(object), pyqtSignal(object)
    _rig_read, _psf_read = pyqtSignal(object), pyqtSignal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._plan: Plan | None = None
        self._own = True  # the plan is the rig's, and follows the mask on its SLM
        self._job: Job | None = None
        self._reading = Latest("reading training settings", self)
        self._ending = False
        self._target = Path()  # of the training that runs
        self.process = TrainingProcess(self)
        self._make_controls()
        self._lay_out()
        self._connect()
        self._show_state()

    def _make_controls(self) -> None:
        tr = self.tr
        self.from_rig = button(
            tr("From the rig"), "train_from_rig", tr("Optics, camera and the mask on the SLM.")
        )
        self.from_recording = button(
            tr("From a recording..."),
            "train_from_recording",
            tr("Measure photons, density and background on frames of your sample."),
        )
        self.open = button(
            tr("Open..."),
            "train_open",
            tr("Settings of dsacq train, dsacq estimate or dsacq design (.toml)."),
        )
        self.save_as = button(
            tr("Save as..."),
            "train_save",
            tr("Write the settings, to train elsewhere: dsacq train."),
        )
        self.about = QLabel()
        self.about.setObjectName("train_about")
        self.about.setWordWrap(True)
        self.form = PriorsForm()
        self.learn_mask = QCheckBox(tr("Learn the mask too"))
        self.learn_mask.setObjectName("train_learn_mask")
        self.learn_mask.setToolTip(
            tr("Begins with this mask, and changes it together with the network that reads it.")
        )
        self.model = ModelPlace()
        self.start_button = button(
            tr("Start training"),
            "train_start",
            tr("Trains in a process of its own; the rig can be used meanwhile."),
        )
        self.stop_button = button(
            tr("Stop"),
            "train_stop",
            tr("After the step that runs; the model is written, and can be trained on later."),
        )
        self.course = TrainCourse()

    def _lay_out(self) -> None:
        sources = QGridLayout()
        for place, one in enumerate((self.from_rig, self.from_recording, self.open, self.save_as)):
            sources.addWidget(one, place // 2, place % 2)
        control = QHBoxLayout()
        control.addWidget(self.start_button, 2)
        control.addWidget(self.stop_button, 1)
        layout = QVBoxLayout(self)
        layout.setSpacing(4)
        layout.addLayout(sources)
        layout.addWidget(self.about)
        layout.addWidget(self.form)
        layout.addWidget(self.learn_mask)
        layout.addWidget(self.model)
        layout.addLayout(control)
        layout.addWidget(self.course, 1)

    def _connect(self) -> None:
        session, process = self._session, self.process
        self.from_rig.clicked.connect(self.take_rig)
        self.from_recording.clicked.connect(self._browse_recording)
        self.open.clicked.connect(self._browse_settings)
        self.save_as.clicked.connect(self._browse_save)
        self.model.changed.connect(self._show_state)
        self.start_button.clicked.connect(self.start)
        self.stop_button.clicked.connect(self.end)
        self._rig_read.connect(self._on_rig)
        self._psf_read.connect(self._set_plan)
        self._reading.answered.connect(self._on_file)
        self._reading.failed.connect(self._fail)
        process.told.connect(self._on_told)
        process.failed.connect(self.course.warn)
        process.finished.connect(self._on_ended)
        session.opened.connect(lambda _rig: self._follow())
        session.mask_shown.connect(lambda _mask: self._follow())
        session.activity_changed.connect(lambda _activity: self._show_state())

    def take_rig(self) -> None:
        """Settings for the rig as it is, with the mask on its SLM."""
        self._own = True
        if self._session.rig is None:
            self.course.warn(self.tr("The rig is not open."))
        self._session.ask(lambda rig: self._rig_read.emit(_of_rig(rig)))

    def take_recording(self, path: Path) -> None:
        """Measure the priors on a recording."""
        if self._plan is None or self._job is not None or self.process.running:
            return
        try:
            plan = replace(self._plan, settings=self.form.changed(self._plan.settings))
        except SettingsError as error:
            self._fail(error)
            return
        self._own = False
        job = Job(lambda: measured_plan(plan, path), "measuring priors", self)
        job.yielded.connect(self._on_measured)
        job.failed.connect(self._fail)
        job.finished.connect(self._on_measuring_ended)
        self._job = job
        self.course.begin(self.tr("examining frames: %v of %m"))
        self._show_state()
        job.start()

    def take_psf(self, mask: "PhaseMask", psf: "PsfModel", blur_px: float) -> None:
        """Settings for the rig, with a measured phase in place of the mask on the SLM."""
        self._own = False
        measured = replace(psf, blur_px=round(blur_px, 3))
        self._session.ask(lambda rig: self._psf_read.emit(_of_rig(rig, mask, measured)))

    def take_file(self, path: Path) -> None:
        """Settings from a file."""
        self._own = False
        self._reading.ask(lambda: (path, plan_of_file(path)))

    def save_settings(self, path: Path) -> None:
        """Write the settings, and the mask beside them."""
        if self._plan is None:
            return
        try:
            write_plan(self._chosen(self._plan), path)
        except UserError as error:
            self._fail(error)
        else:
            self.course.tell(self.tr("Written: {}").format(path))

    def start(self) -> None:
        """Train, or go on with the training that was begun for this model file."""
        model = self.model.file
        if self.process.running or self._job is not None or model is None:
            return
        config, resume = model.with_suffix(".toml"), self.model.begun
        try:
            if not resume:
                check_name(model)
                if is_there(model):
                    free = free_model(model).name
                    raise SettingsError(f"{model.name} exists already; {free} is free.")
                if self._plan is None:
                    raise SettingsError("Choose settings first: from the rig, or a file.")
                make_folder(model.parent)
                write_plan(self._chosen(self._plan), config)
        except (UserError, OSError) as error:
            self._fail(error)
            return
        self._ending, self._target = False, model
        self.course.begin_training()
        self.process.start(config, model, resume=resume)
        self._show_state()

    def end(self) -> None:
        """Stop training, or measuring; what was trained is kept."""
        if self._job is not None:
            self._job.ask_to_stop()
        elif self.process.running:
            self._ending = True
            self.process.ask_to_stop()
            self.course.tell(self.tr("Ends after this step, and writes the model."))
        self._show_state()

    def stop(self) -> None:
        """End what goes on beside the window; a training leaves its checkpoint."""
        self._reading.stop()
        if self._job is not None:
            self._job.stop()
        self.process.stop()

    def save(self, settings: QSettings) -> None:
        settings.setValue("train/model", self.model.text)
        settings.setValue("train/plots", ",".join(plot.name for plot in self.course.plots))

    def restore(self, settings: QSettings) -> None:
        self.model.choose(settings.value("train/model", "", str))
        names = settings.value("train/plots", "", str).split(",")
        for plot, name in zip(self.course.plots, names, strict=False):
            plot.show_plot(name)
        model = self.model.file
        if model is not None and self.model.begun:
            self.take_file(model.with_suffix(".toml"))

    def _chosen(self, plan: Plan) -> Plan:
        changed = replace(plan, settings=self.form.changed(plan.settings))
        return with_learned_mask(changed, self.learn_mask.isChecked())

    def _follow(self) -> None:
        if self._own and not self.process.running:
            self._session.ask(lambda rig: self._rig_read.emit(_of_rig(rig)))

    def _on_rig(self, plan: Plan | None) -> None:
        if not self._own:
            return
        if plan is None:
            self.about.setText(self.tr("Show a mask on the SLM, or open a file with settings."))
        else:
            self._set_plan(plan)

    def _on_file(self, answer: tuple[Path, Plan]) -> None:
        self.learn_mask.setChecked(answer[1].learns_mask)
        self._set_plan(answer[1])

    def _on_measured(self, item: Examining | Plan) -> None:
        if isinstance(item, Plan):
            self._set_plan(item)
        else:
            self.course.bar.setRange(0, item.total)
            self.course.bar.setValue(item.done)

    def _on_measuring_ended(self) -> None:
        self._job = None
        self.course.end()
        self._show_state()

    def _set_plan(self, plan: Plan) -> None:
        self._plan = plan
        self.form.show_settings(plan.settings)
        optics = plan.settings.optics
        low, high = optics.z_range_um
        text = self.tr("Mask {}, z {:g} to {:g} µm, {} camera; from {}.")
        about = text.format(plan.mask.name, low, high, plan.settings.camera.kind, plan.source)
        self.about.setText(" ".join([about, *plan.remarks]))
        self._show_state()

    def _on_told(self, item: dict[str, Any]) -> None:
        self.course.follow(item)
        if "model" not in item:
            return
        self._ending = False
        self._session.said.emit(self.tr("Model written: {}").format(item["model"]))
        if item["finished"]:  # the next training is another one
            self.model.choose(str(free_model(self._target)))
        self.trained.emit(Path(item["model"]))
        if "mask" in item:
            self.designed.emit(Path(item["mask"]))

    def _on_ended(self) -> None:
        if self._ending:  # before there was anything to keep
            self.course.tell("")
        self._ending = False
        self.course.end()
        self._show_state()

    def _show_state(self) -> None:
        training, measuring = self.process.running, self._job is not None
        busy, begun = training or measuring, self.model.begun
        for control in (self.from_rig, self.open, self.model):
            control.setEnabled(not busy)
        for control in (self.from_recording, self.save_as):
            control.setEnabled(not busy and self._plan is not None)
        changeable = not busy and self._plan is not None and not begun
        self.form.setEnabled(changeable)
        self.learn_mask.setEnabled(changeable)
        resting = self._session.activity is not Activity.recording
        ready = self.model.file is not None and (begun or self._plan is not None)
        self.start_button.setText(self.tr("Resume") if begun else self.tr("Start training"))
        self.start_button.setEnabled(not busy and ready and resting)
        self.stop_button.setEnabled(busy and not self._ending)
        if begun and not busy and not self.course.told.text():
            assert self.model.file is not None
            self.course.tell(
                self.tr(
                    "A training was begun here; Resume goes on with the settings in {}. "
                    "Another name begins anew."
                ).format(self.model.file.with_suffix(".toml").name)
            )

    def _fail(self, error: Exception) -> None:
        self.course.warn(told(error))

    def _browse_recording(self) -> None:
        name = QFileDialog.getExistingDirectory(self, self.tr("Choose a recording"))
        if name:
            self.take_recording(Path(name))

    def _browse_settings(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, self.tr("Open training settings"), "", self.tr("Settings (*.toml)")
        )
        if name:
            self.take_file(Path(name))

    def _browse_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, self.tr("Save training settings"), "train.toml", self.tr("Settings (*.toml)")
        )
        if name:
            self.save_settings(Path(name).with_suffix(".toml"))


def _of_rig(
    rig: "Rig", mask: "PhaseMask | None" = None, psf: "PsfModel | None" = None
) -> Plan | None:
    """mask, psf: those on the SLM and in the rig file, unless others are given; None without."""
    mask = mask or rig.mask
    if mask is None:
        return None
    return plan_of_rig(replace(rig.settings, psf=psf or rig.settings.psf), rig.noise(), mask)
