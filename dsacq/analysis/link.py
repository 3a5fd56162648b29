"""Tracks from localizations, frame by frame, as they come.

A localization continues the track that it fits best, by the errors of both and the diffusion over
the frames between; all of a frame are decided together, as an assignment. Nothing but the tracks
that may still go on is remembered.
Source of the frame: Crocker & Grier, J. Colloid Interface Sci. 179, 298 (1996); of the cost: the
likelihood of a Brownian step seen with Gaussian errors.
"""

from collections.abc import Generator, Iterable
from dataclasses import asdict
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree

from dsacq.data import Localizations
from dsacq.frame_times import Gaps, counted
from dsacq.physics.optics import Positive
from dsacq.simulation.places import NotNegative

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Indices = NDArray[np.intp]

_SIGMAS = ["sigma_x_um", "sigma_y_um", "sigma_z_um"]
# Largest squared distance in units of its variance: six sigma along one axis, so that errors and
# diffusion may be understated by half.
_GATE = 36.0


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class LinkSettings:
    """How far emitters move; the defaults are for telomeres.

    diffusion_um2_per_s: of the fastest emitters. frame_interval_s: from one frame's start to the
    next's. largest_step_um: between two localizations of a track, whatever their errors.
    memory_frames: how many in a row an emitter may be missed in. unknown_sigma_um: taken for the
    errors in x, y and z that are not stated (NaN) or are no errors (infinite, not above zero).
    """

    diffusion_um2_per_s: NotNegative = 0.01
    frame_interval_s: Positive = 0.1
    largest_step_um: Positive = 0.5
    memory_frames: Annotated[int, Field(ge=0)] = 4
    unknown_sigma_um: tuple[Positive, Positive, Positive] = (0.03, 0.03, 0.06)


class _Ends(NamedTuple):
    """Where tracks were seen last: track (T,), frame (T,), the same with lost ones counted (T,),
    place (T, 3) in um, and variance (T, 3) in um^2."""

    track: Integers
    frame: Integers
    counted: Integers
    place_um: Floats
    variance_um2: Floats

    def chosen(self, which: NDArray[np.bool_]) -> "_Ends":
        return _Ends._make(values[which] for values in self)

    def joined(self, other: "_Ends") -> "_Ends":
        return _Ends._make(map(np.concatenate, zip(self, other, strict=True)))


