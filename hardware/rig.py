"""The rig: all devices, opened in order and left safe on every way out."""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.errors import FileError, SettingsError, UserError
from dsacq.files.masks import read_phase
from dsacq.physics.camera import Camera as Noise
from dsacq.physics.masks import PhaseMask
from hardware.asi import AsiSettings, AsiStage
from hardware.bench import Bench
from hardware.guard import Guard
from hardware.holoeye import HoloeyeSLM, HoloeyeSLMSettings
from hardware.ichrome import IchromeLaser, IchromeSettings
from hardware.micromanager import MicroManager
from hardware.micromanager_camera import MicroManagerCamera, MicroManagerCameraSettings
from hardware.micromanager_light import (
    MicroManagerLaser,
    MicroManagerLaserSettings,
    MicroManagerShutter,
    MicroManagerShutterSettings,
)
from hardware.micromanager_stage import MicroManagerStage, MicroManagerStageSettings
from hardware.protocols import SLM, Camera, Device, DeviceError, Laser, Shutter, Stage
from hardware.rig_file import RigSettings, noise_of_region
from hardware.simulated import (
    SimulatedLaser,
    SimulatedLaserSettings,
    SimulatedShutter,
    SimulatedShutterSettings,
    SimulatedSLM,
    SimulatedSLMSettings,
    SimulatedStage,
    SimulatedStageSettings,
)
from hardware.simulated_camera import SimulatedCamera, SimulatedCameraSettings
from hardware.slm_network import NetworkSLM, NetworkSLMSettings
from hardware.slm_pattern import Panel, slm_pattern
from hardware.slm_screen import ScreenSLMSettings

log = logging.getLogger(__name__)

OpenScreen = Callable[[str, ScreenSLMSettings], SLM]


