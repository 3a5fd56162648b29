"""What the readers and writers of localization tables share."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dsacq.data import COLUMNS, POSITION, Localizations
from dsacq.errors import FileError

LAST_FRAME = 2**32 - 1  # Picasso stores frames as 32 bit
SIGMAS = ("sigma_x_um", "sigma_y_um", "sigma_z_um")


@np.errstate(all="ignore")  # what overflows becomes infinite, and is told in words
def localizations_from(
    path: Path, columns: Mapping[str, ArrayLike], origin: dict[str, Any] | None = None
) -> Localizations:
    """Localizations from what the file at `path` held, in our units.

    A precision of zero or less is unknown (NaN). Raises FileError when frame or a position is
    missing, is no number, or is impossible in some row.
    """
    known = {name: _numbers(path, name, columns[name]) for name in COLUMNS if name in columns}
    require(path, known, ("frame", *POSITION))
    single = {name: known[name].astype(np.float32) for name in known if name != "frame"}
    fault = first_fault(known["frame"], [single[name] for name in POSITION])
    if fault:
        raise FileError(f"{path}: {fault}.")
    for name in known.keys() & set(SIGMAS):
        single[name] = positive(single[name])
    others = {name: columns[name] for name in columns if name not in known}
    if "track" in others:
        others = {"track": others.pop("track"), **others}
    return Localizations.from_columns(origin, frame=known["frame"], **single, **others)


def require(path: Path, names: Mapping[str, Any], needed: tuple[str, ...]) -> None:
    """Raises FileError when one of the needed columns is missing."""
    missing = [name for name in needed if name not in names]
    if missing:
        raise FileError(
            f"{path}: lacks the column {missing[0]!r}; "
            f"a table of this kind needs {', '.join(needed)}."
        )


def first_fault(frame: NDArray[Any], positions: list[NDArray[Any]]) -> str | None:
    """What is wrong with the first row that cannot be a localization; rows count from 1."""
    whole = (frame >= 0) & (frame <= LAST_FRAME) & (np.floor(frame) == frame)
    if not whole.all():
        row = int(np.argmin(whole))
        return f"row {row + 1} has frame {frame[row]:g}, expected a whole number from 0"
    finite = np.logical_and.reduce([np.isfinite(values) for values in positions])
    if not finite.all():
        return f"row {int(np.argmin(finite)) + 1} has no finite position"
    return None


def positive(values: NDArray[Any]) -> NDArray[Any]:
    """A copy with NaN for all that is not above zero: no precision is zero."""
    return np.where(values > 0, values, np.nan).astype(values.dtype)


def is_known(values: NDArray[Any]) -> bool:
    """Whether a column holds anything but NaN."""
    return not bool(np.isnan(values).all())


def number_columns(table: pd.DataFrame, taken: set[str], path: Path) -> dict[str, NDArray[Any]]:
    """The columns beside COLUMNS and `track`, for formats that hold numbers only.

    Others are left out, and the log says so; a name that the format has taken gets `_input` behind.
    """
    found: dict[str, NDArray[Any]] = {}
    for name in table.columns.drop([*COLUMNS, "track"], errors="ignore"):
        values = table[name].to_numpy()
        if values.dtype.kind not in "iufb":
            logging.getLogger(__name__).warning("%s: left out %r, no numbers", path, name)
            continue
        if values.dtype.kind == "b":
            values = values.astype(np.uint8)
        found[f"{name}_input" if name in taken else name] = values
    return found


def _numbers(path: Path, name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty((0, 0))
    if numbers.ndim != 1:
        raise FileError(f"{path}: the column {name} holds something other than numbers.")
    return numbers
