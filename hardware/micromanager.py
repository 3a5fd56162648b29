"""Micro-Manager: in this process with a configuration file, or one that runs already.

Its cameras, stages, shutters and lasers are opened on it, in micromanager_camera,
micromanager_stage and micromanager_light; any other device is set by properties and presets.
"""

from pathlib import Path
from threading import Lock
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hardware import micromanager_properties
from hardware.micromanager_bridge import attach
from hardware.micromanager_core import Backend, Core, open_in_process
from hardware.micromanager_properties import Value
from hardware.protocols import DeviceError, Property

# DeviceType of MMDevice
CAMERA, SHUTTER, STAGE, XY_STAGE = 2, 3, 5, 6
SMALL_BUFFER_MB = 64  # reserving memory takes about 1 s per GB: a camera asks for what it needs
_TYPE_NAMES = {CAMERA: "camera", SHUTTER: "shutter", STAGE: "stage", XY_STAGE: "XY stage"}


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class MicroManagerSettings:
    """Either `config`, a configuration file (.cfg), or `attach` to a Micro-Manager that runs.

    adapters: the folder of device adapters, by default that of the installed Micro-Manager; "demo"
    for the simulated devices of the package mm-test-adapters. port: where Micro-Manager listens.
    buffer_mb: the most memory for frames that wait, in this process.
    """

    config: Path | None = None
    adapters: Path | Literal["demo"] | None = None
    attach: bool = False
    port: Annotated[int, Field(ge=1, le=65535)] = 4827
    buffer_mb: Annotated[int, Field(ge=1)] = 2048

    def __post_init__(self) -> None:
        if (self.config is not None) == self.attach:
            raise ValueError("expected either config, a configuration file, or attach = true")


class MicroManager:
    """An open Micro-Manager. Close the devices opened on it first.

    Raises DeviceError, in Micro-Manager's words, when it or one of its devices does not open.
    """

    def __init__(self, name: str, settings: MicroManagerSettings) -> None:
        self.name = name
        self.settings = settings
        self._closing = Lock()
        self._closed = False
        self._auto_shutter: bool | None = None
        self.camera_of: str | None = None  # MMCore records from one camera at a time
        self._backend: Backend = (
            attach(name, settings.port)
            if settings.config is None
            else open_in_process(
                name,
                settings.config,
                settings.adapters,
                min(settings.buffer_mb, SMALL_BUFFER_MB),
            )
        )
        self._core = self.core(name)

    @property
    def attached(self) -> bool:
        return self._backend.attached

    def core(self, device: str) -> Core:
        """MMCore for a driver; what fails there is told in the name of `device`."""
        return Core(device, self._backend)

    def label(self, device: str, given: str | None, default: str, kinds: tuple[int, ...]) -> str:
        """Micro-Manager's name of a device: the one given, or the core's default.

        default: the method of MMCore that tells it. kinds: of device. Raises DeviceError.
        """
        core = self.core(device)
        label: str = given or core(default)
        loaded = {each: core("get_device_type", each) for each in self.devices()}
        if loaded.get(label) not in kinds:
            wanted = " or ".join(_TYPE_NAMES[kind] for kind in kinds)
            suitable = ", ".join(each for each, kind in loaded.items() if kind in kinds) or "none"
            asked = f"{label!r} is not a {wanted}" if label else f"no default {wanted} is set"
            raise DeviceError(device, f"{asked} in Micro-Manager; there is {suitable}.")
        return label

    def devices(self) -> tuple[str, ...]:
        """Micro-Manager's names of all its devices."""
        devices: tuple[str, ...] = self._core("get_loaded_devices")
        return devices

    def properties(self, device: str) -> list[Property]:
        self._require(device, "device", self.devices())
        return micromanager_properties.list_properties(self._core, device)

    def set_property(self, device: str, name: str, value: Value) -> None:
        """Raises DeviceError, which names what is allowed, for another device, name or value."""
        self._require(device, "device", self.devices())
        micromanager_properties.set_property(self._core, device, name, value)

    def presets(self) -> dict[str, tuple[str, ...]]:
        """Presets by group."""
        groups = self._core("get_available_config_groups")
        return {group: self._core("get_available_configs", group) for group in groups}

    def apply_preset(self, group: str, preset: str) -> None:
        """Set all that a preset sets, and wait until the devices have done it."""
        presets = self.presets()
        self._require(group, "group of presets", tuple(presets))
        self._require(preset, f"preset of {group}", presets[group])
        self._core("set_config", group, preset)
        self._core("wait_for_config", group, preset)

    def take_light(self) -> None:
        """From now on no sequence opens a shutter by itself; a running Micro-Manager gets the
        setting back when this closes."""
        if self._auto_shutter is None:
            self._auto_shutter = bool(self._core("get_auto_shutter"))
            self._core("set_auto_shutter", False)

    def close(self) -> None:
        """Unload the devices, or leave a running Micro-Manager as it is."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            try:
                if self.attached and self._auto_shutter:
                    self._core("set_auto_shutter", True)
            finally:
                try:
                    self._backend.close()
                except Exception as error:
                    raise DeviceError(self.name, f"it did not close: {error}") from error

    def _require(self, name: str, kind: str, known: tuple[str, ...]) -> None:
        if name not in known:
            there = ", ".join(known) or "none"
            raise DeviceError(self.name, f"there is no {kind} {name!r}; there is {there}.")
