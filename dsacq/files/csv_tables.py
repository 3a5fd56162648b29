"""Localizations as CSV: our own columns, or ThunderSTORM's."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from dsacq.data import COLUMNS, Localizations
from dsacq.errors import FileError
from dsacq.files.atomic import replacing
from dsacq.files.columns import (
    is_known,
    localizations_from,
    number_columns,
    positive,
    require,
)
from dsacq.files.reading import reading

# ThunderSTORM measures x, y from the upper-left corner of the image, as we do: its fitters add
# half a pixel to the index (MultipleLocationsImageFitting.java). Its frames count from 1. Picasso's
# exports in this form count from 0 and lack the half pixel, which the file does not betray.
_LENGTHS = {
    "x [nm]": "x_um",
    "y [nm]": "y_um",
    "z [nm]": "z_um",
    "uncertainty_z [nm]": "sigma_z_um",
}
_LATERAL = ("uncertainty_xy [nm]", "uncertainty [nm]")  # since version 1.3, and before
_COUNTS = {"intensity [photon]": "photons", "offset [photon]": "background"}
_NUMBERS = {*COLUMNS, *_LENGTHS, *_LATERAL, *_COUNTS}
_LONGEST_HEADER = 1 << 16  # bytes


def read_csv(path: Path) -> Localizations:
    """Localizations from a CSV file of ours or of ThunderSTORM; its header tells which.

    Columns that neither knows are kept under their names; a ThunderSTORM table without z lies at
    z = 0. An empty field is an unknown value. Raises FileError.
    """
    header = _header(path)
    types = {raw: pa.float64() for raw in header if raw.strip() in _NUMBERS}
    with reading(path, "a CSV table"):
        table = arrow_csv.read_csv(
            path, convert_options=arrow_csv.ConvertOptions(column_types=types)
        )
        names = [name.strip() for name in table.column_names]
        columns = {
            name: (column.cast(pa.float64()) if column.type == pa.null() else column).to_pandas()
            for name, column in zip(names, table.columns, strict=True)
        }
    if len(columns) < len(names):
        raise FileError(f"{path}: has two columns of one name.")
    if "x [nm]" in columns:
        return localizations_from(path, _from_thunderstorm(path, columns))
    return localizations_from(path, columns)


def write_csv(localizations: Localizations, path: Path) -> None:
    """Write our columns; unknown values are empty fields, and origin is lost. Raises FileError."""
    table = pa.Table.from_pandas(localizations.table, preserve_index=False)
    _write(table, path, csv.QUOTE_MINIMAL, unknown="")


def write_thunderstorm(localizations: Localizations, path: Path) -> None:
    """Write a table as ThunderSTORM exports it.

    The lateral uncertainty is the mean of both axes; probability and further numbers follow under
    their own names. ThunderSTORM reads every field as a Java number, so columns of which nothing
    is known are left out, single unknown values are NaN, and text is left out. Raises FileError.
    """
    table = localizations.table
    columns: dict[str, NDArray[Any]] = {
        "id": np.arange(1, len(table) + 1),
        "frame": table["frame"].to_numpy() + 1,
    }
    columns |= {theirs: table[ours].to_numpy() * 1000 for theirs, ours in _LENGTHS.items()}
    columns |= {theirs: table[ours].to_numpy() for theirs, ours in _COUNTS.items()}
    lateral = (table["sigma_x_um"].to_numpy() + table["sigma_y_um"].to_numpy()) / 2 * 1000
    columns[_LATERAL[0]] = positive(lateral)
    columns["uncertainty_z [nm]"] = positive(columns.pop("uncertainty_z [nm]"))
    columns["probability"] = table["probability"].to_numpy()
    for name in {*_COUNTS, *_LATERAL, "uncertainty_z [nm]", "probability"} & columns.keys():
        if not is_known(columns[name]):
            del columns[name]
    if "track" in table:
        columns["track"] = table["track"].to_numpy()
    columns |= number_columns(table, _NUMBERS | columns.keys(), path)
    arrays = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
    _write(pa.table(arrays), path, csv.QUOTE_ALL, unknown="NaN")


def _header(path: Path) -> list[str]:
    with reading(path, "a CSV table"), path.open("rb") as file:
        line = file.readline(_LONGEST_HEADER).decode("utf-8-sig")
        names = next(csv.reader([line]), [])
    if not names:
        raise FileError(f"{path}: is empty, expected a header line with the names of the columns.")
    return names


def _from_thunderstorm(path: Path, columns: dict[str, pd.Series]) -> dict[str, Any]:
    require(path, columns, ("frame", "x [nm]", "y [nm]"))
    first = 0 if columns["frame"].min() < 1 else 1
    ours: dict[str, Any] = {"frame": columns["frame"] - first}
    ours["z_um"] = np.zeros(len(columns["frame"]))
    ours |= {name: columns[theirs] / 1000 for theirs, name in _LENGTHS.items() if theirs in columns}
    ours |= {name: columns[theirs] for theirs, name in _COUNTS.items() if theirs in columns}
    for theirs in _LATERAL:
        if theirs in columns:
            ours.setdefault("sigma_x_um", columns[theirs] / 1000)
            ours.setdefault("sigma_y_um", columns[theirs] / 1000)
    used = {"id", "frame", *_LENGTHS, *_COUNTS, *_LATERAL}
    return {name: columns[name] for name in columns if name not in used} | ours


def _write(table: pa.Table, path: Path, quoting: Any, unknown: str) -> None:
    header = io.StringIO()
    csv.writer(header, quoting=quoting, lineterminator="\n").writerow(table.column_names)
    options = arrow_csv.WriteOptions(include_header=False, null_string=unknown)
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(header.getvalue().encode())
        arrow_csv.write_csv(table, file, options)
