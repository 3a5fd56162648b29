"""Grey levels of an SLM, 0 to 255: which phase each stands for.

A table holds the 256 phases in rad. A longer optical path is a positive phase and, unless a table
says otherwise, a higher grey level; 256 levels make 2 pi.
"""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.errors import FileError
from dsacq.files.reading import reading

Table = NDArray[np.float64]


def linear_table(levels_per_2pi: float = 256) -> Table:
    """(256,) rad of levels that make 2 pi each `levels_per_2pi`; more than 256 never reach it."""
    if not levels_per_2pi >= 2:
        raise ValueError(f"levels_per_2pi={levels_per_2pi}: expected at least 2")
    return np.arange(256, dtype=np.float64) * (2 * np.pi / levels_per_2pi)


def read_table(path: Path) -> Table:
    """(256,) rad by grey level from a CSV file of 256 numbers. Raises FileError."""
    with reading(path, "a table of phases"):
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
        phases = np.array([float(cell) for row in rows for cell in row if cell.strip()])
    if phases.shape != (256,) or not np.isfinite(phases).all():
        raise FileError(
            f"{path}: has {phases.size} numbers; give 256, the phase of each grey level."
        )
    return phases


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
