"""Whether what looks like one bead is two: at every focus, the same image twice.

Two beads beside each other make each plane alike to itself, moved by their distance. What a mask
makes of a lone bead, such as lobes, does too, but at another distance at each focus. So nothing
needs to be known of the mask, and the plane that is least alike tells.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

SPOT_PX, AROUND_PX = 1.2, 4.0  # finest details of images, and what is compared with

_LEAST_PLANES = 5
_ALIKE = 0.05  # one bead has 0.01 at most; two have b / (1 + b^2), b: one's light over the other's
_NEAREST_PX = 5.0  # nearer, the two are one spot
_FARTHEST = 0.6  # of the image's side


def details(plane: NDArray[np.floating]) -> NDArray[np.float64]:
    """An image (H, W) without what is wider than the finest parts of a PSF."""
    values = plane.astype(np.float64)
    return np.asarray(gaussian_filter(values, SPOT_PX) - gaussian_filter(values, AROUND_PX))


def twin_px(planes: NDArray[np.floating]) -> float | None:
    """How far the second of two beads is in planes (K, H, W), without background, of what should be
    one; None for one, and for planes too few to tell."""
    if len(planes) < _LEAST_PLANES:
        return None
    sharp = np.stack([details(plane) for plane in planes])
    sharp -= np.median(sharp, (1, 2), keepdims=True)  # an even offset is alike at every distance
    size = 2 * np.array(sharp.shape[1:])  # nothing comes in on the other side
    alike = np.fft.ifft2(abs(np.fft.fft2(sharp, s=tuple(size))) ** 2).real
    power = alike[:, :1, :1]
    if not (power > 0).all():
        return None
    least = np.fft.fftshift((alike / power).min(0))
    away = np.hypot(*(np.indices(least.shape) - size[:, None, None] // 2))
    near = (away >= _NEAREST_PX) & (away <= _FARTHEST * size.min() / 2)
    peaks = np.where(near & (least == maximum_filter(least, 3)), least, 0.0)
    best = np.unravel_index(int(peaks.argmax()), peaks.shape)
    return float(away[best]) if peaks[best] > _ALIKE else None
