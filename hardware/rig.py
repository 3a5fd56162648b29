"""The rig: all devices, opened in order and left safe on every way out."""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.ends import ENDS
from dsacq.errors import SettingsError, UserError
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
from hardware.pupil_place import leaving
from hardware.rig_checks import check_device, refuse_misfit
from hardware.rig_file import RigSettings, noise_of_region
from hardware.rig_plausible import remarks
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
from hardware.slm_correction import read_correction
from hardware.slm_network import NetworkSLM, NetworkSLMSettings
from hardware.slm_pattern import Panel, slm_pattern
from hardware.slm_screen import ScreenSLMSettings
from hardware.together import all_at_once, all_of
from hardware.watchdog import Lights, Watchdog

log = logging.getLogger(__name__)

OpenScreen = Callable[[str, ScreenSLMSettings], SLM]


class Rig:
    """The open devices; None for those that the rig file does not have.

    From its first device on, an end of the process makes it dark and stops its camera, and where
    the process is cut off its watchdog makes real lasers dark, until it is closed. An end that
    comes while it opens waits until all that may shine has been opened, and is dark.

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
        self._ending = Event()
        self._watchdog = Watchdog.of(_lights(settings)) if settings.rig.watchdog else None
        self._release = ENDS.hold(self.end)
        try:
            with ENDS.finishing():  # what may shine already is dark before an end is heeded
                for name, one in settings.lights():
                    lights = self.lasers if name in settings.lasers else self.shutters
                    lights[name] = self._kept(opener.open(name, one))
            for name, one in settings.others():
                setattr(self, name, self._kept(opener.open(name, one)))
        except BaseException:
            self._manager = opener.manager
            self._close_after_failure()
            raise
        self.camera: Camera
        self.bench, self._manager = opener.bench, opener.manager
        if self._manager is not None:
            self.guard.protect(self._manager)

    def _kept(self, device: Any) -> Any:
        self._devices.append(device)
        self.guard.protect(device)
        return device

    def show(self, mask: PhaseMask) -> None:
        """Show a mask on the SLM, as the rig file says; returns when the crystal has settled.

        Raises DeviceError, SettingsError without an SLM, FileError for the files of the pattern.
        """
        slm = self._needed_slm()
        panel = Panel(slm.shape, slm.pixel_um)
        if told := leaving(self.optics, panel, self.settings.pattern.alignment):
            log.warning("%s: %s.", slm.name, told)
        slm.show(self.pattern_of(mask))
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
            correction_rad=read_correction(chosen.correction, slm.shape),
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

        Raises DeviceError, also once the process has been asked to end, and SettingsError for a
        laser that the rig does not have.
        """
        self._require_going_on()
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
        self._require_going_on()

    def _require_going_on(self) -> None:
        if self._ending.is_set():
            self.dark()
            raise DeviceError("rig", "stays dark, as the program is about to end.")

    def dark(self) -> None:
        """All lasers off, shutters closed, side by side: one that hangs keeps no other alight.

        Tries all of them before it raises DeviceError.
        """
        work: dict[str, Callable[[], object]] = {
            name: laser.off for name, laser in self.lasers.items()
        }
        work |= {name: partial(one.set_opened, False) for name, one in self.shutters.items()}
        all_at_once(work)

    def make_safe(self) -> None:
        """Dark, and the camera stopped. Does both before it raises DeviceError.

        A camera may be slow to stop, a laser slow to answer: neither waits for the other.
        """
        work: dict[str, Callable[[], object]] = {"rig": self.dark}
        if (camera := getattr(self, "camera", None)) is not None:
            work["camera"] = camera.stop
        all_at_once(work)

    def end(self) -> None:
        """`make_safe`, from then on for good: `light` is refused."""
        self._ending.set()
        self.make_safe()

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
        with ENDS.finishing():
            self.guard.release()
            try:
                self._close_devices()
            finally:
                self._release()

    def _close_devices(self) -> None:
        devices, self._devices = self._devices, []
        manager, self._manager = self._manager, None
        watchdog, self._watchdog = self._watchdog, None
        if not devices and manager is None:
            if watchdog is not None:
                watchdog.dismiss()
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
        if watchdog is not None:
            work.append(watchdog.dismiss)
        all_of(work)

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
    """What opening a device showed: what it is, or why it did not open.

    remarks: what is unusual about it, which need not be wrong; of the rig as a whole, the device is
    "rig".
    """

    device: str
    kind: str
    works: bool
    told: str
    remarks: tuple[str, ...] = ()


def check_rig(settings: RigSettings, open_screen: OpenScreen | None = None) -> Generator[Finding]:
    """Open each device, tell what it is, and close it, one after the other.

    An end of the process waits until a light that is being opened is dark.
    """
    if unusual := tuple(remarks(settings)):
        yield Finding("rig", "settings", True, "possible, but unusual", unusual)
    opener, failures = _Opener(settings, open_screen), dict[str, str]()
    try:
        for name, one in settings.devices():
            light = name in settings.lasers or name in settings.shutters
            try:
                with ENDS.finishing() if light else nullcontext():
                    told, unusual = _checked(opener, name, one)
            except UserError as error:
                before = failures.setdefault(str(error), name)
                same = before != name  # Micro-Manager itself, of which each of its devices tells
                yield Finding(
                    name, one.kind, False, f"the same as for {before}." if same else str(error)
                )
            else:
                yield Finding(name, one.kind, True, told, unusual)
    finally:
        if opener.manager is not None:
            opener.manager.close()


def _checked(opener: "_Opener", name: str, one: Any) -> tuple[str, tuple[str, ...]]:
    device = opener.open(name, one)
    try:
        return check_device(device, opener.settings)
    finally:
        device.close()


class _Opener:
    """Makes devices of their settings, and what several of them share."""

    def __init__(self, settings: RigSettings, open_screen: OpenScreen | None) -> None:
        self.settings, self._open_screen = settings, open_screen
        self.bench: Bench | None = None
        self.manager: MicroManager | None = None
        self._failure: DeviceError | None = None  # of Micro-Manager, which takes long to try
        self._names: dict[str, str] = {}

    def open(self, name: str, settings: Any) -> Any:
        """Raises DeviceError, also for what is open under another name and for a misfit."""
        device = self._opened(name, settings)
        try:
            if thing := getattr(device, "identity", ""):
                other = self._names.setdefault(thing, name)
                if other != name:
                    raise DeviceError(name, f"is {thing}, as {other} is; name it once.")
            if name == "slm":
                refuse_misfit(device, self.settings)
        except BaseException:
            device.close()
            raise
        return device

    def _opened(self, name: str, settings: Any) -> Any:
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
            self.bench = Bench(self.settings.bench, self.settings.optics)
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
        if self._failure is not None:
            raise self._failure
        if self.manager is None:
            assert self.settings.micromanager is not None
            try:
                self.manager = MicroManager("Micro-Manager", self.settings.micromanager)
            except DeviceError as error:
                self._failure = error
                raise
        return self.manager


def _lights(settings: RigSettings) -> Lights:
    """What goes on shining without this program."""
    manager = settings.micromanager
    if manager is not None and manager.config is not None:
        manager = replace(manager, config=manager.config.resolve())
    kinds = (IchromeSettings, MicroManagerLaserSettings)
    return Lights(
        lasers={name: one for name, one in settings.lasers.items() if isinstance(one, kinds)},
        shutters={
            name: one
            for name, one in settings.shutters.items()
            if isinstance(one, MicroManagerShutterSettings)
        },
        micromanager=manager,
        camera=manager is not None and manager.attach and settings.camera.kind == "micromanager",
    )
