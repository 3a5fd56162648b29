"""Focus and field of view: where the stages are, and moving them."""

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING

from PyQt6.QtCore import QCoreApplication, QSettings
from PyQt6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from dsacq.errors import UserError
from ui.job import Job
from ui.panels.controls import number_box, set_quietly, without_wheel
from ui.panels.readings import AXES, RigState, readings_of
from ui.session import Session

if TYPE_CHECKING:
    from hardware.protocols import Stage
    from hardware.rig import Rig

_STEPS_UM = (0.05, 0.1, 0.5, 1.0, 5.0)
_USUAL_STEP_UM = 0.1


class StagesPanel(QWidget):
    """A row per axis that the rig has."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._turn = 0  # counts stops: moves asked for before one are not begun after it
        self.axes: dict[str, _AxisRow] = {}
        self._titles = dict(zip(AXES, (self.tr("Focus"), "x", "y"), strict=True))
        self._none = QLabel(self.tr("No rig is open."))
        self.step = QComboBox()
        self.step.setObjectName("stage_step_um")
        self.step.setToolTip(self.tr("How far the buttons - and + move."))
        for step_um in _STEPS_UM:
            self.step.addItem(f"{step_um:g} \N{MICRO SIGN}m", step_um)
        self.step.setCurrentIndex(_STEPS_UM.index(_USUAL_STEP_UM))
        without_wheel(self.step)
        self.stop = QPushButton(self.tr("Stop moving"))
        self.stop.setObjectName("stage_stop")
        self.stop.setToolTip(self.tr("End all motions at once; moves that wait are forgotten."))
        self.stop.clicked.connect(self._stop)
        self._grid = QGridLayout()
        self._grid.setColumnStretch(1, 1)
        self._grid.setHorizontalSpacing(4)
        below = QHBoxLayout()
        below.addWidget(QLabel(self.tr("Step")))
        below.addWidget(self.step)
        below.addStretch(1)
        below.addWidget(self.stop)
        self._group = QGroupBox(self.tr("Stages"))
        inside = QVBoxLayout(self._group)
        inside.addWidget(self._none)
        inside.addLayout(self._grid)
        inside.addLayout(below)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._group)
        self._enable()
        readings_of(session).taken.connect(self._on_reading)
        session.opened.connect(self._on_opened)
        if session.rig is not None:
            self._on_opened(session.rig)

    def save(self, settings: QSettings) -> None:
        settings.setValue("stages/step_um", self.step.currentData())

    def restore(self, settings: QSettings) -> None:
        step_um = settings.value("stages/step_um", _USUAL_STEP_UM, float)
        if step_um in _STEPS_UM:
            self.step.setCurrentIndex(_STEPS_UM.index(step_um))

    def _build_row(self, name: str, limits_um: tuple[float, float]) -> None:
        row = _AxisRow(name, self._titles[name], limits_um)
        row.edit.returnPressed.connect(partial(self._go, name))
        row.back.clicked.connect(partial(self._shift, name, -1))
        row.forth.clicked.connect(partial(self._shift, name, 1))
        place = len(self.axes)
        for column, widget in enumerate(row.widgets):
            self._grid.addWidget(widget, place, column)
        self.axes[name] = row

    def _go(self, name: str) -> None:
        target_um = self.axes[name].target.value()
        self._ask(name, lambda stage: stage.move_to(target_um))

    def _shift(self, name: str, sign: int) -> None:
        way_um = sign * self.step.currentData()
        self._ask(name, lambda stage: stage.move_to(stage.position_um() + way_um))

    def _ask(self, name: str, motion: "Callable[[Stage], None]") -> None:
        turn = self._turn

        def work(rig: "Rig") -> None:
            if turn == self._turn:
                motion(getattr(rig, name))

        self.axes[name].edit.setModified(False)
        self._session.command(work)

    def _stop(self) -> None:
        """Beside the commands, of which one waits for the motion."""
        rig = self._session.rig
        if rig is None:
            return
        self._turn += 1
        stages = [getattr(rig, name) for name in self.axes]

        def stopping() -> Generator[None]:
            for stage in stages:
                try:
                    stage.stop()
                except UserError as error:  # the others are stopped all the same
                    self._session.failed.emit(str(error))
            yield

        job = Job(stopping, "stopping the stages", self)
        job.failed.connect(lambda error: self._session.failed.emit(str(error)))
        job.finished.connect(job.deleteLater)
        job.start()

    def _on_opened(self, rig: "Rig") -> None:
        for row in self.axes.values():
            for widget in row.widgets:
                widget.deleteLater()
        self.axes = {}
        for name in AXES:
            stage = getattr(rig, name)
            if stage is not None:
                self._build_row(name, stage.limits_um)
        self._none.setText(self.tr("The rig has no stage."))
        self._enable()

    def _enable(self) -> None:
        self._none.setVisible(not self.axes)
        self.step.setEnabled(bool(self.axes))
        self.stop.setEnabled(bool(self.axes))

    def _on_reading(self, state: RigState) -> None:
        for name, row in self.axes.items():
            row.show_position(state.position_um.get(name))


class _AxisRow:
    """The widgets of one axis."""

    def __init__(self, name: str, title: str, limits_um: tuple[float, float]) -> None:
        tr = partial(QCoreApplication.translate, "StagesPanel")
        low, high = limits_um
        limits = tr("Limits {:g} to {:g} \N{MICRO SIGN}m.").format(low, high)
        self.title = QLabel(title)
        self.position = QLabel("-")
        self.position.setObjectName(f"stage_position_{name}")
        self.position.setToolTip(tr("Where it is, as the controller measures it.") + " " + limits)
        tip = tr("Where to go; Enter moves it.") + " " + limits
        self.target = number_box(f"stage_target_um_{name}", limits_um, 3, "\N{MICRO SIGN}m", tip)
        self.title.setBuddy(self.target)
        edit = self.target.lineEdit()
        assert edit is not None
        self.edit = edit
        self.back, self.forth = QPushButton("-"), QPushButton("+")
        for button, sign in ((self.back, "back"), (self.forth, "forth")):
            button.setObjectName(f"stage_{sign}_{name}")
            button.setFixedWidth(24)
            button.setStyleSheet("padding: 3px 0;")
            button.setToolTip(tr("Move by one step.") + " " + limits)
        self.widgets: tuple[QWidget, ...]
        self.widgets = (self.title, self.position, self.target, self.back, self.forth)

    def show_position(self, position_um: float | None) -> None:
        if position_um is None:
            self.position.setText("?")
            return
        self.position.setText(f"{position_um:z.3f} \N{MICRO SIGN}m")
        if not (self.target.hasFocus() and self.edit.isModified()):
            set_quietly(self.target, position_um)
