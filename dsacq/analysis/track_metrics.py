"""How well tracks follow those that are true.

Chenouard et al., Nature Methods 11, 281 (2014): tracks are paired so that their distances, cut at a
gate in each frame, add up to least; a track may stay without a partner.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from dsacq.data import POSITION, Localizations
from dsacq.errors import SettingsError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrackScores:
    """alpha: 1 - distance/(distance of no tracks at all). beta: that, spurious tracks counted.
    jaccard: of positions, within the gate, in paired tracks. jaccard_tracks: of tracks. rmse_um: of
    paired positions."""

    alpha: float
    beta: float
    jaccard: float
    jaccard_tracks: float
    rmse_um: float


def score_tracks(
    found: Localizations, truth: Localizations, gate_um: float, *, by: str = "track"
) -> TrackScores:
    """Compare linked tables; `by` is the column that names the true tracks.

    Rows with a negative track belong to none. Raises SettingsError where a table is not linked or
    holds no track.
    """
    first = int(min(found.table["frame"].min(), truth.table["frame"].min()))
    last = int(max(found.table["frame"].max(), truth.table["frame"].max()))
    true = _ways(truth, by, first, last)
    ours = _ways(found, "track", first, last)
    there, seen = np.isfinite(true[..., 0]), np.isfinite(ours[..., 0])
    cost = np.empty((len(true), len(ours)))
    for number, way in enumerate(true):
        away = np.linalg.norm(ours - way, axis=2)
        either = there[number] | seen
        near = np.where(np.isfinite(away), np.minimum(away, gate_um), gate_um * either)
        cost[number] = near.sum(1)
    lost = gate_um * there.sum(1)
    # Each true track may also have a partner of its own that means "none".
    full = np.concatenate((cost, np.where(np.eye(len(true)) > 0, lost, 1e12)), 1)
    rows, columns = linear_sum_assignment(full)
    paired = columns < len(ours)
    distance, nothing = float(full[rows, columns].sum()), float(lost.sum())
    spurious = np.setdiff1d(np.arange(len(ours)), columns[paired])
    false = gate_um * float(seen[spurious].sum())
    away = np.linalg.norm(true[rows[paired]] - ours[columns[paired]], axis=2)
    near = away < gate_um
    hits = int(near.sum())
    misses = int(there.sum()) - hits
    extra = int(seen.sum()) - hits
    return TrackScores(
        alpha=1 - distance / nothing,
        beta=(nothing - distance) / (nothing + false),
        jaccard=hits / (hits + misses + extra),
        jaccard_tracks=int(paired.sum()) / (len(true) + len(spurious)),
        rmse_um=float(np.sqrt((away[near] ** 2).mean())) if hits else float("nan"),
    )


def _ways(table: Localizations, by: str, first: int, last: int) -> Floats:
    """(tracks, frames, 3), NaN where a track is not."""
    if by not in table.table.columns:
        raise SettingsError(f"The table is not linked: it has no column {by}. Use `dsacq link`.")
    rows = table.table[table.table[by] >= 0]
    if not len(rows):
        raise SettingsError("There are no tracks in the table.")
    _, track = np.unique(rows[by].to_numpy(), return_inverse=True)
    ways = np.full((int(track.max()) + 1, last - first + 1, 3), np.nan)
    ways[track, rows["frame"].to_numpy() - first] = rows[list(POSITION)].to_numpy(np.float64)
    return ways
