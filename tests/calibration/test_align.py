"""The pupil on the SLM and the aberrations, found on images of a microscope that has them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from calibration.align import Aligned, align, require_structure
from calibration.bead_scan import BeadScan
from calibration.retrieve import Progress, RetrieveSettings
from dsacq.errors import SettingsError
from dsacq.physics.masks import DESIGNS, PhaseMask, tetrapod, zernike_mask
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel
from dsacq.physics.zernike import noll
from hardware.slm_pattern import Panel, PupilAlignment, linear_table, seen_phase, slm_pattern

PANEL = Panel((600, 640), 8.0)
MODEL = PsfModel(kind="vectorial", blur_px=0.8)
OPTICS = replace(STANDARD_OPTICS, mask_pixel_um=40.0)
FOCUS_UM = np.linspace(-1.5, 1.5, 13)
SETTINGS = RetrieveSettings(passes=60, pupil_pixel_um=60.0)
ASSUMED = PupilAlignment(centre_px=(300.0, 320.0), rotation_rad=0.3)
TRUE = PupilAlignment(centre_px=(304.0, 316.5), rotation_rad=0.32, scale=1.03)
ABERRATION = {5: 0.35, 7: -0.3, 8: 0.25, 11: 0.3}


def shown() -> PhaseMask:
    """A Tetrapod with a part that no mirroring leaves as it is."""
    plain = tetrapod(OPTICS)
    lopsided = zernike_mask(OPTICS, {(3, 3): 0.8, (4, -2): 0.6}, shape=plain.phase_rad.shape)
    return replace(plain, phase_rad=plain.phase_rad + lopsided.phase_rad)


@cache
def scan(true: PupilAlignment = TRUE) -> BeadScan:
    table = linear_table(256.0)
    grey = slm_pattern(shown(), OPTICS, PANEL, ASSUMED, table)
    seen = seen_phase(grey, OPTICS, PANEL, true, table)
    wrong = zernike_mask(
        OPTICS, {noll(index): rad for index, rad in ABERRATION.items()}, shape=seen.shape
    )
    images = psf(
        torch.from_numpy(seen + wrong.phase_rad),
        torch.tensor([[0.03, -0.02, 0.05]]).expand(len(FOCUS_UM), 3),
        OPTICS,
        (51, 51),
        MODEL,
        focus_um=torch.from_numpy(FOCUS_UM).float(),
    ).numpy()
    random = np.random.default_rng(0)
    return BeadScan(planes=random.poisson(3e5 * images + 15).astype(float), focus_um=FOCUS_UM)


def found(images: BeadScan, assumed: PupilAlignment = ASSUMED) -> Aligned:
    search = align(images, OPTICS, MODEL, shown(), PANEL, assumed, SETTINGS)
    seen: list[Progress] = []
    while True:
        try:
            seen.append(next(search))
        except StopIteration as end:
            assert [one.passes for one in seen] == list(range(1, seen[0].of + 1))
            result: Aligned = end.value
            return result


@cache
def at_once() -> Aligned:
    return found(scan())


def test_the_pupil_is_where_it_is() -> None:
    told = at_once().alignment
    assert told.centre_px == pytest.approx(TRUE.centre_px, abs=0.5)
    assert told.rotation_rad == pytest.approx(TRUE.rotation_rad, abs=0.006)
    assert told.scale == pytest.approx(TRUE.scale, abs=0.003)
    assert not told.flip_x
    assert not told.flip_y


def test_the_aberrations_are_those_of_the_microscope() -> None:
    told = at_once().aberration_rad
    wrong = [told[index] - ABERRATION.get(index, 0.0) for index in told]
    assert np.hypot.reduce(wrong) < 0.05 * 2 * np.pi / 4  # a quarter of 0.05 waves
    assert at_once().found.chi_square < 1.3
    assert np.median(at_once().found.correlation) > 0.99


def test_a_wrong_direction_of_the_focus_is_told() -> None:
    assert at_once().other_direction > 1.2
    assert found(scan().reversed()).other_direction < 0.9


def test_a_mirror_is_found() -> None:
    told = found(scan(replace(TRUE, flip_y=True)))
    assert told.alignment.flip_y
    assert not told.alignment.flip_x
    assert told.mirrored > 1.1
    assert told.alignment.centre_px == pytest.approx(TRUE.centre_px, abs=0.5)


@pytest.mark.parametrize("design", ["flat", "astigmatism"])
def test_a_mask_that_cannot_tell_its_place_is_refused(design: str) -> None:
    mask = DESIGNS[design][0](OPTICS)
    with pytest.raises(SettingsError, match="cannot tell where the pupil lies"):
        require_structure(mask, OPTICS, PANEL)


@pytest.mark.parametrize("design", ["tetrapod", "double_helix"])
def test_a_mask_with_structure_is_taken(design: str) -> None:
    require_structure(DESIGNS[design][0](OPTICS), OPTICS, PANEL)
