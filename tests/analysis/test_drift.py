"""Drift, of localizations whose drift is known."""

import numpy as np
import pytest

from dsacq.analysis.drift import Drift, corrected, estimate_drift, fiducial_drift
from dsacq.data import Localizations
from dsacq.errors import SettingsError

FRAMES = 3000
SIGMA_UM = (0.014, 0.014, 0.022)


def filaments(count: int, drift_um: np.ndarray, seed: int = 1) -> Localizations:
    """Molecules on curved lines in 10 x 10 x 3 um, each seen some times, in frames that drift."""
    draw = np.random.default_rng(seed)
    lines = []
    for _ in range(25):
        way = draw.normal(size=3) * [1, 1, 0.2]
        steps = way / np.linalg.norm(way) + draw.normal(size=(250, 3)).cumsum(0) * 0.03
        steps /= np.linalg.norm(steps, axis=1, keepdims=True)
        lines.append(draw.uniform([0, 0, 0.5], [10, 10, 2.5]) + (0.05 * steps).cumsum(0))
    places = np.concatenate(lines)
    molecules = places[draw.integers(len(places), size=count // 6)]
    place = molecules[draw.integers(len(molecules), size=count)]
    place = place + draw.normal(size=(count, 3)) * SIGMA_UM
    frame = np.sort(draw.integers(len(drift_um), size=count))
    place = place + drift_um[frame]
    return Localizations.from_columns(
        frame=frame, x_um=place[:, 0], y_um=place[:, 1], z_um=place[:, 2]
    )


def found(table: Localizations) -> Drift:
    work = estimate_drift(table)
    percent = []
    while True:
        try:
            percent.append(next(work))
        except StopIteration as end:
            assert percent == sorted(percent)
            assert 0 <= percent[0] <= percent[-1] <= 100
            return end.value


def walk(seed: int) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(size=(FRAMES, 3)).cumsum(0)
    smooth = np.cumsum(steps, 0)
    smooth -= smooth[0]
    return 0.4 * smooth / abs(smooth).max(0)


def error_nm(drift: Drift, truth_um: np.ndarray) -> np.ndarray:
    away = drift.at(np.arange(FRAMES)) - truth_um
    return 1e3 * (away - away.mean(0)).std(0)


def test_a_smooth_drift_of_half_a_micrometre_is_found() -> None:
    truth = walk(3)
    table = filaments(40_000, truth)
    drift = found(table)
    assert error_nm(drift, truth).max() < 3.0
    still = corrected(table, drift)
    assert still.origin["drift_corrected"] is True
    moved = (table.positions_um() - still.positions_um())[-1]
    assert moved == pytest.approx(truth[-1], abs=0.01)
    assert drift.drift_um[0] == pytest.approx(0)


def test_where_nothing_drifts_nothing_is_found() -> None:
    table = filaments(20_000, np.zeros((FRAMES, 3)))
    assert error_nm(found(table), np.zeros((FRAMES, 3))).max() < 3.0


def test_the_order_of_the_rows_does_not_matter() -> None:
    table = filaments(12_000, walk(4))
    order = np.random.default_rng(0).permutation(len(table))
    mixed = Localizations(table.table.iloc[order].reset_index(drop=True))
    assert found(mixed).drift_um == pytest.approx(found(table).drift_um, abs=2e-3)


def test_too_few_are_told() -> None:
    with pytest.raises(SettingsError, match="too few to tell a drift"):
        found(filaments(1000, np.zeros((FRAMES, 3))))


def test_fiducials_tell_the_drift() -> None:
    truth = walk(5)
    frame = np.concatenate([np.arange(FRAMES), np.arange(0, FRAMES, 2)])
    track = np.concatenate([np.zeros(FRAMES, int), np.full(FRAMES // 2, 7)])
    place = truth[frame] + np.where(track[:, None] == 7, 3.0, 1.0)
    place += np.random.default_rng(1).normal(size=place.shape) * 0.002
    table = Localizations.from_columns(
        frame=frame, x_um=place[:, 0], y_um=place[:, 1], z_um=place[:, 2], track=track
    )
    assert error_nm(fiducial_drift(table, [0, 7]), truth).max() < 3.0
    with pytest.raises(SettingsError, match="no track 5"):
        fiducial_drift(table, [0, 5])
    with pytest.raises(SettingsError, match="not linked"):
        fiducial_drift(Localizations(table.table.drop(columns="track")), [0])
