"""Simulated SLM, stages, laser and shutter: they act on a `Bench`. Nothing here moves or shines."""

from threading import Event
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hardware.bench import Bench
from hardware.protocols import DeviceError, check_pattern, check_within
from hardware.quantities import Milliwatts, Position

_STRICT = ConfigDict(extra="forbid")
_Finite = Annotated[float, Field(allow_inf_nan=False)]

_SETTLING_S = 0.03  # of the crystal
_SPEED_UM_PER_S = 1000.0
_ARRIVING_S = 0.005


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SimulatedSLMSettings:
    """Its size and errors are the bench's."""

    kind: Literal["simulated"] = "simulated"


class SimulatedSLM:
    """The SLM in the bench's pupil; the light gets what it shows."""

    def __init__(self, name: str, settings: SimulatedSLMSettings, bench: Bench) -> None:
        self.name, self._bench = name, bench
        self._closed = Event()

    @property
    def shape(self) -> tuple[int, int]:
        return self._bench.settings.slm_shape

    @property
    def pixel_um(self) -> float:
        return self._bench.settings.slm_pixel_um

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        pattern = self._bench.view.pattern
        return None if pattern is None else pattern.copy()

    def show(self, grey: NDArray[np.uint8]) -> None:
        check_pattern(self, grey)
        _require_open(self.name, self._closed)
        pattern = self._bench.view.pattern
        if pattern is None or not np.array_equal(pattern, grey):
            self._bench.change(pattern=grey.copy())
        self._closed.wait(_SETTLING_S)

    def close(self) -> None:
        self._closed.set()


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SimulatedStageSettings:
    """axis z is the focus, as `focus_um` of the optics; x and y move the field of view."""

    kind: Literal["simulated"] = "simulated"
    axis: Literal["x", "y", "z"] = "z"
    limits_um: tuple[Position, Position] = (-20.0, 20.0)

    def __post_init__(self) -> None:
        if self.limits_um[0] >= self.limits_um[1]:
            raise ValueError(f"limits_um = {list(self.limits_um)}: expected the lower one first")


class SimulatedStage:
    """One axis, at first where the bench is: at the focus of the optics, or 0."""

    def __init__(self, name: str, settings: SimulatedStageSettings, bench: Bench) -> None:
        self.name, self._bench = name, bench
        self._limits_um = settings.limits_um
        self._field = {"x": "x_um", "y": "y_um", "z": "focus_um"}[settings.axis]
        self._stopped, self._closed = Event(), Event()

    @property
    def limits_um(self) -> tuple[float, float]:
        return self._limits_um

    def position_um(self) -> float:
        position: float = getattr(self._bench.view, self._field)
        return position

    def move_to(self, position_um: float) -> None:
        check_within(self.name, "position", position_um, self._limits_um, "um")
        _require_open(self.name, self._closed)
        self._stopped.clear()
        way_um = abs(position_um - self.position_um())
        if self._stopped.wait(way_um / _SPEED_UM_PER_S + _ARRIVING_S * (way_um > 0)):
            raise DeviceError(self.name, "was stopped before it arrived.")
        self._bench.change(**{self._field: float(position_um)})

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._closed.set()
        self.stop()


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SimulatedLaserSettings:
    """limit_mw: the most it can do."""

    kind: Literal["simulated"] = "simulated"
    limit_mw: Milliwatts = 200.0


class SimulatedLaser:
    """Light of the bench; its power is at first the bench's reference power."""

    def __init__(self, name: str, settings: SimulatedLaserSettings, bench: Bench) -> None:
        self.name, self._bench = name, bench
        self._limit_mw = settings.limit_mw
        self._closed = Event()
        self._emitting, self._power_mw = False, min(bench.view.power_mw, settings.limit_mw)
        self.turn()

    @property
    def limit_mw(self) -> float:
        return self._limit_mw

    @property
    def power_mw(self) -> float:
        return self._power_mw

    @property
    def emitting(self) -> bool:
        return self._emitting

    def set_power(self, power_mw: float) -> None:
        check_within(self.name, "power", power_mw, (0.0, self._limit_mw), "mW")
        _require_open(self.name, self._closed)
        self.turn(power_mw=float(power_mw))

    def on(self) -> None:
        _require_open(self.name, self._closed)
        self.turn(emitting=True)

    def off(self) -> None:
        self.turn(emitting=False)

    def turn(self, *, power_mw: float | None = None, emitting: bool | None = None) -> None:
        """As somebody at its front panel, or an interlock, would: no limit holds there."""
        self._power_mw = self._power_mw if power_mw is None else power_mw
        self._emitting = self._emitting if emitting is None else emitting
        self._bench.light(self.name, self._power_mw, self._emitting)

    def close(self) -> None:
        self._closed.set()
        self.off()


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SimulatedShutterSettings:
    """Nothing to set."""

    kind: Literal["simulated"] = "simulated"


class SimulatedShutter:
    """Between the bench's laser and the specimen."""

    def __init__(self, name: str, settings: SimulatedShutterSettings, bench: Bench) -> None:
        self.name, self._bench = name, bench
        self._closed = Event()
        bench.change(shutter_opened=False)

    @property
    def opened(self) -> bool:
        return self._bench.view.shutter_opened

    def set_opened(self, opened: bool) -> None:
        _require_open(self.name, self._closed)
        self._bench.change(shutter_opened=opened)

    def close(self) -> None:
        self._closed.set()
        self._bench.change(shutter_opened=False)


def _require_open(name: str, closed: Event) -> None:
    if closed.is_set():
        raise DeviceError(name, "has been closed; open the rig again.")
