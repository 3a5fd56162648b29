"""Masks by name, for any optics."""

import numpy as np
import pytest
import torch
from bounds import mean_bounds_nm

from dsacq.files.mask_library import MASKS, shipped
from dsacq.physics.masks import DESIGNS, astigmatism
from dsacq.physics.optics import STANDARD_OPTICS

SHIPPED = [name for name in MASKS if name not in DESIGNS]


@pytest.mark.parametrize("name", SHIPPED)
def test_what_comes_with_dsacq_says_how_it_was_made(name: str) -> None:
    mask, optics = shipped(name)
    assert mask.name == name
    assert mask.origin["steps"] > 0
    assert mask.pixel_um == optics.mask_pixel_um
    made = MASKS[name][0](optics)
    assert made.name == name
    # For its own optics it is what it was.
    assert torch.allclose(mean_bounds_nm(made, optics), mean_bounds_nm(mask, optics), rtol=0.02)


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_fitted_to_other_optics(name: str) -> None:
    mask = MASKS[name][0](STANDARD_OPTICS)
    assert mask.pixel_um == STANDARD_OPTICS.mask_pixel_um
    assert mask.phase_rad.shape[0] * mask.pixel_um > STANDARD_OPTICS.pupil_diameter_um
    assert np.isfinite(mask.phase_rad).all()


def test_the_learned_mask_is_more_precise_than_astigmatism() -> None:
    mask, optics = shipped("learned_2um")
    learned, known = (mean_bounds_nm(one, optics) for one in (mask, astigmatism(optics)))
    assert learned.mean() < 0.9 * known.mean()
