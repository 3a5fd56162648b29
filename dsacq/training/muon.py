"""Muon: steps of convolutions made orthogonal, Adam for the rest.

A gradient moves a convolution mostly along the few directions that the loss feels most. With all
directions of a step brought to equal length, the weak ones are learned as fast. Source: Jordan et
al., Muon (2024); steps as long as Adam's after Liu et al., arXiv:2502.16982, so that one learning
rate serves both.
"""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_BETAS = 0.9, 0.99
_LEAST = 1e-8
_AS_ADAM = 0.2  # typical root mean square of a step of Adam, per learning rate
# Of the odd polynomial that brings singular values near 1, in so many rounds.
_COEFFICIENTS, _ROUNDS = (3.4445, -4.7750, 2.0315), 5


class Muon(torch.optim.Optimizer):
    """Orthogonal steps for parameters of two axes and more, Adam's for the others.

    weight_decay: per step and learning rate, of the former alone.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float = 1e-3, weight_decay: float = 0.01
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    def state_shapes(self) -> list[dict[str, tuple[int, ...]]]:
        """Of what is kept of each parameter, once it was stepped."""
        parameters = [one for group in self.param_groups for one in group["params"]]
        return [
            {"momentum": tuple(one.shape)}
            if one.ndim > 1
            else {"step": (), "mean": tuple(one.shape), "square": tuple(one.shape)}
            for one in parameters
        ]

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step down the gradients. closure: computes them anew, and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            given = [one for one in group["params"] if one.grad is not None]
            if vectors := [one for one in given if one.ndim < 2]:
                self._adam(vectors, group["lr"])
            if matrices := [one for one in given if one.ndim > 1]:
                self._orthogonal(matrices, group)
        return loss

    # One call for all parameters: a GPU spends longer on being asked than on the sums.
    def _orthogonal(self, given: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [_gradient(one) for one in given]
        for one in given:
            if not self.state[one]:
                self.state[one]["momentum"] = torch.zeros_like(one)
        momenta = [self.state[one]["momentum"] for one in given]
        torch._foreach_mul_(momenta, _MOMENTUM)
        torch._foreach_add_(momenta, gradients)
        torch._foreach_mul_(given, 1 - group["lr"] * group["weight_decay"])
        ahead = torch._foreach_add(gradients, momenta, alpha=_MOMENTUM)
        alike: dict[torch.Size, list[int]] = {}
        for place, matrix in enumerate(ahead):
            alike.setdefault(matrix.flatten(1).shape, []).append(place)
        for shape, places in alike.items():
            steps = orthogonal(torch.stack([ahead[one].flatten(1) for one in places]).float())
            rate = group["lr"] * _AS_ADAM * max(shape) ** 0.5
            some = [given[one] for one in places]
            steps_alike = [step.view(one.shape) for one, step in zip(some, steps, strict=True)]
            torch._foreach_add_(some, steps_alike, alpha=-rate)

    def _adam(self, given: list[Tensor], rate: float) -> None:
        gradients, (fast, slow) = [_gradient(one) for one in given], _BETAS
        for one in given:
            if not self.state[one]:
                self.state[one].update(
                    step=torch.zeros(()), mean=torch.zeros_like(one), square=torch.zeros_like(one)
                )
        states = [self.state[one] for one in given]
        for state in states:
            state["step"] += 1
        counts = [float(state["step"]) for state in states]
        means, squares = ([state[key] for state in states] for key in ("mean", "square"))
        torch._foreach_lerp_(means, gradients, 1 - fast)
        torch._foreach_mul_(squares, slow)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - slow)
        spreads = torch._foreach_div(squares, [1 - slow**count for count in counts])
        torch._foreach_sqrt_(spreads)
        torch._foreach_add_(spreads, _LEAST)
        torch._foreach_addcdiv_(
            given, means, spreads, [-rate / (1 - fast**count) for count in counts]
        )


def _gradient(one: Tensor) -> Tensor:
    assert one.grad is not None
    return one.grad


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, A, B): near U V^T of each matrix U S V^T, singular values within 0.7 and 1.2."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    flat = matrices.mT if tall else matrices
    flat = flat / flat.norm(dim=(1, 2), keepdim=True).clamp_min(_LEAST)
    for _ in range(_ROUNDS):
        square = flat @ flat.mT
        factor = torch.baddbmm(square, square, square, beta=b, alpha=c)
        flat = torch.baddbmm(flat, factor, flat, beta=a)
    made: Tensor = flat.mT if tall else flat
    return made
