"""Diffusion, exponents and confinement, of movements that are known."""

from collections.abc import Callable

import numpy as np
import pytest

from dsacq.analysis.motion import (
    anomalous,
    confinement,
    diffusion,
    displacements,
    jump_distances,
)
from dsacq.analysis.rigid_motion import rigid_motion
from dsacq.data import Localizations
from dsacq.errors import SettingsError

INTERVAL_S, SIGMA_UM = 0.1, 0.02
FINE = 10  # steps within a frame, so that motion within the exposure is there


def tracked(place: np.ndarray, sigma_um: float = SIGMA_UM, seed: int = 0) -> Localizations:
    """Tracks (T, F, 3) as localizations with errors, a tenth of them missing."""
    draw = np.random.default_rng(seed + 100)
    tracks, frames = place.shape[:2]
    seen = place + draw.normal(size=place.shape) * sigma_um
    track, frame = np.indices((tracks, frames)).reshape(2, -1)
    kept = draw.random(len(track)) > 0.1
    rows = seen.reshape(-1, 3)[kept]
    return Localizations.from_columns(
        frame=frame[kept],
        x_um=rows[:, 0],
        y_um=rows[:, 1],
        z_um=rows[:, 2],
        sigma_x_um=np.full(len(rows), sigma_um),
        sigma_y_um=np.full(len(rows), sigma_um),
        sigma_z_um=np.full(len(rows), sigma_um),
        track=track[kept],
    )


