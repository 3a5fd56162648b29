"""Cameras of Micro-Manager: every frame kept in order, or the newest ones for looking."""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.data import Roi
from dsacq.stream import Frame
from hardware import micromanager_properties
from hardware.micromanager import CAMERA, SMALL_BUFFER_MB, MicroManager
from hardware.micromanager_properties import Value
from hardware.micromanager_sequence import GREY_ONLY, Sequence
from hardware.protocols import DeviceError, Property, check_within
from hardware.quantities import Seconds

log = logging.getLogger(__name__)

_BUFFER_S = 5.0
_NEAR = 2.0  # an exposure is made of the camera's own steps; further off it was cut
_TOLD = 1.01
_BRIDGE_MB_PER_S = 60.0  # more would pile up: the bridge itself passes 100 MB/s at best
_SILENT_WHILE_RUNNING = ("Andor", "AndorSDK3")  # reading the temperature would end the sequence


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class MicroManagerCameraSettings:
    """device: Micro-Manager's name of it, by default the one it records from.

    properties: set in this order when the camera opens; where one decides what the next allows,
    as Port, ReadoutRate, Gain of a Photometrics camera do, it comes first. roi: (column, row,
    width, height) in binned pixels, by default the whole sensor.
    """

    kind: Literal["micromanager"] = "micromanager"
    device: str | None = None
    exposure_s: Seconds = 0.03
    binning: Annotated[int, Field(ge=1)] = 1
    roi: tuple[int, int, int, int] | None = None
    properties: Mapping[str, str | int | float] = Field(default_factory=dict)


