"""Aberrations that change over the field, as they were put into simulated beads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from calibration.bead_scan import BeadScan
from calibration.field import MODES, FieldMap, field_map, field_page, fitted_field
from calibration.retrieve import RetrieveSettings
from dsacq.errors import SettingsError
from dsacq.physics.masks import PhaseMask, astigmatism, zernike_mask
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel
from dsacq.physics.zernike import noll

OPTICS = replace(STANDARD_OPTICS, mask_pixel_um=100.0, focus_um=0.0)
FOCUS_UM = np.linspace(-1, 1, 9)
PLACES_UM = np.array([[5.0, 5.0], [25.0, 6.0], [6.0, 24.0], [24.0, 25.0], [15.0, 15.0]])
COMA_PER_UM = 0.03  # along x
SETTINGS = RetrieveSettings(passes=25, pupil_pixel_um=100.0)


def common() -> PhaseMask:
    return astigmatism(OPTICS)


def bead(x_um: float, seed: int) -> BeadScan:
    mask = common()
    coma = zernike_mask(OPTICS, {noll(8): COMA_PER_UM * (x_um - 15.0)}, shape=mask.phase_rad.shape)
    images = psf(
        torch.from_numpy(mask.phase_rad + coma.phase_rad),
        torch.tensor([[0.02, -0.01, 0.05]]).expand(len(FOCUS_UM), 3),
        OPTICS,
        (35, 35),
        PsfModel(blur_px=0.8),
        focus_um=torch.tensor(FOCUS_UM).float(),
    ).numpy()
    planes = np.random.default_rng(seed).poisson(2e5 * images + 20).astype(float)
    return BeadScan(planes=planes, focus_um=FOCUS_UM)


@pytest.fixture(scope="module")
def found() -> FieldMap:
    beads = [bead(x, seed) for seed, (x, _) in enumerate(PLACES_UM)]
    search = field_map(beads, PLACES_UM, common(), OPTICS, PsfModel(blur_px=0.8), SETTINGS)
    while True:
        try:
            next(search)
        except StopIteration as end:
            return end.value


def test_a_coma_that_grows_along_x_is_found(found: FieldMap) -> None:
    expected = np.zeros((len(MODES), 2))
    expected[MODES.index(8), 0] = COMA_PER_UM
    assert found.slope_rad_per_um == pytest.approx(expected, abs=0.003)
    assert abs(found.at_centre_rad).max() < 0.03
    assert found.error_rad.max() < 0.05
    assert found.span_waves == pytest.approx(COMA_PER_UM * 10 / (2 * np.pi), rel=0.15)


def test_the_page_shows_it(found: FieldMap, tmp_path: Path) -> None:
    field_page(found, tmp_path / "field.png", "five beads")
    assert (tmp_path / "field.png").stat().st_size > 10_000
    assert set(found.told()) >= {"modes", "bead_rad", "largest_change_waves"}


def test_the_planes_hold_anywhere() -> None:
    truth = 0.1 + PLACES_UM @ np.array([[0.01], [-0.02]])
    field = fitted_field(PLACES_UM, truth)
    assert field.at(np.array([[100.0, 50.0]])) == pytest.approx(0.1 + 1.0 - 1.0)
    assert field.error_rad == pytest.approx(0, abs=1e-12)


def test_three_beads_are_too_few() -> None:
    beads = [bead(5.0, 1)] * 3
    with pytest.raises(SettingsError, match="3 usable beads are too few"):
        next(field_map(beads, PLACES_UM[:3], common(), OPTICS, PsfModel(), SETTINGS))


def test_a_clipped_bead_is_refused() -> None:
    beads = [bead(5.0, seed) for seed in range(4)]
    planes = beads[2].planes
    beads[2] = replace(beads[2], planes=planes.clip(max=planes.max() / 3))
    with pytest.raises(SettingsError, match="saturated in plane"):
        next(field_map(beads, PLACES_UM[:4], common(), OPTICS, PsfModel(), SETTINGS))