def brownian(rate: float, tracks: int = 40, frames: int = 200, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    step = np.sqrt(2 * rate * INTERVAL_S / FINE)
    fine = (draw.normal(size=(tracks, frames * FINE, 3)) * step).cumsum(1)
    return fine.reshape(tracks, frames, FINE, 3).mean(2)


def fractional(exponent: float, rate: float, seed: int) -> np.ndarray:
    """Fractional Brownian motion, by the root of its covariance."""
    tracks, frames = 40, 120
    time = INTERVAL_S * np.arange(1, frames + 1)
    cov = time[:, None] ** exponent + time**exponent - abs(time[:, None] - time) ** exponent
    root = np.linalg.cholesky(rate * cov)
    draw = np.random.default_rng(seed)
    return np.einsum("ij,tjk->tik", root, draw.normal(size=(tracks, frames, 3)))


def test_free_diffusion_and_its_error_are_found() -> None:
    found = diffusion(tracked(brownian(0.01)), INTERVAL_S)
    assert found.diffusion_um2_per_s.value == pytest.approx(0.01, rel=0.05)
    assert found.error_um.value == pytest.approx(SIGMA_UM, rel=0.1)
    assert found.of_tracks.mean() == pytest.approx(0.01, rel=0.08)
    assert len(found.track) == 40


def test_the_interval_of_the_diffusion_holds_the_truth() -> None:
    inside = 0
    for seed in range(60):
        value = diffusion(
            tracked(brownian(0.01, 30, 60, seed), seed=seed), INTERVAL_S, seed=seed
        ).diffusion_um2_per_s
        inside += value.low <= 0.01 <= value.high
    assert inside >= 52  # 95 % of 60 are 57; fewer than 52 would be very bad luck


def test_emitters_at_rest_do_not_diffuse() -> None:
    rest = tracked(np.zeros((40, 100, 3)))
    found = diffusion(rest, INTERVAL_S)
    assert abs(found.diffusion_um2_per_s.value) < 2e-4
    assert found.error_um.value == pytest.approx(SIGMA_UM, rel=0.05)


def test_squared_displacements_are_those_of_the_formula() -> None:
    moved = displacements(tracked(brownian(0.01, 200, 60)), INTERVAL_S)
    lag = moved.lag_s[:6]
    expected = 6 * 0.01 * (lag - INTERVAL_S / 3) + 6 * SIGMA_UM**2
    assert moved.mean[:6] == pytest.approx(expected, rel=0.03)
    assert moved.error_um2 == pytest.approx(SIGMA_UM**2)
    flat = displacements(tracked(brownian(0.01, 200, 60)), INTERVAL_S, ("x_um", "y_um"))
    assert flat.mean[:6] == pytest.approx(expected * 2 / 3, rel=0.04)


@pytest.mark.parametrize("exponent", [0.6, 1.0])
def test_the_exponent_is_found_in_spite_of_errors(exponent: float) -> None:
    table = tracked(fractional(exponent, 0.02, 3))
    found = anomalous(displacements(table, INTERVAL_S), exposure_s=0.0)
    assert found.exponent.low <= exponent <= found.exponent.high
    assert found.exponent.value == pytest.approx(exponent, abs=0.06)
    assert found.rate.value == pytest.approx(0.02, rel=0.12)


def test_brownian_motion_has_the_exponent_one() -> None:
    # Without what is done against errors and blur it would be 0.84: SCIENCE, for 10 lags.
    found = anomalous(displacements(tracked(brownian(0.01)), INTERVAL_S))
    assert found.exponent.value == pytest.approx(1.0, abs=0.05)


def test_errors_stated_too_large_do_not_make_nonsense() -> None:
    table = tracked(brownian(0.002, 40, 30))
    rows = table.table.assign(sigma_x_um=0.06, sigma_y_um=0.06, sigma_z_um=0.06)
    found = anomalous(displacements(Localizations(rows), INTERVAL_S)).exponent
    assert 0 <= found.low <= found.value <= found.high <= 2
    assert found.low < 1.1


def test_a_sphere_that_confines_is_measured() -> None:
    draw, radius = np.random.default_rng(6), 0.3
    place = np.zeros((60, 3))
    way = []
    for _ in range(300):
        for _ in range(20):
            there = place + draw.normal(size=place.shape) * np.sqrt(2 * 0.05 * INTERVAL_S / 20)
            inside = np.linalg.norm(there, axis=1) < radius
            place = np.where(inside[:, None], there, place)
        way.append(place)
    moved = displacements(tracked(np.stack(way, 1)), INTERVAL_S)
    found = confinement(moved)
    assert found is not None
    assert found.radius_um == pytest.approx(radius, rel=0.05)
    assert confinement(displacements(tracked(brownian(0.05)), INTERVAL_S)) is None


def test_jumps_are_as_long_as_diffusion_makes_them() -> None:
    jumps = jump_distances(tracked(brownian(0.01, 100, 100), 1e-6), lag=2)
    expected = 6 * 0.01 * (2 * INTERVAL_S - INTERVAL_S / 3)
    assert (jumps**2).mean() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("work", [displacements, diffusion])
def test_tables_without_tracks_are_told(work: Callable[..., object]) -> None:
    table = tracked(brownian(0.01, 2, 3))
    with pytest.raises(SettingsError, match="No track has"):
        work(table, INTERVAL_S)
    with pytest.raises(SettingsError, match="not linked"):
        work(Localizations(table.table.drop(columns="track")), INTERVAL_S)


def turning(angle_rad: float, seed: int = 1) -> tuple[Localizations, np.ndarray]:
    """48 emitters in a nucleus that turns about z and moves, some of which do not follow."""
    draw = np.random.default_rng(seed)
    base = draw.uniform([-5, -5, -2], [5, 5, 2], size=(48, 3))
    frames = np.linspace(0, angle_rad, 25)
    place = []
    for angle in frames:
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        place.append(base @ turn.T + [0.5 * angle, 1.0, 0.2])
    ways = np.stack(place, 1)
    ways[:3] += draw.normal(size=(3, 25, 3)) * 0.8
    return tracked(ways), frames


def test_the_rotation_of_a_nucleus_is_found() -> None:
    table, angles = turning(0.5)
    motion, still = rigid_motion(table, 0)
    assert np.degrees(abs(motion.angle_rad - angles)).max() < 0.5
    assert np.degrees(abs(motion.rotation_rad[:, 2] - angles)).max() < 0.5
    assert motion.residual_um[1:].mean() == pytest.approx(np.sqrt(2) * SIGMA_UM, rel=0.25)
    followers = still.table[still.table["track"] >= 3]
    spread = followers.groupby("track")["x_um"].std()
    assert spread.median() < 2 * SIGMA_UM


def test_too_few_for_a_rotation_are_told() -> None:
    table, _ = turning(0.1)
    with pytest.raises(SettingsError, match="3 linked emitters"):
        rigid_motion(Localizations(table.table[table.table["track"] < 3]), 0)
