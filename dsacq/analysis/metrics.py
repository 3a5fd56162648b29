"""How well localizations agree with the truth.

Source of the measures and gates: Sage et al., Nature Methods 16, 387 (2019), and for the density
figure Nehme et al., Nature Methods 17, 734 (2020).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from dsacq.data import Localizations

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Gate = Literal["before", "after"]

EFFICIENCY_LATERAL = 1.0  # per nm
EFFICIENCY_AXIAL = 0.5


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Counts over all frames and what follows from them.

    Errors are over matched pairs, in nm, found minus true for a bias; they and the efficiencies
    (100 is perfect) are None where nothing matched. `jaccard_frame_mean` averages over the frames
    with an emitter, true or found.
    """

    found: int
    truth: int
    true_positives: int
    jaccard: float
    precision: float
    recall: float
    jaccard_frame_mean: float
    rmse_lateral_nm: float | None
    rmse_axial_nm: float | None
    rmse_3d_nm: float | None
    bias_x_nm: float | None
    bias_y_nm: float | None
    bias_z_nm: float | None
    efficiency_lateral: float | None
    efficiency_axial: float | None
    efficiency_3d: float | None


@dataclass(frozen=True, kw_only=True)
class DensityScores:
    """Scores over the frames that truly hold this many emitters."""

    emitters: int
    frames: int
    density_per_um2: float | None
    scores: Scores


def match(
    found_um: Floats,
    truth_um: Floats,
    radius_um: float,
    *,
    axial_um: float | None = None,
    gate: Gate = "before",
) -> tuple[Indices, Indices]:
    """Pair the emitters found in one frame with the true ones.

    found_um: (N, 3), truth_um: (M, 3). A pair may be radius_um apart, or, with axial_um given,
    radius_um laterally and axial_um in z. Of all ways to pair as many as possible, the one with the
    least sum of distances. gate "after" assigns first and drops pairs outside the gate then, as
    published code does: it pairs fewer. Returns the rows of both that belong together.
    """
    if len(found_um) == 0 or len(truth_um) == 0:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    if gate == "after":
        found, truth = linear_sum_assignment(cdist(found_um, truth_um))
    else:
        found, truth = _near(found_um, truth_um, radius_um, axial_um)
    offset = found_um[found] - truth_um[truth]
    distance = np.linalg.norm(offset, axis=1)
    if axial_um is None:
        allowed = distance <= radius_um
    else:
        lateral = np.linalg.norm(offset[:, :2], axis=1)
        allowed = (lateral <= radius_um) & (np.abs(offset[:, 2]) <= axial_um)
    found, truth, distance = found[allowed], truth[allowed], distance[allowed]
    if gate == "after" or len(found) == 0:
        return found, truth
    return _assign(found, truth, distance)


def evaluate(
    found: Localizations,
    truth: Localizations,
    *,
    radius_um: float,
    axial_um: float | None = None,
    gate: Gate = "before",
    frames: range | None = None,
) -> Scores:
    """Scores over all frames, or over those in `frames`; the gate is that of `match`."""
    return _scores(_matched(found, truth, radius_um, axial_um, gate, frames))


def evaluate_by_density(
    found: Localizations,
    truth: Localizations,
    *,
    radius_um: float,
    axial_um: float | None = None,
    gate: Gate = "before",
    frames: range | None = None,
    area_um2: float | None = None,
) -> list[DensityScores]:
    """Scores over the frames with equally many true emitters, fewest first.

    area_um2 is the part of a frame where there are emitters; without it densities are None.
    """
    matched = _matched(found, truth, radius_um, axial_um, gate, frames)
    parts = []
    for emitters in np.unique(matched.truth):
        chosen = matched.truth == emitters
        part = _Matched(
            matched.found[chosen],
            matched.truth[chosen],
            matched.pairs[chosen],
            matched.error_um[np.repeat(chosen, matched.pairs)],
        )
        parts.append(
            DensityScores(
                emitters=int(emitters),
                frames=int(chosen.sum()),
                density_per_um2=None if area_um2 is None else float(emitters / area_um2),
                scores=_scores(part),
            )
        )
    return parts


def efficiency(jaccard: float, rmse_nm: float, per_nm: float) -> float:
    """100 - sqrt((100 - 100 Jaccard)^2 + (per_nm RMSE)^2)."""
    return float(100 - np.hypot(100 - 100 * jaccard, per_nm * rmse_nm))


@dataclass(frozen=True)
class _Matched:
    """Per frame (F,) how many were found, are true, and pair; per pair (P, 3) found - true."""

    found: NDArray[np.int64]
    truth: NDArray[np.int64]
    pairs: NDArray[np.int64]
    error_um: Floats