class Rig:
    """The open devices; None for those that the rig file does not have.

    bench: what simulated devices look at, where there are such. guard: what may be done to the
    devices while frames are recorded. mask: on the SLM, or None.
    open_screen: makes the SLM that is a screen, which needs a window. Raises DeviceError when a
    device does not open, and closes those that did.
    """

    def __init__(self, settings: RigSettings, open_screen: OpenScreen | None = None) -> None:
        self.settings, self.optics = settings, settings.optics
        self.mask: PhaseMask | None = None
        self.lasers: dict[str, Laser] = {}
        self.shutters: dict[str, Shutter] = {}
        self.slm: SLM | None = None
        self.focus: Stage | None = None
        self.stage_x: Stage | None = None
        self.stage_y: Stage | None = None
        self.guard = Guard()
        opener = _Opener(settings, open_screen)
        self._devices: list[Device] = []
        try:
            for name, one in settings.devices():
                device = opener.open(name, one)
                self._devices.append(device)
                self.guard.protect(device)
                if name in settings.lasers:
                    self.lasers[name] = device
                elif name in settings.shutters:
                    self.shutters[name] = device
                else:
                    setattr(self, name, device)
        except BaseException:
            self._manager = opener.manager
            self._close_after_failure()
            raise
        self.camera: Camera
        self.bench, self._manager = opener.bench, opener.manager
        if self._manager is not None:
            self.guard.protect(self._manager)

    def show(self, mask: PhaseMask) -> None:
        """Show a mask on the SLM, as the rig file says; returns when the crystal has settled.

        Raises DeviceError, SettingsError without an SLM, FileError for the files of the pattern.
        """
        self._needed_slm().show(self.pattern_of(mask))
        self.mask = mask

    def pattern_of(self, mask: PhaseMask) -> NDArray[np.uint8]:
        """What `show` puts on the SLM: grey levels (rows, columns). Raises as `show`."""
        slm, chosen = self._needed_slm(), self.settings.pattern
        return slm_pattern(
            mask,
            self.optics,
            Panel(slm.shape, slm.pixel_um),
            chosen.alignment,
            chosen.levels.table(self.optics.wavelength_um),
            correction_rad=_correction(chosen.correction, slm.shape),
            carrier=chosen.carrier,
        )

    def blank(self) -> None:
        """No mask: a pattern of zeros. Raises DeviceError, SettingsError without an SLM."""
        slm = self._needed_slm()
        blank: NDArray[np.uint8] = np.zeros(slm.shape, np.uint8)
        slm.show(blank)
        self.mask = None

    def _needed_slm(self) -> SLM:
        if self.slm is None:
            raise SettingsError("the rig has no SLM to show a mask on: give it a table [slm].")
        return self.slm

    def light(self, lasers_mw: Mapping[str, float]) -> None:
        """Switch these lasers on, with their powers, and open the shutters.

        Raises DeviceError, and SettingsError for a laser that the rig does not have.
        """
        for name in lasers_mw:
            if name not in self.lasers:
                there = ", ".join(self.lasers) or "none"
                raise SettingsError(f"the rig has no laser {name!r}; there is {there}.")
        for name, power_mw in lasers_mw.items():
            self.lasers[name].set_power(power_mw)
        for shutter in self.shutters.values():
            shutter.set_opened(True)
        for name in lasers_mw:
            self.lasers[name].on()

    def dark(self) -> None:
        """All lasers off, shutters closed. Tries all of them before it raises DeviceError."""
        closing = [partial(shutter.set_opened, False) for shutter in self.shutters.values()]
        _all_of([*(laser.off for laser in self.lasers.values()), *closing])

    def noise(self) -> Noise | None:
        """Of the camera as it is set, where the rig file, or the bench, tells it."""
        noise = self.settings.noise
        if noise is None and isinstance(self.camera, SimulatedCamera):
            noise = self.settings.bench.noise
        camera = self.camera
        return noise and noise_of_region(noise, camera.sensor_shape, camera.roi, camera.binning)

    def close(self) -> None:
        """Lasers off first; then cameras stop, the SLM is blank, and all devices are released.

        Does all of it before it raises DeviceError with what went wrong. Does no harm twice.
        """
        self.guard.release()
        devices, self._devices = self._devices, []
        manager, self._manager = self._manager, None
        if not devices and manager is None:
            return
        work: list[Callable[[], object]] = [self.dark]
        if camera := getattr(self, "camera", None):
            work.append(camera.stop)
        work += [stage.stop for stage in (self.focus, self.stage_x, self.stage_y) if stage]
        if self.slm is not None:
            work.append(self.blank)
        work += [device.close for device in reversed(devices)]
        if manager is not None:
            work.append(manager.close)
        _all_of(work)

    def _close_after_failure(self) -> None:
        try:
            self.close()
        except UserError as error:
            log.error("%s", error)  # the failure that led here is what the user is told


@contextmanager
def open_rig(settings: RigSettings, open_screen: OpenScreen | None = None) -> Iterator[Rig]:
    """The open rig, closed on every way out. Raises DeviceError."""
    rig = Rig(settings, open_screen)
    try:
        yield rig
    except BaseException:
        rig._close_after_failure()
        raise
    rig.close()


@dataclass(frozen=True)
class Finding:
    """What opening a device showed: what it is, or why it did not open."""

    device: str
    kind: str
    works: bool
    told: str


def check_rig(settings: RigSettings, open_screen: OpenScreen | None = None) -> Generator[Finding]:
    """Open each device, tell what it is, and close it, one after the other."""
    opener = _Opener(settings, open_screen)
    try:
        for name, one in settings.devices():
            try:
                device = opener.open(name, one)
                try:
                    told = _described(device)
                finally:
                    device.close()
            except UserError as error:
                yield Finding(name, one.kind, False, str(error))
            else:
                yield Finding(name, one.kind, True, told)
    finally:
        if opener.manager is not None:
            opener.manager.close()


