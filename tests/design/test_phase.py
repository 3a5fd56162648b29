"""What an SLM shows of a phase, and what passes back through it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dsacq.design.phase import SearchedPhase, shown, with_gaps
from dsacq.design.settings import Panel
from dsacq.physics.masks import flat, tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf
from dsacq.simulation.frames import FrameRenderer

TURN = 2 * np.pi
ANY = Panel(levels=None)


def ramp() -> torch.Tensor:
    return torch.linspace(-10, 10, 400).reshape(20, 20).requires_grad_()


def test_an_slm_of_any_phase_changes_only_whole_turns() -> None:
    phase = ramp()
    out = shown(phase, ANY)
    turns = (out - phase).detach() / TURN
    assert turns.numpy() == pytest.approx(turns.round().numpy(), abs=1e-5)
    assert float(out.detach().min()) >= 0
    assert float(out.detach().max()) <= TURN


def test_levels_are_whole_and_pass_the_gradient() -> None:
    phase = ramp()
    out = shown(phase, Panel(levels=8))
    steps = out.detach() / (TURN / 8)
    assert steps.numpy() == pytest.approx(steps.round().numpy(), abs=1e-4)
    wrong = torch.remainder(out.detach() - phase.detach() + np.pi, TURN) - np.pi
    assert float(wrong.abs().max()) <= TURN / 16 + 1e-4
    out.sum().backward()
    assert phase.grad is not None
    assert torch.equal(phase.grad, torch.ones_like(phase))


def test_phases_beyond_the_range_are_shown_as_its_nearer_end() -> None:
    out = shown(torch.tensor([[1.0, 4.9, 5.4, 6.2]]), Panel(levels=None, range_rad=5.0))
    assert out.numpy() == pytest.approx(np.array([[1.0, 4.9, 5.0, 0.0]]), abs=1e-5)


def test_fringing_smooths_wraps_into_slopes() -> None:
    phase = torch.full((16, 16), 6.0)
    phase[:, 8:] = 6.6  # 0.3 after the wrap
    out = shown(phase, Panel(levels=None, fringing_px=1.0))
    assert 1.0 < float(out[8, 8]) < 5.0  # between both, as no ideal SLM shows it
    assert float(out[8, 0]) == pytest.approx(6.0, abs=1e-3)


def test_a_shift_moves_the_phase() -> None:
    phase = torch.linspace(0.5, 2.5, 41).expand(41, -1).contiguous()
    draw = torch.Generator().manual_seed(2)
    expected = 1.5 * torch.randn(2, generator=torch.Generator().manual_seed(2))
    out = shown(phase, Panel(levels=None, shift_px=1.5), draw)
    moved = (phase - out)[20, 20] / 0.05
    assert float(moved) == pytest.approx(float(expected[1]), abs=0.02)


@pytest.mark.parametrize(("phase_rad", "field"), [(0.0, 1.0), (np.pi, 0.8), (np.pi / 2, None)])
def test_gaps_reflect_light_as_it_came(phase_rad: float, field: float | None) -> None:
    phase, transmission = with_gaps(torch.tensor([phase_rad]), 0.9)
    if field is None:  # two parts at a right angle
        field = (0.9**2 + 0.1**2) ** 0.5
        assert float(phase) == pytest.approx(np.arctan2(0.9, 0.1))
    assert float(transmission) == pytest.approx(field)


def test_the_image_through_gaps_is_the_square_of_the_mean_field() -> None:
    """A half-wave mask everywhere: the image of no mask, with (2 fill - 1)^2 of its light."""
    optics = replace(STANDARD_OPTICS, mask_pixel_um=60.0)
    nothing = torch.from_numpy(flat(optics).phase_rad)
    phase, transmission = with_gaps(nothing + np.pi, 0.8)
    place = torch.tensor([[0.0, 0.0, 3.5]])
    image = psf(phase, place, optics, (31, 31), transmission=transmission)
    torch.testing.assert_close(image, 0.36 * psf(nothing, place, optics, (31, 31)))


def test_frames_through_gaps_are_drawn_as_the_exact_images() -> None:
    optics = replace(STANDARD_OPTICS, mask_pixel_um=60.0)
    phase, transmission = with_gaps(torch.from_numpy(tetrapod(optics).phase_rad), 0.8)
    middle = torch.tensor([[24 * optics.pixel_um, 24 * optics.pixel_um, 4.0]])
    renderer = FrameRenderer(phase, optics, (48, 48), transmission=transmission)
    drawn = renderer.render(torch.tensor([0]), middle, torch.tensor([1000.0]), 1)[0]
    place = torch.tensor([[0.0, 0.0, 4.0]])
    exact = psf(phase, place, optics, (48, 48), transmission=transmission)
    whole = psf(phase, place, optics, (48, 48))
    error = float((drawn - 1000 * exact[0]).abs().max() / (1000 * exact.max()))
    assert error < 2e-3
    assert float(exact.sum()) < 0.75 * float(whole.sum())


@pytest.mark.parametrize("order", [None, 6])
def test_the_search_begins_at_its_start(order: int | None) -> None:
    start = tetrapod(STANDARD_OPTICS)
    phase = SearchedPhase(start, STANDARD_OPTICS, order)
    assert np.array_equal(phase().detach().numpy(), start.phase_rad)
    mask = phase.mask(Panel(levels=None), "same", design="test")
    lit = phase.lit.numpy()
    assert np.cos(mask.phase_rad - start.phase_rad)[lit].min() > 0.99999
    assert not mask.phase_rad[~lit].any()
    assert (mask.name, mask.origin) == ("same", {"design": "test"})


def test_roughness_is_that_of_the_phase() -> None:
    phase = SearchedPhase(flat(STANDARD_OPTICS), STANDARD_OPTICS, None)
    assert float(phase.roughness().detach()) == 0
    with torch.no_grad():
        phase.searched.copy_(torch.randn(phase.searched.shape) * 10)
    # Of bends that can be anything: E|exp(i bend) - 1|^2 = 2.
    assert float(phase.roughness().detach()) == pytest.approx(2.0, rel=0.05)
    with torch.no_grad():
        phase.searched.copy_(torch.arange(phase.searched.shape[1]) * 0.7)
    assert float(phase.roughness().detach()) == pytest.approx(0.0, abs=1e-6)
