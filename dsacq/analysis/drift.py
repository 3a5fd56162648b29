"""Drift of the sample, from the localizations themselves.

Adaptive intersection maximisation, Ma et al., Sci. Adv. 10, eadm7765 (2024): the shift of a segment
of frames is the one at which most of its localizations fall where others lie; the peak is read from
the phase of the first harmonic of the coincidences. First each segment against those before it,
then against all others.
"""

from collections.abc import Generator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.interpolate import make_smoothing_spline

from dsacq.data import POSITION, Localizations
from dsacq.errors import SettingsError
from dsacq.files.figures import save_figure

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_BIN_UM = (0.02, 0.02, 0.03)  # x, y, z: of what counts as the same place
_REACH = 3  # bins that a segment may lie beside where it is looked for
_ASIDE = 1  # bins along the other axes, that are counted together
_MOST_BINS = 400_000_000  # a byte each
_SEGMENTS = (1500, 500, 150, 60)  # localizations in each, from coarse to fine
_SETTLED = 3  # times that a segment is looked for again from where it was found


@dataclass(frozen=True, eq=False)
class Drift:
    """Drift (F, 3) in um, x, y and z, of frames first_frame to first_frame + F - 1; 0 at first."""

    first_frame: int
    drift_um: Floats

    def at(self, frame: NDArray[np.integer]) -> Floats:
        """(N, 3) of frames; beyond the ends as at them."""
        place = np.clip(frame - self.first_frame, 0, len(self.drift_um) - 1)
        return np.asarray(self.drift_um[place])


def estimate_drift(table: Localizations) -> Generator[int, None, Drift]:
    """Find the drift; yields the percentage that is done.

    Raises SettingsError for tables that are too short.
    """
    frame = table.table["frame"].to_numpy()
    order = np.argsort(frame, kind="stable")
    frame, place_um = frame[order], table.positions_um()[order]
    if len(frame) < 3 * _SEGMENTS[0]:
        raise SettingsError(
            f"{len(frame)} localizations are too few to tell a drift; {3 * _SEGMENTS[0]} is the "
            "least."
        )
    done = 0.0
    drift = yield from _followed(frame, place_um)
    for size in _SEGMENTS:
        for part in _refined(frame, place_um, drift, size):
            if isinstance(part, Drift):
                drift = part
            else:
                yield int(100 * (done + part) / (len(_SEGMENTS) + 0.01))
        done += 1
    return drift


def _followed(frame: NDArray[np.integer], place_um: Floats) -> Generator[int, None, Drift]:
    """Each segment of frames against those before it."""
    segments = _segments(frame, _SEGMENTS[0])
    found = np.zeros((len(segments), 3))
    places = _Places(place_um)
    places.add(place_um[segments[0]], 1)
    for number in range(1, len(segments)):
        here = place_um[segments[number]]
        found[number] = places.shift(here, found[number - 1])
        places.add(here - found[number], 1)
        if number % 20 == 0:
            yield 0
    return _smooth(frame, segments, found)


def _refined(
    frame: NDArray[np.integer], place_um: Floats, drift: Drift, size: int
) -> Generator[float | Drift]:
    """Each segment against all others, as they are corrected so far; the drift comes last."""
    segments = _segments(frame, size)
    start = drift.at(frame)
    places = _Places(place_um)
    places.add(place_um - start, 1)
    found = np.zeros((len(segments), 3))
    for number, part in enumerate(segments):
        here = place_um[part] - start[part]
        places.add(here, -1)
        found[number] = start[part].mean(0) + places.shift(here, np.zeros(3))
        places.add(here, 1)
        if number % 50 == 0:
            yield number / len(segments)
    yield _smooth(frame, segments, found)


def corrected(table: Localizations, drift: Drift) -> Localizations:
    """The localizations where they would be without the drift."""
    moved = table.table.copy()
    shift = drift.at(moved["frame"].to_numpy())
    for axis, name in enumerate(POSITION):
        moved[name] = (moved[name].to_numpy(np.float64) - shift[:, axis]).astype(np.float32)
    return Localizations(moved, table.origin | {"drift_corrected": True})


def fiducial_drift(table: Localizations, tracks: list[int]) -> Drift:
    """The mean movement of some tracks, of fiducial markers; frames without any are interpolated.

    Raises SettingsError for a table that is not linked, and for tracks that it does not have.
    """
    rows = table.table
    if "track" not in rows.columns:
        raise SettingsError("The table is not linked: link it, to know the fiducials' tracks.")
    chosen = rows[rows["track"].isin(tracks)]
    if missing := sorted(set(tracks) - set(chosen["track"].unique().tolist())):
        raise SettingsError(f"There is no track {missing[0]} in the table.")
    first, last = int(rows["frame"].min()), int(rows["frame"].max())
    frames = np.arange(first, last + 1)
    parts = []
    for _, one in chosen.groupby("track"):
        own = one.sort_values("frame")
        place = own[list(POSITION)].to_numpy(np.float64)
        along = np.stack([np.interp(frames, own["frame"], place[:, axis]) for axis in range(3)], 1)
        parts.append(along - along.mean(0))
    drift = np.mean(parts, axis=0)
    return Drift(first, drift - drift[0])


