"""Masks by the Cramer-Rao bound."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dsacq.design.fisher import FisherStep, cost_nm, fisher_design, pair_bounds
from dsacq.design.lone import LoneEmitter
from dsacq.design.settings import FisherDesign, Panel
from dsacq.files.masks import read_mask
from dsacq.physics.fisher import crlb
from dsacq.physics.masks import PhaseMask, flat, tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel

OPTICS = replace(STANDARD_OPTICS, mask_pixel_um=60.0)
MODEL = PsfModel(blur_px=1.0)
PLAIN = FisherDesign(kind="fisher")
EMITTER = LoneEmitter(photons=1e4, background=50.0)


def cost(mask: PhaseMask, design: FisherDesign = PLAIN) -> float:
    draw = torch.Generator().manual_seed(7)
    phase = torch.from_numpy(mask.phase_rad)
    return float(cost_nm(phase, mask.pixel_um, OPTICS, MODEL, design, EMITTER, draw))


def last(design: FisherDesign, start: PhaseMask | None = None) -> FisherStep:
    *_, step = fisher_design(start or flat(OPTICS), OPTICS, MODEL, design, EMITTER, Panel())
    assert step.step == step.of
    return step


@pytest.fixture(scope="module")
def designed() -> FisherStep:
    return last(FisherDesign(kind="fisher", steps=60))


def test_a_design_from_a_flat_mask_is_as_good_as_a_tetrapod(designed: FisherStep) -> None:
    assert cost(flat(OPTICS)) > 20
    assert designed.best_nm < 8.4  # SCIENCE: 8.0 is the least known, below 8.3 is accepted
    # What is written, with the SLM's levels, is what was reached.
    assert cost(designed.mask) == pytest.approx(designed.best_nm, rel=0.01)


def test_it_is_no_worse_than_the_published_tetrapod(
    designed: FisherStep, shared_data: Path
) -> None:
    path = next((shared_data / "deepstorm3d").rglob("*etrapod*.mat"))
    published = read_mask(path, optics=STANDARD_OPTICS)
    assert designed.best_nm < cost(published)


def test_samples_by_themselves_improve_what_polynomials_reach() -> None:
    design = FisherDesign(kind="fisher", steps=30, starts=1, pixels=True)
    plain = last(replace(design, pixels=False), tetrapod(OPTICS))
    finer = last(design, tetrapod(OPTICS))
    assert finer.best_nm < plain.best_nm


def test_the_worst_depth_can_be_made_better() -> None:
    design = FisherDesign(kind="fisher", steps=25, starts=1, worst=True)
    assert last(design, tetrapod(OPTICS)).best_nm < cost(tetrapod(OPTICS), design)


def test_pairs_far_apart_are_single_emitters() -> None:
    # So far apart that each is nearly alone, in a crop that holds both.
    low = replace(OPTICS, z_range_um=(3.0, 5.0))
    phase = torch.from_numpy(tetrapod(low).phase_rad)
    options = {"pairs": 40, "photons": 1e4, "background": 50.0}
    near, far = (
        pair_bounds(
            phase,
            60.0,
            low,
            MODEL,
            distance_um=distance,
            draw=torch.Generator().manual_seed(1),
            **options,
        )
        for distance in (0.15, 1.5)
    )
    alone = crlb(
        phase,
        torch.tensor([[0.0, 0.0, z] for z in torch.linspace(3, 5, 17).tolist()]),
        low,
        (61, 61),
        MODEL,
        photons=1e4,
        background=50.0,
        mask_pixel_um=60.0,
    )[:, :3]
    assert near.mean(1).median() > 1.3 * far.mean(1).median()
    assert float(far.mean(1).median()) == pytest.approx(float(alone.mean()), rel=0.25)


def test_a_design_for_pairs_lowers_their_bound() -> None:
    design = FisherDesign(kind="fisher", steps=25, starts=1, pair_um=0.6)
    assert cost(last(design, tetrapod(OPTICS)).mask, design) < cost(tetrapod(OPTICS), design)


def test_the_light_of_a_design_stays_in_the_crop(designed: FisherStep) -> None:
    images = psf(
        torch.from_numpy(designed.mask.phase_rad),
        torch.tensor([[0.0, 0.0, 4.0]]),
        OPTICS,
        (81, 81),
        MODEL,
        mask_pixel_um=60.0,
    )
    assert float(images.sum()) > 0.8
