"""Histograms and pictures of localizations against what is counted by hand."""

import numpy as np
import pytest

from dsacq.errors import SettingsError
from ui.quick_plots import histogram, rendered


def test_whole_numbers_get_whole_bins() -> None:
    edges, counts = histogram(np.repeat(np.arange(40), 3))
    assert counts.tolist() == [3] * 40
    assert edges[0] == -0.5
    edges, counts = histogram(np.arange(1050))
    assert set(np.diff(edges)) == {11.0}
    assert counts.sum() == 1050


def test_a_histogram_leaves_out_unknown_and_what_is_far_out() -> None:
    values = np.random.default_rng(0).normal(100, 5, 20_000).astype(np.float32)
    values[:5] = 1e9
    values[5:10] = np.nan
    edges, counts = histogram(values)
    assert edges[-1] < 130
    assert counts.sum() > 19_900


@pytest.mark.parametrize("values", [np.full(7, 3.5), np.array([3.5]), np.full(7, 4)])
def test_a_single_value_is_a_single_bar(values: np.ndarray) -> None:
    _, counts = histogram(values)
    assert counts.sum() == counts.max() == len(values)


def test_without_values_there_is_no_bar() -> None:
    assert len(histogram(np.full(3, np.nan))[1]) == 0
    assert len(histogram(np.empty(0))[1]) == 0


def test_a_picture_counts_per_pixel() -> None:
    x_um = np.array([1.0, 1.05, 1.95, 1.95])
    y_um = np.array([5.0, 5.05, 5.0, 5.25])
    z_um = np.array([1.0, 3.0, 4.0, 0.0])
    bright, height_um, corner_um = rendered(x_um, y_um, 0.1, z_um)
    assert bright.shape == (3, 10)
    assert corner_um == (1.0, 5.0)
    expected = np.zeros((3, 10))
    expected[0, 0], expected[0, 9], expected[2, 9] = 2, 1, 1
    np.testing.assert_allclose(bright, np.minimum(np.sqrt(expected), 1))
    assert height_um is not None
    assert height_um[0, 0] == 2.0
    assert height_um[2, 9] == 0.0
    assert np.isnan(height_um[1, 1])


def test_too_large_a_picture_is_refused_with_what_would_do() -> None:
    x_um = y_um = np.array([0.0, 1000.0])
    with pytest.raises(SettingsError, match="choose 363 nm or more"):
        rendered(x_um, y_um, 0.001)
    rendered(x_um, y_um, 0.363)


def test_a_picture_of_nothing_is_black() -> None:
    none = np.empty(0)
    bright, _, _ = rendered(none, none, 0.1)
    assert not bright.any()
