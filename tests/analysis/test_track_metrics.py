"""Scores of tracks against the truth, of cases that can be counted by hand."""

import numpy as np
import pytest

from dsacq.analysis.track_metrics import score_tracks
from dsacq.data import Localizations
from dsacq.errors import SettingsError

GATE_UM = 0.5


def tracks(*ways: tuple[range, float]) -> Localizations:
    """Tracks at rest: their frames, and x."""
    frame = np.concatenate([list(frames) for frames, _ in ways])
    x = np.concatenate([np.full(len(frames), x) for frames, x in ways])
    number = np.concatenate([np.full(len(frames), n) for n, (frames, _) in enumerate(ways)])
    return Localizations.from_columns(frame=frame, x_um=x, y_um=0 * x, z_um=0 * x, track=number)


TRUTH = tracks((range(10), 0.0), (range(10), 5.0))


def test_the_truth_itself_is_perfect() -> None:
    score = score_tracks(TRUTH, TRUTH, GATE_UM)
    assert (score.alpha, score.beta, score.jaccard, score.jaccard_tracks) == (1, 1, 1, 1)
    assert score.rmse_um == 0


def test_an_offset_is_a_distance() -> None:
    score = score_tracks(tracks((range(10), 0.1), (range(10), 5.1)), TRUTH, GATE_UM)
    assert score.alpha == pytest.approx(1 - 0.1 / GATE_UM)
    assert score.beta == pytest.approx(score.alpha)
    assert score.rmse_um == pytest.approx(0.1)
    assert score.jaccard == 1


def test_a_track_that_is_missed() -> None:
    score = score_tracks(tracks((range(10), 0.0)), TRUTH, GATE_UM)
    assert (score.alpha, score.beta) == pytest.approx((0.5, 0.5))
    assert (score.jaccard, score.jaccard_tracks) == pytest.approx((0.5, 0.5))


def test_a_track_that_is_not_there_costs_beta_alone() -> None:
    found = tracks((range(10), 0.0), (range(10), 5.0), (range(5), 9.0))
    score = score_tracks(found, TRUTH, GATE_UM)
    assert score.alpha == 1
    assert score.beta == pytest.approx(20 / 25)
    assert score.jaccard == pytest.approx(20 / 25)
    assert score.jaccard_tracks == pytest.approx(2 / 3)


def test_a_broken_track_has_half_a_partner() -> None:
    found = tracks((range(5), 0.0), (range(5, 10), 0.0), (range(10), 5.0))
    score = score_tracks(found, TRUTH, GATE_UM)
    assert score.alpha == pytest.approx(1 - 5 / 20)
    assert score.beta == pytest.approx((20 - 5) / 25)
    assert score.jaccard_tracks == pytest.approx(2 / 3)


def test_rows_of_no_track_are_left_out() -> None:
    rows = TRUTH.table.assign(track=[-1] * 5 + TRUTH.table["track"].tolist()[5:])
    score = score_tracks(Localizations(rows), TRUTH, GATE_UM)
    assert score.alpha == pytest.approx(1 - 5 / 20)
    with pytest.raises(SettingsError, match="no column emitter"):
        score_tracks(TRUTH, TRUTH, GATE_UM, by="emitter")
    with pytest.raises(SettingsError, match="no tracks"):
        score_tracks(Localizations(TRUTH.table.assign(track=-1)), TRUTH, GATE_UM)