def drift_picture(drift: Drift, path: Path) -> None:
    """Drift over frames. Raises FileError."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    frames = drift.first_frame + np.arange(len(drift.drift_um))
    for axis, name in enumerate("xyz"):
        axes.plot(frames, 1e3 * drift.drift_um[:, axis], label=name)
    axes.set(xlabel="frame", ylabel="drift, nm")
    axes.legend()
    save_figure(figure, path)


class _Places:
    """How many localizations lie in each of many small boxes."""

    def __init__(self, place_um: Floats) -> None:
        size = np.array(_BIN_UM)
        span = place_um.max(0) - place_um.min(0)
        margin = 4 * (_REACH + 1)  # bins beyond the ends, for what is moved
        while np.prod(span / size + 2 * margin) > _MOST_BINS:
            size = size * [1.26, 1.26, 1.26]
        self.size_um = size
        self._low = place_um.min(0) - margin * size
        self._shape = np.ceil(span / size).astype(int) + 2 * margin + 1
        self._count: NDArray[np.uint8] = np.zeros(int(np.prod(self._shape)), np.uint8)
        self._steps = np.array([self._shape[1] * self._shape[2], self._shape[2], 1])

    def add(self, place_um: Floats, sign: int) -> None:
        """Count these in, or out with -1."""
        box, times = np.unique(self._boxes(place_um), return_counts=True)
        there = self._count[box].astype(np.int64) + sign * times
        self._count[box] = np.clip(there, 0, 255).astype(np.uint8)

    def shift(self, place_um: Floats, start_um: Floats) -> Floats:
        """By how much these are to be moved back, near to a start, so that most fall on others."""
        found = start_um.copy()
        for _ in range(_SETTLED):
            box = self._boxes(place_um - found)
            step = np.array([self._peak(box, axis) for axis in range(3)]) * self.size_um
            found = found + step
            if np.all(abs(step) < 0.02 * self.size_um):
                break
        return found

    def _peak(self, box: Indices, axis: int) -> float:
        """Bins along an axis, from the phase of the first harmonic of the coincidences."""
        others = [one for one in range(3) if one != axis]
        beside = np.arange(-_ASIDE, _ASIDE + 1)
        aside = (beside[:, None] * self._steps[others[0]] + beside * self._steps[others[1]]).ravel()
        reach = np.arange(-_REACH, _REACH + 1)
        far = (reach[:, None] * self._steps[axis] + aside)[..., None]
        together = self._count[box - far].sum((1, 2), dtype=np.int64)
        harmonic = (together * np.exp(2j * np.pi * reach / len(reach))).sum()
        if abs(harmonic) == 0:
            return 0.0
        return float(np.angle(harmonic) / (2 * np.pi) * len(reach))

    def _boxes(self, place_um: Floats) -> Indices:
        box = ((place_um - self._low) / self.size_um).astype(np.int64)
        box = np.clip(box, 2 * _REACH, self._shape - 1 - 2 * _REACH)
        return np.asarray(box @ self._steps, np.intp)


def _segments(frame: NDArray[np.integer], size: int) -> list[slice]:
    """Rows of whole frames that belong together, about so many in each."""
    begins = np.flatnonzero(np.diff(frame, prepend=frame[0] - 1))
    edges = [0]
    for row in begins[1:].tolist():
        if row - edges[-1] >= size:
            edges.append(row)
    if len(frame) - edges[-1] < size / 2 and len(edges) > 1:
        edges.pop()
    return [slice(low, high) for low, high in pairwise([*edges, len(frame)])]


def _smooth(frame: NDArray[np.integer], segments: list[slice], found: Floats) -> Drift:
    """Through the segments, as smooth as each is best predicted by its neighbours."""
    centres = np.array([float(frame[part].mean()) for part in segments])
    centres, first = np.unique(centres, return_index=True)
    frames = np.arange(frame[0], frame[-1] + 1)
    inside = np.clip(frames, centres[0], centres[-1])
    if len(centres) >= 5:
        curves = [make_smoothing_spline(centres, found[first, axis])(inside) for axis in range(3)]
    else:
        curves = [np.interp(inside, centres, found[first, axis]) for axis in range(3)]
    drift = np.stack(curves, 1)
    return Drift(int(frame[0]), drift - drift[0])
