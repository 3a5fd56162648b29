"""What the devices of each kind can do. A driver is a plain class with these methods.

`close` may be called twice, and by any thread. After a failure a device raises DeviceError. A rig
opens drivers with the values of its file; they enforce their limits themselves.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dsacq.data import Roi
from dsacq.errors import UserError
from dsacq.stream import FrameStream


class DeviceError(UserError):
    """A device failed, or was asked for what it cannot do. The message begins with its name."""

    def __init__(self, device: str, what: str) -> None:
        super().__init__(f"{device}: {what}")
        self.device = device


class Device(Protocol):
    """What all devices have."""

    @property
    def name(self) -> str: ...

    def close(self) -> None:
        """Bring the device into its safe state and release it."""


@dataclass(frozen=True, kw_only=True)
class Property:
    """A setting of a device, as its driver lists it.

    choices: the only values allowed, or none; limits: least and most of a number, or None.
    note: why it can only be read, where the device itself would let it be set.
    """

    name: str
    value: str | int | float
    kind: Literal["text", "whole number", "number"]
    read_only: bool = False
    choices: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    note: str = ""


class Configurable(Device, Protocol):
    """A device with settings of its own beyond those of its kind."""

    def properties(self) -> list[Property]: ...

    def set_property(self, name: str, value: str | int | float) -> None:
        """Raises DeviceError, which names what is allowed, for another name or value."""


class Camera(FrameStream, Device, Protocol):
    """A camera. Geometry and exposure may be changed between sequences only (exposure: always)."""

    @property
    def sensor_shape(self) -> tuple[int, int]:
        """(rows, columns) of the sensor's pixels, unbinned."""

    def set_exposure(self, exposure_s: float) -> float:
        """The exposure that the camera accepted. Raises DeviceError outside its range."""

    @property
    def roi(self) -> Roi:
        """The part of the sensor that is read out, in frame (binned) pixels."""

    def set_roi(self, roi: Roi | None) -> Roi:
        """Read out a part, or with None the whole sensor; returns what the camera made of it.

        Raises DeviceError while a sequence runs and outside the sensor.
        """

    @property
    def saturation_level(self) -> int:
        """Counts of a pixel that can hold no more, as the camera is set."""

    @property
    def binning(self) -> int: ...

    @property
    def binnings(self) -> tuple[int, ...]:
        """What `set_binning` accepts, least first."""

    def set_binning(self, binning: int) -> None:
        """Join n x n pixels; the region becomes the whole sensor. Raises DeviceError."""

    def temperature_c(self) -> float | None:
        """Of the sensor, where it is known without disturbing a sequence."""


class Stage(Device, Protocol):
    """One axis of motion, in um of travel."""

    @property
    def limits_um(self) -> tuple[float, float]: ...

    def position_um(self) -> float:
        """As the controller measures it."""

    def move_to(self, position_um: float) -> None:
        """Move and wait until it has arrived.

        Raises DeviceError, without moving, outside the limits; and when it did not arrive.
        """

    def stop(self) -> None:
        """End a motion at once; `move_to` in another thread then raises."""


class SLM(Device, Protocol):
    """A phase-only spatial light modulator."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""

    @property
    def pixel_um(self) -> float: ...

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """The pattern on it, or None before the first."""

    def show(self, grey: NDArray[np.uint8]) -> None:
        """Show a pattern (rows, columns); returns when the crystal has settled.

        Raises DeviceError for another shape and when it could not be shown.
        """


class Laser(Device, Protocol):
    """A light source. It is dark after opening and after closing."""

    @property
    def limit_mw(self) -> float:
        """The most that `set_power` accepts."""

    @property
    def power_mw(self) -> float:
        """The power it emits when it is on."""

    @property
    def emitting(self) -> bool:
        """Whether it may emit light, as the device itself says."""

    def set_power(self, power_mw: float) -> None:
        """Raises DeviceError outside 0 to limit_mw."""

    def on(self) -> None: ...

    def off(self) -> None:
        """Dark, checked with the device. Raises DeviceError when that could not be confirmed."""


class Shutter(Device, Protocol):
    """Closed after opening the device and after releasing it."""

    @property
    def opened(self) -> bool: ...

    def set_opened(self, opened: bool) -> None: ...


def check_within(
    device: str, what: str, value: float, limits: tuple[float, float], unit: str = ""
) -> None:
    """Raises DeviceError when a value, such as a position of 9 um, is no number or lies outside
    its limits."""
    low, high = limits
    if isinstance(value, bool | str) or value is None:
        raise DeviceError(device, f"{what} {value!r} is no number.")
    if not low <= value <= high:  # also when it is not a number
        told = f"{what} {value:g}{unit and f' {unit}'}"
        raise DeviceError(device, f"{told} is outside its limits, {low:g} to {high:g}.")


def check_pattern(slm: SLM, grey: NDArray[Any]) -> None:
    """Raises DeviceError when a pattern is not one for this SLM."""
    if grey.shape != slm.shape or grey.dtype != np.uint8:
        raise DeviceError(
            slm.name,
            f"a pattern of {grey.shape} and {grey.dtype} was given, not of {slm.shape} and uint8.",
        )
