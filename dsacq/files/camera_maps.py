"""A camera as a table for TOML or JSON, and the files of its maps, which the table names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from dsacq.errors import FileError
from dsacq.files.atomic import replacing
from dsacq.files.binary import checked_shape
from dsacq.files.reading import mapped_array, reading
from dsacq.files.tiff import TiffStack
from dsacq.physics.camera import Camera, Map

MAPS = {
    "offset_adu": "offset.tif",
    "gain_adu_per_electron": "gain.tif",
    "read_variance_adu2": "read-variance.tif",
}


def camera_table(camera: Camera) -> dict[str, Any]:
    """The numbers of a camera; for a map, the name of the file that `write_maps` gives it."""
    return {
        name: MAPS[name] if isinstance(value, np.ndarray) else value
        for name, value in vars(camera).items()
    }


def write_maps(camera: Camera, folder: Path) -> None:
    """Write the maps of a camera, if it has any, as float32 TIFFs. Raises FileError."""
    for name, file in MAPS.items():
        values = getattr(camera, name, None)
        if isinstance(values, np.ndarray):
            with replacing(folder / file) as unfinished:
                tifffile.imwrite(unfinished, values, metadata={"axes": "YX"})


def with_maps(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A camera's table with the maps (rows, columns) in place of their files' names.

    folder: that the names start from. Raises FileError.
    """
    named = {name: table[name] for name in MAPS if isinstance(table.get(name), str)}
    return {**table, **{name: _read_map(folder / file, name) for name, file in named.items()}}


def _read_map(path: Path, name: str) -> Map:
    with reading(path, "a map of the camera's pixels"):
        values = _array(path)
    if values.ndim != 2 or values.dtype.kind not in "uif":
        raise FileError(f"{path}: is not a map of numbers, rows and columns.")
    checked_shape(path, values.shape[0], values.shape[1], np.dtype(np.float64))
    least_ok = values > 0 if name == "gain_adu_per_electron" else values >= 0
    wrong = np.argwhere(~(least_ok & np.isfinite(values)))
    if len(wrong):
        row, column = wrong[0]
        raise FileError(
            f"{path}: {len(wrong)} values are no {name}, the first, {values[row, column]:g}, in "
            f"row {row}, column {column}."
        )
    with np.errstate(over="ignore"):  # what does not fit becomes infinite
        single = np.array(values, np.float32)
    if not np.isfinite(single).all():
        raise FileError(f"{path}: has values up to {values.max():g}, which is no {name}.")
    return single


def _array(path: Path) -> NDArray[Any]:
    if path.suffix.lower() == ".npy":
        return mapped_array(path)
    stack = TiffStack(path)
    try:
        if stack.count != 1:
            raise FileError(
                f"{path}: is not a map of numbers, rows and columns, but {stack.count} of them."
            )
        return stack.read(0)
    finally:
        stack.close()
