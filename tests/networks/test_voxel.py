"""The network's published size, and that it can learn."""

import pytest
import torch

from dsacq.networks.voxel import VoxelNetwork


@pytest.mark.parametrize(("depth", "parameters"), [(81, 435_743), (121, 612_703)])
def test_published_number_of_parameters(depth: int, parameters: int) -> None:
    assert sum(weight.numel() for weight in VoxelNetwork(depth).parameters()) == parameters


def test_volume_has_four_voxels_per_pixel_and_stays_in_range() -> None:
    torch.manual_seed(0)
    network = VoxelNetwork(5, scale=10.0).eval()
    volume = network(100 * torch.randn(2, 1, 11, 9))
    assert volume.shape == (2, 5, 44, 36)
    assert volume.min() >= 0
    assert volume.max() <= 10


def test_receptive_field() -> None:
    """A pixel reaches its context's sum of dilations, and less than REFINE_REACH_PX beyond."""
    torch.manual_seed(0)
    network = VoxelNetwork(3, dilations=(1, 2, 3), scale=1e9).eval().double()
    frame = torch.zeros((1, 1, 1, 41), dtype=torch.float64)
    touched = frame.clone()
    touched[..., 20] = 1.0
    with torch.no_grad():
        features = (network.context(touched) - network.context(frame)).abs().sum((0, 1, 2))
        volume = (network(touched) - network(frame)).abs().sum((0, 1, 2))
    assert torch.nonzero(features).flatten().tolist()[:: 2 * 6] == [14, 26]
    reached = torch.nonzero(volume).flatten() / 4
    assert reached.min() >= 20 - 6 - 2
    assert reached.max() < 21 + 6 + 2


def test_overfits_one_frame() -> None:
    torch.manual_seed(0)
    network = VoxelNetwork(4, dilations=(1, 2), scale=1.0)
    frame, wanted = torch.rand(1, 1, 7, 7), torch.zeros(1, 4, 28, 28)
    wanted[0, 2, 13, 9] = wanted[0, 1, 20, 25] = 1.0
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(25):
        loss = ((network(frame) - wanted) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
