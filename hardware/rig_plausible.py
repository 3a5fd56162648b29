"""What no rig can be, and what few are: by the settings alone, before any device is opened."""

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

from hardware.asi import AsiSettings
from hardware.ichrome import IchromeSettings
from hardware.micromanager_camera import MicroManagerCameraSettings
from hardware.micromanager_light import MicroManagerLaserSettings, MicroManagerShutterSettings
from hardware.micromanager_properties import Value, number
from hardware.micromanager_stage import MicroManagerStageSettings
from hardware.simulated import SimulatedStageSettings

if TYPE_CHECKING:
    from hardware.rig_file import RigSettings

_STAGES = ("focus", "stage_x", "stage_y")
_REGION = {
    *("roi", "regionofinterest", "subarray", "subarraymode", "offsetx", "offsety"),
    *("roix", "roiy", "roiwidth", "roiheight", "width", "height"),
}
_DEEP_UM, _LONG_S, _FAINT_MW, _STRONG_MW = 100.0, 10.0, 0.5, 10_000.0
_LONG_WAY_UM = 25_000.0
_USUAL_PIXEL_UM = (0.02, 1.0)  # in the sample


def refusals(settings: "RigSettings") -> Iterator[str]:
    """What makes a rig impossible, each as a sentence that names the keys and their values."""
    yield from _named_twice(settings)
    yield from _ports_of_several_kinds(settings)
    yield from _contradictions(settings.camera)
    yield from _focus_out_of_reach(settings)


def remarks(settings: "RigSettings") -> Iterator[str]:
    """What is unusual, and likely a slip, each as a sentence."""
    yield from _unusual_optics(settings)
    yield from _unusual_focus(settings)
    yield from _unusual_camera(settings)
    yield from _unusual_light(settings)
    carrier = settings.pattern.carrier
    if carrier is not None and carrier.period_px < 4:
        yield (
            f"pattern.carrier.period_px = {carrier.period_px:g} sends only "
            f"{100 * carrier.share:.0f} % of the light where it is to go; 4 send 81 %, 8 send 95 %."
        )
    if settings.pattern.levels.lut is None and settings.pattern.levels.levels_per_2pi < 50:
        yield (
            f"pattern.levels.levels_per_2pi = {settings.pattern.levels.levels_per_2pi:g}: few SLMs "
            "make 2 pi with so few grey levels."
        )


def _named_twice(settings: "RigSettings") -> Iterator[str]:
    """Two tables that name one thing."""
    things = {key: thing for key, one in _named(settings).items() if (thing := _thing(one))}
    for first, second in combinations(things, 2):
        if things[first] == things[second]:
            yield f"{first} and {second} are both {things[first]}: expected each thing once"


def _ports_of_several_kinds(settings: "RigSettings") -> Iterator[str]:
    """One cable leads to one controller, at one speed."""
    users = {
        key: (_port(one.port), one.kind, getattr(one, "baud", None))
        for key, one in _named(settings).items()
        if isinstance(one, AsiSettings | IchromeSettings)
    }
    for first, second in combinations(users, 2):
        (port, *others), (same, *different) = users[first], users[second]
        if port == same and others != different:
            what = "baud" if others[0] == different[0] else "kind of device"
            yield f"{first} and {second} are both at port {port}: expected the same {what} there"


def _named(settings: "RigSettings") -> dict[str, Any]:
    """Stages and lights by their keys in the file."""
    named = {key: one for key in _STAGES if (one := getattr(settings, key)) is not None}
    named |= {f"lasers.{name}": one for name, one in settings.lasers.items()}
    return named | {f"shutters.{name}": one for name, one in settings.shutters.items()}


def _thing(settings: Any) -> str:
    """What a table stands for, in words that are equal where the thing is; or nothing."""
    match settings:
        case AsiSettings():
            return f"axis {settings.axis} at port {_port(settings.port)}"
        case IchromeSettings():
            return f"line {settings.line} at port {_port(settings.port)}"
        case SimulatedStageSettings():
            return f"axis {settings.axis} of the simulated bench"
        case MicroManagerStageSettings():
            return f"axis {settings.axis} of {settings.device or 'the default stage'}"
        case MicroManagerShutterSettings():
            return f"the shutter {settings.device or 'by default'} of Micro-Manager"
        case MicroManagerLaserSettings():
            return f"{settings.device} {settings.power_property}"
    return ""


def _port(name: str) -> str:
    """COM5, com5 and \\\\.\\COM5 are one port."""
    bare = name.removeprefix("\\\\.\\")
    return bare.upper() if bare.upper().startswith("COM") else name


