"""Pictures of localizations: histograms, average shifted histograms, Gaussians by precision."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.files.atomic import replacing

Floats = NDArray[np.float32]
Method = Literal["histogram", "ash", "gaussian"]

METHODS: tuple[Method, ...] = ("histogram", "ash", "gaussian")
AXES = {
    "xy": ("x_um", "y_um", "z_um"),
    "xz": ("x_um", "z_um", "y_um"),
    "yz": ("y_um", "z_um", "x_um"),
}
_SHIFTS = 4  # of an average shifted histogram, along each axis
_WIDTHS = 8  # different Gaussians; precisions between are shown as the next
_MOST_PX = 400_000_000
_BRIGHTEST = 99.5  # percentile of the lit pixels that is shown as white
_GAMMA = 0.6
_BAR_LENGTHS_UM = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True, eq=False)
class Rendered:
    """counts (rows, columns): localizations per pixel. depth: their mean of the third axis, um, NaN
    where there are none; its range as it is shown. corner_um: of the upper-left pixel."""

    counts: Floats
    depth_um: Floats | None
    depth_range_um: tuple[float, float]
    corner_um: tuple[float, float]
    pixel_um: float
    plane: str


def render(
    table: Localizations,
    pixel_um: float = 0.01,
    *,
    method: Method = "gaussian",
    plane: str = "xy",
    depth: bool = True,
    region_um: tuple[float, float, float, float] | None = None,
    depth_range_um: tuple[float, float] | None = None,
) -> Rendered:
    """Localizations as an image, seen along the third axis.

    method: "ash" is the mean of histograms of pixels four times as large, shifted by one; in
    "gaussian" each localization is a Gaussian of its precision (sigma_x_um, sigma_z_um), or of two
    pixels where there is none. region_um: (left, top, right, bottom) in the plane. Raises
    SettingsError for images that are too large, and for tables without any localization there.
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
    if rows < 1 or columns < 1 or rows * columns > _MOST_PX:
        raise SettingsError(
            f"An image of {columns} x {rows} pixels is impossible or too large; choose a larger "
            "pixel or a smaller region."
        )
    column = np.floor((across - left) / pixel_um).astype(np.int64)
    row = np.floor((down - top) / pixel_um).astype(np.int64)
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    if not inside.any():
        raise SettingsError("There are no localizations in that region.")
    flat = (row * columns + column)[inside]
    shape = (rows, columns)
    widths = _widths_px(table, plane, pixel_um, inside) if method == "gaussian" else None

    def drawn(weight: NDArray[np.floating] | None) -> Floats:
        if widths is None:
            image = _binned(flat, weight, shape)
            return _averaged(image) if method == "ash" else image
        image = np.zeros(shape, np.float32)
        edges, which = widths
        for number, width in enumerate(edges):
            own = which == number
            if own.any():
                part = _binned(flat[own], None if weight is None else weight[own], shape)
                image += ndimage.gaussian_filter(part, width, mode="constant", truncate=3.5)
        return image

    counts = drawn(None)
    shown = (left, top)
    if not depth:
        return Rendered(counts, None, (0.0, 0.0), shown, pixel_um, plane)
    heights = third[inside].astype(np.float64)
    if depth_range_um is None:
        low, high = np.percentile(heights[:: max(1, len(heights) // 1_000_000)], (1, 99))
        depth_range_um = (float(low), float(max(high, low + 1e-3)))
    mean = drawn(heights)
    enough = counts > 1e-3
    mean = np.divide(mean, counts, out=np.full(shape, np.nan, np.float32), where=enough)
    return Rendered(counts, mean, depth_range_um, shown, pixel_um, plane)


def coloured(image: Rendered, *, bars: bool = True) -> NDArray[np.uint8]:
    """(rows, columns, 3): brightness is density, hue is depth; with scale and colour bars."""
    lit = image.counts[image.counts > 1e-3]
    top = float(np.percentile(lit[:: max(1, lit.size // 1_000_000)], _BRIGHTEST)) if lit.size else 1
    bright = np.clip(image.counts / max(top, 1e-6), 0, 1) ** _GAMMA
    if image.depth_um is None:
        rgb = np.repeat((255 * bright).astype(np.uint8)[..., None], 3, 2)
    else:
        low, high = image.depth_range_um
        place = np.nan_to_num(np.clip((image.depth_um - low) / (high - low), 0, 1))
        hues = (colormaps["turbo"](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.float32)
        rgb = (hues[(255 * place).astype(np.uint8)] * bright[..., None]).astype(np.uint8)
    return _with_bars(rgb, image) if bars else rgb


def write_picture(image: Rendered, path: Path) -> None:
    """.png: colours, with bars. .tif: the counts, 16 bits and scaled to their highest, for ImageJ
    with its scale; a TIFF of RGB beside it is what .rgb.tif asks for. Raises FileError."""
    ending = path.suffix.lower()
    if ending == ".png":
        with replacing(path) as unfinished:
            Image.fromarray(coloured(image)).save(unfinished, format="PNG")
        return
    if ending not in (".tif", ".tiff"):
        raise FileError(f"{path}: pictures are written as .png, .tif or .rgb.tif.")
    per_um = 1 / image.pixel_um
    with replacing(path) as unfinished:
        if path.stem.lower().endswith(".rgb"):
            tifffile.imwrite(
                unfinished,
                coloured(image),
                photometric="rgb",
                resolution=(1e4 * per_um, 1e4 * per_um),
                resolutionunit="CENTIMETER",
            )
            return
        top = max(float(image.counts.max()), 1e-6)
        tifffile.imwrite(
            unfinished,
            np.rint(image.counts * (65535 / top)).astype(np.uint16),
            imagej=True,
            resolution=(per_um, per_um),
            metadata={"unit": "um", "localizations_at_65535": top},
        )


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
    shape = render(table, pixel_um, method="histogram", depth=False, region_um=region).counts.shape

    def slices() -> Generator[NDArray[np.float32]]:
        for number in range(count):
            own = numbers == number
            if not own.any():
                yield np.zeros(shape, np.float32)
                continue
            part = Localizations(table.table[own], table.origin)
            yield render(part, pixel_um, method=method, depth=False, region_um=region).counts

    with replacing(path) as unfinished, tifffile.TiffWriter(unfinished, ome=True) as writer:
        writer.write(slices(), shape=(count, *shape), dtype=np.float32, metadata=metadata)
    return count


def _widths_px(
    table: Localizations, plane: str, pixel_um: float, inside: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.intp]]:
    """A few widths, and which of them each localization has."""
    names = [name.replace("_um", "") for name in AXES[plane][:2]]
    columns = [table.table[f"sigma_{name}_um"].to_numpy()[inside] for name in names]
    sigma = np.sqrt(np.mean(np.square(np.stack(columns).astype(np.float64)), 0)) / pixel_um
    sigma = np.where(np.isfinite(sigma) & (sigma > 0), sigma, 2.0)
    sigma = np.clip(sigma, 0.5, 200.0)
    low, high = np.percentile(sigma[:: max(1, len(sigma) // 1_000_000)], (0.5, 99.5))
    widths = np.geomspace(low, max(high, low * 1.01), _WIDTHS)
    which = np.searchsorted(np.sqrt(widths[1:] * widths[:-1]), sigma)
    return widths.astype(np.float32), which


def _binned(
    flat: NDArray[np.int64], weight: NDArray[np.floating] | None, shape: tuple[int, int]
) -> Floats:
    counts = np.bincount(flat, weight, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float32)


def _averaged(image: Floats) -> Floats:
    """The mean of histograms of larger pixels, shifted: a triangle over the smaller ones."""
    away = np.arange(-_SHIFTS + 1, _SHIFTS)
    kernel = ((1 - abs(away) / _SHIFTS) / _SHIFTS).astype(np.float32)
    for axis in (0, 1):
        image = ndimage.convolve1d(image, kernel, axis=axis, mode="constant")
    return image


def _with_bars(rgb: NDArray[np.uint8], image: Rendered) -> NDArray[np.uint8]:
    rows, columns = rgb.shape[:2]
    if min(rows, columns) < 120:
        return rgb
    picture = Image.fromarray(rgb)
    draw = ImageDraw.Draw(picture)
    size = max(12, min(rows, columns) // 45)
    font, margin = ImageFont.load_default(size), size
    wanted = columns * image.pixel_um / 5
    length_um = min(_BAR_LENGTHS_UM, key=lambda length: abs(np.log(length / wanted)))
    length, bottom = round(length_um / image.pixel_um), rows - margin
    draw.rectangle((margin, bottom - size // 3, margin + length, bottom), fill="white")
    draw.text(
        (margin, bottom - size // 3 - 2), f"{length_um:g} um", fill="white", font=font, anchor="lb"
    )
    if image.depth_um is not None:
        high, left = min(10 * size, rows // 3), columns - margin - size
        hues = (colormaps["turbo"](np.linspace(1, 0, high))[:, :3] * 255).astype(np.uint8)
        picture.paste(Image.fromarray(np.repeat(hues[:, None], size, 1)), (left, margin))
        low_um, high_um = image.depth_range_um
        axis = AXES[image.plane][2][0]
        for down, told, anchor in (
            (0, f"{high_um:.2f}", "rt"),
            (high // 2, f"{axis}, um", "rm"),
            (high, f"{low_um:.2f}", "rb"),
        ):
            place = (left - size // 2, margin + down)
            draw.text(place, told, fill="white", font=font, anchor=anchor)
    return np.asarray(picture)
