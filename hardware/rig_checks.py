"""What an open device tells of itself, and of the rig's settings that it has to fit."""

from typing import Any

import numpy as np

from dsacq.files.phase_units import map_doubt
from dsacq.physics.camera import response
from hardware.micromanager_camera import MicroManagerCamera
from hardware.micromanager_properties import number, same
from hardware.protocols import SLM, DeviceError
from hardware.pupil_place import leaving, pupil_place
from hardware.rig_file import RigSettings
from hardware.slm_correction import read_correction
from hardware.slm_pattern import Panel

_TOLD = 0.01  # part by which an exposure may differ from the file's without a word


def refuse_misfit(slm: SLM, settings: RigSettings) -> None:
    """Raises DeviceError when the pupil's image fits on the SLM nowhere, or misses it."""
    panel, alignment = Panel(slm.shape, slm.pixel_um), settings.pattern.alignment
    place = pupil_place(settings.optics, panel, alignment)
    if place.misfit:
        raise DeviceError(slm.name, f"{place.misfit}.")
    if place.beside[0] > 0.5:
        raise DeviceError(slm.name, f"{leaving(settings.optics, panel, alignment)}.")


def check_device(device: Any, settings: RigSettings) -> tuple[str, tuple[str, ...]]:
    """What an open device is, and what is unusual about it.

    Raises DeviceError and FileError for what cannot be.
    """
    if hasattr(device, "next_frame"):
        return _camera(device, settings)
    if hasattr(device, "move_to"):
        return _stage(device)
    if hasattr(device, "show"):
        return _slm(device, settings)
    if hasattr(device, "emitting"):
        return f"dark, up to {device.limit_mw:g} mW", ()
    return "open" if device.opened else "closed", ()


def _camera(camera: Any, settings: RigSettings) -> tuple[str, tuple[str, ...]]:
    rows, columns = camera.sensor_shape
    temperature = camera.temperature_c()
    cold = "" if temperature is None else f", {temperature:.0f} C"
    told = f"{columns} x {rows} pixels, exposure {camera.exposure_s * 1000:g} ms{cold}"
    full = camera.saturation_level
    if settings.noise is not None:
        offset = float(np.max(response(settings.noise).offset_adu))
        if offset >= full:
            raise DeviceError(
                camera.name,
                f"its pixels hold {full} counts at most, but [noise] has an offset of "
                f"{offset:g}; check PixelType and bit depth among camera.properties.",
            )
    return told, tuple(_camera_remarks(camera, settings))


def _camera_remarks(camera: Any, settings: RigSettings) -> list[str]:
    asked_s, has_s = settings.camera.exposure_s, camera.exposure_s
    found = []
    if abs(has_s - asked_s) > _TOLD * asked_s:
        found.append(
            f"camera.exposure_s = {asked_s:g}, of which the camera makes {has_s:g}: give that."
        )
    if isinstance(camera, MicroManagerCamera):
        now = {one.name: one.value for one in camera.properties()}
        for name, value in getattr(settings.camera, "properties", {}).items():
            if not _alike(now[name], value):
                found.append(
                    f"camera.properties.{name} = {value!r}, but it reads {now[name]!r} once all "
                    "is set."
                )
    return found


def _alike(value: str | int | float, other: str | int | float) -> bool:
    first, second = number(value), number(other)
    if first is None or second is None:
        return same(value, other)
    return abs(first - second) <= 1e-3 * max(abs(first), abs(second))


def _stage(stage: Any) -> tuple[str, tuple[str, ...]]:
    (low, high), position_um = stage.limits_um, stage.position_um()
    told = f"at {position_um:z.2f} um, limits {low:g} to {high:g} um"
    if low <= position_um <= high:
        return told, ()
    return told, (f"it stands outside its limits_um = [{low:g}, {high:g}].",)


def _slm(slm: Any, settings: RigSettings) -> tuple[str, tuple[str, ...]]:
    rows, columns = slm.shape
    optics, pattern, panel = settings.optics, settings.pattern, Panel(slm.shape, slm.pixel_um)
    if trouble := leaving(optics, panel, pattern.alignment):
        raise DeviceError(slm.name, f"{trouble}.")
    pattern.levels.table(optics.wavelength_um)
    correction = read_correction(pattern.correction, slm.shape)
    across_px = pupil_place(optics, panel, pattern.alignment).diameter_px
    told = f"{columns} x {rows} pixels of {slm.pixel_um:g} um, the pupil {across_px:.0f} across"
    doubt = "" if correction is None else map_doubt(correction)
    return told, (f"pattern.correction: {doubt}",) if doubt else ()
