"""Bounds of settings: what no microscope has is refused, with the unit that was likely meant."""

import math
from collections.abc import Iterable
from typing import Any

from pydantic import AfterValidator

_LENGTHS = {"nm": 1e-9, "um": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0}
_OTHERS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "uW": 1e-6, "mW": 1e-3, "W": 1.0}
_SIZES = _LENGTHS | _OTHERS | {"rad": 1.0, "degrees": math.pi / 180}


def bounded(low: float, high: float, unit: str = "", others: Iterable[str] = ()) -> Any:
    """For `Annotated[float, ...]` in a settings class: refuse what lies outside.

    others: units in which such a value is easily given in place of `unit`.
    """
    units = tuple(others)

    def check(value: float) -> float:
        if low <= value <= high:  # not a number is neither
            return value
        meant = likely_unit(value, (low, high), unit, units)
        raise ValueError(f"expected {_told(low)} to {_told(high)}{unit and f' {unit}'}{meant}")

    return AfterValidator(check)


def likely_unit(value: float, bounds: tuple[float, float], unit: str, others: Iterable[str]) -> str:
    """What to give where one of the other units brings a value within the bounds, or nothing."""
    for other in others:
        converted = value * (_SIZES[other] / _SIZES[unit])
        if bounds[0] <= converted <= bounds[1]:
            return f"; if {_told(value)} was meant in {other}, give {_told(converted)}"
    return ""


def _told(value: float) -> str:
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