class _Opener:
    """Makes devices of their settings, and what several of them share."""

    def __init__(self, settings: RigSettings, open_screen: OpenScreen | None) -> None:
        self._settings, self._open_screen = settings, open_screen
        self.bench: Bench | None = None
        self.manager: MicroManager | None = None

    def open(self, name: str, settings: Any) -> Any:
        """Raises DeviceError."""
        match settings:
            case AsiSettings():
                return AsiStage(name, settings)
            case IchromeSettings():
                return IchromeLaser(name, settings)
            case HoloeyeSLMSettings():
                return HoloeyeSLM(name, settings)
            case NetworkSLMSettings():
                return NetworkSLM(name, settings)
            case ScreenSLMSettings():
                if self._open_screen is None:
                    raise DeviceError(name, "is a screen, which this program has no window for.")
                return self._open_screen(name, settings)
            case MicroManagerCameraSettings():
                return MicroManagerCamera(name, settings, self._micromanager())
            case MicroManagerStageSettings():
                return MicroManagerStage(name, settings, self._micromanager())
            case MicroManagerLaserSettings():
                return MicroManagerLaser(name, settings, self._micromanager())
            case MicroManagerShutterSettings():
                return MicroManagerShutter(name, settings, self._micromanager())
        return self._simulated(name, settings)

    def _simulated(self, name: str, settings: Any) -> Any:
        if self.bench is None:
            self.bench = Bench(self._settings.bench, self._settings.optics)
        match settings:
            case SimulatedCameraSettings():
                return SimulatedCamera(name, settings, self.bench)
            case SimulatedStageSettings():
                return SimulatedStage(name, settings, self.bench)
            case SimulatedSLMSettings():
                return SimulatedSLM(name, settings, self.bench)
            case SimulatedLaserSettings():
                return SimulatedLaser(name, settings, self.bench)
            case SimulatedShutterSettings():
                return SimulatedShutter(name, settings, self.bench)
        raise ValueError(f"settings={settings!r}: of an unknown kind")

    def _micromanager(self) -> MicroManager:
        if self.manager is None:
            assert self._settings.micromanager is not None
            self.manager = MicroManager("Micro-Manager", self._settings.micromanager)
        return self.manager


def _correction(path: Path | None, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    if path is None:
        return None
    phase = read_phase(path)
    if phase.shape != shape:
        raise FileError(
            f"{path}: has {phase.shape[0]} rows and {phase.shape[1]} columns, the SLM {shape[0]} "
            f"and {shape[1]}; give the correction of this SLM."
        )
    return phase


def _described(device: Any) -> str:
    """What a device tells of itself."""
    if hasattr(device, "next_frame"):
        rows, columns = device.sensor_shape
        temperature = device.temperature_c()
        cold = "" if temperature is None else f", {temperature:.0f} C"
        return f"{columns} x {rows} pixels, exposure {device.exposure_s * 1000:g} ms{cold}"
    if hasattr(device, "move_to"):
        low, high = device.limits_um
        return f"at {device.position_um():z.2f} um, limits {low:g} to {high:g} um"
    if hasattr(device, "show"):
        rows, columns = device.shape
        return f"{columns} x {rows} pixels of {device.pixel_um:g} um"
    if hasattr(device, "emitting"):
        return f"dark, up to {device.limit_mw:g} mW"
    return "open" if device.opened else "closed"


def _all_of(work: Iterable[Callable[[], object]]) -> None:
    """Do all, then raise DeviceError with what went wrong, or what else ended a part of it."""
    failed: list[UserError] = []
    other: BaseException | None = None
    for one in work:
        try:
            one()
        except UserError as error:
            if str(error) not in map(str, failed):
                failed.append(error)
        except BaseException as error:  # also Ctrl+C, pressed again: the rest is still to be done
            other = error
    if other is not None:
        for failure in failed:
            log.error("%s", failure)
        raise other
    if failed:
        device = failed[0].device if isinstance(failed[0], DeviceError) else "rig"
        if len(failed) == 1:
            raise failed[0]
        told = " ".join(str(error) for error in failed)
        raise DeviceError(device, told.removeprefix(f"{device}: "))
