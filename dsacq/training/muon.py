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
            alike: dict[torch.Size, list[nn.Parameter]] = {}
            for one in group["params"]:
                if one.grad is None:
                    continue
                if one.ndim > 1:
                    alike.setdefault(one.flatten(1).shape, []).append(one)
                else:
                    self._adam(one, group["lr"])
            for some in alike.values():
                self._orthogonal(some, group)
        return loss

    def _orthogonal(self, some: list[nn.Parameter], group: dict[str, Any]) -> None:
        """Parameters that are matrices of one shape, together."""
        wanted = []
        for one in some:
            assert one.grad is not None
            state = self.state[one]
            if not state:
                state["momentum"] = torch.zeros_like(one)
            state["momentum"].mul_(_MOMENTUM).add_(one.grad)
            wanted.append((one.grad + _MOMENTUM * state["momentum"]).flatten(1))
        steps = orthogonal(torch.stack(wanted).float())
        longest = _AS_ADAM * max(steps.shape[1:]) ** 0.5
        for one, step in zip(some, steps, strict=True):
            one.mul_(1 - group["lr"] * group["weight_decay"])
            one.sub_(step.view(one.shape), alpha=group["lr"] * longest)

    def _adam(self, one: nn.Parameter, rate: float) -> None:
        state, (fast, slow) = self.state[one], _BETAS
        assert one.grad is not None
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(one), torch.zeros_like(one)
        state["step"] += 1
        count = float(state["step"])
        mean, square = state["mean"], state["square"]
        mean.lerp_(one.grad, 1 - fast)
        square.mul_(slow).addcmul_(one.grad, one.grad, value=1 - slow)
        spread = (square / (1 - slow**count)).sqrt() + _LEAST
        one.addcdiv_(mean, spread, value=-rate / (1 - fast**count))


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, A, B): near U V^T of each matrix U S V^T, singular values within 0.7 and 1.2."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    flat = matrices.mT if tall else matrices
    flat = flat / flat.norm(dim=(1, 2), keepdim=True).clamp_min(_LEAST)
    for _ in range(_ROUNDS):
        square = flat @ flat.mT
        flat = a * flat + (b * square + c * square @ square) @ flat
    made: Tensor = flat.mT if tall else flat
    return made
