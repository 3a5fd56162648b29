"""Molecules that shine over several frames, and those found twice."""

import numpy as np
import pytest

from dsacq.analysis.merging import local_density, merged, without_duplicates
from dsacq.data import Localizations
from dsacq.errors import SettingsError


def blinking(sigma: list[float]) -> Localizations:
    """One molecule in frames 3, 4 and 6, another in 4."""
    return Localizations.from_columns(
        frame=[3, 4, 4, 6],
        x_um=[1.00, 1.02, 5.0, 1.01],
        y_um=[2.0, 2.0, 5.0, 2.0],
        z_um=[0.5, 0.5, 1.0, 0.5],
        photons=[100, 200, 70, 50],
        background=[10, 20, 5, 30],
        sigma_x_um=sigma,
        sigma_y_um=sigma,
        sigma_z_um=sigma,
        probability=[0.9, 0.8, 0.7, 0.95],
    )


def test_a_blink_becomes_one_localization() -> None:
    rows = merged(blinking([0.01, 0.02, 0.01, 0.01])).table
    assert rows["frame"].tolist() == [3, 4]
    assert rows["localizations"].tolist() == [3, 1]
    assert rows["photons"].tolist() == [350, 70]
    assert rows["background"].tolist() == [20, 5]
    weights = np.array([1, 0.25, 1]) / 1e-4
    assert rows["x_um"][0] == pytest.approx(weights @ [1.00, 1.02, 1.01] / weights.sum())
    assert rows["sigma_x_um"][0] == pytest.approx(1 / np.sqrt(weights.sum()))
    assert rows["probability"][0] == pytest.approx(0.95)


def test_a_longer_dark_time_is_another_molecule() -> None:
    assert len(merged(blinking([0.01] * 4), memory_frames=0)) == 3


def test_unknown_errors_weigh_the_same() -> None:
    rows = merged(blinking([np.nan, 0.02, 0.01, 0.01])).table
    assert rows["x_um"][0] == pytest.approx(1.01)
    assert np.isnan(rows["sigma_x_um"][0])
    assert rows["sigma_x_um"][1] == pytest.approx(0.01)
    assert len(merged(Localizations.empty())) == 0


def test_the_surest_of_duplicates_stays() -> None:
    table = Localizations.from_columns(
        frame=[0, 0, 0, 1],
        x_um=[1.00, 1.02, 1.04, 1.0],
        y_um=[0, 0, 0, 0],
        z_um=[0, 0, 0, 0],
        probability=[0.5, 0.9, 0.6, 0.4],
    )
    kept = without_duplicates(table, 0.03).table
    assert kept["probability"].tolist() == pytest.approx([0.9, 0.4])
    assert len(without_duplicates(table, 0.01)) == 4
    with pytest.raises(SettingsError, match="not above 0"):
        without_duplicates(table, 0.0)


def test_density_is_that_of_the_neighbours() -> None:
    place = np.random.default_rng(1).uniform(0, 4, size=(40_000, 3))
    table = Localizations.from_columns(
        frame=np.arange(40_000), x_um=place[:, 0], y_um=place[:, 1], z_um=place[:, 2]
    )
    inside = ((place > 0.5) & (place < 3.5)).all(1)
    assert local_density(table, 0.3)[inside].mean() == pytest.approx(40_000 / 64, rel=0.02)
