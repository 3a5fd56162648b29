"""Pictures of localizations: histograms, average shifted histograms, Gaussians by precision.

They are drawn and written in bands of tiles: any size fits into memory.
"""

import math
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import tifffile
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from dsacq.analysis.rendering_colours import brightest, coloured_bands, highest
from dsacq.analysis.rendering_picture import (
    AXES,
    METHODS,
    Floats,
    Method,
    Picture,
    Window,
    layers_of,
)
from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.files.atomic import replacing

_LONGEST_PX = 2_000_000_000  # along a side
_MOST_PNG_PX = 400_000_000  # Pillow has all of them in memory
_CLASSIC_TIFF_BYTES = 4_200_000_000


def render(
    table: Localizations,
    pixel_um: float = 0.01,
    *,
    method: Method = "gaussian",
    plane: str = "xy",
    depth: bool = True,
    region_um: tuple[float, float, float, float] | None = None,
    depth_range_um: tuple[float, float] | None = None,
) -> Picture:
    """Localizations as a picture, seen along the third axis.

    method: "ash" is the mean of histograms of pixels four times as large, shifted by one; in
    "gaussian" each localization is a Gaussian of its precision (sigma_x_um, sigma_z_um), or of two
    pixels where there is none. region_um: (left, top, right, bottom) in the plane. Raises
    SettingsError for impossible sizes, and for tables without any localization there.
    """
    if method not in METHODS:
        raise SettingsError(f"method {method!r}: expected one of {', '.join(METHODS)}.")
    if plane not in AXES:
        raise SettingsError(f"plane {plane!r}: expected one of {', '.join(AXES)}.")
    across, down, third = (table.table[name].to_numpy() for name in AXES[plane])
    if region_um is None:
        if len(across) == 0:
            raise SettingsError("There are no localizations to show.")
        region_um = (float(across.min()), float(down.min()), float(across.max()), float(down.max()))
    left, top, right, bottom = region_um
    columns, rows = (
        int(np.floor((high - low) / pixel_um)) + 1 for low, high in ((left, right), (top, bottom))
    )
    if not (0 < rows <= _LONGEST_PX and 0 < columns <= _LONGEST_PX):
        raise SettingsError(
            f"An image of {columns} x {rows} pixels is impossible; choose another pixel or region."
        )
    column, row = np.floor((across - left) / pixel_um), np.floor((down - top) / pixel_um)
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    if not inside.any():
        raise SettingsError("There are no localizations in that region.")
    height_um = third[inside]
    places = row[inside].astype(np.int32), column[inside].astype(np.int32)
    layers = layers_of(method, *places, height_um, _sigma_um(table, plane)[inside] / pixel_um)
    if not depth:
        depth_range_um = None
    elif depth_range_um is None:
        low, high = np.percentile(height_um[:: max(1, len(height_um) // 1_000_000)], (1, 99))
        depth_range_um = (float(low), float(max(high, low + 1e-3)))
    return Picture(layers, (rows, columns), (left, top), pixel_um, plane, depth_range_um)


def write_picture(picture: Picture, path: Path) -> None:
    """.png or .rgb.tif: colours, with bars. .tif: the counts, 16 bits and scaled to their highest,
    for ImageJ with its scale. Raises FileError."""
    for _ in write_in_bands(picture, path):
        pass


def write_in_bands(picture: Picture, path: Path) -> Generator[int]:
    """As write_picture; yields the percentage that is done.

    A picture is drawn twice, because its scale must be known before its first pixel is written.
    """
    ending = path.suffix.lower()
    if ending == ".png":
        yield from _write_png(picture, path)
    elif ending not in (".tif", ".tiff"):
        raise FileError(f"{path}: pictures are written as .png, .tif or .rgb.tif.")
    elif path.stem.lower().endswith(".rgb"):
        yield from _write_colours(picture, path)
    else:
        yield from _write_counts(picture, path)


def render_volume(
    table: Localizations,
    path: Path,
    pixel_um: float = 0.02,
    slice_um: float = 0.05,
    method: Method = "gaussian",
) -> int:
    """Write slices through z as an OME-TIFF, one at a time; returns how many there are. Raises
    FileError and SettingsError."""
    heights = table.table["z_um"].to_numpy()
    if len(heights) == 0:
        raise SettingsError("There are no localizations to show.")
    low, high = float(heights.min()), float(heights.max())
    count = int((high - low) / slice_um) + 1
    across, down = (table.table[name].to_numpy() for name in ("x_um", "y_um"))
    region = (float(across.min()), float(down.min()), float(across.max()), float(down.max()))
    numbers = np.minimum(((heights - low) / slice_um).astype(int), count - 1)
    metadata = {
        "axes": "ZYX",
        "PhysicalSizeX": pixel_um,
        "PhysicalSizeY": pixel_um,
        "PhysicalSizeZ": slice_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZUnit": "µm",
    }
    flat = render(table, pixel_um, method="histogram", depth=False, region_um=region)
    shape = (count, *flat.shape)
    with _new_file(path, shape, np.float32) as file:
        start = _begin_tiff(file, shape, np.float32, {}, metadata)
        for number in np.unique(numbers):  # a slice without localizations is zero already
            part = Localizations(table.table[numbers == number], table.origin)
            picture = render(part, pixel_um, method=method, depth=False, region_um=region)
            file.seek(start + 4 * int(number) * shape[1] * shape[2])
            for _, tiles in picture.each(picture.counts):
                file.write(np.concatenate(tiles, 1).data)
    return count


def _sigma_um(table: Localizations, plane: str) -> Floats:
    """Of each localization, the root mean square of its precisions in the plane."""
    across, down = (
        table.table[f"sigma_{name.removesuffix('_um')}_um"].to_numpy() for name in AXES[plane][:2]
    )
    sigma_um: Floats = np.sqrt((across**2 + down**2) / 2)
    return sigma_um


def _write_png(picture: Picture, path: Path) -> Generator[int]:
    rows, columns = picture.shape
    if rows * columns > _MOST_PNG_PX:
        raise FileError(
            f"{path}: a PNG of {columns} x {rows} pixels would not fit into memory; write an "
            ".rgb.tif, or choose a larger pixel or a smaller region."
        )
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        for scale in brightest(picture):
            yield int(50 * scale.done)
        bands = []
        for done, band in coloured_bands(picture, scale.top):
            bands.append(band)
            yield int(50 + 50 * done)
        Image.fromarray(np.concatenate(bands)).save(file, format="PNG")


def _write_colours(picture: Picture, path: Path) -> Generator[int]:
    per_cm, shape = 1e4 / picture.pixel_um, (*picture.shape, 3)
    with _new_file(path, shape, np.uint8) as file:
        for scale in brightest(picture):
            yield int(50 * scale.done)
        tags = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
        _begin_tiff(file, shape, np.uint8, tags | {"photometric": "rgb"})
        for done, band in coloured_bands(picture, scale.top):
            file.write(band.data)
            yield int(50 + 50 * done)


def _write_counts(picture: Picture, path: Path) -> Generator[int]:
    per_um = 1 / picture.pixel_um
    with _new_file(path, picture.shape, np.uint16) as file:
        for scale in highest(picture):
            yield int(50 * scale.done)
        tags = {
            # As ImageJ writes it: tifffile's own files for ImageJ end at 4 GB.
            "description": f"ImageJ=1.54f\nunit=um\nlocalizations_at_65535={scale.top}\n",
            "resolution": (per_um, per_um),
            "resolutionunit": "NONE",
        }
        _begin_tiff(file, picture.shape, np.uint16, tags)
        of_one = 65535 / scale.top

        def scaled(window: Window) -> NDArray[np.uint16]:
            values: Floats = np.rint(picture.counts(window) * of_one)
            return values.astype(np.uint16)

        for done, tiles in picture.each(scaled):
            file.write(np.concatenate(tiles, 1).data)
            yield int(50 + 50 * done)


@contextmanager
def _new_file(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[IO[bytes]]:
    """To write an image to. Raises FileError, also where the disk has not enough room for it."""
    with replacing(path) as unfinished, unfinished.open("w+b") as file:
        needed, free = _bytes(shape, dtype), shutil.disk_usage(unfinished.parent).free
        if needed > free:
            raise FileError(
                f"{path}: needs {needed / 1e9:.3g} GB, and the disk has {free / 1e9:.3g}; choose a "
                "larger pixel or a smaller region."
            )
        yield file


def _begin_tiff(
    file: IO[bytes],
    shape: tuple[int, ...],
    dtype: DTypeLike,
    tags: dict[str, Any],
    metadata: dict[str, Any] | None = None,
) -> int:
    """Write all of a TIFF but its pixels, and go to where they begin, which is returned. Metadata
    are those of an OME-TIFF."""
    big = _bytes(shape, dtype) > _CLASSIC_TIFF_BYTES
    with tifffile.TiffWriter(file, bigtiff=big, ome=metadata is not None) as writer:
        place: Any = writer.write(
            shape=shape, dtype=dtype, metadata=metadata, returnoffset=True, **tags
        )
    start: int = place[0]
    file.seek(start)
    return start


def _bytes(shape: tuple[int, ...], dtype: DTypeLike) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize
