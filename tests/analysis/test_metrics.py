"""Matching against brute force, and the numbers of the published measures."""

import json
from dataclasses import asdict
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from dsacq.analysis.metrics import (
    Scores,
    efficiency,
    evaluate,
    evaluate_by_density,
    match,
)
from dsacq.data import Localizations

Floats = NDArray[np.float64]


def localizations(xyz_um: Floats, frame: NDArray[np.int64] | int = 0) -> Localizations:
    x, y, z = xyz_um.T
    return Localizations.from_columns(frame=np.broadcast_to(frame, x.shape), x_um=x, y_um=y, z_um=z)


def row_of_emitters(count: int) -> Floats:
    """Emitters 1 um apart, so that each can only pair with its own."""
    return np.column_stack([np.arange(count), np.zeros(count), np.ones(count)]).astype(np.float64)


def counted(true_positives: int, false_positives: int, false_negatives: int) -> Scores:
    truth = row_of_emitters(true_positives + false_negatives)
    wrong = row_of_emitters(false_positives) + np.array([0, 50, 0])
    found = np.concatenate([truth[:true_positives], wrong])
    return evaluate(localizations(found), localizations(truth), radius_um=0.15)


def best_of_all(cost: Floats, radius: float) -> tuple[int, float]:
    """Most pairs within the radius, and their least total, by trying every assignment."""
    if cost.shape[0] > cost.shape[1]:
        cost = cost.T
    rows = np.arange(cost.shape[0])
    best = (0, 0.0)
    for columns in permutations(range(cost.shape[1]), len(rows)):
        chosen = cost[rows, columns]
        chosen = chosen[chosen <= radius]
        best = max(best, (len(chosen), -chosen.sum()))
    return best[0], -best[1]


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_matching_is_the_best_of_all(seed: int, found_count: int, truth_count: int) -> None:
    rng = np.random.default_rng(seed)
    found = rng.uniform(0, 0.3, (found_count, 3))
    truth = rng.uniform(0, 0.3, (truth_count, 3))
    i, j = match(found, truth, 0.15)
    assert len(set(i)) == len(set(j)) == len(i)
    distance = np.linalg.norm(found[i] - truth[j], axis=1)
    pairs, total = best_of_all(cdist(found, truth), 0.15)
    assert len(i) == pairs
    assert distance.sum() == pytest.approx(total)


@pytest.mark.parametrize("axial_um", [None, 0.5])
def test_a_dense_frame_equals_the_assignment_with_forbidden_pairs(axial_um: float | None) -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, [4, 4, 2], (300, 3))
    found = truth[:250] + rng.normal(0, 0.1, (250, 3))
    i, j = match(found, truth, 0.25, axial_um=axial_um)
    cost = cdist(found, truth)
    if axial_um is None:
        allowed = cost <= 0.25
    else:
        near = cdist(found[:, :2], truth[:, :2]) <= 0.25
        allowed = near & (np.abs(found[:, None, 2] - truth[:, 2]) <= axial_um)
    assert allowed[i, j].all()
    rows, columns = linear_sum_assignment(np.where(allowed, cost, 1e6))
    kept = allowed[rows, columns]
    assert len(i) == kept.sum()
    assert cost[i, j].sum() == pytest.approx(cost[rows, columns][kept].sum())


def test_ten_thousand_emitters_in_a_frame() -> None:
    rng = np.random.default_rng(4)
    truth = rng.uniform(0, [50, 50, 4], (10_000, 3))
    order = rng.permutation(len(truth))
    i, j = match(truth[order] + 1e-4, truth, 0.3)
    assert len(i) == len(truth)
    np.testing.assert_array_equal(order[i], j)


def test_the_gate_goes_before_the_assignment() -> None:
    # one found between two emitters, one far off: the least sum of distances pairs them crosswise
    truth = np.array([[0.0, 0, 0], [0.2, 0, 0]])
    found = np.array([[0.09, 0, 0], [-0.5, 0, 0]])
    assert [list(part) for part in match(found, truth, 0.1)] == [[0], [0]]
    assert len(match(found, truth, 0.1, gate="after")[0]) == 0

    rng = np.random.default_rng(5)
    frame = np.repeat(np.arange(100), 75)
    truth = rng.uniform(0, [9, 9, 4], (len(frame), 3))
    seen = rng.random(len(frame)) < 0.8
    found = (truth + rng.normal(0, 0.08, truth.shape))[seen]
    before, after = (
        evaluate(
            localizations(found, frame[seen]),
            localizations(truth, frame),
            radius_um=0.15,
            gate=gate,
        )
        for gate in ("before", "after")
    )
    assert before.true_positives > after.true_positives


def test_gate_of_a_sphere_and_of_a_cylinder() -> None:
    origin = np.zeros((1, 3))
    for offset, sphere, cylinder in [
        ([0.0, 0, 0], True, True),
        ([0.25, 0, 0], True, True),
        ([0.26, 0, 0], False, False),
        ([0, 0, 0.4], False, True),
        ([0.2, 0.1, 0.5], False, True),
        ([0, 0, 0.51], False, False),
        ([0.15, 0.15, 0.15], False, True),
    ]:
        found = np.array([offset])
        assert bool(len(match(found, origin, 0.25)[0])) == sphere
        assert bool(len(match(found, origin, 0.25, axial_um=0.5)[0])) == cylinder
    with pytest.raises(ValueError, match="above zero"):
        evaluate(localizations(origin), localizations(origin), radius_um=0)


