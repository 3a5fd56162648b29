"""Numbers, places, brightness, blinking and motion of emitters."""

import math

import pytest
import torch

from dsacq.config import validated
from dsacq.errors import SettingsError
from dsacq.simulation.brightness import Brightness, Fixed, Gamma, Lognormal, Uniform
from dsacq.simulation.emitters import Blinking, Emission, EmitterSettings, Molecules, new_emitters
from dsacq.simulation.places import Area, Nuclei, Place, Plane, Spheres, Volume

AREA = Area(2.0, 1.0, 22.0, 11.0, (0.5, 4.5))  # 200 um^2


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_density_counts_emitters_per_area() -> None:
    settings = EmitterSettings(density_per_um2=0.1)
    shining = new_emitters(settings, Fixed(photons=5), AREA, 2000, draw())
    counts = torch.bincount(shining.frame, minlength=2000).float()
    assert counts.mean().item() == pytest.approx(20, rel=0.02)
    assert counts.var().item() == pytest.approx(20, rel=0.1)
    assert (shining.frame.diff() >= 0).all()
    assert (shining.photons == 5).all()
    assert shining.track is None


def test_counts_are_as_asked() -> None:
    few = new_emitters(EmitterSettings(count=7), Fixed(photons=1), AREA, 5, draw())
    assert torch.bincount(few.frame).tolist() == [7] * 5
    some = new_emitters(EmitterSettings(count=(1, 4)), Fixed(photons=1), AREA, 4000, draw())
    shares = torch.bincount(torch.bincount(some.frame, minlength=4000)) / 4000
    assert shares.tolist() == pytest.approx([0, 0.25, 0.25, 0.25, 0.25], abs=0.03)


def test_blur_is_drawn_for_each_emitter() -> None:
    settings = EmitterSettings(count=5000, blur_px=(0.75, 1.25))
    blur_px = new_emitters(settings, Fixed(photons=1), AREA, 1, draw()).blur_px
    assert blur_px is not None
    assert blur_px.min().item() == pytest.approx(0.75, abs=2e-3)
    assert blur_px.max().item() == pytest.approx(1.25, abs=2e-3)


PLACES: list[Place] = [
    Volume(),
    Volume(z_range_um=(1.0, 2.0)),
    Plane(z_um=2.0, slope_x=0.05, slope_y=-0.02, thickness_um=0.1),
    Spheres(radius_um=0.6, centres_um=((5, 5, 2), (9, 6, 3))),
    Nuclei(semi_axes_um=(5, 4, 1.5), centres_um=((10, 6),), bottom_um=0.7),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.kind)
def test_heights_are_those_announced(place: Place) -> None:
    z_um = place.sample(20_000, AREA, draw())[:, 2]
    low, high = place.heights_um(AREA)
    assert low - 1e-5 <= z_um.min().item() < low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) < z_um.max().item() <= high + 1e-5


def test_volume_is_filled_evenly() -> None:
    place = Volume().sample(40_000, AREA, draw())
    low, high = torch.tensor([2.0, 1.0, 0.5]), torch.tensor([22.0, 11.0, 4.5])
    part = (place - low) / (high - low)
    assert ((part >= 0) & (part <= 1)).all()
    torch.testing.assert_close(part.mean(0), torch.full((3,), 0.5), rtol=0, atol=0.01)
    torch.testing.assert_close(part.var(0), torch.full((3,), 1 / 12), rtol=0.03, atol=0)


def test_plane_is_tilted_about_the_middle_of_the_area() -> None:
    x, y, z = Plane(z_um=2.0, slope_x=0.05, slope_y=-0.02).sample(1000, AREA, draw()).unbind(1)
    torch.testing.assert_close(z, 2.0 + 0.05 * (x - 12) - 0.02 * (y - 6))


def test_spheres_are_hollow() -> None:
    centres = torch.tensor([[5.0, 5, 2], [9, 6, 3]])
    place = PLACES[3].sample(10_000, AREA, draw())
    distance = torch.cdist(place, centres).min(1)
    torch.testing.assert_close(distance.values, torch.full((10_000,), 0.6), rtol=1e-4, atol=0)
    away = (place - centres[distance.indices]) / 0.6
    assert away.mean(0).abs().max() < 0.03  # uniform on the sphere: no direction preferred
    torch.testing.assert_close((away**2).mean(0), torch.full((3,), 1 / 3), rtol=0.05, atol=0)


def test_nuclei_are_filled_ellipsoids_on_the_coverslip() -> None:
    place = PLACES[4].sample(20_000, AREA, draw())
    inside = (place - torch.tensor([10.0, 6, 2.2])) / torch.tensor([5, 4, 1.5])
    radius = inside.norm(dim=1)
    assert radius.max() <= 1 + 1e-5
    assert (radius**3).mean().item() == pytest.approx(0.5, abs=0.01)  # uniform in volume


def test_photons_follow_their_laws() -> None:
    def of(brightness: Brightness) -> torch.Tensor:
        return brightness.sample(100_000, draw())

    assert (of(Fixed(photons=30)) == 30).all()
    flat = of(Uniform(low=1e4, high=6e4))
    assert (flat.min().item(), flat.max().item()) == pytest.approx((1e4, 6e4), rel=0.01)
    gamma = of(Gamma(shape=3, scale=3000))
    assert gamma.mean().item() == pytest.approx(9000, rel=0.01)
    assert gamma.std().item() == pytest.approx(3000 * math.sqrt(3), rel=0.01)
    assert (gamma > 6000).float().mean().item() == pytest.approx(0.677, abs=0.01)
    bright = of(Gamma(shape=3, scale=3000, minimum=6000))
    assert bright.min() >= 6000
    assert bright.mean().item() == pytest.approx(gamma[gamma > 6000].mean().item(), rel=0.01)
    logs = of(Lognormal(median=4000, sigma=0.5)).log()
    assert logs.mean().item() == pytest.approx(math.log(4000), abs=0.01)
    assert logs.std().item() == pytest.approx(0.5, rel=0.02)


