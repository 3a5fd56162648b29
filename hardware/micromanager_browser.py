"""All devices and presets of an open Micro-Manager, to be looked at and set by hand.

Nothing here switches on light or moves a stage: that is done by the rig's own lasers, shutters and
stages, which keep their limits. Their properties, and those of any device that might do so, can
only be read. A device is free to be set if it is a camera, or a wheel, switch, hub, image
processor, magnifier or generic device in whose name and description no word speaks of light,
motion or outputs; in such a device, so is each property whose own name speaks of neither.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hardware.micromanager import CAMERA, MicroManager
from hardware.micromanager_camera import MicroManagerCamera
from hardware.micromanager_properties import Value
from hardware.protocols import DeviceError, Property

if TYPE_CHECKING:
    from hardware.rig import Rig

# DeviceType of MMDevice: cameras, wheels and switches, generic, image processor, magnifier, hub
_FREE = {CAMERA, 4, 8, 11, 13, 15}
_GUARDED_LIGHT = {"laser", "lasers", "led", "leds", "light", "lamp", "halogen", "aotf", "aom"}
_GUARDED_STRENGTH = {"shutter", "emission", "power", "intensity"}
_GUARDED_OUTPUT = {"output", "outputs", "ttl", "dac", "analog", "digital", "command", "send"}
_GUARDED_MOTION = {"stage", "position", "move", "jog", "home", "goto"}
_GUARDED_WORDS = _GUARDED_LIGHT | _GUARDED_STRENGTH | _GUARDED_OUTPUT | _GUARDED_MOTION


@dataclass(frozen=True)
class DeviceProperties:
    """A device by Micro-Manager's name of it, what it is, and its properties."""

    label: str
    description: str
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class PresetGroup:
    """refused: by preset, why it is not applied here, or "". current: which holds now, or ""."""

    name: str
    refused: Mapping[str, str]
    current: str


class Browser:
    """driven: the rig's own name of each of Micro-Manager's devices that it moves or lights.

    camera: the rig's, which takes note of what is changed. Raises DeviceError.
    """

    def __init__(
        self, manager: MicroManager, camera: MicroManagerCamera | None, driven: Mapping[str, str]
    ) -> None:
        self._manager, self._camera, self._driven = manager, camera, driven
        self._core = manager.core(manager.name)

    def devices(self) -> list[DeviceProperties]:
        """All of them as they are now; reading some cameras ends their sequence."""
        labels = sorted(self._manager.devices(), key=lambda label: label == "Core")
        return [self._device(label) for label in labels]

    def presets(self) -> list[PresetGroup]:
        return [
            PresetGroup(
                group,
                {preset: self._preset_refusal(group, preset) for preset in presets},
                str(self._core("get_current_config", group)),
            )
            for group, presets in self._manager.presets().items()
        ]

    def set_property(self, label: str, name: str, value: Value) -> None:
        """Set, and wait until the device has done it. Raises DeviceError for what is guarded."""
        if refusal := self._refusal(label, name):
            raise DeviceError(self._manager.name, f"{label} {name} {refusal}.")
        with self._noticed():
            self._manager.set_property(label, name, value)
            self._core("wait_for_device", label)

    def apply_preset(self, group: str, preset: str) -> None:
        """Raises DeviceError, with nothing set, where it holds something guarded."""
        if refusal := self._preset_refusal(group, preset):
            raise DeviceError(self._manager.name, refusal)
        with self._noticed():
            self._manager.apply_preset(group, preset)

    def _noticed(self) -> Any:
        return nullcontext() if self._camera is None else self._camera.being_changed()

    def _device(self, label: str) -> DeviceProperties:
        about = "" if label == "Core" else str(self._core("get_device_description", label))
        why = self._device_refusal(label)
        listed = [
            one if one.read_only or not (note := why or self._name_refusal(label, one.name))
            else replace(one, read_only=True, note=note)
            for one in self._manager.properties(label)
        ]  # fmt: skip
        return DeviceProperties(label, about, tuple(listed))

    def _refusal(self, label: str, name: str) -> str:
        return self._device_refusal(label) or self._name_refusal(label, name)

    def _device_refusal(self, label: str) -> str:
        if label in self._driven:
            return f"is set by the rig's own {self._driven[label]}, within its limits"
        if label == "Core":
            return "belongs to Micro-Manager itself and is set in its configuration"
        kind = self._core("get_device_type", label)
        if kind == CAMERA:
            return ""
        asked = ("get_device_library", "get_device_name", "get_device_description")
        words = _words([label, *(str(self._core(each, label)) for each in asked)])
        if kind not in _FREE or words & _GUARDED_WORDS:
            return "may switch on light or move something, which the rig's limits do not cover"
        return ""

    def _name_refusal(self, label: str, name: str) -> str:
        if self._core("get_device_type", label) == CAMERA or not _words([name]) & _GUARDED_WORDS:
            return ""
        return "may switch on light or move something, which the rig's limits do not cover"

    def _preset_refusal(self, group: str, preset: str) -> str:
        for label, name, _ in self._core("get_config_data", group, preset):
            if refusal := self._refusal(label, name):
                return f"the preset {preset} of {group} sets {label} {name}, which {refusal}."
        return ""


def browser_of(rig: "Rig") -> Browser | None:
    """Of the Micro-Manager that any of a rig's devices was opened on; None without one."""
    stages = [one for one in (rig.focus, rig.stage_x, rig.stage_y) if one is not None]
    others: list[Any] = [*stages, *rig.lasers.values(), *rig.shutters.values()]
    driven = {one.label: one.name for one in others if hasattr(one, "manager")}
    managers = [one.manager for one in (rig.camera, *others) if hasattr(one, "manager")]
    if not managers:
        return None
    camera = rig.camera if isinstance(rig.camera, MicroManagerCamera) else None
    return Browser(managers[0], camera, driven)


def _words(texts: Iterable[str]) -> set[str]:
    """Of names such as "LaserPower", "TTL_out 2", in lower case."""
    found = (re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text) for text in texts)
    return {word.lower() for words in found for word in words}
