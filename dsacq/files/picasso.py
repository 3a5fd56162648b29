"""Localizations as Picasso's HDF5 file with its YAML file beside it.

Picasso counts in camera pixels, and the centre of the first pixel is at x = y = 0: Localize fits on
whole pixel indices and draws its fits half a pixel further. z and lpz are in nm, frames count
from 0. Since version 0.11 the content of the YAML file also stands in the HDF5 file, as JSON.
Source: picassosr.readthedocs.io, "File Formats", and picasso 0.11.3.
"""

import json
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from numpy.typing import NDArray

from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.files.atomic import replacing
from dsacq.files.columns import (
    is_known,
    localizations_from,
    number_columns,
    positive,
    require,
)
from dsacq.files.hdf5 import require_stored
from dsacq.files.reading import reading, reason

# Picasso needs a precision, drops rows with a NaN and divides by zero, so an unknown one is written
# as (almost) a pixel: a blur that is seen, and a number that no fit gives, by which we know it.
UNKNOWN_PRECISION_PX = np.nextafter(np.float32(1), np.float32(0))

_RENAMED = {"bg": "background", "group": "track"}
_NANOMETRES = {"z": "z_um", "lpz": "sigma_z_um"}
_PIXELS = {"lpx": "sigma_x_um", "lpy": "sigma_y_um"}
_TAKEN = {*_RENAMED, *_NANOMETRES, *_PIXELS, "frame", "x", "y", "photons", "probability"}
_ORIGIN = "dsacq origin"  # key of the YAML file
_LONGEST_YAML = 4 << 20  # bytes; the parser takes some ten seconds for that


def read_picasso(path: Path, pixel_um: float | None = None) -> Localizations:
    """Localizations from Picasso; pixel_um (in the sample) goes before the YAML's Pixelsize.

    Without z they lie at z = 0; `group` becomes `track`, other numbers keep their names. The copy
    of the YAML in the HDF5 file is not read: HDF5 can hang on a damaged text. Raises FileError,
    also when no pixel size is known.
    """
    with reading(path, "a Picasso HDF5 file"), h5py.File(path, "r") as file:
        fields = _fields(path, file)
    side = path.with_suffix(".yaml")
    origin = _origin(side) if side.is_file() else {"pixel_um": math.nan}
    if pixel_um is not None:
        origin["pixel_um"] = pixel_um
    if not 0 < origin["pixel_um"] < math.inf:
        raise FileError(
            f"{path}: counts in camera pixels, and no YAML file beside it says how large they are; "
            "give the camera pixel in the sample (pixel_um)."
        )
    require(path, fields, ("frame", "x", "y"))
    return localizations_from(path, _to_um(fields, origin["pixel_um"]), origin)


def write_picasso(localizations: Localizations, path: Path, pixel_um: float | None = None) -> None:
    """Write `path` and the YAML file beside it.

    The pixel in the sample is pixel_um, or else what origin says of it (`pixel_um` or `optics`);
    `shape_px` and `frames` of origin size the movie, or else the table does. Columns of which
    nothing is known, and text, are left out. Raises SettingsError without a pixel size, FileError.
    """
    pixel = pixel_um or _pixel_um(localizations.origin)
    if pixel is None:
        raise SettingsError(
            f"{path}: Picasso counts in camera pixels, whose size is not known here; "
            "give the camera pixel in the sample (pixel_um)."
        )
    fields = _to_pixels(localizations, path, pixel)
    rows = np.empty(len(localizations), [(name, fields[name].dtype) for name in fields])
    for name, values in fields.items():
        rows[name] = values
    described = _description(localizations, pixel)
    text = yaml.safe_dump_all(described, sort_keys=False).encode("ascii")
    if len(text) > _LONGEST_YAML:
        raise FileError(
            f"{path}: what made the localizations is too long for a YAML file; write .parquet."
        )
    with replacing(path.with_suffix(".yaml")) as side, replacing(path) as partial:
        side.write_bytes(text)
        try:
            with h5py.File(partial, "w") as file:
                file["locs"] = rows
                file["metadata"] = json.dumps(described)
        except (OSError, RuntimeError) as error:  # the latter on closing, when the disk is full
            raise FileError(f"{path}: cannot be written ({reason(error)}).") from error


