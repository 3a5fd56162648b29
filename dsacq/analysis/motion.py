"""How tracked emitters move: mean squared displacement, diffusion, confinement, jump distances.

Localization errors and the movement within an exposure change all of these; both are accounted for.
Sources: Michalet & Berglund, Phys. Rev. E 85, 061916 (2012); Vestergaard et al., Phys. Rev. E 89,
022726 (2014), for the covariance estimator.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize

from dsacq.data import Localizations
from dsacq.errors import SettingsError

Floats = NDArray[np.float64]

AXES = ("x_um", "y_um", "z_um")
_LEAST_LENGTH = 5  # localizations of a track
_FITTED = 0.25  # of the lags
_LEAST_LAGS = 4
_LARGEST_EXPONENT = 2.0  # straight, at constant speed
_MOST_ERROR = 0.9  # of the first squared displacement
_BOOTSTRAPS = 200
_CONFIDENCE = (2.5, 97.5)  # percentiles


@dataclass(frozen=True, eq=False)
class Displacements:
    """Mean squared displacement (T, L) of each track, um^2, and of how many pairs (T, L); 0 where
    there is none. lag_s (L,). track (T,): numbers. mean (L,): over all pairs. dimensions: of 3.
    error_um2: the squared error of a localization, mean over axes, by its stated sigmas, or NaN."""

    lag_s: Floats
    track: NDArray[np.int64]
    squared_um2: Floats
    pairs: NDArray[np.int64]
    dimensions: int
    error_um2: float

    @property
    def mean(self) -> Floats:
        """(L,) over all pairs of all tracks."""
        return _mean(self.squared_um2, self.pairs)


def displacements(
    table: Localizations, frame_interval_s: float, axes: tuple[str, ...] = AXES
) -> Displacements:
    """Mean squared displacements of all tracks with at least 5 localizations; gaps are left out.

    Lags reach half of the longest track. Raises SettingsError for a table without tracks.
    """
    rows = _linked(table)
    tracks = [one for _, one in rows.groupby("track") if len(one) >= _LEAST_LENGTH]
    if not tracks:
        raise SettingsError(f"No track has {_LEAST_LENGTH} localizations or more.")
    longest = max(int(one["frame"].iloc[-1] - one["frame"].iloc[0]) for one in tracks)
    lags = max(longest // 2, _LEAST_LAGS)
    squared, pairs = np.zeros((len(tracks), lags)), np.zeros((len(tracks), lags), np.int64)
    for number, one in enumerate(tracks):
        place = _on_frames(one, axes)
        for lag in range(1, min(lags, len(place) - 1) + 1):
            jump = place[lag:] - place[:-lag]
            known = np.isfinite(jump[:, 0])
            if known.any():
                pairs[number, lag - 1] = known.sum()
                squared[number, lag - 1] = (jump[known] ** 2).sum(1).mean()
    sigmas = rows[[f"sigma_{axis}" for axis in axes]].to_numpy(np.float64)
    error = float(np.nanmean(sigmas**2)) if np.isfinite(sigmas).any() else float("nan")
    return Displacements(
        np.asarray(frame_interval_s * np.arange(1, lags + 1), np.float64),
        np.array([int(one["track"].iloc[0]) for one in tracks]),
        squared,
        pairs,
        len(axes),
        error,
    )


@dataclass(frozen=True)
class Value:
    """With its 95 % confidence interval, by drawing tracks again."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Diffusion:
    """diffusion_um2_per_s and error_um (of a localization, per axis) of all tracks together;
    of_tracks (T,): diffusion of each, of `track` (T,)."""

    diffusion_um2_per_s: Value
    error_um: Value
    track: NDArray[np.int64]
    of_tracks: Floats


