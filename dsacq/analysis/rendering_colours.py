"""Brightness and colours of a picture of localizations, band by band, with its bars."""

from collections.abc import Generator
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dsacq.analysis.rendering_picture import AXES, DARK, Picture, Window

Bytes = NDArray[np.uint8]

_BRIGHTEST = 99.5  # percentile of the lit pixels that is shown as white
_GAMMA = 0.6
_BAR_LENGTHS_UM = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
# Positive numbers rank as their bits do; without the last 14, steps are of 0.2 %.
_STEP_BITS = 14
_DARKEST, _INFINITE = (int(np.float32(x).view(np.uint32)) >> _STEP_BITS for x in (DARK, np.inf))


class Scale(NamedTuple):
    """top: localizations per pixel that are shown as white, or 65535, as far as is known with
    this part done, of 1."""

    done: float
    top: float


def coloured(picture: Picture) -> Bytes:
    """(rows, columns, 3): brightness is density, hue is depth; with scale and colour bars."""
    *_, scale = brightest(picture)
    return np.concatenate([band for _, band in coloured_bands(picture, scale.top)])


def highest(picture: Picture) -> Generator[Scale]:
    """The most localizations in a pixel."""
    top = 1e-6
    for done, tiles in picture.each(lambda window: float(picture.counts(window).max())):
        top = max(top, *tiles)
        yield Scale(done, top)


def brightest(picture: Picture) -> Generator[Scale]:
    """What is shown as white."""
    steps = _INFINITE - _DARKEST

    def lit(window: Window) -> NDArray[np.intp]:
        counts = picture.counts(window)
        step = (counts[counts > DARK].view(np.uint32) >> _STEP_BITS) - _DARKEST
        return np.bincount(step, minlength=steps)

    pixels = np.zeros(steps, np.intp)
    for done, tiles in picture.each(lit):
        for tile in tiles:
            pixels += tile
        step = np.searchsorted(pixels.cumsum(), _BRIGHTEST / 100 * pixels.sum())
        yield Scale(done, float(np.uint32((step + _DARKEST) << _STEP_BITS).view(np.float32)))


def coloured_bands(picture: Picture, top: float) -> Generator[tuple[float, Bytes]]:
    """How much is done, of 1, and the rows that follow."""
    hues = (colormaps["turbo"](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.float32)

    def colours(window: Window) -> Bytes:
        counts = picture.counts(window)
        bright = np.clip(counts / top, 0, 1)[..., None] ** _GAMMA
        if picture.depth_range_um is None:
            return np.repeat((255 * bright).astype(np.uint8), 3, 2)
        low, high = picture.depth_range_um
        place = np.nan_to_num(
            np.clip((picture.depth_um(window, counts) - low) / (high - low), 0, 1)
        )
        rgb: Bytes = (hues[(255 * place).astype(np.uint8)] * bright).astype(np.uint8)
        return rgb

    row = 0
    for done, tiles in picture.each(colours):
        band = np.concatenate(tiles, 1)
        yield done, _with_bars(band, picture, row)
        row += len(band)


def _with_bars(band: Bytes, picture: Picture, first_row: int) -> Bytes:
    """Rows of the picture, with what they show of its bars."""
    rows, columns = picture.shape
    if min(rows, columns) < 120:
        return band
    image = Image.fromarray(band)
    draw = ImageDraw.Draw(image)
    size = max(12, min(rows, columns) // 45)
    font, margin = ImageFont.load_default(size), size
    wanted = columns * picture.pixel_um / 5
    length_um = min(_BAR_LENGTHS_UM, key=lambda length: abs(np.log(length / wanted)))
    length, bottom = round(length_um / picture.pixel_um), rows - margin - first_row
    draw.rectangle((margin, bottom - size // 3, margin + length, bottom), fill="white")
    draw.text(
        (margin, bottom - size // 3 - 2), f"{length_um:g} um", fill="white", font=font, anchor="lb"
    )
    if picture.depth_range_um is not None:
        high, left = min(10 * size, rows // 3), columns - margin - size
        hues = (colormaps["turbo"](np.linspace(1, 0, high))[:, :3] * 255).astype(np.uint8)
        image.paste(Image.fromarray(np.repeat(hues[:, None], size, 1)), (left, margin - first_row))
        low_um, high_um = picture.depth_range_um
        axis = AXES[picture.plane][2][0]
        for down, told, anchor in (
            (0, f"{high_um:.2f}", "rt"),
            (high // 2, f"{axis}, um", "rm"),
            (high, f"{low_um:.2f}", "rb"),
        ):
            place = (left - size // 2, margin + down - first_row)
            draw.text(place, told, fill="white", font=font, anchor=anchor)
    return np.asarray(image)
