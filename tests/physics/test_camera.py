"""Cameras against the moments of their laws."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dsacq.config import validated
from dsacq.errors import SettingsError
from dsacq.physics.camera import (
    Camera,
    EmccdCamera,
    IdealCamera,
    ScmosCamera,
    digitised,
    expected_electrons,
    expose,
    expose_differentiably,
    read_variance_electrons,
    response,
    to_electrons,
    to_photons,
)

EMCCD = EmccdCamera(quantum_efficiency=0.8, em_gain=300.0, spurious_electrons=0.0)
SCMOS = ScmosCamera(
    quantum_efficiency=0.7, offset_adu=90.0, gain_adu_per_electron=2.0, read_variance_adu2=12.0
)
CAMERAS: list[Camera] = [IdealCamera(), SCMOS, EMCCD, EmccdCamera(spurious_electrons=1.5)]


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def level(photons: float, pixels: int = 400_000) -> Tensor:
    return torch.full((pixels,), photons)


def test_emccd_moments_are_those_of_the_poisson_gamma_law() -> None:
    electrons = to_electrons(EMCCD, expose(EMCCD, level(20 / 0.8, 1_000_000), draw()))
    assert electrons.mean().item() == pytest.approx(20.0, abs=0.03)
    assert electrons.var().item() == pytest.approx(40.06, rel=0.01)


def test_emccd_without_light_reads_only_its_noise() -> None:
    quiet = EmccdCamera(spurious_electrons=0.0, read_noise_electrons=0.0)
    assert (expose(quiet, level(0.0, 1000), draw()) == quiet.baseline_adu).all()
    counts = expose(EMCCD, level(0.0), draw())
    assert counts.std().item() == pytest.approx(74.4 / 45, rel=0.01)


def test_register_gives_each_electron_an_exponential() -> None:
    quiet = EmccdCamera(quantum_efficiency=1, spurious_electrons=0, read_noise_electrons=0)
    electrons = to_electrons(quiet, expose(quiet, level(0.01, 2_000_000), draw()))
    hit = electrons[electrons > 0]
    assert len(hit) / 2e6 == pytest.approx(1 - np.exp(-0.01), rel=0.02)
    assert (hit > 1).float().mean().item() == pytest.approx(np.exp(-1), rel=0.05)


def test_scmos_moments_differ_from_pixel_to_pixel() -> None:
    offset, gain, variance = (
        np.array([values], np.float32) for values in ([90, 100], [1, 2.5], [4, 40])
    )
    camera = ScmosCamera(
        quantum_efficiency=0.9,
        offset_adu=offset,
        gain_adu_per_electron=gain,
        read_variance_adu2=variance,
    )
    counts = expose(camera, torch.full((300_000, 1, 2), 30.0), draw())
    mean, spread = counts.mean(0).numpy(), counts.var(0).numpy()
    np.testing.assert_allclose(mean, offset + gain * 27, rtol=2e-3)
    np.testing.assert_allclose(spread, gain**2 * 27 + variance, rtol=1.5e-2)
    np.testing.assert_allclose(read_variance_electrons(camera), variance / gain**2)


def test_ideal_camera_draws_a_poisson_number() -> None:
    counts = expose(IdealCamera(), level(3.0), draw())
    assert (counts == counts.round()).all()
    for value in range(8):
        share = np.exp(-3) * 3.0**value / float(np.prod(range(1, value + 1)))
        assert (counts == value).float().mean().item() == pytest.approx(share, abs=3e-3)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.kind)
def test_counts_return_to_photons_on_average(camera: Camera) -> None:
    photons = to_photons(camera, expose(camera, level(50.0), draw()))
    assert photons.mean().item() == pytest.approx(50.0, rel=2e-3)
    electrons = to_electrons(camera, expose(camera, level(50.0), draw()))
    expected = expected_electrons(camera, torch.tensor(50.0)).item()
    assert electrons.mean().item() == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.kind)
@pytest.mark.parametrize("photons", [2.0, 200.0])
def test_differentiable_noise_has_the_same_moments(camera: Camera, photons: float) -> None:
    true = expose(camera, level(photons), draw())
    smooth = expose_differentiably(camera, level(photons), draw(1))
    scale = true.std().item()
    assert smooth.mean().item() == pytest.approx(true.mean().item(), abs=0.01 * scale)
    assert smooth.std().item() == pytest.approx(scale, rel=0.01)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.kind)
def test_differentiable_noise_passes_the_slope_of_mean_and_spread(camera: Camera) -> None:
    photons = torch.tensor([40.0, 300.0], dtype=torch.float64, requires_grad=True)
    expose_differentiably(camera, photons, draw()).sum().backward()
    step = 1e-4
    up, down = (
        expose_differentiably(camera, photons.detach() + sign * step, draw()) for sign in (1, -1)
    )
    slope = (up - down) / (2 * step)
    assert photons.grad is not None
    torch.testing.assert_close(photons.grad, slope, rtol=1e-6, atol=0)


def test_differentiable_noise_is_finite_in_the_dark() -> None:
    photons = torch.zeros(100, requires_grad=True)
    counts = expose_differentiably(IdealCamera(), photons, draw())
    counts.sum().backward()
    assert counts.isfinite().all()
    assert photons.grad is not None
    assert photons.grad.isfinite().all()


def test_noise_comes_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    for camera in CAMERAS:
        first, again, other = (expose(camera, level(9.0, 500), draw(seed)) for seed in (4, 4, 5))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        smooth = [expose_differentiably(camera, level(9.0, 500), draw(seed)) for seed in (4, 4, 5)]
        assert torch.equal(smooth[0], smooth[1])
        assert not torch.equal(smooth[0], smooth[2])
    assert torch.equal(before, torch.random.get_rng_state())


def test_only_a_register_adds_to_shot_noise() -> None:
    assert [response(camera).excess for camera in CAMERAS] == [False, False, True, True]


def test_converter_rounds_and_saturates() -> None:
    counts = torch.tensor([-3.0, 0.4, 0.6, 65534.6, 1e6])
    assert digitised(counts).tolist() == [0, 0, 1, 65535, 65535]
    assert digitised(counts, bits=12).max().item() == 4095


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        (EmccdCamera, {"em_gian": 3}, "em_gian is not a known key"),
        (EmccdCamera, {"em_gain": 1.0}, "em_gain"),
        (ScmosCamera, {"quantum_efficiency": 1.2}, "quantum_efficiency"),
        (ScmosCamera, {"gain_adu_per_electron": 0}, "gain_adu_per_electron"),
        (ScmosCamera, {"read_variance_adu2": np.array([1.0, np.nan])}, "read_variance_adu2"),
        (ScmosCamera, {"offset_adu": "many"}, "offset_adu"),
    ],
)
def test_impossible_cameras_are_refused(kind: type, values: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        validated(kind, values, "camera.toml")
