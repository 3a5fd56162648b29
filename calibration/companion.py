"""Whether what looks like one bead is two: one image, and the same beside it at every focus.

If the images I are those of one bead, h, and a fainter copy at a distance d, then h is the series
I(x) - a I(x - d) + a^2 I(x - 2 d) - ..., which is nowhere negative. Of a lone bead it is, where
the second was to be; and what a mask makes of a lone bead, such as lobes, does not stay at the same
distance while the focus moves. So nothing needs to be known of the mask.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

Floats = NDArray[np.float64]

_PLANES = 6  # that are looked at, spread over the scan
_PARTS = (0.15, 0.22, 0.33, 0.5, 0.7, 1.0)  # brightness of the second over that of the first
_NEAR_PX = 9.0  # up to which all distances are tried; beyond, those that the spectrum tells
_MOST = 30  # of those
_FARTHEST = 0.8  # of the side
_LEAST_PX = 3.0
_HIDDEN = 0.3  # of the power, of noise in a plane that tells nothing
_TELLING = 4.0  # times the power of the noise, of the second's power that can be told
_WIDTHS = 1.25  # of a spot, that two are apart at least
_COARSE_PX, _COARSE_WIDTHS = 4.5, 2.2  # of an image without finer spots, which tells less
_NEGATIVE = 0.1  # of the second's power, up to which it may be one
_SMOOTH_PX = 1.0
_DARKEST = 0.01  # of the light, of the last term of the series


def companion_px(planes: NDArray[np.floating]) -> tuple[int, int] | None:
    """(rows, columns) from the brighter of two beads to the other, or None for one alone.

    planes (K, H, W): of a bead near the middle; H = W is odd.
    """
    some = np.linspace(0, len(planes) - 1, min(_PLANES, len(planes))).round().astype(int)
    images = np.stack([_levelled(one) for one in planes[np.unique(some)].astype(np.float64)])
    power = (images**2).sum((1, 2), keepdims=True)
    if not (power > 0).all():
        return None
    sharp = gaussian_filter(images / np.sqrt(power), (0, _SMOOTH_PX, _SMOOTH_PX))
    sharp /= np.sqrt((sharp**2).sum((1, 2), keepdims=True))
    border = np.concatenate([sharp[:, side] for side in (0, 1, -1, -2)], 1)
    noise = sharp[0].size * (1.4826 * np.median(abs(border), 1)) ** 2  # of the power, which is 1
    clear = noise < _HIDDEN
    if not clear.any():
        return None
    images, sharp, noise = images[clear], sharp[clear], noise[clear]
    spot_px = _spot_px(sharp)
    widths = _WIDTHS if spot_px < _COARSE_PX else _COARSE_WIDTHS
    least_px = max(_LEAST_PX, widths * spot_px)
    best, found = _NEGATIVE, None
    for way in _ways(images, least_px):
        for part in _PARTS:
            if not part**2 > _TELLING * noise.max():
                continue
            negative = _negative(sharp, noise, way, part)
            if negative < best:
                best, found = negative, way
    return found


def _levelled(image: Floats) -> Floats:
    """Without the plane through its border."""
    size = image.shape[0]
    axis = np.linspace(-1, 1, size)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    border = np.ones(image.shape, bool)
    border[2:-2, 2:-2] = False
    basis = np.stack((np.ones_like(x), x, y), -1)
    level, *_ = np.linalg.lstsq(basis[border], image[border], rcond=None)
    return np.asarray(image - basis @ level)


def _spot_px(sharp: Floats) -> float:
    """Half width of the finest spots: where the correlation of an image with itself has fallen to
    a half, in the plane where it is narrowest."""
    size = 2 * sharp.shape[1]
    spectrum = abs(np.fft.fft2(sharp, s=(size, size))) ** 2
    likeness = np.fft.fftshift(np.fft.ifft2(spectrum).real, (1, 2))
    middle = size // 2
    profiles = np.concatenate((likeness[:, middle, middle:], likeness[:, middle:, middle]))
    profiles /= profiles[:, :1]
    widths = [size / 1.0]
    for profile in profiles:
        below = np.flatnonzero(profile < 0.5)
        if len(below):
            inner, outer = profile[below[0] - 1], profile[below[0]]
            widths.append(below[0] - 1 + (inner - 0.5) / (inner - outer))
    return float(min(widths))


def _ways(images: Floats, least_px: float) -> list[tuple[int, int]]:
    """Distances (rows, columns) that are worth a look."""
    size = images.shape[1]
    reach = math.floor(_NEAR_PX)
    near = [
        (row, column)
        for row in range(-reach, reach + 1)
        for column in range(-reach, reach + 1)
        if least_px <= math.hypot(row, column) <= _NEAR_PX
    ]
    # Two alike make fringes in the spectrum, of the same period at every focus.
    spectrum = abs(np.fft.fft2(images, s=(2 * size, 2 * size))) ** 2
    fringes = np.log(spectrum + np.median(spectrum, (1, 2))[:, None, None]).mean(0)
    peaks = np.fft.fftshift(np.fft.ifft2(fringes).real)
    peaks -= gaussian_filter(peaks, 4)
    rows, columns = np.nonzero(peaks == maximum_filter(peaks, 3))
    away = np.hypot(rows - size, columns - size)
    fits = (away >= _NEAR_PX) & (away <= _FARTHEST * size)
    order = np.argsort(-peaks[rows[fits], columns[fits]])[:_MOST]
    far = np.stack((rows[fits] - size, columns[fits] - size), 1)[order]
    return near + [(int(row), int(column)) for row, column in far]


def _negative(sharp: Floats, noise: Floats, way: tuple[int, int], part: float) -> float:
    """Power of what is negative in the series, over that of the second bead: 0 for two, about 1 for
    one alone. Of the mean over the planes and the worst; what noise hides counts for neither."""
    row, column = way
    room = ((0, 0), (max(-row, 0), max(row, 0)), (max(-column, 0), max(column, 0)))
    total = np.pad(sharp, room)
    term, weight = -part * _moved(total, way), part
    while weight > _DARKEST and term.any():
        total += term
        term = -part * _moved(term, way)
        weight *= min(part, 0.7)
    negative = (np.minimum(total, 0) ** 2).sum((1, 2))
    negative = negative.clip(min=0) / (part**2 * (1 - noise))
    return float(negative.mean() + negative.max()) / 2


def _moved(images: Floats, way: tuple[int, int]) -> Floats:
    out = np.zeros_like(images)
    height, width = images.shape[1:]
    row, column = way
    if abs(row) < height and abs(column) < width:
        out[:, max(row, 0) : height + min(row, 0), max(column, 0) : width + min(column, 0)] = (
            images[:, max(-row, 0) : height - max(row, 0), max(-column, 0) : width - max(column, 0)]
        )
    return out
