"""Spread, bound and bias of a bead whose PSF is known, and of one whose PSF is not."""

from functools import cache

import numpy as np
import pytest
import torch

from calibration.finding import Bead
from calibration.precision import AtFocus, Held, held_bead, localized
from calibration.z_scan import Plane
from dsacq.errors import SettingsError
from dsacq.physics.camera import ScmosCamera
from dsacq.physics.masks import PhaseMask, astigmatism, zernike_mask
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel

MODEL = PsfModel(blur_px=0.8)
CAMERA = ScmosCamera(quantum_efficiency=0.8, gain_adu_per_electron=2.0)
FOCUS_UM = (-0.5, 0.0, 0.5)
FRAMES = 60
PHOTONS, BACKGROUND = 20_000.0, 10.0


@cache
def held() -> list[Held]:
    mask = astigmatism(STANDARD_OPTICS)
    random = np.random.default_rng(0)
    parts = []
    for focus_um in FOCUS_UM:
        image = psf(
            torch.from_numpy(mask.phase_rad),
            torch.tensor([[0.02, -0.01, 0.05]]),
            STANDARD_OPTICS,
            (31, 31),
            MODEL,
            focus_um=focus_um,
            mask_pixel_um=mask.pixel_um,
        ).numpy()[0]
        electrons = random.poisson(0.8 * (PHOTONS * image + BACKGROUND), (FRAMES, 31, 31))
        read = random.normal(0, 1.6, electrons.shape)
        parts.append(Held(focus_um, (100 + 2.0 * electrons + read).astype(np.float32)))
    return parts


def result(mask: PhaseMask, frames: list[Held]) -> list[AtFocus]:
    steps = localized(frames, mask, STANDARD_OPTICS, MODEL, CAMERA)
    done = []
    while True:
        try:
            done.append(next(steps))
        except StopIteration as end:
            assert done == list(range(1, len(frames) + 1))
            found: list[AtFocus] = end.value
            return found


def test_the_right_psf_reaches_the_bound_without_bias() -> None:
    found = result(astigmatism(STANDARD_OPTICS), held())
    assert [one.focus_um for one in found] == list(FOCUS_UM)
    ratios = np.array([one.ratio for one in found])
    assert np.median(ratios) == pytest.approx(1.0, abs=0.15)
    for one in found:
        assert one.found == 1.0
        assert one.photons == pytest.approx(PHOTONS, rel=0.05)
        assert np.all(abs(one.bias_um) < 4 * one.bound_um / FRAMES**0.5 + 0.001)


def test_another_psf_shows_as_bias() -> None:
    wrong = zernike_mask(STANDARD_OPTICS, {(2, 2): 1.0, (4, 0): 0.4, (3, 1): 0.4})
    found = result(wrong, held())
    assert max(np.max(abs(one.bias_um)) for one in found) > 0.015


def test_too_few_frames_and_lost_beads_are_told() -> None:
    few = [Held(one.focus_um, one.frames[:3]) for one in held()]
    with pytest.raises(SettingsError, match="at least 5 frames"):
        result(astigmatism(STANDARD_OPTICS), few)
    dark = [Held(one.focus_um, np.full_like(one.frames[:6], 100.0)) for one in held()]
    with pytest.raises(SettingsError, match=r"lost at focus -0\.5 um: found in 0 of 6 frames"):
        result(astigmatism(STANDARD_OPTICS), dark)


def test_a_bead_is_cut_out_of_the_frames_kept() -> None:
    frames = np.zeros((6, 64, 64), np.float32)
    frames[:, 30, 40] = 1
    plane = Plane(0, 1, 0.5, frames.sum(0), frames)
    (one,) = held_bead([plane], Bead(30.0, 40.0, 1e4), 15)
    assert one.frames.shape == (6, 15, 15)
    assert np.all(one.frames[:, 7, 7] == 1)
    with pytest.raises(SettingsError, match="edge"):
        held_bead([plane], Bead(3.0, 40.0, 1e4), 15)
