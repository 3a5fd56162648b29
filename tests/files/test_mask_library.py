"""Masks by name, for any optics."""

import numpy as np
import pytest
import torch

from dsacq.files.mask_library import MASKS, shipped
from dsacq.physics.fisher import crlb
from dsacq.physics.masks import DESIGNS, PhaseMask, astigmatism
from dsacq.physics.optics import STANDARD_OPTICS, Optics
from dsacq.physics.pupil import PsfModel

SHIPPED = [name for name in MASKS if name not in DESIGNS]


def bound_nm(mask: PhaseMask, optics: Optics) -> float:
    """Mean over x, y, z and depth, of 5000 photons on 20."""
    xyz_um = torch.zeros(9, 3)
    xyz_um[:, 2] = torch.linspace(*optics.z_range_um, 9)
    bound = crlb(
        torch.from_numpy(mask.phase_rad),
        xyz_um,
        optics,
        (41, 41),
        PsfModel(blur_px=0.8),
        photons=5000,
        background=20,
        mask_pixel_um=mask.pixel_um,
    )
    return float(1e3 * bound[:, :3].mean())


@pytest.mark.parametrize("name", SHIPPED)
def test_what_comes_with_dsacq_says_how_it_was_made(name: str) -> None:
    mask, optics = shipped(name)
    assert mask.name == name
    assert mask.origin["steps"] > 0
    assert mask.pixel_um == optics.mask_pixel_um
    made = MASKS[name][0](optics)
    assert made.name == name
    # For its own optics it is what it was.
    assert bound_nm(made, optics) == pytest.approx(bound_nm(mask, optics), rel=0.02)


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_fitted_to_other_optics(name: str) -> None:
    mask = MASKS[name][0](STANDARD_OPTICS)
    assert mask.pixel_um == STANDARD_OPTICS.mask_pixel_um
    assert mask.phase_rad.shape[0] * mask.pixel_um > STANDARD_OPTICS.pupil_diameter_um
    assert np.isfinite(mask.phase_rad).all()


def test_the_learned_mask_is_more_precise_than_astigmatism() -> None:
    mask, optics = shipped("learned_2um")
    assert bound_nm(mask, optics) < 0.9 * bound_nm(astigmatism(optics), optics)
