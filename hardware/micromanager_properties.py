"""Properties of Micro-Manager's devices, typed and limited."""

import math
from typing import Literal

from hardware.micromanager_core import Core
from hardware.protocols import DeviceError, Property

Value = str | int | float

Kind = Literal["text", "whole number", "number"]
_KINDS: dict[int, Kind] = {2: "number", 3: "whole number"}


def list_properties(core: Core, label: str) -> list[Property]:
    """All properties of the device that Micro-Manager calls `label`."""
    return [describe(core, label, name) for name in core("get_device_property_names", label)]


def describe(core: Core, label: str, name: str) -> Property:
    """One property. Raises DeviceError, which lists the others, when there is none of the name."""
    if not core("has_property", label, name):
        others = ", ".join(core("get_device_property_names", label))
        raise DeviceError(core.device, f"{label} has no property {name!r}; it has {others}.")
    kind: Kind = _KINDS.get(core("get_property_type", label, name), "text")
    limits = None
    if core("has_property_limits", label, name):
        low = core("get_property_lower_limit", label, name)
        limits = (float(low), float(core("get_property_upper_limit", label, name)))
    return Property(
        name=name,
        value=_typed(core("get_property", label, name), kind),
        kind=kind,
        read_only=bool(core("is_property_read_only", label, name)),
        choices=tuple(core("get_allowed_property_values", label, name)),
        limits=limits,
    )


def set_property(core: Core, label: str, name: str, value: Value) -> None:
    """Raises DeviceError, which says what is allowed, before anything is sent."""
    found = describe(core, label, name)
    if found.read_only:
        raise DeviceError(core.device, f"{label} {name} can only be read.")
    text = _text(found, value)
    if text is None:
        raise DeviceError(
            core.device, f"{label} {name} = {value!r} was refused; allowed is {_allowed(found)}."
        )
    core("set_property", label, name, text)


def number(value: Value) -> float | None:
    """The number that a value or a text is, if it is a finite one."""
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def same(value: Value, other: Value) -> bool:
    """Whether two values of a property mean the same: 1 is "1.0000"."""
    if str(value) == str(other):
        return True
    first = number(value)
    return first is not None and first == number(other)


def _text(found: Property, value: Value) -> str | None:
    """What to send for a value, or None where it is not allowed."""
    if found.choices:
        return next((choice for choice in found.choices if same(choice, value)), None)
    if found.kind == "text":
        return str(value)
    asked = number(value)
    low, high = found.limits or (float("-inf"), float("inf"))
    if asked is None or not low <= asked <= high:
        return None
    if found.kind == "whole number":
        return str(int(asked)) if asked == int(asked) else None
    return repr(asked)


def _allowed(found: Property) -> str:
    if found.choices:
        return ", ".join(found.choices)
    limits = f" from {found.limits[0]:g} to {found.limits[1]:g}" if found.limits else ""
    return f"a {found.kind}{limits}"


def _typed(text: str, kind: Kind) -> Value:
    value = None if kind == "text" else number(text)
    if value is None:
        return text
    return int(value) if kind == "whole number" and value == int(value) else value
