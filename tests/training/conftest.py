"""A microscope whose images are small, so that training on them is quick."""

import pytest

from dsacq.physics.camera import ScmosCamera
from dsacq.physics.masks import PhaseMask, astigmatism
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel
from dsacq.simulation.background import Constant
from dsacq.simulation.brightness import LogUniform
from dsacq.simulation.settings import MaskChoice
from dsacq.training.settings import MixtureChoice, Priors, Schedule, TrainingSettings


@pytest.fixture(scope="session")
def small_optics() -> Optics:
    return Optics(
        wavelength_um=0.67,
        na=1.2,
        index_immersion=1.33,
        index_sample=1.33,
        magnification=60,
        focal_4f_um=100_000,
        camera_pixel_um=8,
        mask_pixel_um=100,
        focus_um=0.5,
        z_range_um=(0.0, 1.0),
    )


@pytest.fixture(scope="session")
def small_mask(small_optics: Optics) -> PhaseMask:
    return astigmatism(small_optics)


@pytest.fixture
def small_settings(small_optics: Optics) -> TrainingSettings:
    return TrainingSettings(
        optics=small_optics,
        mask=MaskChoice(design="astigmatism"),
        camera=ScmosCamera(quantum_efficiency=0.8, offset_adu=50, gain_adu_per_electron=2.0),
        psf=PsfModel(blur_px=0.5),
        priors=Priors(
            density_per_um2=0.5,
            photons=LogUniform(low=2000, high=8000),
            background=Constant(photons=(5.0, 20.0)),
            border_px=-4,
            z_margin_um=0.1,
            aberration_rad=0.05,
        ),
        network=MixtureChoice(preset="nano"),
        training=Schedule(steps=40, batch=4, crop_px=32, learning_rate=1e-2, seed=5),
    )
