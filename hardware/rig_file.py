"""The rig file: which devices there are, their limits, the optics, and what is used by default."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.analysis.link import LinkSettings
from dsacq.config import read_toml, validated
from dsacq.data import Roi
from dsacq.errors import SettingsError
from dsacq.files.camera_maps import MAPS, with_maps
from dsacq.files.paths import is_there
from dsacq.physics.camera import Camera as Noise
from dsacq.physics.camera import ScmosCamera
from dsacq.physics.optics import STANDARD_OPTICS, Optics, Positive
from dsacq.physics.pupil import PsfModel
from dsacq.simulation.settings import MaskChoice
from hardware.asi import AsiSettings
from hardware.bench import BenchSettings
from hardware.holoeye import HoloeyeSLMSettings
from hardware.ichrome import IchromeSettings
from hardware.micromanager import MicroManagerSettings
from hardware.micromanager_camera import MicroManagerCameraSettings
from hardware.micromanager_light import MicroManagerLaserSettings, MicroManagerShutterSettings
from hardware.micromanager_stage import MicroManagerStageSettings
from hardware.rig_plausible import refusals
from hardware.simulated import (
    SimulatedLaserSettings,
    SimulatedShutterSettings,
    SimulatedSLMSettings,
    SimulatedStageSettings,
)
from hardware.simulated_camera import SimulatedCameraSettings
from hardware.slm_network import NetworkSLMSettings
from hardware.slm_pattern import Carrier, GreyLevels, PupilAlignment
from hardware.slm_screen import ScreenSLMSettings

_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

_by_kind = Field(discriminator="kind")
CameraSettings = Annotated[SimulatedCameraSettings | MicroManagerCameraSettings, _by_kind]
StageSettings = Annotated[
    SimulatedStageSettings | MicroManagerStageSettings | AsiSettings, _by_kind
]
SLMSettings = Annotated[
    SimulatedSLMSettings | ScreenSLMSettings | HoloeyeSLMSettings | NetworkSLMSettings, _by_kind
]
LaserSettings = Annotated[
    SimulatedLaserSettings | IchromeSettings | MicroManagerLaserSettings, _by_kind
]
ShutterSettings = Annotated[SimulatedShutterSettings | MicroManagerShutterSettings, _by_kind]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class PatternSettings:
    """How a mask becomes a pattern on the SLM. correction: a file with the phase, of the SLM's
    shape and rad, that mends the SLM's own wavefront error."""

    alignment: PupilAlignment = PupilAlignment()
    levels: GreyLevels = GreyLevels()
    carrier: Carrier | None = None
    correction: Path | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class UseSettings:
    """What is used unless another is asked for.

    mask: shown when an acquisition begins. model: a file, or the name of one. lasers_mw: power by
    laser; these alone are switched on. link: how emitters move; its interval is the exposure.
    """

    mask: MaskChoice | None = None
    model: str | None = None
    lasers_mw: dict[str, Positive] = Field(default_factory=dict)
    link: LinkSettings = LinkSettings()


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SafetySettings:
    """watchdog: a process beside dsacq makes real lasers dark when dsacq is cut off."""

    watchdog: bool = True


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class RigSettings:
    """A rig file; every field is a table of it.

    focus, stage_x, stage_y: the axes. noise: of the camera, numbers or files with a value per pixel
    of the whole sensor (.npy or .tif). bench: what simulated devices look at.
    """

    optics: Optics
    rig: SafetySettings = SafetySettings()
    psf: PsfModel = PsfModel()
    micromanager: MicroManagerSettings | None = None
    camera: CameraSettings
    noise: Annotated[Noise, _by_kind] | None = None
    focus: StageSettings | None = None
    stage_x: StageSettings | None = None
    stage_y: StageSettings | None = None
    slm: SLMSettings | None = None
    pattern: PatternSettings = PatternSettings()
    lasers: dict[str, LaserSettings] = Field(default_factory=dict)
    shutters: dict[str, ShutterSettings] = Field(default_factory=dict)
    bench: BenchSettings = BenchSettings()
    use: UseSettings = UseSettings()

    def __post_init__(self) -> None:
        names = [name for name, _ in self.devices()]
        for name in names:
            if not name.strip() or not name.isprintable():
                raise ValueError(f"a device is named {name!r}: expected a name of letters")
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two devices are named {doubled[0]!r}: expected a name for each")
        kinds = {settings.kind for _, settings in self.devices()}
        if "micromanager" in kinds and self.micromanager is None:
            raise ValueError("a device is of the kind micromanager: expected a table micromanager")
        for name, power_mw in self.use.lasers_mw.items():
            if name not in self.lasers:
                raise ValueError(f"use.lasers_mw names {name!r}: expected one of the lasers")
            if power_mw > self.lasers[name].limit_mw:
                raise ValueError(
                    f"use.lasers_mw.{name}={power_mw:g}: expected at most the laser's limit_mw, "
                    f"{self.lasers[name].limit_mw:g}"
                )
        if self.use.mask is not None and self.slm is None:
            raise ValueError("use.mask is given: expected a table slm to show it on")
        if impossible := list(refusals(self)):
            raise ValueError("; ".join(impossible))

    def devices(self) -> Iterator[tuple[str, Any]]:
        """Names and settings of the devices, in the order in which they are opened: light first,
        as opening makes it dark."""
        yield from self.lights()
        yield from self.others()

    def lights(self) -> Iterator[tuple[str, Any]]:
        """Names and settings of what may shine."""
        yield from self.lasers.items()
        yield from self.shutters.items()

    def others(self) -> Iterator[tuple[str, Any]]:
        """Names and settings of the other devices."""
        for name in ("slm", "focus", "stage_x", "stage_y", "camera"):
            if (settings := getattr(self, name)) is not None:
                yield name, settings


