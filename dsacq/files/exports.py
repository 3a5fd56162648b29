"""Localizations and tracks for other programs; these files are written, not read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from scipy.io import savemat

from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.files.atomic import replacing

# SMAP's columns, in nm, frames from 1; x and y begin at the corner of the image, as ours.
_SMAP = {
    "x_um": "xnm",
    "y_um": "ynm",
    "z_um": "znm",
    "sigma_x_um": "locprecnm",
    "sigma_z_um": "locprecznm",
}


def write_smap(table: Localizations, path: Path) -> None:
    """CSV with the column names of SMAP."""
    rows = table.table
    named = {"frame": rows["frame"] + 1}
    for ours, theirs in _SMAP.items():
        named[theirs] = 1e3 * rows[ours]
    named |= {"phot": rows["photons"], "bg": rows["background"]}
    if "track" in rows.columns:
        named["trackid"] = rows["track"]
    with replacing(path) as unfinished:
        rows.assign(**named)[list(named)].to_csv(unfinished, index=False, float_format="%.4f")


def write_napari(table: Localizations, path: Path) -> None:
    """CSV of napari's tracks layer: ID, T, Z, Y, X, in um."""
    rows = _tracks(table)
    named = rows.rename(
        columns={"track": "ID", "frame": "T", "z_um": "Z", "y_um": "Y", "x_um": "X"}
    )
    with replacing(path) as unfinished:
        named[["ID", "T", "Z", "Y", "X"]].to_csv(unfinished, index=False, float_format="%.5f")


def write_trackmate(table: Localizations, path: Path) -> None:
    """The simple XML of tracks that TrackMate imports and exports; places in um."""
    rows = _tracks(table)
    about = {"spaceUnits": "um", "frameInterval": "1.0", "timeUnits": "frame", "from": "dsacq"}
    root = ElementTree.Element("Tracks", {"nTracks": str(rows["track"].nunique())} | about)
    for _, one in rows.groupby("track"):
        particle = ElementTree.SubElement(root, "particle", nSpots=str(len(one)))
        for frame, x, y, z in zip(one["frame"], one["x_um"], one["y_um"], one["z_um"], strict=True):
            ElementTree.SubElement(
                particle, "detection", t=str(frame), x=f"{x:.5f}", y=f"{y:.5f}", z=f"{z:.5f}"
            )
    ElementTree.indent(root, " ")
    with replacing(path) as unfinished:
        ElementTree.ElementTree(root).write(unfinished, encoding="utf-8", xml_declaration=True)


def write_matlab(table: Localizations, path: Path) -> None:
    """A structure `localizations` with a column vector for each column."""
    columns = {
        name: np.asarray(values, np.float64)[:, None]
        for name, values in table.table.items()
        if np.issubdtype(np.asarray(values).dtype, np.number)
    }
    with replacing(path) as unfinished:
        savemat(str(unfinished), {"localizations": columns}, appendmat=False, long_field_names=True)


@dataclass(frozen=True)
class Export:
    """How a file's name ends, and what writes it."""

    ending: str
    write: Callable[[Localizations, Path], None]


EXPORTS = {
    "smap": Export(".csv", write_smap),
    "napari": Export(".csv", write_napari),
    "trackmate": Export(".xml", write_trackmate),
    "matlab": Export(".mat", write_matlab),
}


def export(table: Localizations, path: Path, kind: str) -> None:
    """Write one of EXPORTS. Raises FileError for another ending; SettingsError for tracks of a
    table that is not linked."""
    chosen = EXPORTS[kind]
    if path.suffix.lower() != chosen.ending:
        raise FileError(f"{path}: a file of the format {kind} ends in {chosen.ending}.")
    chosen.write(table, path)


def _tracks(table: Localizations) -> pd.DataFrame:
    if "track" not in table.table.columns:
        raise SettingsError("The table is not linked: it has no column track. Use `dsacq link`.")
    rows = table.table
    return rows[rows["track"] >= 0].sort_values(["track", "frame"])
