"""Whether numbers that should be phases in rad are something else, by what they are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_TURN = 2 * np.pi
_GREY_SPAN = 50  # whole numbers from 0 to 255 that spread as far are grey levels
_TURNS_AT_LEAST = 0.9  # spread of turns that wrap


def curve_trouble(phases: NDArray[np.float64]) -> str:
    """Why the phases of grey levels, in their order, are none in rad; or nothing.

    They spread over 2 pi or so: an SLM with much less is of no use, and none makes ten times it.
    """
    span = _span(phases)
    if span == 0:
        return "all its phases are the same"
    if trouble := _grey(phases, span):
        return trouble
    if span > 30:
        return f"its phases spread over {span:.4g}: {_far(span)}"
    if span < 1.5:
        return f"its phases spread over {span:.3g}, which looks like turns; give rad, 2 pi a turn"
    if 1.9 < span < 2.02:
        return "its phases go from 0 to 2, which looks like units of pi; give rad"
    jumps = int((_steps(phases, 0) > 1).sum())
    if jumps > 8:
        return (
            f"its phases jump by more than 1 rad at {jumps} of 255 steps; they are to be in the "
            "order of the levels"
        )
    return ""


def map_trouble(phase: NDArray[Any]) -> str:
    """Why a map (rows, columns) that corrects a wavefront is none in rad; or nothing."""
    span = _span(phase)
    if trouble := _grey(phase, span):
        return trouble
    if span > 100:
        return f"its phases spread over {span:.4g}: {_far(span)}"
    if phase.min() >= 0 and _TURNS_AT_LEAST < span <= 1 and _wraps(phase, _TURNS_AT_LEAST):
        return "its phases jump between 0 and 1, which looks like turns; give rad, 2 pi a turn"
    return ""


def map_doubt(phase: NDArray[Any]) -> str:
    """What is unusual about a map that `map_trouble` lets pass; or nothing."""
    span = _span(phase)
    if span > 2 * _TURN:
        return f"it spreads over {span:.3g} rad, {span / _TURN:.2g} waves: is it in rad?"
    if phase.min() >= 0 and _TURNS_AT_LEAST < span <= 1:
        return "it spreads from 0 to 1: is it in rad, or in turns?"
    return ""


def _span(values: NDArray[Any]) -> float:
    return float(values.max()) - float(values.min())  # of floats: too large is infinite


def _grey(values: NDArray[Any], span: float) -> str:
    whole = values.min() >= 0 and values.max() <= 255 and bool((values == np.round(values)).all())
    if whole and span > _GREY_SPAN:
        return "it holds whole numbers up to 255, which look like grey levels; give phases in rad"
    return ""


def _far(span: float) -> str:
    if span <= 3600:
        return "that looks like degrees; give rad, 2 pi in place of 360"
    return "no such phase is made by an SLM; give rad"


def _steps(values: NDArray[Any], axis: int) -> NDArray[np.float64]:
    """Between neighbours, modulo 2 pi: 0 to pi."""
    steps = np.diff(values.astype(np.float64), axis=axis) / _TURN
    return np.abs(steps - np.round(steps)) * _TURN


def _wraps(phase: NDArray[Any], step: float) -> bool:
    return any(bool((np.abs(np.diff(phase, axis=axis)) > step).any()) for axis in (0, 1))
