"""Grey levels of an SLM, 0 to 255: which phase each stands for.

A table holds the 256 phases in rad. A longer optical path is a positive phase and, unless a table
says otherwise, a higher grey level; 256 levels make 2 pi.
"""

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.errors import FileError
from dsacq.files.phase_units import curve_trouble
from dsacq.files.reading import reading

logger = logging.getLogger(__name__)

Table = NDArray[np.float64]
_RETURN_RAD = 0.5  # more than measured curves go back by noise


def linear_table(levels_per_2pi: float = 256) -> Table:
    """(256,) rad of levels that make 2 pi each `levels_per_2pi`; more than 256 never reach it."""
    if not levels_per_2pi >= 2:
        raise ValueError(f"levels_per_2pi={levels_per_2pi}: expected at least 2")
    return np.arange(256, dtype=np.float64) * (2 * np.pi / levels_per_2pi)


def read_table(path: Path) -> Table:
    """(256,) rad by grey level from a CSV file: 256 phases, or each level with its phase.

    A line of titles may come first. Logs where the phase goes back. Raises FileError, which says
    what the numbers look like where they are no phases in rad.
    """
    with reading(path, "a table of phases"):
        rows = _numbers(path.read_text(encoding="utf-8-sig"))
    phases = _column(path, rows)
    wrong = np.flatnonzero(~np.isfinite(phases))
    if len(wrong):
        raise FileError(f"{path}: the phase of level {wrong[0]} is {phases[wrong[0]]}.")
    if trouble := curve_trouble(phases):
        raise FileError(f"{path}: {trouble}.")
    back_rad, level = _largest_return(phases)
    if back_rad > _RETURN_RAD:
        logger.warning(
            "%s: the phase goes back by %.2g rad up to level %d; is the table right?",
            path,
            back_rad,
            level,
        )
    return phases


def _numbers(text: str) -> list[list[float]]:
    """By line. Between numbers are commas, blanks, tabs or, with decimal commas, semicolons."""
    lines = [line for line in text.splitlines() if line.strip(" \t;,") and line[0] != "#"]
    if ";" in text or "\t" in text:
        lines = [line.replace(",", ".") for line in lines]
    cells = [re.split(r"[;,\s]+", line.strip(" \t;,")) for line in lines]
    if cells and not any(map(_is_number, cells[0])):
        del cells[0]
    return [[float(cell) for cell in row] for row in cells]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _column(path: Path, rows: list[list[float]]) -> Table:
    """The 256 phases, without the numbers of their levels. Raises FileError."""
    count = sum(map(len, rows))
    if [len(row) for row in rows] == [256, 256]:
        rows = [list(pair) for pair in zip(*rows, strict=True)]
    if {len(row) for row in rows} == {2} and len(rows) == 256:
        both = np.array(rows)
        for levels, phases in ((both[:, 0], both[:, 1]), (both[:, 1], both[:, 0])):
            if np.array_equal(np.sort(levels), np.arange(256)):
                return phases[np.argsort(levels)]
        raise FileError(
            f"{path}: has two numbers in each row, of which neither counts the levels, 0 to 255; "
            "give the phase of each level alone."
        )
    if count != 256:
        told = f"has {count} numbers" if count else "holds no number"
        raise FileError(f"{path}: {told}; give 256, the phase of each grey level.")
    return np.array([number for row in rows for number in row])


def _largest_return(phases: Table) -> tuple[float, int]:
    """How far the phase goes back against its general direction, rad, and up to which level."""
    curve = np.unwrap(phases)
    curve = curve if curve[-1] >= curve[0] else -curve
    returns = np.maximum.accumulate(curve) - curve
    level = int(np.argmax(returns))
    return float(returns[level]), level


def nearest_levels(phase_rad: NDArray[Any], table: Table) -> NDArray[np.uint8]:
    """The level whose phase is nearest modulo 2 pi, of those within 2 pi of level 0.

    Where the table does not reach 2 pi, this clips to the nearer of its ends.
    """
    turns, levels = _ring(table)
    middles = (turns[1:] + turns[:-1]) / 2
    return levels[np.searchsorted(middles, np.asarray(phase_rad, np.float64) / (2 * np.pi) % 1)]


def largest_gap_rad(table: Table) -> float:
    """The largest step between neighbouring phases modulo 2 pi: twice the largest error."""
    turns, _ = _ring(table)
    return float(np.diff(turns).max() * 2 * np.pi)


def _ring(table: Table) -> tuple[Table, NDArray[np.uint8]]:
    """Phases in turns, ascending from the one before 0 to the one after 1, and their levels."""
    usable = np.flatnonzero(np.abs(table - table[0]) < 2 * np.pi * (1 - 1e-6))
    turns = table[usable] / (2 * np.pi) % 1
    order = np.argsort(turns, kind="stable")
    order = np.concatenate((order[-1:], order, order[:1]))
    ring = turns[order]
    ring[0] -= 1
    ring[-1] += 1
    return ring, usable[order].astype(np.uint8)
