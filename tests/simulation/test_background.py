"""Ranges and shapes of backgrounds."""

import math

import pytest
import torch

from dsacq.config import validated
from dsacq.errors import SettingsError
from dsacq.simulation.background import Background, Constant, Gradient, SuperGaussian

SHAPE = (60, 81)
BACKGROUNDS: list[Background] = [
    Constant(photons=30),
    Constant(photons=(10, 40)),
    Gradient(low=5, high=50),
    SuperGaussian(),
]


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_constant_background() -> None:
    assert (Constant(photons=30).sample(3, SHAPE, draw()) == 30).all()
    level = Constant(photons=(10, 40)).sample(500, SHAPE, draw())
    assert (level == level[:, :1, :1]).all()
    assert level.min().item() == pytest.approx(10, abs=0.3)
    assert level.max().item() == pytest.approx(40, abs=0.3)


def test_gradient_is_linear_between_its_ends_in_any_direction() -> None:
    images = Gradient(low=5, high=50).sample(100, SHAPE, draw())
    torch.testing.assert_close(images.amin((1, 2)), torch.full((100,), 5.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(images.amax((1, 2)), torch.full((100,), 50.0), atol=1e-3, rtol=0)
    assert images.diff(dim=1).diff(dim=1).abs().max() < 1e-3
    assert images.diff(dim=1).diff(dim=2).abs().max() < 1e-3
    angle = torch.atan2(images.diff(dim=1)[:, 0, 0], images.diff(dim=2)[:, 0, 0])
    assert angle.min() < -2
    assert angle.max() > 2


def test_super_gaussian_has_the_published_levels_and_widths() -> None:
    images = SuperGaussian().sample(300, (121, 121), draw())
    base, peak = images.amin((1, 2)), images.amax((1, 2))
    assert (base.min().item(), base.max().item()) == pytest.approx((20, 30), abs=0.2)
    assert (peak.min().item(), peak.max().item()) == pytest.approx((100, 150), abs=1)
    brightest = images.flatten(1).argmax(1)
    centre = torch.stack((brightest // 121, brightest % 121), 1) - 60
    assert centre.abs().max() <= 11
    # exp(-Q^2) is above half within Q < sqrt(ln 2): an ellipse of area 2 pi sqrt(ln 2) s1 s2.
    half = ((images > ((base + peak) / 2)[:, None, None]).sum((1, 2))).float().mean().item()
    mean_product = (0.3 * 121) ** 2
    assert half == pytest.approx(2 * math.pi * math.sqrt(math.log(2)) * mean_product, rel=0.15)


@pytest.mark.parametrize("length_px", [7.5, 64.0])
def test_roughness_is_smooth_and_has_its_amplitude(length_px: float) -> None:
    images = Constant(photons=100, roughness=0.2, roughness_px=length_px).sample(20, SHAPE, draw())
    torch.testing.assert_close(images.amin((1, 2)), torch.full((20,), 90.0), rtol=1e-4, atol=0)
    torch.testing.assert_close(images.amax((1, 2)), torch.full((20,), 110.0), rtol=1e-4, atol=0)
    step = torch.maximum(images.diff(dim=1).abs().max(), images.diff(dim=2).abs().max())
    assert step.item() < 20 * 3 / length_px


@pytest.mark.parametrize("background", BACKGROUNDS, ids=lambda background: background.kind)
def test_every_frame_has_its_own_from_the_generator(background: Background) -> None:
    first, again = (background.sample(4, SHAPE, draw(3)) for _ in range(2))
    assert first.shape == (4, *SHAPE)
    assert torch.equal(first, again)
    if background != Constant(photons=30):
        assert not torch.equal(first[0], first[1])
        assert not torch.equal(first, background.sample(4, SHAPE, draw(4)))


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        (Constant, {"photons": -1}, "photons"),
        (Gradient, {"low": 5, "high": 2}, "low, high"),
        (SuperGaussian, {"base": [30, 20]}, "base"),
        (SuperGaussian, {"roughness": 3}, "roughness"),
        (SuperGaussian, {"rough": 1}, "rough is not a known key"),
    ],
)
def test_impossible_backgrounds_are_refused(
    kind: type, values: dict[str, object], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        validated(kind, values, "movie.toml")
