"""Muon: its steps have the lengths and directions that its source says, and it learns."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from dsacq.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(3, 16, 40), (2, 40, 16), (1, 24, 24)])
def test_orthogonal_matrices_keep_their_directions(shape: tuple[int, int, int]) -> None:
    draw = torch.Generator().manual_seed(0)
    matrices = torch.randn(shape, generator=draw)
    made = orthogonal(matrices)
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    inner = left.mT @ made @ right.mT  # near the identity
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.4
    assert values.max() < 1.3
    off = inner - torch.diag_embed(inner.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 1e-3


def test_directions_that_the_loss_hardly_feels_are_learned_as_fast() -> None:
    """A regression on inputs of very unequal strength, at the best of some learning rates."""
    draw = torch.Generator().manual_seed(1)
    turn = torch.linalg.qr(torch.randn(32, 32, generator=draw))[0]
    inputs = torch.randn(512, 32, generator=draw) * torch.logspace(0, -2, 32) @ turn
    wanted = torch.randn(16, 32, generator=draw)

    def error(optimiser: type[torch.optim.Optimizer], rate: float, steps: int = 100) -> float:
        layer = nn.Linear(32, 16, bias=False)
        nn.init.zeros_(layer.weight)
        descent = optimiser(layer.parameters(), lr=rate)  # type: ignore[call-arg]
        for step in range(steps):
            for group in descent.param_groups:
                group["lr"] = rate * (1 - step / steps)
            descent.zero_grad()
            away = layer(inputs) - functional.linear(inputs, wanted)
            away.square().mean().backward()  # type: ignore[no-untyped-call]
            descent.step()
        return float((layer.weight.detach() - wanted).square().mean())

    rates = (0.05, 0.1, 0.2, 0.5)
    ours, adams = (min(error(one, rate) for rate in rates) for one in (Muon, torch.optim.Adam))
    assert ours < 0.2 * adams


def test_vectors_take_the_steps_of_adam() -> None:
    draw = torch.Generator().manual_seed(2)
    start, gradients = torch.randn(7, generator=draw), torch.randn(5, 7, generator=draw)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    both = Muon([ours], lr=0.01), torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.99))
    for gradient in gradients:
        for one, descent in zip((ours, theirs), both, strict=True):
            one.grad = gradient.clone()
            descent.step()
    torch.testing.assert_close(ours, theirs)


def test_parameters_without_gradient_stay() -> None:
    matrix = nn.Parameter(torch.ones(3, 3))
    Muon([matrix]).step()
    assert torch.equal(matrix, torch.ones(3, 3))
