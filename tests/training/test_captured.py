"""Graphs of a network on a GPU do what the network does."""

from copy import deepcopy

import pytest
import torch

from dsacq.physics.masks import PhaseMask
from dsacq.training.settings import TrainingSettings
from dsacq.training.train import Training


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_graphs_give_the_same_gradients(
    small_settings: TrainingSettings, small_mask: PhaseMask
) -> None:
    training = Training(small_settings, small_mask, torch.device("cuda"))
    plain = deepcopy(training._network)
    training._capture()
    with torch.no_grad():  # as a step does, in place
        for network in (plain, training._network):
            for one in network.parameters():
                one += 0.02 * torch.linspace(-1, 1, one.numel(), device="cuda").view(one.shape)
    losses, gradients = [], []
    for step in (3, 4):  # the second by the same graphs
        for network in (plain, training._network):
            network.train().zero_grad(set_to_none=True)
            training._objective.network = network
            batch = training._sampler.batch(step)
            with torch.autocast("cuda", torch.bfloat16):
                loss = training._objective.loss(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.item())
            gradients.append(
                torch.cat([one.grad.clone().flatten() for one in network.parameters()])
            )
    assert losses[0] != losses[2]
    for place in (0, 2):
        expected, captured = gradients[place : place + 2]
        assert losses[place + 1] == pytest.approx(losses[place], rel=0.01)
        assert (captured - expected).norm() < 0.05 * expected.norm()
