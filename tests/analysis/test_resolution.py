"""Ring correlation against its closed form, profiles against known widths."""

import numpy as np
import pytest

from dsacq.analysis.resolution import line_profile, ring_correlation
from dsacq.data import Localizations
from dsacq.errors import SettingsError

SIGMA_UM = 0.010


def expected_resolution_um(sigma_um: float, times: float) -> float:
    """Of randomly placed emitters that are localized so many times each: 2 pi sigma/sqrt(ln 3K)."""
    return float(2 * np.pi * sigma_um / np.sqrt(np.log(3 * times)))


def seen(times: int, molecules: int = 4000, side_um: float = 4.0) -> Localizations:
    draw = np.random.default_rng(1)
    places = draw.uniform(0, side_um, size=(molecules, 3))
    places = np.repeat(places, draw.poisson(times, molecules), 0)
    place = places + draw.normal(size=places.shape) * SIGMA_UM
    frame = draw.permutation(len(place)) * 10
    return Localizations.from_columns(
        frame=frame, x_um=place[:, 0], y_um=place[:, 1], z_um=place[:, 2]
    )


@pytest.mark.parametrize("times", [4, 20])
@pytest.mark.parametrize("plane", ["xy", "xz"])
def test_the_resolution_is_that_of_the_closed_form(times: int, plane: str) -> None:
    # Frames are far apart, so that each localization is drawn by itself.
    found = ring_correlation(seen(times, 60_000 // times, 6.0), plane, pixel_um=0.003)
    expected = expected_resolution_um(SIGMA_UM, times)
    assert found.resolution_um == pytest.approx(expected, rel=0.05)
    assert found.correlation[1:10].mean() > 0.6
    assert abs(found.correlation[-100:].mean()) < 0.02


def test_known_ratios() -> None:
    ratios = [expected_resolution_um(1.0, times) for times in (2, 4, 10, 20, 50)]
    assert ratios == pytest.approx([4.69, 3.99, 3.41, 3.11, 2.81], abs=0.01)


def test_it_equals_a_plain_computation() -> None:
    table = seen(6, 1500, 2.0)
    found = ring_correlation(table, pixel_um=0.005, seed=4)
    # By hand: the same halves, full transforms, a loop over rings.
    rows = table.table
    group = rows["frame"].to_numpy() // 50
    group = group - group.min()
    half = np.random.default_rng(4).integers(2, size=group.max() + 1)[group] == 0
    place = rows[["x_um", "y_um"]].to_numpy(np.float64)
    low, high = place.min(0), place.max(0)
    size = int(np.ceil((high - low).max() / 0.005) + 1)
    low = (low + high) / 2 - size * 0.005 / 2
    from scipy.fft import next_fast_len
    from scipy.signal.windows import tukey

    size = next_fast_len(size, real=True)
    edges = np.arange(size + 1) * 0.005
    window = np.outer(tukey(size, 0.25), tukey(size, 0.25))
    one, two = (
        np.fft.fft2(np.histogram2d(*(place[part] - low).T[::-1], bins=(edges, edges))[0] * window)
        for part in (half, ~half)
    )
    away = np.rint(np.hypot(*np.meshgrid(*[np.fft.fftfreq(size) * size] * 2)))
    for ring in (3, 20, 77):
        on = away == ring
        expected = (one[on] * two[on].conj()).sum().real / np.sqrt(
            (abs(one[on]) ** 2).sum() * (abs(two[on]) ** 2).sum()
        )
        assert found.correlation[ring] == pytest.approx(expected, rel=0.02, abs=0.003)


def test_halves_are_drawn_by_track_where_there_are_tracks() -> None:
    # The same molecule in consecutive frames is no second look at a structure.
    draw = np.random.default_rng(2)
    places = np.repeat(draw.uniform(0, 3, size=(3000, 3)), 5, 0)
    place = places + draw.normal(size=places.shape) * SIGMA_UM
    track = np.repeat(np.arange(3000), 5)
    columns = {"x_um": place[:, 0], "y_um": place[:, 1], "z_um": place[:, 2]}
    alone = Localizations.from_columns(frame=np.arange(15000) * 60, **columns)
    linked = Localizations.from_columns(frame=np.arange(15000) * 60, track=track, **columns)
    assert ring_correlation(alone).correlation[5:40].mean() > 0.6
    assert ring_correlation(linked).correlation[5:40].mean() < 0.1


def test_a_line_has_the_width_it_was_drawn_with() -> None:
    draw = np.random.default_rng(3)
    x = 1 + draw.normal(size=4000) * 0.02
    y = draw.uniform(0, 4, size=4000)
    table = Localizations.from_columns(frame=np.arange(4000), x_um=x, y_um=y, z_um=0 * x)
    found = line_profile(table, (0.8, 2.0), (1.2, 2.0), width_um=2.0)
    assert found.fwhm_um == pytest.approx(0.0471, rel=0.06)
    assert abs(found.fwhm_um - 0.0471) < 4 * found.fwhm_error_um
    assert found.centre_um == pytest.approx(0.2, abs=0.003)
    with pytest.raises(SettingsError, match="Only 0 localizations"):
        line_profile(table, (2.8, 2.0), (3.2, 2.0), width_um=0.5)


def test_few_localizations_are_told() -> None:
    with pytest.raises(SettingsError, match="too few"):
        ring_correlation(seen(1, 100))
    with pytest.raises(SettingsError, match="plane 'zz'"):
        ring_correlation(seen(1), "zz")