def diffusion(
    table: Localizations,
    frame_interval_s: float,
    *,
    exposure_s: float | None = None,
    axes: tuple[str, ...] = AXES,
    seed: int = 0,
) -> Diffusion:
    """Free diffusion by the covariance of consecutive steps, which needs no fit.

    exposure_s: by default the whole interval; motion within it shortens the steps (blur 1/6 of
    exposure/interval). Steps over gaps are left out. Raises SettingsError without tracks.
    """
    blur = (frame_interval_s if exposure_s is None else exposure_s) / frame_interval_s / 6
    numbers, sums = [], []
    for _, one in _linked(table).groupby("track"):
        if len(one) < _LEAST_LENGTH:
            continue
        step = np.diff(_on_frames(one, axes), axis=0)
        known = np.isfinite(step[:, 0])
        both = known[1:] & known[:-1]
        if both.sum() < 2:
            continue
        numbers.append(int(one["track"].iloc[0]))
        sums.append(
            (
                (step[known] ** 2).sum(),
                known.sum() * len(axes),
                (step[1:][both] * step[:-1][both]).sum(),
                both.sum() * len(axes),
            )
        )
    if not sums:
        raise SettingsError("No track has consecutive steps enough to tell a diffusion.")
    total = np.array(sums, float)

    def estimated(chosen: Floats) -> tuple[Floats, Floats]:
        square, product = chosen[..., 0] / chosen[..., 1], chosen[..., 2] / chosen[..., 3]
        rate = square / (2 * frame_interval_s) + product / frame_interval_s
        variance = blur * square + (2 * blur - 1) * product
        return np.asarray(rate), np.asarray(variance)

    draws = np.random.default_rng(seed).integers(len(total), size=(_BOOTSTRAPS, len(total)))
    rates, variances = estimated(total[draws].sum(1))
    rate, variance = estimated(total.sum(0))
    return Diffusion(
        Value(float(rate), *_interval(rates)),
        Value(_root(variance), *(_root(one) for one in _interval(variances))),
        np.array(numbers),
        estimated(total)[0],
    )


@dataclass(frozen=True)
class Anomalous:
    """MSD = 2 d rate t^exponent. rate: um^2/s^exponent."""

    exponent: Value
    rate: Value


def anomalous(moved: Displacements, *, exposure_s: float | None = None, seed: int = 0) -> Anomalous:
    """Exponent and rate from the first quarter of the lags.

    The offset of the localization error is that of the stated sigmas, or fitted where there are
    none or they are larger than what is seen; the exponent is between 0 and 2. An exposure shortens
    the lag by a third of itself. Confidence by drawing tracks again.
    """
    interval = float(moved.lag_s[0])
    exposed = interval if exposure_s is None else exposure_s
    lags = _lags(moved)
    lag_s = np.maximum(moved.lag_s[:lags] - exposed / 3, interval / 3)

    def fitted(squared: Floats, pairs: NDArray[np.int64]) -> tuple[float, float]:
        mean = _mean(squared, pairs)[:lags]
        # Errors of neighbouring lags grow as the lag over the pairs of independent steps.
        spread = mean * np.sqrt((np.arange(lags) + 1) / np.maximum(pairs.sum(0)[:lags], 1))
        return _power(lag_s, mean, spread, moved)

    exponent, rate = fitted(moved.squared_um2, moved.pairs)
    draw = np.random.default_rng(seed)
    count = len(moved.track)
    many = []
    for _ in range(_BOOTSTRAPS):
        chosen = draw.integers(count, size=count)
        many.append(fitted(moved.squared_um2[chosen], moved.pairs[chosen]))
    exponents, rates = np.array(many).T
    return Anomalous(Value(exponent, *_interval(exponents)), Value(rate, *_interval(rates)))


@dataclass(frozen=True)
class Confinement:
    """radius_um of the sphere (3D), disc or line in which emitters move; time_s to reach its
    edge."""

    radius_um: float
    time_s: float


