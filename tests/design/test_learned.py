"""Mask and network together."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dsacq.config import validated
from dsacq.design.learned import LearnedTraining
from dsacq.design.settings import DesignSettings, Panel
from dsacq.errors import SettingsError
from dsacq.physics.masks import flat
from dsacq.training.priors import Sampler

SETTINGS: dict[str, Any] = {
    "optics": {
        "wavelength_um": 0.58,
        "na": 1.45,
        "index_immersion": 1.518,
        "index_sample": 1.33,
        "magnification": 100,
        "focal_4f_um": 150000,
        "camera_pixel_um": 16,
        "mask_pixel_um": 160,
        "focus_um": 0.6,
        "z_range_um": (0.0, 1.0),
    },
    "mask": {"design": "flat"},
    "camera": {"kind": "scmos", "quantum_efficiency": 0.8},
    "network": {"kind": "mixture", "preset": "nano"},
    "priors": {
        "density_per_um2": 0.6,
        "border_px": 0,
        "photons": {"kind": "fixed", "photons": 5000},
        "background": {"kind": "constant", "photons": 10.0},
    },
    "training": {"steps": 20, "batch": 2, "crop_px": 16},
    "design": {"kind": "learned", "still": 0.1, "fixed": 0.8},
}


def settings(**tables: Any) -> DesignSettings:
    return validated(DesignSettings, SETTINGS | tables, "test")


def training(**tables: Any) -> LearnedTraining:
    chosen = settings(**tables)
    return LearnedTraining(chosen, flat(chosen.optics), torch.device("cpu"))


@pytest.mark.parametrize("fill", [1.0, 0.9])
def test_the_gradient_in_the_mask_is_that_of_the_loss(fill: float) -> None:
    design = {"kind": "learned", "slm": {"levels": None, "fill": fill}}
    crowd = SETTINGS["priors"] | {"density_per_um2": 5.0}
    made = training(design=design, priors=crowd)
    sampler, phase, loss = made._sampler, made._phase, made._objective.loss
    made._network.eval()
    with torch.no_grad():  # not at a symmetric place
        draw = torch.Generator().manual_seed(0)
        phase.searched.copy_(0.3 * torch.randn(phase.searched.shape, generator=draw))
    phase.requires_grad_(True)
    loss(sampler.batch(5)).backward()
    assert phase.searched.grad is not None
    gradient = phase.searched.grad.clone()
    direction = gradient / gradient.norm()
    ends = []
    for sign in (-1, 1):
        with torch.no_grad():
            phase.searched.add_(sign * 0.3 * direction)
            ends.append(float(loss(sampler.batch(5))))
            phase.searched.sub_(sign * 0.3 * direction)
    measured = (ends[1] - ends[0]) / 0.6
    assert measured == pytest.approx(float(gradient.norm()), rel=0.01)


def test_frames_are_those_of_a_training_but_for_the_counting() -> None:
    # The light is the same; only noise and rounding differ, to be differentiable.
    made = training(priors=SETTINGS["priors"] | {"aberration_rad": 0.0, "focus_um": 0.0})
    usual = Sampler(made.settings, flat(made.settings.optics), "cpu")
    ours, theirs = made._sampler.batch(4), usual.batch(4)
    assert torch.equal(ours.xyz_um, theirs.xyz_um)
    # The same mean; noise is that of 512 pixels of about 30 electrons in each.
    share = float(ours.electrons.detach().mean() / theirs.electrons.mean())
    assert share == pytest.approx(1, abs=0.02)


def test_the_mask_moves_only_in_its_time() -> None:
    made = training()
    start = made.mask.phase_rad.copy()
    assert start.std() > 0.1  # a flat mask is kicked
    seen = {}
    while not made.finished:
        made._one_step()
        seen[made.step] = made._present().phase_rad
    assert np.array_equal(seen[2], start)
    assert not np.array_equal(seen[3], start)
    assert np.array_equal(seen[16], seen[20])
    assert not np.array_equal(seen[10], seen[16])


def test_stopped_and_resumed_it_ends_at_the_same_mask(tmp_path: Path) -> None:
    whole = training()
    for _ in whole.run():
        pass
    first = training()
    for _ in range(9):
        first._one_step()
    first.save(tmp_path / "c.checkpoint")
    second = training()
    second.resume(tmp_path / "c.checkpoint")
    assert second.step == 9
    for _ in second.run():
        pass
    assert np.array_equal(second.mask.phase_rad, whole.mask.phase_rad)
    assert second.mask.origin["steps"] == 20
    model = second.model("learned")
    assert np.array_equal(model.mask.phase_rad, whole.mask.phase_rad)
    assert model.card.mask_name == "learned"


def test_another_design_cannot_go_on_from_it(tmp_path: Path) -> None:
    first = training()
    first.save(tmp_path / "c.checkpoint")
    other = training(design=SETTINGS["design"] | {"step_rad": 0.01})
    with pytest.raises(SettingsError, match=r"other settings in \[design\]"):
        other.resume(tmp_path / "c.checkpoint")


def test_polynomials_and_a_real_slm_can_be_searched() -> None:
    slm = {"levels": 32, "fringing_px": 0.5, "shift_px": 0.3, "range_rad": 6.0}
    made = training(design=SETTINGS["design"] | {"order": 5, "slm": slm})
    for _ in made.run():
        pass
    assert made._phase.searched.shape == (18,)
    step = 6.0 / 32
    phase = made.mask.phase_rad
    assert phase / step == pytest.approx(np.round(phase / step), abs=1e-3)
    assert made._design.slm == Panel(**slm)


def test_times_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SettingsError, match="less than fixed"):
        settings(design={"kind": "learned", "still": 0.5, "fixed": 0.4})
    with pytest.raises(SettingsError, match="design"):
        validated(DesignSettings, replace_table(), "test")


def replace_table() -> dict[str, Any]:
    return {name: table for name, table in SETTINGS.items() if name != "design"}