def test_efficiency() -> None:
    assert efficiency(0.9, 20, 1) == pytest.approx(77.64, abs=0.005)
    assert efficiency(0.9, 40, 0.5) == pytest.approx(77.64, abs=0.005)
    assert efficiency(1, 0, 1) == 100


def test_published_counts() -> None:
    tetrapod = counted(49, 1, 13)
    assert tetrapod.jaccard == pytest.approx(49 / 63)
    assert tetrapod.jaccard == pytest.approx(0.778, abs=0.0005)
    assert tetrapod.precision == pytest.approx(49 / 50)
    assert tetrapod.recall == pytest.approx(49 / 62)
    assert (tetrapod.found, tetrapod.truth, tetrapod.true_positives) == (50, 62, 49)
    assert counted(57, 2, 5).jaccard == pytest.approx(0.891, abs=0.0005)


def test_errors_and_biases() -> None:
    truth = row_of_emitters(4)
    error = np.array([[0.03, 0.04, 0.01], [0.03, -0.04, 0.01], [0.03, 0.04, -0.03], [0.03, 0, 0]])
    scores = evaluate(localizations(truth + error), localizations(truth), radius_um=0.15)
    assert scores.rmse_lateral_nm == pytest.approx(np.sqrt((3 * 2500 + 900) / 4), rel=1e-4)
    assert scores.rmse_axial_nm == pytest.approx(np.sqrt((100 + 100 + 900) / 4), rel=1e-4)
    lateral, axial = scores.rmse_lateral_nm or 0, scores.rmse_axial_nm or 0
    assert scores.rmse_3d_nm == pytest.approx(np.hypot(lateral, axial))
    biases = (scores.bias_x_nm, scores.bias_y_nm, scores.bias_z_nm)
    assert biases == pytest.approx((30, 10, -2.5), rel=1e-3)
    assert scores.efficiency_lateral == pytest.approx(100 - lateral)
    assert scores.efficiency_axial == pytest.approx(100 - axial / 2)
    assert scores.efficiency_3d == pytest.approx(100 - (lateral + axial / 2) / 2)


def test_nothing_found_scores_nothing() -> None:
    none, some = Localizations.empty(), localizations(row_of_emitters(3))
    for found, truth in [(none, some), (some, none), (none, none)]:
        scores = evaluate(found, truth, radius_um=0.1)
        assert scores.jaccard == scores.precision == scores.recall == 0
        assert scores.jaccard_frame_mean == 0
        assert scores.rmse_lateral_nm is None
        assert scores.efficiency_3d is None
        json.dumps(asdict(scores), allow_nan=False)
    assert evaluate_by_density(none, none, radius_um=0.1) == []


def scattered(seed: int) -> tuple[Localizations, Localizations]:
    rng = np.random.default_rng(seed)
    frame = np.sort(rng.integers(0, 20, 400))
    truth = rng.uniform(0, [8, 8, 4], (400, 3))
    seen = rng.random(400) < 0.8
    found = (truth + rng.normal(0, 0.05, truth.shape))[seen]
    return localizations(found, frame[seen]), localizations(truth, frame)


def test_the_order_of_rows_changes_nothing() -> None:
    found, truth = scattered(6)
    scores = evaluate(found, truth, radius_um=0.15)
    shuffled = [
        Localizations(part.table.sample(frac=1, random_state=7).reset_index(drop=True))
        for part in (found, truth)
    ]
    again = evaluate(*shuffled, radius_um=0.15)
    assert asdict(again) == pytest.approx(asdict(scores))


def test_frames_are_matched_apart_pooled_and_averaged() -> None:
    emitters = row_of_emitters(3)
    truth = localizations(np.tile(emitters, (2, 1)), np.repeat([4, 9], 3))
    found = localizations(np.concatenate([emitters, emitters[:1]]), np.array([4, 4, 4, 2]))
    scores = evaluate(found, truth, radius_um=0.1)
    assert (scores.true_positives, scores.found, scores.truth) == (3, 4, 6)
    assert scores.jaccard == pytest.approx(3 / 7)
    assert scores.jaccard_frame_mean == pytest.approx((1 + 0 + 0) / 3)
    assert evaluate(found, truth, radius_um=0.1, frames=range(3, 9)).jaccard == 1
    assert evaluate(found, truth, radius_um=0.1, frames=range(100, 200)).truth == 0


def test_by_density_the_frames_are_grouped_by_their_true_emitters() -> None:
    found, truth = scattered(8)
    parts = evaluate_by_density(found, truth, radius_um=0.15, area_um2=64)
    counts = truth.table["frame"].value_counts()
    assert [part.emitters for part in parts] == sorted(set(counts))
    assert sum(part.frames for part in parts) == counts.size
    for part in parts:
        frames = counts.index[counts == part.emitters]
        subset = [
            Localizations(table[table["frame"].isin(frames)])
            for table in (found.table, truth.table)
        ]
        assert part.scores == evaluate(*subset, radius_um=0.15)
        assert part.density_per_um2 == part.emitters / 64
    assert evaluate_by_density(found, truth, radius_um=0.15)[0].density_per_um2 is None