def _matched(
    found: Localizations,
    truth: Localizations,
    radius_um: float,
    axial_um: float | None,
    gate: Gate,
    frames: range | None,
) -> _Matched:
    if not radius_um > 0 or (axial_um is not None and not axial_um > 0):
        raise ValueError(f"{radius_um=}, {axial_um=}: expected lengths above zero")
    of_found, of_truth = _by_frame(found, frames), _by_frame(truth, frames)
    none = np.empty((0, 3))
    counts, errors = [], [none]
    for frame in sorted(of_found.keys() | of_truth.keys()):
        ours, true = of_found.get(frame, none), of_truth.get(frame, none)
        i, j = match(ours, true, radius_um, axial_um=axial_um, gate=gate)
        counts.append((len(ours), len(true), len(i)))
        errors.append(ours[i] - true[j])
    table = np.array(counts, np.int64).reshape(-1, 3)
    return _Matched(table[:, 0], table[:, 1], table[:, 2], np.concatenate(errors))


def _by_frame(localizations: Localizations, frames: range | None) -> dict[int, Floats]:
    frame = localizations.table["frame"].to_numpy()
    order = np.argsort(frame, kind="stable")
    numbers, starts = np.unique(frame[order], return_index=True)
    positions = np.split(localizations.positions_um()[order], starts[1:])
    return {
        int(number): position
        for number, position in zip(numbers, positions, strict=False)  # none: one empty part
        if frames is None or int(number) in frames
    }


def _near(
    found_um: Floats, truth_um: Floats, radius_um: float, axial_um: float | None
) -> tuple[Indices, Indices]:
    """All pairs of rows that the gate may allow, and some that it does not."""
    axes = 3 if axial_um is None else 2
    reach = radius_um * (1 + 1e-9)  # the caller decides at the very edge
    pairs = KDTree(found_um[:, :axes]).sparse_distance_matrix(
        KDTree(truth_um[:, :axes]), reach, output_type="ndarray"
    )
    return pairs["i"], pairs["j"]


def _assign(found: Indices, truth: Indices, distance: Floats) -> tuple[Indices, Indices]:
    """As many pairs as possible out of those given, with the least sum of distances.

    Each found emitter has a partner of its own that means "unmatched", at a price above what
    rearranging all others can save, so a full assignment exists and matches as many as it can.
    """
    rows, row = np.unique(found, return_inverse=True)
    columns, column = np.unique(truth, return_inverse=True)
    price = (min(len(rows), len(columns)) + 1) * distance.max() + 1
    own = np.arange(len(rows))
    # one more on every entry: a sparse matrix takes a distance of zero for no entry
    weights = np.concatenate([distance, np.full(len(rows), price)]) + 1
    entries = (np.concatenate([row, own]), np.concatenate([column, len(columns) + own]))
    matrix = coo_array((weights, entries), shape=(len(rows), len(columns) + len(rows)))
    i, j = min_weight_full_bipartite_matching(matrix.tocsr())
    real = j < len(columns)
    return rows[i[real]], columns[j[real]]


def _scores(matched: _Matched) -> Scores:
    found, truth, pairs = (
        int(counts.sum()) for counts in (matched.found, matched.truth, matched.pairs)
    )
    jaccard = _ratio(pairs, found + truth - pairs)
    either = matched.found + matched.truth - matched.pairs
    return Scores(
        found=found,
        truth=truth,
        true_positives=pairs,
        jaccard=jaccard,
        precision=_ratio(pairs, found),
        recall=_ratio(pairs, truth),
        jaccard_frame_mean=float((matched.pairs / either).mean()) if len(either) else 0.0,
        **_errors(1000 * matched.error_um, jaccard),
    )


def _errors(error_nm: Floats, jaccard: float) -> dict[str, Any]:
    if len(error_nm) == 0:
        errors = ("rmse_lateral_nm", "rmse_axial_nm", "rmse_3d_nm")
        biases = ("bias_x_nm", "bias_y_nm", "bias_z_nm")
        efficiencies = ("efficiency_lateral", "efficiency_axial", "efficiency_3d")
        return dict.fromkeys((*errors, *biases, *efficiencies))
    square = (error_nm**2).mean(axis=0)
    lateral, axial = float(np.sqrt(square[0] + square[1])), float(np.sqrt(square[2]))
    bias = error_nm.mean(axis=0)
    efficiency_lateral = efficiency(jaccard, lateral, EFFICIENCY_LATERAL)
    efficiency_axial = efficiency(jaccard, axial, EFFICIENCY_AXIAL)
    return {
        "rmse_lateral_nm": lateral,
        "rmse_axial_nm": axial,
        "rmse_3d_nm": float(np.sqrt(square.sum())),
        "bias_x_nm": float(bias[0]),
        "bias_y_nm": float(bias[1]),
        "bias_z_nm": float(bias[2]),
        "efficiency_lateral": efficiency_lateral,
        "efficiency_axial": efficiency_axial,
        "efficiency_3d": (efficiency_lateral + efficiency_axial) / 2,
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
