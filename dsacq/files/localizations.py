"""Tables of localizations in and out: Parquet, CSV, ThunderSTORM, Picasso."""

import math
from dataclasses import dataclass
from pathlib import Path

from dsacq.data import POSITION, Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.files.columns import first_fault
from dsacq.files.csv_tables import read_csv, write_csv, write_thunderstorm
from dsacq.files.names import check_file
from dsacq.files.parquet import read_parquet, write_parquet
from dsacq.files.paths import is_there
from dsacq.files.picasso import read_picasso, write_picasso
from dsacq.files.recording import LOCALIZATIONS


@dataclass(frozen=True)
class Format:
    """A kind of file: how its names may end, and what it is."""

    endings: tuple[str, ...]
    description: str


FORMATS = {
    "parquet": Format((".parquet",), "every column, and what made them"),
    "csv": Format((".csv",), "the same columns as text, in um, frames from 0"),
    "thunderstorm": Format((".csv",), "ThunderSTORM's CSV, in nm, frames from 1"),
    "picasso": Format((".hdf5", ".h5"), "Picasso's HDF5 file, with a YAML file beside it"),
}


def format_of(path: Path) -> str:
    """The name in FORMATS that a file's ending means; .thunderstorm.csv is ThunderSTORM's.

    Raises FileError for other endings.
    """
    if path.name.lower().endswith(".thunderstorm.csv"):
        return "thunderstorm"
    for name, kind in FORMATS.items():
        if path.suffix.lower() in kind.endings:
            return name
    raise FileError(
        f"{path}: is of an unknown kind; localizations end in .parquet, .csv, .thunderstorm.csv, "
        ".hdf5 or .h5."
    )


def check_table(path: Path, format: str | None = None) -> None:
    """Refuse what `write_localizations` could not write, before the work for it. Raises FileError,
    SettingsError."""
    chosen = format_of(path) if format is None else format
    if chosen not in FORMATS:
        raise SettingsError(f"format = {chosen!r}: expected one of {', '.join(FORMATS)}.")
    if path.suffix.lower() not in FORMATS[chosen].endings:
        raise SettingsError(
            f"{path}: a file of the format {chosen} ends in {' or '.join(FORMATS[chosen].endings)}."
        )
    check_file(path)


def table_files(path: Path, format: str | None = None) -> tuple[Path, ...]:
    """The files of a table: itself, and what lies beside it in its format, by default that of its
    ending."""
    picasso = FORMATS["picasso"].endings
    beside = path.suffix.lower() in picasso if format is None else format == "picasso"
    return (path, path.with_suffix(".yaml")) if beside else (path,)


def read_localizations(path: Path, *, pixel_um: float | None = None) -> Localizations:
    """Localizations from a file; its ending chooses the reader, a CSV's header its kind.

    `pixel_um` is the camera pixel in the sample, for Picasso files that do not tell it. A row
    without a finite position makes the whole file fail: no localizer writes one. Raises FileError,
    and SettingsError for an impossible pixel_um.
    """
    _check_pixel(pixel_um)
    if is_there(path, Path.is_dir):
        table = path / LOCALIZATIONS
        inside = f"; its table is {table}" if is_there(table, Path.is_file) else ""
        raise FileError(f"{path}: is a folder, and no table{inside}.")
    if not is_there(path, Path.is_file):
        raise FileError(f"{path}: there is no such file.")
    match format_of(path):
        case "parquet":
            return read_parquet(path)
        case "picasso":
            return read_picasso(path, pixel_um)
        case _:
            return read_csv(path)


def write_localizations(
    localizations: Localizations,
    path: Path,
    *,
    format: str | None = None,
    pixel_um: float | None = None,
) -> None:
    """Write localizations in one of FORMATS; by default the one that the ending means.

    A file that was there is replaced only by a whole one. `pixel_um` is the camera pixel in the
    sample, which Picasso needs where origin does not tell it. Raises FileError, SettingsError.
    """
    _check_pixel(pixel_um)
    check_table(path, format)
    chosen = format_of(path) if format is None else format
    table = localizations.table
    fault = first_fault(table["frame"].to_numpy(), [table[name].to_numpy() for name in POSITION])
    if fault:
        raise ValueError(f"localizations: {fault}")
    match chosen:
        case "parquet":
            write_parquet(localizations, path)
        case "csv":
            write_csv(localizations, path)
        case "thunderstorm":
            write_thunderstorm(localizations, path)
        case "picasso":
            write_picasso(localizations, path, pixel_um)


def _check_pixel(pixel_um: float | None) -> None:
    if pixel_um is not None and not 0 < pixel_um < math.inf:
        raise SettingsError(f"pixel_um = {pixel_um}: expected a length above zero.")
