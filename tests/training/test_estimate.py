"""Priors measured on frames are those that the frames were made with."""

import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dsacq.data import Roi
from dsacq.physics.camera import (
    Camera,
    EmccdCamera,
    IdealCamera,
    ScmosCamera,
    digitised,
    expose,
    response,
)
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel
from dsacq.simulation.background import Constant
from dsacq.simulation.brightness import Lognormal, LogUniform
from dsacq.simulation.emitters import EmitterSettings
from dsacq.simulation.settings import FrameSettings, MaskChoice, SimulationSettings
from dsacq.simulation.simulate import simulate
from dsacq.training.chosen_priors import chosen_priors, comments, remarks
from dsacq.training.config_file import relative_file, training_text, write_training
from dsacq.training.estimate import Estimate, estimated, photon_distribution
from dsacq.training.examine import Microscope, consecutive_pairs, examinations, examine
from dsacq.training.photon_transfer import photon_transfer
from dsacq.training.priors import Sampler
from dsacq.training.settings import TrainingSettings, read_training

PSF = PsfModel(blur_px=0.8)
CAMERA = ScmosCamera(
    quantum_efficiency=0.8, offset_adu=100, gain_adu_per_electron=2.0, read_variance_adu2=10.0
)
EMCCD = EmccdCamera(em_gain=170, electrons_per_adu=10.0)
MEDIAN, DENSITY, LEVEL = 6000.0, 0.05, 20.0


@dataclass
class Frames:
    images: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int]:
        return self.images.shape[1], self.images.shape[2]

    def __len__(self) -> int:
        return len(self.images)

    def frame(self, index: int) -> NDArray[Any]:
        image: NDArray[Any] = self.images[index]
        return image


@pytest.fixture(scope="module")
def frames(small_optics: Optics, small_mask: PhaseMask) -> Frames:
    settings = SimulationSettings(
        optics=small_optics,
        mask=MaskChoice(design="astigmatism"),
        frames=FrameSettings(count=6, shape_px=(110, 120), seed=2),
        emitters=EmitterSettings(density_per_um2=DENSITY, border_px=-5),
        photons=Lognormal(median=MEDIAN, sigma=0.5),
        background=Constant(photons=LEVEL, roughness=0.4, roughness_px=60),
        camera=CAMERA,
        psf=PSF,
    )
    return Frames(np.concatenate([part.pixels for part in simulate(settings, small_mask)]))


def measured(frames: Frames, optics: Optics, mask: PhaseMask, camera: Camera = CAMERA) -> Estimate:
    microscope = Microscope(mask, optics, PSF, camera)
    indices = range(len(frames))
    examined = list(examine(frames, examinations(indices, frames.shape), microscope))
    return estimated(examined, transferred(frames.images, camera), microscope)


def transferred(images: NDArray[Any], camera: Camera) -> Any:
    pairs = consecutive_pairs(range(len(images)))
    return photon_transfer(((images[first], images[second]) for first, second in pairs), camera)


@pytest.fixture(scope="module")
def estimate(frames: Frames, small_optics: Optics, small_mask: PhaseMask) -> Estimate:
    return measured(frames, small_optics, small_mask)


def flat(level: float, count: int, camera: Camera = CAMERA, size: int = 96) -> NDArray[Any]:
    """Frames without emitters."""
    generator = torch.Generator().manual_seed(1)
    light = torch.full((count, size, size), level)
    counts: NDArray[Any] = digitised(expose(camera, light, generator)).numpy()
    return counts


def test_estimates_are_near_the_truth(estimate: Estimate) -> None:
    assert estimate.frames == 6
    assert estimate.background.median == pytest.approx(LEVEL, rel=0.1)
    assert estimate.background.roughness == pytest.approx(0.4, abs=0.15)
    assert estimate.density_per_um2 == pytest.approx(DENSITY, rel=0.25)
    assert estimate.photons is not None
    assert estimate.photons.median == pytest.approx(MEDIAN, rel=0.2)
    assert estimate.photons.sigma == pytest.approx(0.5, rel=0.25)
    assert estimate.transfer.adu_per_electron == pytest.approx(2.0, rel=0.1)
    assert estimate.noise == pytest.approx(1.0, abs=0.1)


def test_priors_cover_the_truth(estimate: Estimate) -> None:
    priors = chosen_priors(estimate)
    assert DENSITY * 1.3 < priors.density_per_um2 < DENSITY * 4
    assert isinstance(priors.background, Constant)
    low, high = np.broadcast_to(priors.background.photons, 2)
    assert low < 0.85 * LEVEL < 1.15 * LEVEL < high < 2 * LEVEL
    drawn = priors.photons.sample(4000, torch.Generator().manual_seed(0))
    least, most = np.quantile(drawn, (0.02, 0.98))
    assert least < MEDIAN * np.exp(-2 * 0.5)
    assert most > MEDIAN * np.exp(2 * 0.5)
    assert not any("gain" in remark for remark in remarks(estimate, CAMERA))


@pytest.mark.parametrize("camera", [CAMERA, EMCCD, IdealCamera()], ids=lambda one: one.kind)
@pytest.mark.parametrize("level", [10.0, 100.0])
def test_gain(camera: Camera, level: float) -> None:
    found = transferred(flat(level, 8, camera), camera).adu_per_electron
    assert found == pytest.approx(response(camera).adu_per_electron, rel=0.1)


