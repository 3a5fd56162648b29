"""Frames to train on: reproducible, varied, and labelled with what can be found in them."""

import dataclasses

import numpy as np
import pytest
import torch

from dsacq.physics.camera import EmccdCamera
from dsacq.physics.masks import PhaseMask
from dsacq.training.priors import Batch, Sampler, aberrated
from dsacq.training.settings import MixtureChoice, Motion, TrainingSettings


def same(one: Batch, other: Batch) -> bool:
    pairs = zip(dataclasses.astuple(one), dataclasses.astuple(other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_step_has_its_own_frames(small_settings: TrainingSettings, small_mask: PhaseMask) -> None:
    first, second = (Sampler(small_settings, small_mask) for _ in range(2))
    for step in range(5):
        first.batch(step)
    assert same(first.batch(7), second.batch(7))
    assert not same(first.batch(7), first.batch(8))
    assert not same(first.batch(7), first.batch(7, part=1, parts=2))


def test_parts_make_a_whole_batch(small_settings: TrainingSettings, small_mask: PhaseMask) -> None:
    sampler = Sampler(small_settings, small_mask)
    sizes = [len(sampler.batch(0, part=part, parts=3).counts) for part in range(3)]
    assert sorted(sizes) == [1, 1, 2]


def test_labels_lie_where_a_network_can_look(
    small_settings: TrainingSettings, small_mask: PhaseMask
) -> None:
    sampler = Sampler(small_settings, small_mask)
    side_um = 32 * small_settings.optics.pixel_um
    numbers = []
    for step in range(30):
        batch = sampler.batch(step)
        assert bool(((batch.xyz_um[:, :2] >= 0) & (batch.xyz_um[:, :2] < side_um)).all())
        assert bool(((batch.xyz_um[:, 2] >= 0) & (batch.xyz_um[:, 2] <= 1)).all())
        assert float(batch.emitted.min()) >= 0.8 * 2000
        assert float(batch.emitted.max()) <= 0.8 * 8000
        numbers += torch.bincount(batch.image, minlength=4).tolist()
    assert min(numbers) == 0  # empty frames are among them,
    assert max(numbers) > 4  # and crowded ones


def test_frames_hold_the_light_of_their_emitters(
    small_settings: TrainingSettings, small_mask: PhaseMask
) -> None:
    """Electrons minus background add up to what emitters well inside the frame send."""
    sampler = Sampler(small_settings, small_mask)
    side_um = 32 * small_settings.optics.pixel_um
    xyz = torch.tensor([[side_um / 2, side_um / 2, 0.5]]).repeat(64, 1)
    batch = sampler.isolated_batch(xyz, 5000.0, (32, 32))
    light = (batch.electrons[:, 0] - batch.background).sum((1, 2))
    assert float(light.mean()) == pytest.approx(0.8 * 5000, rel=0.05)
    assert batch.emitted.tolist() == pytest.approx([4000.0] * 64)
    assert batch.image.tolist() == list(range(64))


def test_read_noise_differs_from_pixel_to_pixel_and_is_told(
    small_settings: TrainingSettings, small_mask: PhaseMask
) -> None:
    loud = dataclasses.replace(small_settings.camera, read_variance_adu2=400.0)
    priors = dataclasses.replace(small_settings.priors, density_per_um2=1e-6)
    schedule = dataclasses.replace(small_settings.training, batch=64)
    settings = dataclasses.replace(small_settings, camera=loud, priors=priors, training=schedule)
    batch = Sampler(settings, small_mask).batch(3)
    read = batch.read_variance[0, 0]
    assert float(read.std() / read.mean()) > 0.3
    measured = (batch.electrons[:, 0] - batch.background).var(0) - batch.background.mean(0)
    assert np.corrcoef(measured.flatten(), read.flatten())[0, 1] > 0.8
    assert float(measured.mean() / read.mean()) == pytest.approx(1, abs=0.15)


def test_a_multiplying_camera(small_settings: TrainingSettings, small_mask: PhaseMask) -> None:
    """Electrons are counted before the register: right on average, with twice the variance."""
    priors = dataclasses.replace(small_settings.priors, density_per_um2=1e-6)
    settings = dataclasses.replace(small_settings, camera=EmccdCamera(), priors=priors)
    batch = Sampler(settings, small_mask).batch(0)
    error = batch.electrons[:, 0] - batch.background
    assert float(error.mean() / batch.background.mean()) == pytest.approx(0, abs=0.05)
    assert float((error**2 / batch.background).mean()) == pytest.approx(2, abs=0.3)


def test_emitters_move_and_blink_over_the_frames(
    small_settings: TrainingSettings, small_mask: PhaseMask
) -> None:
    motion = Motion(frame_interval_s=0.1, on_s=0.2, diffusion_um2_per_s=0.1)
    priors = dataclasses.replace(small_settings.priors, motion=motion)
    settings = dataclasses.replace(
        small_settings, priors=priors, network=MixtureChoice(preset="nano", frames=3)
    )
    batch = Sampler(settings, small_mask).batch(0)
    assert batch.counts.shape == (4, 3, 32, 32)
    # Many share their photons with frames before and after: fewer than all in the middle one.
    emitted = torch.cat([Sampler(settings, small_mask).batch(step).emitted for step in range(20)])
    full = 0.8 * 2000
    assert 0.05 < float((emitted < full).float().mean()) < 0.6


def test_aberrations_have_the_wanted_size(
    small_settings: TrainingSettings, small_mask: PhaseMask
) -> None:
    draw = np.random.default_rng(0)
    errors = [
        aberrated(small_mask, small_settings.optics, 0.3, draw).phase_rad - small_mask.phase_rad
        for _ in range(60)
    ]
    rows, columns = small_mask.phase_rad.shape
    y, x = np.mgrid[:rows, :columns]
    radius = small_settings.optics.pupil_diameter_um / small_settings.optics.mask_pixel_um / 2
    disc = np.hypot(x - (columns - 1) / 2, y - (rows - 1) / 2) < radius
    rms = np.sqrt(np.mean([error[disc].var() for error in errors]))
    assert rms == pytest.approx(0.3, rel=0.15)
    assert aberrated(small_mask, small_settings.optics, 0.0, draw) is small_mask
