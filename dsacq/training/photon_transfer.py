"""Is the camera's gain right? Told by how much dark pixels vary from frame to frame."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, gaussian_filter

from dsacq.physics.camera import Camera, response

PAIRS = 16  # of consecutive frames: more make nothing clearer
_LEVELS = 8  # of brightness that each pair is divided into,
_DARK = 4  # the lowest of which are free enough of emitters that come and go
_SMOOTH_PX = 5.0
_OUTLYING = 3.5  # standard deviations
_LEAST_PX = 2000  # in all dark levels: their variance is then known to about 5 %
_SECOND = np.outer([1, -2, 1], [1, -2, 1]) / 6.0  # keeps the variance of white noise
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PhotonTransfer:
    """Mean (ADU) and variance (ADU^2) at each level of brightness of each pair, and the gain that
    the dark ones show: None when they are too few, or not brighter than the camera's offset."""

    mean_adu: Values
    variance_adu2: Values
    adu_per_electron: float | None


def photon_transfer(
    pairs: Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]], camera: Camera
) -> PhotonTransfer:
    """The gain that pairs of consecutive frames (H, W) show, by the camera's offset and read noise.

    The difference of two frames holds no steady structure: half its variance is that of one frame,
    excess * gain * (mean - offset) + read variance. Source: Janesick, Photon Transfer (2007).
    """
    found = np.array([_levels(first, second) for first, second in pairs]).reshape(-1, _LEVELS, 3)
    made = response(camera)
    offset, gain = (float(np.mean(part)) for part in (made.offset_adu, made.adu_per_electron))
    read_adu2 = float(np.mean(made.read_variance_electrons)) * gain**2
    mean, variance, pixels = found[:, :_DARK].mean(1).T
    light = float(np.median(mean)) - offset if len(mean) else 0.0
    shown = None
    if _DARK * pixels.sum() >= _LEAST_PX and light > 0:
        noise = float(np.median(variance)) - read_adu2
        shown = noise / light / (2 if made.excess else 1) if noise > 0 else None
    return PhotonTransfer(found[..., 0].ravel(), found[..., 1].ravel(), shown)


def noise_variance(image: NDArray[np.floating], where: NDArray[np.bool_]) -> float:
    """Variance of the noise of the pixels `where` of an image (H, W), whatever smooth lies below.

    From second differences along both axes, without those that stand out, as emitters do. Source:
    Immerkaer, Comput. Vis. Image Underst. 64, 300 (1996).
    """
    inner = slice(1, -1), slice(1, -1)  # edges lack neighbours
    square = convolve(image.astype(np.float64), _SECOND)[inner][where[inner]] ** 2
    variance = 2.2 * float(np.median(square))
    for _ in range(3):
        usual = square[square < _OUTLYING**2 * variance]
        variance = float(usual.mean()) if len(usual) else 0.0
    return variance


def _levels(first: NDArray[np.floating], second: NDArray[np.floating]) -> Values:
    """(levels, 3): mean, variance and number of the pixels at each level of brightness."""
    one, other = first.astype(np.float64), second.astype(np.float64)
    # Dark in both: what comes or goes between them is bright in one.
    brightest = np.maximum(gaussian_filter(one, _SMOOTH_PX), gaussian_filter(other, _SMOOTH_PX))
    edges = np.quantile(brightest, np.linspace(0, 1, _LEVELS + 1)[1:-1])
    level = np.searchsorted(edges, brightest)
    rows = []
    for number in range(_LEVELS):
        here = level == number
        if not here.any():
            here = np.ones_like(here)
        noise = noise_variance(other - one, here) / 2
        rows.append((float((one + other)[here].mean() / 2), noise, float(here.sum())))
    return np.array(rows)