def test_emitters_that_blink_hardly_disturb_the_gain() -> None:
    images = flat(20.0, 8)
    for index, image in enumerate(images):
        for row in range(8 + index, 90, 24):
            image[row - 4 : row + 5, 20 : 80 + index] += 300
    assert transferred(images, CAMERA).adu_per_electron == pytest.approx(2.0, rel=0.1)


def test_a_wrong_gain_is_told(
    estimate: Estimate, small_optics: Optics, small_mask: PhaseMask
) -> None:
    told = replace(CAMERA, gain_adu_per_electron=1.0)
    wrong = replace(estimate, transfer=transferred(flat(20.0, 8), told))
    said = " ".join(remarks(wrong, told))
    assert "gain looks wrong" in said
    assert "1 was given" in said
    assert wrong.transfer.adu_per_electron == pytest.approx(2.0, rel=0.15)


def test_one_frame_tells_no_gain_but_its_noise(small_optics: Optics, small_mask: PhaseMask) -> None:
    told = replace(CAMERA, gain_adu_per_electron=1.0)
    one = measured(Frames(flat(20.0, 1)), small_optics, small_mask, told)
    assert one.transfer.adu_per_electron is None
    said = " ".join(remarks(one, told))
    assert "could not be checked" in said
    assert "times the variance" in said


def test_without_emitters_priors_come_from_the_noise(
    small_optics: Optics, small_mask: PhaseMask
) -> None:
    none = measured(Frames(flat(20.0, 2)), small_optics, small_mask)
    assert none.emitters == 0
    assert none.photons is None
    assert "No emitters found" in " ".join(remarks(none, CAMERA))
    priors = chosen_priors(none)
    assert isinstance(priors.photons, LogUniform)
    assert priors.photons.low < none.visible_photons < priors.photons.high
    brighter = measured(Frames(flat(200.0, 2)), small_optics, small_mask)
    ratio = brighter.visible_photons / none.visible_photons
    assert 2 < ratio < 10**0.5 * 1.1  # about the root of the background's


def test_a_subtracted_minimum_is_told_and_leaves_usable_priors(
    frames: Frames, small_optics: Optics, small_mask: PhaseMask, tmp_path: Path
) -> None:
    images = frames.images[:2].astype(np.int32)
    cut = Frames((images - frames.images.min(0)).astype(np.uint16))
    found = measured(cut, small_optics, small_mask)
    assert "minimum" in " ".join(remarks(found, CAMERA))
    assert "counts are taken as photons" in " ".join(remarks(found, None))
    assert chosen_priors(found).background.sample(2, (40, 40), torch.Generator()).min() >= 0


def test_photons_below_the_threshold_are_allowed_for() -> None:
    photons = np.random.default_rng(0).lognormal(np.log(2000), 0.6, 1000)
    seen = photon_distribution(photons[photons > 1500], 1500)
    assert seen.cut_off
    assert seen.lognormal
    assert seen.median == pytest.approx(2000, rel=0.2)
    assert np.median(photons[photons > 1500]) > 2400
    bimodal = np.concatenate([np.full(100, 2000.0), np.full(100, 30000.0)])
    assert not photon_distribution(bimodal, 100).lognormal


@pytest.mark.parametrize(("frames", "shape"), [(100, (90, 90)), (1, (300, 300)), (3, (300, 900))])
def test_examinations_differ_and_are_few(frames: int, shape: tuple[int, int]) -> None:
    chosen = examinations(range(10, 10 + frames), shape)
    assert 1 <= len(chosen) <= 8
    assert len({str(one) for one in chosen}) == len(chosen)
    assert all(10 <= number < 10 + frames for number, _ in chosen)
    inside = examinations(range(2), shape, Roi(5, 6, 30, 20))
    assert {region for _, region in map(_comparable, inside)} == {(6, 26, 5, 35)}


def _comparable(chosen: tuple[int, tuple[slice, slice]]) -> tuple[int, tuple[int, ...]]:
    number, (rows, columns) = chosen
    return number, (rows.start, rows.stop, columns.start, columns.stop)


@pytest.fixture
def settings(small_settings: TrainingSettings, estimate: Estimate) -> TrainingSettings:
    return replace(small_settings, priors=chosen_priors(estimate))


def _tables(values: dict[str, Any], name: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield name + key
        if isinstance(value, dict):
            yield from _tables(value, f"{name}{key}.")


def test_the_config_comes_back(
    settings: TrainingSettings, estimate: Estimate, small_mask: PhaseMask, tmp_path: Path
) -> None:
    path = tmp_path / "priors.toml"
    said = comments(estimate)
    write_training(settings, path, said, "A heading.\n\nIn three lines.")
    read = read_training(path)
    assert asdict(read) == asdict(settings)
    text = path.read_text(encoding="utf-8")
    assert all(comment in text for comment in said.values())
    assert set(said) <= set(_tables(tomllib.loads(text)))
    assert len(Sampler(read, small_mask).batch(0).xyz_um) > 0


def test_a_mask_file_is_named_from_the_config(settings: TrainingSettings, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    file = relative_file(tmp_path / "masks" / 'my "best".tif', tmp_path / "configs")
    text = training_text(replace(settings, mask=MaskChoice(file=file)), {})
    assert tomllib.loads(text)["mask"] == {"file": '../masks/my "best".tif'}
    mapped = ScmosCamera(gain_adu_per_electron=np.ones((4, 4), np.float32))
    with pytest.raises(ValueError, match="gain_adu_per_electron"):
        training_text(replace(settings, camera=mapped), {})