def _contradictions(camera: Any) -> Iterator[str]:
    """Properties that say otherwise than the keys of the camera, which are set after them."""
    if not isinstance(camera, MicroManagerCameraSettings):
        return
    for name, value in camera.properties.items():
        plain = "".join(filter(str.isalnum, name)).lower()
        said = _says_otherwise(plain, value, camera)
        if said:
            yield f"camera.properties.{name} = {value!r} contradicts {said}: expected one of them"


def _says_otherwise(plain: str, value: Value, camera: MicroManagerCameraSettings) -> str:
    if plain == "exposure":
        exposure_ms = number(value)
        alike = exposure_ms is not None and abs(exposure_ms / 1000 - camera.exposure_s) < 1e-6
        return "" if alike else f"camera.exposure_s = {camera.exposure_s:g}"
    if plain == "binning":
        factors = {number(factor) for factor in str(value).lower().split("x")}
        return "" if factors == {camera.binning} else f"camera.binning = {camera.binning}"
    if plain in _REGION:
        roi = "its default, the whole sensor" if camera.roi is None else list(camera.roi)
        return f"camera.roi = {roi}"
    return ""


def _focus_out_of_reach(settings: "RigSettings") -> Iterator[str]:
    if settings.focus is None:
        return
    low, high = settings.focus.limits_um
    focus_um = settings.optics.focus_um
    on_bench = isinstance(settings.focus, SimulatedStageSettings)  # its 0 is the coverslip
    if abs(focus_um) > high - low or (on_bench and not low <= focus_um <= high):
        yield (
            f"optics.focus_um = {focus_um:g}: out of reach of focus.limits_um = [{low:g}, {high:g}]"
        )


def _unusual_optics(settings: "RigSettings") -> Iterator[str]:
    optics = settings.optics
    low, high = _USUAL_PIXEL_UM
    if not low <= optics.pixel_um <= high:
        yield (
            f"optics: camera_pixel_um = {optics.camera_pixel_um:g} and magnification = "
            f"{optics.magnification:g} make a pixel of {1000 * optics.pixel_um:.3g} nm in the "
            "sample."
        )
    if 1.01 < optics.index_immersion < 1.3:
        yield f"optics.index_immersion = {optics.index_immersion:g} is of no usual medium."
    if not 0.35 <= optics.wavelength_um <= 1.1:
        yield f"optics.wavelength_um = {optics.wavelength_um:g} is not of visible light or near it."
    bottom, top = optics.z_range_um
    if top - bottom > _DEEP_UM or max(abs(bottom), abs(top)) > _DEEP_UM:
        yield (
            f"optics.z_range_um = [{bottom:g}, {top:g}] is deep for one mask; if it was meant in "
            f"nm, give [{bottom / 1000:g}, {top / 1000:g}]."
        )
    if not bottom - _DEEP_UM <= optics.focus_um <= top + _DEEP_UM:
        yield (
            f"optics.focus_um = {optics.focus_um:g} is far from the emitters, which are at "
            f"z_range_um = [{bottom:g}, {top:g}]."
        )


def _unusual_focus(settings: "RigSettings") -> Iterator[str]:
    if settings.focus is None:
        return
    (low, high), focus_um = settings.focus.limits_um, settings.optics.focus_um
    if high - low > _LONG_WAY_UM:
        yield (
            f"focus.limits_um = [{low:g}, {high:g}] leave it {(high - low) / 1000:g} mm of way: "
            "can nothing collide?"
        )
    if not low <= focus_um <= high:
        yield (
            f"optics.focus_um = {focus_um:g} lies outside focus.limits_um = [{low:g}, {high:g}], "
            "unless the stage's zero is not at the coverslip."
        )


def _unusual_camera(settings: "RigSettings") -> Iterator[str]:
    exposure_s = settings.camera.exposure_s
    if exposure_s > _LONG_S:
        yield (
            f"camera.exposure_s = {exposure_s:g} is long; if it was meant in ms, give "
            f"{exposure_s / 1000:g}."
        )


def _unusual_light(settings: "RigSettings") -> Iterator[str]:
    for name, laser in settings.lasers.items():
        limit_mw = laser.limit_mw
        if limit_mw < _FAINT_MW:
            yield (
                f"lasers.{name}.limit_mw = {limit_mw:g} lets very little through; if it was meant "
                f"in W, give {1000 * limit_mw:g}."
            )
        if limit_mw > _STRONG_MW:
            yield f"lasers.{name}.limit_mw = {limit_mw:g} is {limit_mw / 1000:g} W."
    for name, power_mw in settings.use.lasers_mw.items():
        if power_mw < _FAINT_MW <= settings.lasers[name].limit_mw:
            yield (
                f"use.lasers_mw.{name} = {power_mw:g} is very little; if it was meant in W, "
                f"give {1000 * power_mw:g}."
            )
