"""Shutters and lasers of Micro-Manager. Both are dark when they open and when they close."""

import math
import time
from threading import RLock
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.patience import Patience
from hardware.micromanager import SHUTTER, MicroManager
from hardware.micromanager_core import Core
from hardware.micromanager_properties import Value, describe, number, same, set_property
from hardware.protocols import DeviceError, check_within
from hardware.quantities import Milliwatts

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_STRICT = ConfigDict(extra="forbid")
_SWITCHING_S = 5.0
_LOOK_S = 0.5  # a question to a device


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MicroManagerShutterSettings:
    """device: by default Micro-Manager's shutter."""

    kind: Literal["micromanager"] = "micromanager"
    device: str | None = None


class MicroManagerShutter:
    """A shutter of an open Micro-Manager, which no longer opens it by itself."""

    def __init__(
        self, name: str, settings: MicroManagerShutterSettings, manager: MicroManager
    ) -> None:
        self.name = name
        self.manager = manager
        self._core = manager.core(name)
        self._lock = RLock()
        self._closed = False
        self.label = manager.label(name, settings.device, "get_shutter_device", (SHUTTER,))
        manager.take_light()
        self.set_opened(False)

    @property
    def identity(self) -> str:
        return f"the shutter {self.label} of Micro-Manager"

    @property
    def opened(self) -> bool:
        return bool(self._core("get_shutter_open", self.label))

    def set_opened(self, opened: bool) -> None:
        with self._lock:
            if self._closed:
                raise DeviceError(self.name, "it has been closed.")
            self._core("set_shutter_open", self.label, bool(opened))
            _await_idle(self._core, self.label)
            if self.opened != opened:
                raise DeviceError(self.name, f"it did not {'open' if opened else 'close'}.")

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self.set_opened(False)
                self._closed = True


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MicroManagerLaserSettings:
    """A laser by its properties in Micro-Manager.

    mw_per_unit: power at 1 of power_property; for one in percent, the power at 100 % / 100.
    """

    kind: Literal["micromanager"] = "micromanager"
    device: str
    power_property: str
    mw_per_unit: Positive
    on_property: str
    on_value: str = "On"
    off_value: str = "Off"
    limit_mw: Milliwatts

    def __post_init__(self) -> None:
        if same(self.on_value, self.off_value):
            raise ValueError(f"on_value and off_value are both {self.on_value!r}")


class MicroManagerLaser:
    """A laser of an open Micro-Manager, which no longer switches it by itself."""

    def __init__(
        self, name: str, settings: MicroManagerLaserSettings, manager: MicroManager
    ) -> None:
        self.name = name
        self.manager, self.label = manager, settings.device
        self._settings = settings
        self._core = manager.core(name)
        self._lock = RLock()
        self._closed = False
        if settings.device not in manager.devices():
            there = ", ".join(manager.devices())
            raise DeviceError(name, f"Micro-Manager has no {settings.device!r}; it has {there}.")
        power = describe(self._core, settings.device, settings.power_property)
        if power.kind == "text":
            raise DeviceError(name, f"{settings.device} {power.name} is not a number.")
        self._whole = power.kind == "whole number"
        switch = describe(self._core, settings.device, settings.on_property)
        for value in (settings.on_value, settings.off_value):
            if switch.choices and value not in switch.choices:
                allowed = ", ".join(switch.choices)
                raise DeviceError(name, f"{switch.name} has no value {value!r}, only {allowed}.")
        manager.take_light()
        self.off()

    @property
    def limit_mw(self) -> float:
        return self._settings.limit_mw

    @property
    def power_mw(self) -> float:
        text = self._read(self._settings.power_property)
        units = number(text)
        if units is None:
            raise DeviceError(self.name, f"its power reads {text!r}, which is not a number.")
        return units * self._settings.mw_per_unit

    @property
    def emitting(self) -> bool:
        return not same(self._read(self._settings.on_property), self._settings.off_value)

    def set_power(self, power_mw: float) -> None:
        check_within(self.name, "power", power_mw, (0, self.limit_mw), "mW")
        units = power_mw / self._settings.mw_per_unit
        with self._lock:
            # Never above what was asked; 1e-9 keeps 0.3 / 0.1 at 3.
            value: Value = math.floor(units + 1e-9) if self._whole else units
            set_property(self._core, self._settings.device, self._settings.power_property, value)
            _await_idle(self._core, self._settings.device)
            reached_mw = self.power_mw
            step_mw = self._settings.mw_per_unit if self._whole else 0.0
            if abs(reached_mw - power_mw) > step_mw + 0.01 * power_mw + 1e-3 * self.limit_mw:
                self.off()
                raise DeviceError(
                    self.name,
                    f"it was set to {power_mw:g} mW but says {reached_mw:g} mW, and was put off.",
                )

    def on(self) -> None:
        with self._lock:
            if self._closed:
                raise DeviceError(self.name, "it has been closed.")
            power_mw = self.power_mw
            if power_mw > self.limit_mw * 1.001:
                raise DeviceError(
                    self.name,
                    f"it is set to {power_mw:g} mW, above its limit of {self.limit_mw:g} mW; set "
                    "its power first.",
                )
            if not same(self._switch(self._settings.on_value), self._settings.on_value):
                self.off()
                raise DeviceError(self.name, "it did not switch on.")

    def off(self) -> None:
        with self._lock:
            self._switch(self._settings.off_value)
            if self.emitting:
                raise DeviceError(self.name, "it did not confirm that it is off; switch it off.")

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self.off()
                self._closed = True

    def _read(self, property_name: str) -> str:
        return str(self._core("get_property", self._settings.device, property_name))

    def _switch(self, value: str) -> str:
        """What the switch says when it has been set."""
        self._core("set_property", self._settings.device, self._settings.on_property, value)
        _await_idle(self._core, self._settings.device)
        return self._read(self._settings.on_property)


def _await_idle(core: Core, label: str) -> None:
    switching = Patience(_LOOK_S)
    while core("device_busy", label):
        if switching.look() > _SWITCHING_S:
            raise DeviceError(core.device, f"{label} was busy for {_SWITCHING_S:g} s.")
        time.sleep(0.005)