def lasting(frames: int, interval_s: float, seed: int = 0, **given: object) -> Emission:
    settings = EmitterSettings(**given)  # type: ignore[arg-type]
    molecules = Molecules(settings, Uniform(low=50, high=200), AREA, interval_s, draw(seed))
    parts = [molecules.next_frames(4) for _ in range(frames // 4)]
    for index, part in enumerate(parts):
        parts[index] = part._replace(frame=part.frame + 4 * index)
    columns = zip(*(part[:4] for part in parts), strict=True)
    return Emission(*(torch.cat(column) for column in columns), None)


def test_molecules_keep_identity_and_brightness() -> None:
    shining = lasting(12, 0.1, count=50, diffusion_um2_per_s=0.01)
    assert shining.track is not None
    assert torch.equal(shining.track.reshape(12, 50), torch.arange(50).expand(12, 50))
    photons = shining.photons.reshape(12, 50)
    assert (photons == photons[0]).all()


def test_diffusion_has_the_mean_square_displacement_of_brownian_motion() -> None:
    interval_s, diffusion, count = 0.1, 0.004, 3000
    shining = lasting(20, interval_s, count=count, diffusion_um2_per_s=diffusion)
    place = shining.xyz_um.reshape(20, count, 3)
    middle = ((place[0, :, 2] - 2.5).abs() < 1).nonzero().flatten()  # far from the ends of z
    for lag in (1, 5, 19):
        moved = (place[lag] - place[0])[middle]
        wanted = torch.full((3,), 2 * diffusion * lag * interval_s)
        torch.testing.assert_close((moved**2).mean(0), wanted, rtol=0.1, atol=0)


def test_diffusion_is_reflected_at_the_ends_of_the_depth_range() -> None:
    shining = lasting(40, 1.0, count=2000, diffusion_um2_per_s=1.0)
    z_um = shining.xyz_um.reshape(40, 2000, 3)[:, :, 2]
    assert z_um.min() >= 0.5
    assert z_um.max() <= 4.5
    assert z_um[-1].mean().item() == pytest.approx(2.5, abs=0.1)
    assert z_um[-1].var().item() == pytest.approx(16 / 12, rel=0.1)


@pytest.mark.parametrize("interval_s", [0.02, 5.0])
def test_blinking_sends_photons_while_on(interval_s: float) -> None:
    blinking, count = Blinking(on_s=0.1, off_s=0.3), 4000
    shining = lasting(8, interval_s, count=count, blinking=blinking)
    alone = lasting(4, interval_s, count=count, diffusion_um2_per_s=0)
    assert shining.track is not None
    full = alone.photons[:count]  # the same seed gives the same molecules
    share = shining.photons / full[shining.track]
    assert share.max() <= 1 + 1e-5
    assert share.sum().item() / (8 * count) == pytest.approx(0.25, rel=0.05)
    if interval_s > 1:  # many switches in every frame
        assert len(share) == 8 * count
    else:  # a frame is dark when the molecule is, and stays so: exp(-interval / off) of 3/4
        dark = 0.75 * math.exp(-interval_s / 0.3)
        assert len(share) / (8 * count) == pytest.approx(1 - dark, rel=0.05)
        bright = (share > 1 - 1e-6).sum().item() / (8 * count)
        assert bright == pytest.approx(0.25 * math.exp(-interval_s / 0.1), rel=0.06)


def test_seeds_give_the_same_emitters_again() -> None:
    settings = EmitterSettings(density_per_um2=0.2, blur_px=(0.8, 1.2))
    gamma = Gamma(shape=3, scale=3000, minimum=4000)
    first, again, other = (new_emitters(settings, gamma, AREA, 9, draw(s)) for s in (1, 1, 2))
    assert torch.equal(first.xyz_um, again.xyz_um)
    assert torch.equal(first.photons, again.photons)
    assert first.xyz_um.shape != other.xyz_um.shape or not torch.equal(first.xyz_um, other.xyz_um)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "density_per_um2, count"),
        ({"count": 3, "density_per_um2": 1.0}, "density_per_um2, count"),
        ({"count": [5, 2]}, "the smaller one first"),
        ({"count": -1}, "count"),
        ({"count": 3, "blur_px": [2.0, 1.0]}, "blur_px"),
        ({"count": 3, "place": {"kind": "spheres", "radius_um": 1}}, "centres_um is missing"),
        ({"count": 3, "place": {"kind": "volume", "z_range_um": [2, 1]}}, "z_range_um"),
        ({"count": 3, "blinking": {"on_s": 0, "off_s": 1}}, "on_s"),
        ({"count": 3, "diffusion": 1}, "diffusion is not a known key"),
    ],
)
def test_impossible_emitters_are_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        validated(EmitterSettings, values, "movie.toml")


def test_a_minimum_that_no_emitter_reaches_is_refused() -> None:
    with pytest.raises(SettingsError, match="minimum"):
        validated(Gamma, {"shape": 3, "scale": 100, "minimum": 1e6}, "movie.toml")