def confinement(moved: Displacements) -> Confinement | None:
    """From the height at which displacements stop to grow; None where they do not stop.

    MSD = plateau (1 - exp(-t/time)) + offset; in a sphere the plateau is 6/5 radius^2, in a disc
    radius^2, on a line of half-length radius 2/3 radius^2.
    """
    mean = moved.mean
    known = moved.pairs.sum(0) > 0
    lag_s, mean = moved.lag_s[known], mean[known]
    pairs = moved.pairs.sum(0)[known]
    half = max(len(lag_s) // 2, _LEAST_LAGS)
    lag_s, mean, pairs = lag_s[:half], mean[:half], pairs[:half]
    start = (float(mean[-1]), float(lag_s[-1]) / 4, float(mean[0]) / 2)
    try:
        found, _ = optimize.curve_fit(
            lambda t, plateau, time, offset: plateau * -np.expm1(-t / time) + offset,
            lag_s,
            mean,
            start,
            sigma=mean / np.sqrt(pairs),
            bounds=((0, lag_s[0] / 10, 0), (np.inf, 100 * lag_s[-1], np.inf)),
        )
    except RuntimeError:
        return None
    plateau, time, _ = found
    if time > lag_s[-1] / 2:
        return None
    share = {1: 2 / 3, 2: 1.0, 3: 6 / 5}[moved.dimensions]
    return Confinement(float(np.sqrt(plateau / share)), float(time))


def jump_distances(table: Localizations, lag: int = 1, axes: tuple[str, ...] = AXES) -> Floats:
    """(N,) um: how far emitters are from where they were `lag` frames before."""
    jumps = []
    for _, one in _linked(table).groupby("track"):
        place = _on_frames(one, axes)
        if len(place) > lag:
            far = np.linalg.norm(place[lag:] - place[:-lag], axis=1)
            jumps.append(far[np.isfinite(far)])
    return np.concatenate(jumps) if jumps else np.empty(0)


def _linked(table: Localizations) -> pd.DataFrame:
    if "track" not in table.table.columns:
        raise SettingsError("The table is not linked: it has no column track. Use `dsacq link`.")
    # With the frames that were lost counted: the steps over them took longer.
    rows = table.table.assign(frame=table.counted_frames())
    return rows[rows["track"] >= 0].sort_values(["track", "frame"])


def _on_frames(track: pd.DataFrame, axes: tuple[str, ...]) -> Floats:
    """(frames, axes) of every frame from the track's first to its last; NaN in gaps."""
    frame = track["frame"].to_numpy()
    place = np.full((int(frame[-1] - frame[0]) + 1, len(axes)), np.nan)
    place[frame - frame[0]] = track[list(axes)].to_numpy(np.float64)
    return place


def _mean(squared: Floats, pairs: NDArray[np.int64]) -> Floats:
    total = pairs.sum(0)
    return np.asarray((squared * pairs).sum(0) / np.maximum(total, 1))


def _lags(moved: Displacements) -> int:
    known = int((moved.pairs.sum(0) > 0).sum())
    return min(max(_LEAST_LAGS, int(_FITTED * 2 * known)), known)


def _power(
    lag_s: Floats, mean: Floats, spread: Floats, moved: Displacements
) -> tuple[float, float]:
    """Exponent and rate of a power law with the offset of the error."""
    dimensions = moved.dimensions
    offset = 2 * dimensions * moved.error_um2
    # Errors stated larger than what is seen would leave nothing, or less, for the motion.
    known = bool(offset < _MOST_ERROR * mean[0])
    start = max(float(np.interp(1.0, lag_s, mean)), 1e-9) / (2 * dimensions)

    def misfit(values: Floats) -> Floats:
        level = offset if known else np.exp(values[2])
        curve = 2 * dimensions * np.exp(values[1]) * lag_s ** values[0] + level
        return np.asarray((curve - mean) / spread)

    low, high = [0.0, -50.0], [_LARGEST_EXPONENT, 50.0]
    first = [1.0, np.log(start)]
    if not known:
        top = np.log(max(float(mean.min()), 1e-12))
        first, low, high = [*first, top - 1], [*low, top - 20], [*high, top]
    found = optimize.least_squares(misfit, first, bounds=(low, high), max_nfev=200).x
    return float(found[0]), float(np.exp(found[1]))


def _interval(values: Floats) -> tuple[float, float]:
    low, high = np.percentile(values, _CONFIDENCE)
    return float(low), float(high)


def _root(variance: float | Floats) -> float:
    return float(np.sqrt(max(float(variance), 0.0)))
