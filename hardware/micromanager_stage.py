"""Stages of Micro-Manager."""

import math
from threading import Event, RLock
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.patience import Patience
from hardware.micromanager import STAGE, XY_STAGE, MicroManager
from hardware.protocols import DeviceError, check_within
from hardware.quantities import Position

_NOWHERE_UM = 1e7  # 10 m; some adapters turn a position that is not a number into a huge one

_LOOK_S = 0.5  # two questions to a device
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class MicroManagerStageSettings:
    """One axis. device: by default Micro-Manager's focus drive for z, its XY stage for x and y.

    limits_um: where it may go. tolerance_um: how near is near enough. timeout_s: for one move.
    """

    kind: Literal["micromanager"] = "micromanager"
    device: str | None = None
    axis: Literal["x", "y", "z"] = "z"
    limits_um: tuple[Position, Position]
    tolerance_um: Positive = 0.2
    timeout_s: Positive = 10.0

    def __post_init__(self) -> None:
        low, high = self.limits_um
        if not low < high:
            raise ValueError(f"limits_um = {list(self.limits_um)}: expected the lower one first")


class MicroManagerStage:
    """A focus drive, or one axis of an XY stage, of an open Micro-Manager."""

    def __init__(
        self, name: str, settings: MicroManagerStageSettings, manager: MicroManager
    ) -> None:
        self.name = name
        self.manager = manager
        self._settings = settings
        self._core = manager.core(name)
        self._lock = RLock()  # one move at a time
        self._stopped = Event()
        self._closed = False
        default = "get_focus_device" if settings.axis == "z" else "get_xy_stage_device"
        self.label = manager.label(name, settings.device, default, (STAGE, XY_STAGE))
        self._in_plane = self._core("get_device_type", self.label) == XY_STAGE
        if self._in_plane and settings.axis == "z":
            raise DeviceError(name, f"{self.label} is an XY stage; set axis to x or y.")
        self.position_um()

    @property
    def identity(self) -> str:
        axis = f"axis {self._settings.axis} of " if self._in_plane else ""
        return f"{axis}{self.label} of Micro-Manager"

    @property
    def limits_um(self) -> tuple[float, float]:
        return self._settings.limits_um

    def position_um(self) -> float:
        asked = f"get_{self._settings.axis}_position" if self._in_plane else "get_position"
        position_um = float(self._core(asked, self.label))
        if not abs(position_um) < _NOWHERE_UM:  # a way from there would lead anywhere
            raise DeviceError(
                self.name,
                f"its position reads {position_um:g} um, which is none; home or restart it.",
            )
        return position_um

    def move_to(self, position_um: float) -> None:
        check_within(self.name, "position", position_um, self.limits_um, "um")
        if self._closed:
            raise DeviceError(self.name, "it has been closed.")
        with self._lock:
            self._stopped.clear()
            self._send(float(position_um))
            self._await(position_um)

    def stop(self) -> None:
        self._stopped.set()
        if not self._closed:
            self._core("stop", self.label)

    def close(self) -> None:
        """It stays where it is."""
        if not self._closed:
            try:
                self.stop()
            finally:
                self._closed = True

    def _send(self, position_um: float) -> None:
        if not self._in_plane:
            self._core("set_position", self.label, position_um)
            return
        # Relative, so that the other axis is not sent to a position that was read with noise.
        way_um = position_um - self.position_um()
        x_um, y_um = (way_um, 0.0) if self._settings.axis == "x" else (0.0, way_um)
        self._core("set_relative_xy_position", self.label, x_um, y_um)

    def _await(self, position_um: float) -> None:
        underway = Patience(_LOOK_S)
        while True:
            busy = self._core("device_busy", self.label)
            if self._stopped.is_set():
                self._core("stop", self.label)  # it may have been sent before the move was
                raise DeviceError(self.name, f"it was stopped on its way to {position_um:g} um.")
            reached_um = math.nan if busy else self.position_um()
            if abs(reached_um - position_um) <= self._settings.tolerance_um:
                return
            if underway.look() > self._settings.timeout_s:
                state = "is still moving" if busy else f"stands at {reached_um:g} um"
                raise DeviceError(
                    self.name,
                    f"it did not reach {position_um:g} um within {self._settings.timeout_s:g} s "
                    f"and {state}.",
                )
            self._stopped.wait(0.005)
