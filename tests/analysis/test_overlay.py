"""Regenerating frames whose truth is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dsacq.analysis.overlay import correlation, overlay_picture, regenerate
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel

MODEL = PsfModel(blur_px=1.0)
MASK = PhaseMask(np.zeros((181, 181), np.float32), 24.0, 0.58, "flat", {})
PLACES_UM = np.array([[3.0, 4.0, 3.2], [5.1, 4.4, 3.6], [0.2, 6.0, 3.0]])
PHOTONS = np.array([3000.0, 8000.0, 5000.0])
SHAPE = (80, 64)


@pytest.fixture(scope="module")
def frame(telomere_optics: Optics) -> np.ndarray:
    centre_um = np.array([SHAPE[1] / 2, SHAPE[0] / 2]) * telomere_optics.pixel_um
    crop_local = torch.from_numpy(PLACES_UM - [*centre_um, 0.0]).float()
    images = psf(torch.from_numpy(MASK.phase_rad), crop_local, telomere_optics, SHAPE, MODEL)
    return np.tensordot(PHOTONS, images.double().numpy(), 1) + 40.0


def test_truth_regenerates_the_frame(telomere_optics: Optics, frame: np.ndarray) -> None:
    result = regenerate(frame, PLACES_UM, MASK, telomere_optics, MODEL)
    assert result.correlation > 0.9999
    assert result.photons == pytest.approx(PHOTONS, rel=0.01)
    assert result.background == pytest.approx(40.0, rel=0.02)


def test_wrong_positions_lower_the_correlation(telomere_optics: Optics, frame: np.ndarray) -> None:
    shifted = PLACES_UM + np.array([0.15, 0.0, 0.3])
    assert regenerate(frame, shifted, MASK, telomere_optics, MODEL).correlation < 0.95
    missed = regenerate(frame, PLACES_UM[:1], MASK, telomere_optics, MODEL)
    assert missed.correlation < 0.8


def test_photons_are_never_negative(telomere_optics: Optics, frame: np.ndarray) -> None:
    invented = np.vstack((PLACES_UM, [[4.0, 1.0, 3.4], [5.5, 8.0, 4.0]]))
    result = regenerate(frame, invented, MASK, telomere_optics, MODEL)
    assert (result.photons >= 0).all()
    assert result.photons[3:].max() < 0.01 * PHOTONS.max()


def test_a_frame_without_emitters(telomere_optics: Optics, frame: np.ndarray) -> None:
    result = regenerate(frame, np.empty((0, 3)), MASK, telomere_optics, MODEL)
    assert result.background == pytest.approx(frame.mean(), rel=1e-3)
    assert np.isnan(result.correlation)


def test_correlation_is_pearsons() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(2, 30, 20))
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert correlation(a, 3 * a + 100) == pytest.approx(1.0)


def test_picture(telomere_optics: Optics, frame: np.ndarray, tmp_path: Path) -> None:
    result = regenerate(frame, PLACES_UM, MASK, telomere_optics, MODEL)
    path = tmp_path / "overlay.png"
    overlay_picture(result, PLACES_UM, telomere_optics, "simulated", path)
    assert path.read_bytes().startswith(b"\x89PNG")
