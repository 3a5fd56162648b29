"""Movies from settings files: what is in them, and that seeds repeat them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.files.masks import write_mask
from dsacq.physics.camera import IdealCamera, to_photons
from dsacq.physics.masks import PhaseMask, astigmatism, flat
from dsacq.physics.psf import psf
from dsacq.simulation.background import Constant
from dsacq.simulation.emitters import EmitterSettings
from dsacq.simulation.places import Volume
from dsacq.simulation.settings import (
    FrameSettings,
    MaskChoice,
    SimulationSettings,
    chosen_mask,
    read_simulation,
)
from dsacq.simulation.simulate import simulate

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("simulate-*.toml"))


def movie(
    settings: SimulationSettings, mask: PhaseMask
) -> tuple[np.ndarray[Any, Any], Localizations]:
    parts = list(simulate(settings, mask))
    firsts = np.cumsum([0, *(len(part.pixels) for part in parts)])
    assert [part.first for part in parts] == firsts[:-1].tolist()
    return (
        np.concatenate([part.pixels for part in parts]),
        Localizations.joined(part.truth for part in parts),
    )


@pytest.fixture
def plain() -> SimulationSettings:
    """The Tetrapod example, shorter and smaller."""
    settings = read_simulation(EXAMPLES / "simulate-tetrapod.toml")
    return replace(
        settings,
        frames=FrameSettings(count=20, shape_px=(41, 50), seed=5),
        emitters=EmitterSettings(count=6, border_px=5),
    )


def test_there_are_examples() -> None:
    assert len(NAMES) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name: str) -> None:
    settings = read_simulation(EXAMPLES / name)
    settings = replace(settings, frames=replace(settings.frames, count=20))
    mask = chosen_mask(settings.mask, settings.optics, EXAMPLES)
    frames, truth = movie(settings, mask)
    assert frames.shape == (20, *settings.frames.shape_px)
    assert frames.dtype == np.uint16
    table = truth.table
    assert len(table) > 20
    assert table["frame"].is_monotonic_increasing
    assert ("track" in table) == settings.emitters.lasting
    assert table["z_um"].between(*settings.optics.z_range_um).all()
    # Light: what the camera saw, less the background, is in the order of what was sent.
    seen = to_photons(settings.camera, torch.from_numpy(frames.astype(np.float32)))
    level = table["background"].mean()
    excess = float((seen - min(level, float(seen.median()))).sum())
    assert 0.3 * table["photons"].sum() < excess < 3 * table["photons"].sum()


def test_a_seed_gives_the_same_movie_again(plain: SimulationSettings) -> None:
    mask = flat(plain.optics)
    before = torch.random.get_rng_state()
    frames, truth = movie(plain, mask)
    again, same = movie(plain, mask)
    assert np.array_equal(frames, again)
    assert truth.table.equals(same.table)
    assert torch.equal(before, torch.random.get_rng_state())
    other, _ = movie(replace(plain, frames=replace(plain.frames, seed=6)), mask)
    assert not np.array_equal(frames, other)


def test_frames_hold_the_light_of_their_truth(plain: SimulationSettings) -> None:
    settings = replace(plain, camera=IdealCamera(), background=Constant(photons=3.0))
    mask = astigmatism(settings.optics)
    frames, truth = movie(settings, mask)
    shape = settings.frames.shape_px
    centre = np.array([shape[1] / 2, shape[0] / 2, 0]) * settings.optics.pixel_um
    xyz_um = torch.from_numpy(truth.positions_um() - centre).float()
    images = psf(torch.from_numpy(mask.phase_rad), xyz_um, settings.optics, shape, settings.psf)
    photons = torch.tensor(truth.table["photons"].to_numpy())
    expected = torch.full((20, *shape), 3.0)
    frame = torch.tensor(truth.table["frame"].to_numpy())
    expected.index_add_(0, frame, images * photons[:, None, None])
    chi2 = ((torch.from_numpy(frames.astype(np.float32)) - expected) ** 2 / expected).mean().item()
    assert chi2 == pytest.approx(1.0, abs=5 * (2.4 / frames.size) ** 0.5)
    assert frames.sum() == pytest.approx(expected.sum().item(), abs=5 * frames.sum() ** 0.5)
    assert (truth.table["background"] == 3).all()


def test_backgrounds_last_when_steady(plain: SimulationSettings) -> None:
    def spread(steady: bool) -> float:
        background = replace(plain.background, steady=steady)
        _, truth = movie(replace(plain, background=background), flat(plain.optics))
        near = truth.table.round({"x_um": 0, "y_um": 0})
        return float(near.groupby(["x_um", "y_um"])["background"].std().mean())

    assert spread(steady=True) < 0.5 * spread(steady=False)


def test_only_emitters_inside_the_frame_are_truth(plain: SimulationSettings) -> None:
    settings = replace(plain, emitters=EmitterSettings(count=60, border_px=-10))
    _, truth = movie(settings, flat(settings.optics))
    place = truth.positions_um() / settings.optics.pixel_um
    assert (place[:, :2] >= 0).all()
    assert (place[:, :2] < [50, 41]).all()
    assert len(truth) == pytest.approx(20 * 60 * 41 * 50 / (61 * 70), rel=0.1)


def test_bright_light_saturates_the_converter(plain: SimulationSettings) -> None:
    frames, _ = movie(
        replace(plain, background=Constant(photons=1e5), camera=IdealCamera()), flat(plain.optics)
    )
    assert (frames == 65535).all()


def test_masks_are_found_beside_the_settings(plain: SimulationSettings, tmp_path: Path) -> None:
    mask = astigmatism(plain.optics, 2.0)
    write_mask(mask, tmp_path / "mine.tif")
    found = chosen_mask(MaskChoice(file=Path("mine.tif")), plain.optics, tmp_path)
    np.testing.assert_allclose(found.phase_rad, mask.phase_rad)
    with pytest.raises(FileError, match=r"other\.tif"):
        chosen_mask(MaskChoice(file=Path("other.tif")), plain.optics, tmp_path)
    assert chosen_mask(MaskChoice(design="vortex"), plain.optics, tmp_path).name == "vortex"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("count = 1000", "cuont = 1000", "frames.cuont is not a known key"),
        ("blur_px = 1.0", "blurr_px = 1.0", "psf.blurr_px is not a known key"),
        ('design = "tetrapod"', 'design = "tetrapot"', "tetrapot"),
        ('design = "tetrapod"', 'file = "a.tif"\ndesign = "flat"', "file, design"),
        ('kind = "gamma"', 'kind = "gama"', "photons"),
        ("border_px = 20", "border_px = 70", r"emitters\.border_px = 70 leaves no room"),
        ("shape_px = [121, 121]", "shape_px = [0, 121]", "shape_px"),
        ("count = [1, 34]", "count = [34, 1]", "the smaller one first"),
        ("low = 20.0", "low = 90.0", "low, high"),
        ("quantum_efficiency = 0.95", "quantum_efficiency = 95", "quantum_efficiency"),
        ("[mask]", "[mask", "not a valid TOML file"),
        (
            "[photons]",
            '[emitters.place]\nkind = "plane"\nz_um = 3.9\nslope_x = 0.5\n[photons]',
            r"emitters\.place reaches from z",
        ),
    ],
)
def test_impossible_settings_name_the_key(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = (EXAMPLES / "simulate-tetrapod.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "movie.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises((SettingsError, FileError), match=told) as caught:
        read_simulation(path)
    assert str(caught.value).startswith(str(path))


def test_settings_that_do_not_fit_the_mask_are_refused(plain: SimulationSettings) -> None:
    settings = replace(plain, psf=replace(plain.psf, kind="deepstorm3d"))
    with pytest.raises(SettingsError, match=r"psf\.kind"):
        next(simulate(settings, flat(plain.optics)))


def test_settings_made_in_code_are_checked_too(plain: SimulationSettings) -> None:
    deep = EmitterSettings(count=3, place=Volume(z_range_um=(0, 9)))
    with pytest.raises(SettingsError, match=r"emitters\.place"):
        next(simulate(replace(plain, emitters=deep), flat(plain.optics)))