class Linker:
    """Links one frame after the other. Tracks are numbered from 0, in the order of their birth.

    settings: may be set between two frames, as the time between frames where it is only being
    measured.
    """

    def __init__(self, settings: LinkSettings) -> None:
        self.settings = settings
        none, no_places = np.empty(0, np.int64), np.empty((0, 3))
        self._ends = _Ends(none, none, none, no_places, no_places)
        self._tracks = 0
        self._last_frame = -1

    def add(self, localizations: Localizations, count: int | None = None) -> Localizations:
        """The localizations of one frame, with their column `track`; an existing one is replaced.

        Frames may be left out, as those without emitters: they count as missed. count: the frame's
        number with those counted that were lost before it, by which time goes, by default as the
        table tells. Raises
        ValueError for more than one frame, one that does not come after the last, and positions
        that are not finite.
        """
        track = np.empty(0, np.int64)
        if len(localizations):
            frame = self._frame(localizations)
            if count is None:
                count = int(localizations.counted_frames()[0])
            track = self._linked(frame, count, localizations)
        origin = localizations.origin | {"link": asdict(self.settings)}
        return Localizations(localizations.table.assign(track=track), origin)

    def _frame(self, localizations: Localizations) -> int:
        frames = localizations.table["frame"].unique()
        if len(frames) > 1 or frames[0] <= self._last_frame:
            raise ValueError(
                f"frame={frames.tolist()}: expected one frame after frame {self._last_frame}"
            )
        return int(frames[0])

    def _linked(self, frame: int, count: int, localizations: Localizations) -> Integers:
        place_um = localizations.positions_um()
        if not np.isfinite(place_um).all():
            raise ValueError(f"positions in frame {frame}: expected finite numbers")
        sigma_um = localizations.table[_SIGMAS].to_numpy(dtype=np.float64)
        known = np.isfinite(sigma_um) & (sigma_um > 0)
        variance = np.where(known, sigma_um, self.settings.unknown_sigma_um) ** 2
        self._last_frame = frame
        ends = self._ends.chosen(frame - self._ends.frame <= self.settings.memory_frames + 1)

        end, point = _assigned(*self._candidates(ends, count, place_um, variance))
        track = np.full(len(place_um), -1, np.int64)
        track[point] = ends.track[end]
        born = track < 0
        track[born] = self._tracks + np.arange(born.sum())
        self._tracks += int(born.sum())

        missed = np.ones(len(ends.track), bool)
        missed[end] = False
        number = np.full(len(track), frame)
        here = _Ends(track, number, np.full(len(track), count), place_um, variance)
        self._ends = ends.chosen(missed).joined(here)
        return track

    def _candidates(
        self, ends: _Ends, count: int, place_um: Floats, variance_um2: Floats
    ) -> tuple[Indices, Indices, Floats]:
        """Rows of ends and of places that may belong together, and the cost of each such pair."""
        if not len(ends.track):
            return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
        settings = self.settings
        waited_s = settings.frame_interval_s * (count - ends.counted)[:, None]
        expected_um2 = ends.variance_um2 + 2 * settings.diffusion_um2_per_s * waited_s
        widest_um2 = (expected_um2.max(0) + variance_um2.max(0)).max()
        near = KDTree(ends.place_um).sparse_distance_matrix(
            KDTree(place_um),
            min(settings.largest_step_um, float(np.sqrt(_GATE * widest_um2))),
            output_type="ndarray",
        )
        end, point = near["i"], near["j"]
        both_um2 = expected_um2[end] + variance_um2[point]
        square = ((place_um[point] - ends.place_um[end]) ** 2 / both_um2).sum(1)
        allowed = square <= _GATE
        # Without the logarithm a track lost for long, with its wide variance, would win too often.
        cost = square + np.log(both_um2).sum(1)
        return end[allowed], point[allowed], cost[allowed]


def link(
    tables: Iterable[Localizations], settings: LinkSettings, gaps: Gaps = ()
) -> Generator[Localizations]:
    """Link what was localized before; yields the localizations of each frame with their `track`.

    A table may hold several frames in any order of rows, and comes out in as many parts; one
    without localizations comes out as it is. gaps: where frames were lost, in place of what the
    tables tell. Raises ValueError when a frame of a table does not come after those of the tables
    before, and where a position is not finite.
    """
    linker = Linker(settings)
    for localizations in tables:
        frame = localizations.table["frame"].to_numpy()
        order = np.argsort(frame, kind="stable")
        starts = np.flatnonzero(np.diff(frame[order])) + 1
        for rows in np.split(order, starts):
            one = Localizations(localizations.table.iloc[rows], localizations.origin)
            count = int(counted(one.table["frame"].iloc[0], gaps)) if gaps and len(one) else None
            yield linker.add(one, count)


def _assigned(end: Indices, point: Indices, cost: Floats) -> tuple[Indices, Indices]:
    """The pairs, out of those allowed, that together cost least.

    A track that is left costs a little more than the dearest pair, as in Crocker & Grier. Each has
    a partner of its own that means "left", so that a full assignment exists. The matrix is sparse,
    so networks of pairs that do not touch hardly burden each other.
    """
    if not len(cost):
        return end, point
    rows, row = np.unique(end, return_inverse=True)
    columns, column = np.unique(point, return_inverse=True)
    own = np.arange(len(rows))
    # Only differences count, and an entry of zero would not be one.
    weights = np.concatenate([cost, np.full(len(rows), cost.max() + 1)]) - cost.min() + 1
    entries = (np.concatenate([row, own]), np.concatenate([column, len(columns) + own]))
    matrix = coo_array((weights, entries), shape=(len(rows), len(columns) + len(rows)))
    i, j = min_weight_full_bipartite_matching(matrix.tocsr())
    real = j < len(columns)
    return rows[i[real]], columns[j[real]]
