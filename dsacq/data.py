"""What flows through the program."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dsacq.errors import SettingsError

POSITION = ("x_um", "y_um", "z_um")
COLUMNS = (
    "frame",
    *POSITION,
    "photons",
    "background",
    "sigma_x_um",
    "sigma_y_um",
    "sigma_z_um",
    "probability",
)

_APART = 64  # tables that are not joined yet


@dataclass(frozen=True)
class Localizations:
    """A table with a row per emitter and frame, and what made it.

    Columns are COLUMNS (unknown values NaN), then `track` once linked, then any others.
    x, y start at the upper-left corner of the full camera frame, so the centre of pixel
    (row r, column c) is at ((c + 0.5), (r + 0.5)) times the pixel in the sample; z is the height
    above the coverslip. `photons` are those that the emitter sends to the sensor, `background`
    photons per pixel; a camera's quantum efficiency makes electrons of both.
    `frame` counts from 0. `origin` (model, optics, settings) holds what JSON can.
    """

    table: pd.DataFrame
    origin: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in COLUMNS if name not in self.table.columns]
        if missing:
            raise ValueError(f"table: lacks the columns {missing}")

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def from_columns(
        cls, origin: dict[str, Any] | None = None, **columns: ArrayLike
    ) -> "Localizations":
        """From arrays of one length by column name; absent columns are unknown (NaN).

        Raises ValueError when frame, x_um, y_um or z_um is missing.
        """
        absent = [name for name in ("frame", *POSITION) if name not in columns]
        if absent:
            raise ValueError(f"columns: lacks {absent}")
        frame = np.asarray(columns["frame"], dtype=np.int64)
        known = {
            name: np.asarray(columns[name], dtype=np.float32)
            if name in columns
            else np.full(frame.shape, np.nan, np.float32)
            for name in COLUMNS[1:]
        }
        others = {name: np.asarray(columns[name]) for name in columns if name not in COLUMNS}
        return cls(pd.DataFrame({"frame": frame, **known, **others}), origin or {})

    @classmethod
    def empty(cls, origin: dict[str, Any] | None = None) -> "Localizations":
        """No emitters."""
        none: list[float] = []
        return cls.from_columns(origin, frame=none, x_um=none, y_um=none, z_um=none)

    @classmethod
    def joined(
        cls, parts: Iterable["Localizations"], origin: dict[str, Any] | None = None
    ) -> "Localizations":
        """One table of several, in their order."""
        gathered = Gathered()
        for part in parts:
            gathered.add(part)
        return gathered.joined(origin)

    def positions_um(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(rows, 3) x, y, z."""
        return self.table[list(POSITION)].to_numpy(dtype=np.float64)


class Gathered:
    """Tables that come one after the other, few of which are kept apart.

    Thousands of small ones, each made between the large arrays of a frame's computation, would
    leave holes all over the heap: a process that holds some megabytes of tables takes gigabytes.
    """

    def __init__(self) -> None:
        self._levels: list[list[pd.DataFrame]] = []  # of tables that are joined ever more often

    def add(self, part: Localizations) -> None:
        """The next table."""
        if len(part):
            self._add(part.table, 0)

    def joined(self, origin: dict[str, Any] | None = None) -> Localizations:
        """One table of all so far, in their order."""
        tables = [table for level in reversed(self._levels) for table in level]
        if not tables:
            return Localizations.empty(origin)
        return Localizations(pd.concat(tables, ignore_index=True), origin or {})

    def _add(self, table: pd.DataFrame, level: int) -> None:
        if level == len(self._levels):
            self._levels.append([])
        waiting = self._levels[level]
        waiting.append(table)
        if len(waiting) == _APART:
            self._add(pd.concat(waiting, ignore_index=True), level + 1)
            waiting.clear()


@dataclass(frozen=True)
class Roi:
    """A rectangle of camera pixels, named as Fiji does: corner and size."""

    column: int
    row: int
    width: int
    height: int

    def slices(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns. Raises SettingsError when it is not inside a frame of `shape`."""
        rows, columns = shape
        if (
            min(self.column, self.row) < 0
            or min(self.width, self.height) < 1
            or self.column + self.width > columns
            or self.row + self.height > rows
        ):
            raise SettingsError(
                f"roi {self.column},{self.row},{self.width},{self.height} does not lie inside the "
                f"frames, which are {columns} wide and {rows} high."
            )
        return (
            slice(self.row, self.row + self.height),
            slice(self.column, self.column + self.width),
        )