def read_rig(path: Path) -> RigSettings:
    """The settings of a rig file; files in it are relative to its folder.

    Raises FileError or SettingsError, which names every key that is wrong.
    """
    values = read_toml(path)
    noise = values.get("noise")
    if isinstance(noise, dict):
        values["noise"] = with_maps(noise, path.parent)
    return _anchored(validated(RigSettings, values, str(path)), path.parent)


def simulated_rig() -> RigSettings:
    """The simulated bench: telomeres in a nucleus behind a Tetrapod, seen by an sCMOS camera."""
    values = {
        "optics": STANDARD_OPTICS,
        "psf": PsfModel(kind="vectorial", blur_px=0.9),
        "camera": {"kind": "simulated"},
        "focus": {"kind": "simulated"},
        "stage_x": {"kind": "simulated", "axis": "x"},
        "stage_y": {"kind": "simulated", "axis": "y"},
        "slm": {"kind": "simulated"},
        "lasers": {"561": {"kind": "simulated"}},
        "use": {
            "mask": {"design": "tetrapod"},
            "model": "bench-nano",
            "lasers_mw": {"561": 50.0},
        },
    }
    return validated(RigSettings, values, "simulated rig")


def noise_of_region(noise: Noise, sensor_shape: tuple[int, int], roi: Roi, binning: int) -> Noise:
    """A camera's noise in the part of the sensor, (rows, columns), that is read out.

    Raises SettingsError for maps that are not of the whole sensor, or where pixels are binned.
    """
    if not isinstance(noise, ScmosCamera):
        return noise
    maps = {name: getattr(noise, name) for name in MAPS}
    maps = {name: values for name, values in maps.items() if isinstance(values, np.ndarray)}
    if maps and binning != 1:
        raise SettingsError("noise: maps hold for single pixels, so use binning 1 or numbers.")
    for name, values in maps.items():
        if values.shape != sensor_shape:
            raise SettingsError(
                f"noise.{name}: the map has {values.shape[0]} rows and {values.shape[1]} columns, "
                f"the camera's sensor {sensor_shape[0]} and {sensor_shape[1]}; they must be alike."
            )
    return replace(noise, **{n: values[roi.slices(sensor_shape)] for n, values in maps.items()})


def _anchored(settings: RigSettings, folder: Path) -> RigSettings:
    """With all files relative to a folder found from there."""

    def there(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    def table(levels: GreyLevels) -> GreyLevels:
        return replace(levels, lut=there(levels.lut))

    pattern, use = settings.pattern, settings.use
    bench = replace(settings.bench, true_levels=table(settings.bench.true_levels))
    pattern = replace(pattern, levels=table(pattern.levels), correction=there(pattern.correction))
    if use.mask is not None:
        use = replace(use, mask=replace(use.mask, file=there(use.mask.file)))
    if use.model is not None and is_there(folder / use.model, Path.is_file):
        use = replace(use, model=str(folder / use.model))
    manager = settings.micromanager
    if manager is not None:
        adapters = manager.adapters
        if adapters is not None and adapters != "demo":
            adapters = folder / adapters
        manager = replace(manager, config=there(manager.config), adapters=adapters)
    return replace(settings, pattern=pattern, use=use, micromanager=manager, bench=bench)