class MicroManagerCamera:
    """A camera of an open Micro-Manager."""

    def __init__(
        self, name: str, settings: MicroManagerCameraSettings, manager: MicroManager
    ) -> None:
        self.name = name
        self.manager = manager
        self._core = manager.core(name)
        self._lock = RLock()
        self._closed = False
        self._sensor_shape = 0, 0
        if manager.camera_of is not None:
            raise DeviceError(name, f"Micro-Manager records from {manager.camera_of} already.")
        self.label = manager.label(name, settings.device, "get_camera_device", (CAMERA,))
        self._sequence = Sequence(self._core, self.label)
        if self._core("is_sequence_running") or self.running:
            raise DeviceError(name, "Micro-Manager shows live images; stop that first.")
        self._silent = self._core("get_device_library", self.label) in _SILENT_WHILE_RUNNING
        for property_name, value in settings.properties.items():
            micromanager_properties.set_property(self._core, self.label, property_name, value)
        self.set_binning(settings.binning)
        self.set_exposure(settings.exposure_s)
        if settings.roi is not None:
            self.set_roi(Roi(*settings.roi))
        self._check_pictures()
        manager.camera_of = name

    @property
    def sensor_shape(self) -> tuple[int, int]:
        return self._sensor_shape

    @property
    def shape(self) -> tuple[int, int]:
        return self._own("get_image_height"), self._own("get_image_width")

    @property
    def exposure_s(self) -> float:
        return float(self._core("get_exposure", self.label)) / 1000

    def set_exposure(self, exposure_s: float) -> float:
        check_within(self.name, "exposure", exposure_s, self._exposures_s(), "s")
        if not 0 < exposure_s < math.inf:
            raise DeviceError(self.name, f"exposure {exposure_s} s is not one.")
        before_s = self.exposure_s
        self._core("set_exposure", self.label, float(exposure_s) * 1000)
        taken_s = self.exposure_s
        if not exposure_s / _NEAR <= taken_s <= exposure_s * _NEAR:
            if 0 < before_s < math.inf:
                self._core("set_exposure", self.label, before_s * 1000)
            raise DeviceError(
                self.name,
                f"an exposure of {exposure_s * 1000:g} ms was asked for, but the camera makes "
                f"{taken_s * 1000:g} ms of it; ask for one that it has.",
            )
        if not exposure_s / _TOLD <= taken_s <= exposure_s * _TOLD:
            log.warning(
                "%s: exposes for %g ms in place of %g ms, the nearest it has.",
                self.name,
                taken_s * 1000,
                exposure_s * 1000,
            )
        return taken_s

    def _exposures_s(self) -> tuple[float, float]:
        """Least and most, where the camera tells them: many have no property for it."""
        asked = self.label, "Exposure"
        if not (self._core("has_property", *asked) and self._core("has_property_limits", *asked)):
            return 0.0, math.inf
        edges = (self._core(f"get_property_{edge}_limit", *asked) for edge in ("lower", "upper"))
        low_s, high_s = (float(edge) / 1000 for edge in edges)
        return low_s, high_s

    @property
    def roi(self) -> Roi:
        return Roi(*(int(edge) for edge in self._own("get_roi")))

    def set_roi(self, roi: Roi | None) -> Roi:
        with self._lock:
            self._require_still("the region")
            if roi is None:
                self._measure()
                return self.roi
            self._check_region(roi)
            edges = roi.column, roi.row, roi.width, roi.height
            self._own("set_roi", *(int(edge) for edge in edges))
            self._sequence.forget()  # MMCore has emptied its buffer
            return self.roi

    @property
    def saturation_level(self) -> int:
        bits = min(self._own("get_image_bit_depth"), 8 * self._own("get_bytes_per_pixel"))
        return int(2**bits - 1)

    @property
    def binnings(self) -> tuple[int, ...]:
        if not self._core("has_property", self.label, "Binning"):
            return (1,)
        choices = self._core("get_allowed_property_values", self.label, "Binning")
        return tuple(sorted(map(_factor, filter(_square, choices)))) or (self.binning,)

    @property
    def binning(self) -> int:
        if not self._core("has_property", self.label, "Binning"):
            return 1
        return _factor(self._core("get_property", self.label, "Binning"))

    def set_binning(self, binning: int) -> None:
        with self._lock:
            self._require_still("binning")
            if binning != self.binning:
                choices = self._core("get_allowed_property_values", self.label, "Binning")
                found = [each for each in filter(_square, choices) if _factor(each) == binning]
                value = found[0] if found else binning  # "2" or "2x2"
                micromanager_properties.set_property(self._core, self.label, "Binning", value)
            self._measure()

    def properties(self) -> list[Property]:
        return micromanager_properties.list_properties(self._core, self.label)

    def set_property(self, name: str, value: Value) -> None:
        with self.being_changed():
            micromanager_properties.set_property(self._core, self.label, name, value)

    @contextmanager
    def being_changed(self) -> Iterator[None]:
        """Around what sets properties of the camera, such as a preset; it takes note of them.

        Where binning has changed, or the pictures behind a region, the region becomes the whole
        sensor, as of `set_binning`: some cameras rescale their region then, others keep it.
        """
        with self._lock:
            before = self.shape, self.roi, self.binning
            whole = self.shape == self._binned_sensor()
            try:
                yield
            finally:
                shape, roi, binning = self.shape, self.roi, self.binning
                if (shape, roi, binning) != before:
                    self._sequence.stop()
                    if binning != before[2] or not whole:
                        self._measure()
                    else:  # another size of the sensor, or a crop mode
                        self._note_sensor(shape)

    def temperature_c(self) -> float | None:
        if self._closed or (self._silent and self.running):
            return None
        if not self._core("has_property", self.label, "CCDTemperature"):
            return None
        return micromanager_properties.number(
            self._core("get_property", self.label, "CCDTemperature")
        )

    def start(self, count: int | None = None, *, newest_only: bool = False) -> None:
        if count is not None and count < 1:
            raise ValueError(f"count={count}: expected 1 or more")
        with self._lock:
            self._require_still("a second sequence")
            self._check_pictures()
            roi = self.roi
            if (roi.height, roi.width) == self.shape:  # else it does not tell of the pictures
                self._check_region(roi)
            if not 0 < self.exposure_s < math.inf:
                raise DeviceError(
                    self.name, f"its exposure reads {self.exposure_s * 1000:g} ms; set one first."
                )
            if self._core.attached and not newest_only:
                self._check_bridge()
            if not self._core.attached:
                self._reserve(newest_only)
            self._sequence.start(count, newest_only, self._other_cameras())

    def next_frame(self, timeout_s: float) -> Frame | None:
        return self._sequence.next_frame(timeout_s)

    @property
    def running(self) -> bool:
        return self._sequence.running

    @property
    def computing(self) -> bool:
        return False

    @property
    def overflowed(self) -> bool:
        return self._sequence.overflowed

    @property
    def buffer_fill(self) -> float:
        return self._sequence.buffer_fill

    def stop(self) -> None:
        with self._lock:
            self._sequence.stop()

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            try:
                self._sequence.close()
            finally:
                self._closed = True
                self.manager.camera_of = None

    def _require_still(self, what: str) -> None:
        if self.running:
            raise DeviceError(self.name, f"a sequence is running; stop it before {what}.")

    def _own(self, method: str, *args: int) -> Any:
        """What MMCore tells and does of its camera only; somebody may have chosen another."""
        if self._core("get_camera_device") != self.label:
            self._core("set_camera_device", self.label)
        return self._core(method, *args)

    def _measure(self) -> None:
        """The region becomes the whole sensor."""
        self._own("clear_roi")
        self._sequence.forget()
        self._note_sensor(self.shape)

    def _note_sensor(self, shape: tuple[int, int]) -> None:
        """Of a picture of the whole sensor; binned pixels do not tell of an odd row or column."""
        binning = self.binning
        if shape != self._binned_sensor():
            self._sensor_shape = shape[0] * binning, shape[1] * binning

    def _binned_sensor(self) -> tuple[int, int]:
        rows, columns = (pixels // self.binning for pixels in self._sensor_shape)
        return rows, columns

    def _check_region(self, roi: Roi) -> None:
        rows, columns = self._binned_sensor()
        fits = min(roi.column, roi.row) >= 0 and min(roi.width, roi.height) >= 1
        if not (fits and roi.column + roi.width <= columns and roi.row + roi.height <= rows):
            whole = Roi(0, 0, columns, rows)
            raise DeviceError(self.name, f"{roi} does not lie within {whole}.")

    def _check_pictures(self) -> None:
        size, parts = self._own("get_bytes_per_pixel"), self._own("get_number_of_components")
        if size not in (1, 2) or parts != 1:
            raise DeviceError(self.name, f"its pixels have {parts} x {size} bytes; {GREY_ONLY}")
        cameras = self._own("get_number_of_camera_channels")
        if cameras != 1:
            names = ", ".join(self._channel(index) for index in range(cameras))
            raise DeviceError(
                self.name,
                f"{self.label} joins the pictures of {cameras} cameras, {names}; set device to the "
                "one that is behind the mask.",
            )

    def _channel(self, index: int) -> str:
        return str(self._own("get_camera_channel_name", index))

    def _other_cameras(self) -> frozenset[str]:
        """Micro-Manager's names of those whose frames are not this camera's; it may itself stand
        for another one, as a Multi Camera does."""
        loaded = self.manager.devices()
        cameras = {one for one in loaded if self._core("get_device_type", one) == CAMERA}
        return frozenset(cameras - {self.label, self._channel(0)})

    def _mb_per_s(self) -> float:
        rows, columns = self.shape
        bytes_per_frame = rows * columns * int(self._own("get_bytes_per_pixel"))
        return bytes_per_frame / max(self.exposure_s, 1e-6) / 1e6

    def _check_bridge(self) -> None:
        rate = self._mb_per_s()
        if rate > _BRIDGE_MB_PER_S:
            raise DeviceError(
                self.name,
                f"{rate:.0f} MB/s do not pass the bridge of a running Micro-Manager without loss, "
                f"at most {_BRIDGE_MB_PER_S:g}; take a longer exposure or a smaller region, or "
                "close it and open its configuration here, with config in place of attach.",
            )

    def _reserve(self, newest_only: bool) -> None:
        """Room for 5 s of frames. Memory is only added: reserving it takes about 1 s per GB."""
        wanted_mb = 0 if newest_only else math.ceil(self._mb_per_s() * _BUFFER_S)
        wanted_mb = min(max(wanted_mb, SMALL_BUFFER_MB), self.manager.settings.buffer_mb)
        if self._core("get_circular_buffer_memory_footprint") < wanted_mb:
            self._core("set_circular_buffer_memory_footprint", wanted_mb)


def _factor(text: str) -> int:
    """Of a text such as "2" or "2x2"."""
    return int(text.partition("x")[0])


def _square(text: str) -> bool:
    """Not "1x2"."""
    return len(set(text.split("x"))) == 1