@np.errstate(all="ignore")  # impossible values are told in words later
def _to_um(fields: dict[str, NDArray[Any]], pixel_um: float) -> dict[str, NDArray[Any]]:
    columns = {"z_um": np.zeros(fields["frame"].shape)}
    for name, values in fields.items():
        if name in ("x", "y"):
            columns[f"{name}_um"] = (values.astype(np.float64) + 0.5) * pixel_um
        elif name in _PIXELS:
            known = values != UNKNOWN_PRECISION_PX
            columns[_PIXELS[name]] = np.where(known, values * pixel_um, np.nan)
        elif name in _NANOMETRES:
            columns[_NANOMETRES[name]] = values / 1000
        else:
            columns[_RENAMED.get(name, name)] = values
    return columns


def _to_pixels(
    localizations: Localizations, path: Path, pixel_um: float
) -> dict[str, NDArray[Any]]:
    table = localizations.table
    ours = {name: table[name].to_numpy() for name in table.columns}
    fields = {
        "x": ours["x_um"].astype(np.float64) / pixel_um - 0.5,
        "y": ours["y_um"].astype(np.float64) / pixel_um - 0.5,
        "z": ours["z_um"] * 1000,
    }
    for name, column in _PIXELS.items():
        sigma = ours[column] / pixel_um
        fields[name] = np.where(sigma > 0, sigma, UNKNOWN_PRECISION_PX)
    optional = {
        "photons": ours["photons"],
        "bg": ours["background"],
        "lpz": positive(ours["sigma_z_um"] * 1000),
        "probability": ours["probability"],
    }
    fields |= {name: values for name, values in optional.items() if is_known(values)}
    fields = {name: values.astype(np.float32) for name, values in fields.items()}
    if "track" in ours:
        fields["group"] = ours["track"]
    frame = ours["frame"].astype(np.uint32)
    return {"frame": frame, **fields, **number_columns(table, _TAKEN, path)}


def _description(localizations: Localizations, pixel_um: float) -> list[dict[str, Any]]:
    """The documents of the YAML file: the movie, and what made the table."""
    origin = localizations.origin
    x, y, frame = (localizations.table[name] for name in ("x_um", "y_um", "frame"))
    last = [0.0, 0.0, 0] if x.empty else [y.max() / pixel_um, x.max() / pixel_um, frame.max() + 1]
    height, width = origin.get("shape_px") or last[:2]
    movie = {
        "Width": max(1, math.ceil(width)),
        "Height": max(1, math.ceil(height)),
        "Frames": max(1, int(origin.get("frames") or last[2])),
        "Pixelsize": float(pixel_um * 1000),
    }
    # JSON within the YAML, so that nothing depends on YAML's guesses at types
    return [movie, {"Generated by": "dsacq", _ORIGIN: json.dumps(origin)}]


def _pixel_um(origin: dict[str, Any]) -> float | None:
    optics = origin.get("optics") or {}
    if "pixel_um" in origin:
        return float(origin["pixel_um"])
    if {"camera_pixel_um", "magnification"} <= set(optics):
        return float(optics["camera_pixel_um"] / optics["magnification"])
    return None


def _fields(path: Path, file: h5py.File) -> dict[str, NDArray[Any]]:
    """The columns of the dataset `locs` that hold a number per row."""
    dataset = file.get("locs")
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1 or not dataset.dtype.names:
        raise FileError(f"{path}: holds no table of localizations named locs.")
    require_stored(path, dataset)
    kinds = {name: dataset.dtype[name] for name in dataset.dtype.names}
    names = [name for name, kind in kinds.items() if kind.kind in "iufb" and not kind.shape]
    rows = dataset.fields(names)[()]
    return {name: rows[name].astype(kinds[name].newbyteorder("=")) for name in names}


class _Loader(yaml.SafeLoader):
    """Plain values only: what a program tagged is None, and merge keys are not followed."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Left as it is: merging can multiply the size of a document without bounds."""


_Loader.add_multi_constructor("", lambda loader, suffix, node: None)


def _origin(side: Path) -> dict[str, Any]:
    """What the YAML file tells, at least `pixel_um`, which may be NaN; later documents go first."""
    told: dict[str, Any] = {}
    with reading(side, "the YAML file of a Picasso file"):
        with side.open("rb") as file:
            content = file.read(_LONGEST_YAML + 1)
        if len(content) > _LONGEST_YAML:
            raise FileError(f"{side}: is too long to be the description of a movie.")
        for document in yaml.load_all(content, Loader=_Loader):
            told |= document if isinstance(document, dict) else {}
        origin = dict(json.loads(told.get(_ORIGIN, "{}")))
        if _ORIGIN not in told and {"Height", "Width", "Frames"} <= told.keys():
            origin["shape_px"] = [int(told["Height"]), int(told["Width"])]
            origin["frames"] = int(told["Frames"])
        # what the columns were written with goes before what origin says
        origin["pixel_um"] = float(told.get("Pixelsize", math.nan)) / 1000
    return origin
