"""What a user's own frames say about the priors of a training: light, density, background."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import norm

from dsacq.microscope import Microscope
from dsacq.training.examine import Examined, Region, Values, split, visible_photons
from dsacq.training.photon_transfer import PhotonTransfer

_WINDOW_PX = 96  # training sees frames of this size; so density and background are taken over it
_ENOUGH = 50  # emitters, for the shape of their distribution


@dataclass(frozen=True)
class BackgroundEstimate:
    """Photons per pixel: median and the 5th and 95th percentile over windows of about 96 px.

    roughness: peak to valley over the mean within such a window. roughness_px: the length it
    changes over, None where it is too flat to tell.
    """

    median: float
    low: float
    high: float
    roughness: float
    roughness_px: float | None


@dataclass(frozen=True)
class PhotonsEstimate:
    """Median of the emitters and standard deviation of the logarithm (of a lognormal, corrected for
    those too faint to be seen), 5th and 95th percentile as found; visible: least that is found.
    lognormal: whether that describes them. None without emitters."""

    median: float
    sigma: float
    low: float
    high: float
    lognormal: bool
    cut_off: bool


@dataclass(frozen=True, eq=False)
class Estimate:
    """Measured on frames. density per um^2: mean, and the 95th percentile over windows of 96 px.

    noise: variance of the dark pixels in single frames over what the camera explains.
    """

    frames: int
    emitters: int
    background: BackgroundEstimate
    photons: PhotonsEstimate | None
    visible_photons: float
    density_per_um2: float
    density_high_per_um2: float
    footprint_um2: float
    noise: float
    transfer: PhotonTransfer


def estimated(
    examined: Sequence[Examined], transfer: PhotonTransfer, microscope: Microscope
) -> Estimate:
    """What the examined frames have in common. Raises ValueError for none."""
    if not examined:
        raise ValueError("examined=[]: expected at least one")
    photons = np.concatenate([part.photons for part in examined])
    reach, pixel_um = examined[0].reach_px, microscope.optics.pixel_um
    variance = float(np.median([part.variance for part in examined]))
    visible = visible_photons(microscope, variance, reach)
    densities, areas = np.concatenate([_densities(part, pixel_um) for part in examined]).T
    return Estimate(
        frames=len({part.number for part in examined}),
        emitters=len(photons),
        background=_background([part.background for part in examined]),
        photons=photon_distribution(photons, visible) if len(photons) else None,
        visible_photons=visible,
        density_per_um2=float(np.average(densities, weights=areas)),
        density_high_per_um2=float(np.percentile(densities, 95)),
        footprint_um2=((2 * reach + 1) * pixel_um) ** 2,
        noise=float(np.median([part.noise for part in examined])),
        transfer=transfer,
    )


def photon_distribution(photons: Values, visible: float) -> PhotonsEstimate:
    """The distribution behind the photons (K,) of emitters found, of which those below about
    `visible` are missing."""
    low, median, high = np.percentile(photons, (5, 50, 95))
    logarithm = np.log(photons)
    cut_off = bool(low < 1.5 * visible)
    centre, sigma, lognormal = float(np.log(median)), float(logarithm.std()), False
    if len(photons) >= _ENOUGH:
        # Near its edge the cut is not sharp: depth and neighbours matter.
        edge = float(np.log(1.3 * visible)) if cut_off else -np.inf
        seen = logarithm[logarithm > edge]
        if len(seen) >= _ENOUGH / 2:
            fitted, sigma = _cut_normal(seen, edge)
            lognormal = _distance(seen, edge, fitted, sigma) < 0.05 + 1.36 / np.sqrt(len(seen))
            centre = fitted if cut_off else centre
    return PhotonsEstimate(
        float(np.exp(centre)), sigma, float(low), float(high), bool(lognormal), cut_off
    )


def _cut_normal(values: Values, edge: float) -> tuple[float, float]:
    """Mean and standard deviation of the normal distribution whose part above `edge` fits best."""

    def loss(parameters: Values) -> float:
        mean, spread = float(parameters[0]), float(np.exp(parameters[1]))
        inside = norm.logsf(edge, mean, spread)
        # A weak prior: far below the edge, mean and spread cannot be told apart.
        prior = (parameters[1] - np.log(0.6)) ** 2 / 2
        return float(prior - np.sum(norm.logpdf(values, mean, spread) - inside))

    start = np.array([values.mean(), np.log(max(values.std(), 0.05))])
    mean, log_spread = minimize(loss, start, method="Nelder-Mead").x
    return float(mean), float(np.exp(log_spread))


def _distance(values: Values, edge: float, mean: float, spread: float) -> float:
    """Kolmogorov-Smirnov, to the part of a normal distribution above `edge`."""
    above = norm.sf(np.sort(values), mean, spread) / norm.sf(edge, mean, spread)
    return float(np.abs(1 - above - (np.arange(len(values)) + 0.5) / len(values)).max())


def _background(surfaces: Sequence[NDArray[np.float32]]) -> BackgroundEstimate:
    levels, roughness, lengths = [], [], []
    for surface in surfaces:
        for rows, columns in _windows(surface.shape):
            window = surface[rows, columns].clip(0)
            bottom, top = np.percentile(window, (1, 99))
            levels.append(window.mean())
            roughness.append(2 * (top - bottom) / max(top + bottom, 1e-3))
        slope = np.hypot(*np.gradient(surface.astype(np.float64)))
        # For bicubic noise, 2.5 times deviation over slope is the distance of its values.
        lengths.append(2.5 * surface.std() / max(np.sqrt((slope**2).mean()), 1e-12))
    low, median, high = (float(value) for value in np.percentile(levels, (5, 50, 95)))
    rough = float(np.median(roughness))
    length = float(np.median(lengths)) if rough > 0.1 else None
    return BackgroundEstimate(median, low, high, rough, length)


def _densities(part: Examined, pixel_um: float) -> Values:
    """(windows, 2): emitters per um^2 and the area in um^2 of each window."""
    found = []
    for rows, columns in _windows(part.image.shape):
        low, high = (rows.start, columns.start), (rows.stop, columns.stop)
        inside = ((part.places_px >= low) & (part.places_px < high)).all(1)
        area_um2 = (high[0] - low[0]) * (high[1] - low[1]) * pixel_um**2
        found.append((inside.sum() / area_um2, area_um2))
    return np.array(found)


def _windows(shape: tuple[int, ...]) -> list[Region]:
    rows, columns = (split(slice(0, size), 1.5 * _WINDOW_PX) for size in shape)
    return [(row, column) for row in rows for column in columns]
