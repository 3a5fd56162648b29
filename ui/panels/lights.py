"""Lasers and shutters: which shine during an acquisition, how much, and whether they do now."""

from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QGroupBox,
    QLabel,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from ui.panels.controls import number_box, set_lamp, set_quietly, without_wheel
from ui.panels.readings import RigState, readings_of
from ui.plain_text import literal
from ui.session import Activity, Session

if TYPE_CHECKING:
    from hardware.rig import Rig

_SHINING = (Activity.looking, Activity.recording, Activity.calibrating)
_SLIDER_STEPS = 1000


class LightsPanel(QWidget):
    """Keeps `session.lasers_mw`; a laser in use shines with every acquisition, and only then."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.lasers: dict[str, _LaserRow] = {}
        self.shutters: dict[str, QLabel] = {}
        self._switched: set[str] = set()  # lasers, during this acquisition
        self._group = QGroupBox(self.tr("Light"))
        self._rows = QVBoxLayout(self._group)
        self._none = QLabel(self.tr("No rig is open."))
        self._rows.addWidget(self._none)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._group)
        readings_of(session).taken.connect(self._on_reading)
        session.opened.connect(self._on_opened)
        session.activity_changed.connect(self._on_activity)
        if session.rig is not None:
            self._on_opened(session.rig)

    def _on_opened(self, rig: "Rig") -> None:
        for old in (*self.lasers.values(), *self.shutters.values()):
            old.deleteLater()
        self.lasers, self.shutters = {}, {}
        self._none.setText(self.tr("The rig has no laser and no shutter."))
        self._none.setVisible(not (rig.lasers or rig.shutters))
        for name in rig.lasers:
            row = _LaserRow(
                name, rig.settings.lasers[name].limit_mw, self._session.lasers_mw.get(name)
            )
            row.changed.connect(self._apply)
            self.lasers[name] = row
            self._rows.addWidget(row)
        for name in rig.shutters:
            lamp = QLabel(name)
            lamp.setObjectName(f"shutter_{name}")
            lamp.setToolTip(self.tr("Open during an acquisition, closed otherwise."))
            self.shutters[name] = lamp
            self._rows.addWidget(lamp)

    def _apply(self, name: str) -> None:
        """Take up what a row says; at once while light is on."""
        row, powers = self.lasers[name], self._session.lasers_mw
        was_used = name in powers
        if row.use.isChecked():
            powers[name] = row.power.value()
        else:
            powers.pop(name, None)
        if self._session.activity in _SHINING and (was_used or name in powers):
            self._switch(name, powers.get(name))

    def _switch(self, name: str, power_mw: float | None) -> None:
        def work(rig: "Rig") -> None:
            laser = rig.lasers[name]
            if power_mw is None:
                laser.off()
            elif self._session.activity in _SHINING:  # it may have waited for a stage
                laser.set_power(power_mw)
                laser.on()

        self._switched.add(name)
        told = self.tr("off") if power_mw is None else f"{power_mw:g} mW"
        self._session.command(work, self.tr("Laser {}: {}.").format(name, told))

    def _on_activity(self, activity: Activity) -> None:
        if activity not in _SHINING and self._switched:
            # One that was switched on just as the acquisition ended came after its darkness.
            self._switched.clear()
            self._session.command(lambda rig: rig.dark())

    def _on_reading(self, state: RigState) -> None:
        for name, row in self.lasers.items():
            emitting = state.emitting.get(name)
            set_lamp(row.lamp, emitting, (self.tr("dark"), self.tr("on"), self.tr("unknown")))
            if emitting and name in self._switched - self._session.lasers_mw.keys():
                self._switch(name, None)  # it was unchecked just before the acquisition lit it
        for name, lamp in self.shutters.items():
            words = (self.tr("closed"), self.tr("open"), self.tr("unknown"))
            told = [self.tr("Shutter {}: {}").format(name, word) for word in words]
            set_lamp(lamp, state.opened.get(name), (told[0], told[1], told[2]))


class _LaserRow(QWidget):
    """One laser. changed: its name, when it is to be used or not, or with another power."""

    changed = pyqtSignal(str)

    def __init__(self, name: str, limit_mw: float, used_mw: float | None) -> None:
        super().__init__()
        self._name, self._step_mw = name, limit_mw / _SLIDER_STEPS
        self.use = QCheckBox(literal(name))
        self.use.setObjectName(f"laser_use_{name}")
        self.use.setChecked(used_mw is not None)
        self.use.setToolTip(
            self.tr(
                "Shine during live view and recordings. A change in the live view acts at once."
            )
        )
        self.lamp = QLabel()
        self.lamp.setObjectName(f"laser_lamp_{name}")
        self.lamp.setToolTip(self.tr("Whether it may emit light now, as the laser itself says."))
        tip = self.tr("Power when it is on, up to its limit of {:g} mW.").format(limit_mw)
        self.power = number_box(f"laser_power_mw_{name}", (0.0, limit_mw), 2, "mW", tip)
        self.power.setValue(used_mw or 0.0)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setObjectName(f"laser_slider_{name}")
        self.slider.setToolTip(tip)
        self.slider.setRange(0, _SLIDER_STEPS)
        self.slider.setPageStep(_SLIDER_STEPS // 20)
        self.slider.setTracking(False)  # the laser is told when the slider is let go
        without_wheel(self.slider)
        self._follow()
        self.use.toggled.connect(lambda: self.changed.emit(name))
        self.power.valueChanged.connect(self._on_power)
        self.slider.sliderMoved.connect(self._on_drag)
        self.slider.valueChanged.connect(self._on_slider)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.use, 0, 0)
        grid.addWidget(self.lamp, 0, 1, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(self.slider, 1, 0)
        grid.addWidget(self.power, 1, 1)
        grid.setColumnStretch(0, 1)
        set_lamp(self.lamp, None, ("", "", self.tr("unknown")))

    def _on_power(self) -> None:
        self._follow()
        self.changed.emit(self._name)

    def _on_drag(self, place: int) -> None:
        set_quietly(self.power, place * self._step_mw)

    def _on_slider(self, place: int) -> None:
        set_quietly(self.power, place * self._step_mw)
        self.changed.emit(self._name)

    def _follow(self) -> None:
        blocked = self.slider.blockSignals(True)
        self.slider.setValue(round(self.power.value() / self._step_mw))
        self.slider.blockSignals(blocked)
