"""Resolution of a set of localizations: Fourier ring correlation, and widths of line profiles.

Nieuwenhuizen et al., Nat. Methods 10, 557 (2013).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage, optimize
from scipy.fft import next_fast_len
from scipy.signal.windows import tukey

from dsacq.data import Localizations
from dsacq.errors import SettingsError
from dsacq.files.figures import save_figure

Floats = NDArray[np.float64]

PLANES = {"xy": ("x_um", "y_um"), "xz": ("x_um", "z_um"), "yz": ("y_um", "z_um")}
THRESHOLD = 1 / 7
_MOST_PX = 8192  # along an axis
_EDGE = 0.125  # of the image, that is faded out on each side
_SMOOTH_RINGS = 5
_LEAST = 500
_BLOCK = 50  # frames that stay together where nothing is linked: blinks of one molecule


@dataclass(frozen=True, eq=False)
class RingCorrelation:
    """correlation (Q,) at per_um (Q,) spatial frequencies; smoothed; resolution_um where it falls
    below 1/7, or NaN if it does not within what the pixels show."""

    plane: str
    per_um: Floats
    correlation: Floats
    smoothed: Floats
    resolution_um: float
    pixel_um: float


def ring_correlation(
    table: Localizations, plane: str = "xy", pixel_um: float = 0.005, seed: int = 0
) -> RingCorrelation:
    """Correlation of two images, each of half of the localizations.

    Halves are drawn by track where the table is linked, else by blocks of 50 frames, so that
    repeated views of one molecule in consecutive frames do not count as structure. Correct drift
    before. The image is of the middle of the field where it is larger than 8192 pixels. Raises
    SettingsError.
    """
    if plane not in PLANES:
        raise SettingsError(f"plane {plane!r}: expected one of {', '.join(PLANES)}.")
    rows = table.table
    if len(rows) < _LEAST:
        raise SettingsError(f"{len(rows)} localizations are too few for a ring correlation.")
    place_um = rows[list(PLANES[plane])].to_numpy(np.float64)
    if "track" in rows.columns:
        _, group = np.unique(rows["track"].to_numpy(), return_inverse=True)
    else:
        group = rows["frame"].to_numpy() // _BLOCK
        group = group - group.min()
    half = np.random.default_rng(seed).integers(2, size=int(group.max()) + 1)[group] == 0
    low, high = place_um.min(0), place_um.max(0)
    size = int(min(np.ceil((high - low).max() / pixel_um) + 1, _MOST_PX))
    # A square, whose rings mean the same along both axes.
    low = (low + high) / 2 - size * pixel_um / 2
    size = next_fast_len(size, real=True)
    window = tukey(size, 2 * _EDGE)
    first, second = (
        np.fft.rfft2(_counted(place_um[part] - low, size, pixel_um) * window * window[:, None])
        for part in (half, ~half)
    )
    return _rings(first, second, size, pixel_um, plane)


@dataclass(frozen=True, eq=False)
class Profile:
    """counts along a line, at place_um; fwhm_um of the Gaussian through them, and its error."""

    place_um: Floats
    counts: Floats
    fwhm_um: float
    fwhm_error_um: float
    centre_um: float


def line_profile(
    table: Localizations,
    start_um: tuple[float, float],
    end_um: tuple[float, float],
    width_um: float,
    bin_um: float = 0.005,
    plane: str = "xy",
) -> Profile:
    """Localizations along a line, averaged over a width across it. Raises SettingsError."""
    place = table.table[list(PLANES[plane])].to_numpy(np.float64)
    way = np.subtract(end_um, start_um)
    length = float(np.hypot(*way))
    if length < 5 * bin_um or width_um <= 0:
        raise SettingsError("The line is shorter than five bins, or has no width.")
    along_axis = way / length
    along = (place - start_um) @ along_axis
    across = (place - start_um) @ np.array([-along_axis[1], along_axis[0]])
    inside = (abs(across) <= width_um / 2) & (along >= 0) & (along <= length)
    edges = np.arange(0, length + bin_um, bin_um)
    counts = np.histogram(along[inside], edges)[0].astype(float)
    middle = (edges[:-1] + edges[1:]) / 2
    if counts.sum() < 20:
        raise SettingsError(f"Only {int(counts.sum())} localizations lie on the line.")
    mean = float((middle * counts).sum() / counts.sum())
    spread = float(np.sqrt(((middle - mean) ** 2 * counts).sum() / counts.sum()))
    start = (float(counts.max()), mean, max(spread / 2, bin_um), 0.0)
    try:
        found, covariance = optimize.curve_fit(
            lambda x, height, centre, sigma, base: (
                base + height * np.exp(-((x - centre) ** 2) / (2 * sigma**2))
            ),
            middle,
            counts,
            start,
            sigma=np.sqrt(np.maximum(counts, 1)),
            absolute_sigma=True,
        )
    except RuntimeError:
        raise SettingsError("No single peak lies on the line.") from None
    fwhm = 2 * np.sqrt(2 * np.log(2))
    return Profile(
        middle,
        counts,
        float(fwhm * abs(found[2])),
        float(fwhm * np.sqrt(covariance[2, 2])),
        float(found[1]),
    )


def rings_picture(results: list[RingCorrelation], path: Path) -> None:
    """Curves of several planes in one figure. Raises FileError."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for one in results:
        told = f"{one.plane}: {1e3 * one.resolution_um:.1f} nm"
        axes.plot(one.per_um, one.smoothed, label=told)
    axes.axhline(THRESHOLD, color="0.6", lw=0.8)
    axes.set(xlabel="spatial frequency, 1/um", ylabel="ring correlation", ylim=(-0.1, 1.05))
    axes.legend()
    save_figure(figure, path)


def _counted(place_um: Floats, size: int, pixel_um: float) -> Floats:
    pixel = np.floor(place_um / pixel_um).astype(np.int64)
    inside = ((pixel >= 0) & (pixel < size)).all(1)
    flat = pixel[inside, 1] * size + pixel[inside, 0]
    counts = np.bincount(flat, minlength=size * size).reshape(size, size)
    return np.asarray(counts, np.float64)


def _rings(
    first: NDArray[np.complex128],
    second: NDArray[np.complex128],
    size: int,
    pixel_um: float,
    plane: str,
) -> RingCorrelation:
    down = np.fft.fftfreq(size) * size
    right = np.arange(first.shape[1])
    ring = np.rint(np.hypot(down[:, None], right)).astype(np.int64).ravel()
    count = size // 2
    twice = np.full(first.shape[1], 2.0)  # those left out are the conjugates of these
    twice[0] = 1.0

    def total(values: NDArray[np.floating]) -> Floats:
        return np.asarray(np.bincount(ring, (values * twice).ravel(), minlength=count)[:count])

    both = total((first * second.conj()).real)
    power = np.sqrt(total(abs(first) ** 2) * total(abs(second) ** 2))
    correlation = np.divide(both, power, out=np.zeros(count), where=power > 0)
    smoothed = ndimage.uniform_filter1d(correlation, _SMOOTH_RINGS, mode="nearest")
    per_um = np.arange(count) / (size * pixel_um)
    below = np.flatnonzero((smoothed < THRESHOLD) & (np.arange(count) > _SMOOTH_RINGS))
    resolution = float("nan")
    if len(below):
        after = below[0]
        over, under = smoothed[after - 1], smoothed[after]
        part = (over - THRESHOLD) / max(over - under, 1e-12)
        resolution = 1 / float(per_um[after - 1] + part * (per_um[after] - per_um[after - 1]))
    return RingCorrelation(plane, per_um, correlation, smoothed, resolution, pixel_um)
