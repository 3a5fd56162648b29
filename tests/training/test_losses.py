"""The losses, against their definitions and against the mistakes that others made."""

import dataclasses
import math

import pytest
import torch

from dsacq.networks.architectures import MixtureArchitecture, VoxelArchitecture
from dsacq.networks.mixture import ROOT_UNIT, Mixture, stabilised
from dsacq.physics.optics import Optics
from dsacq.training.losses import mixture_loss, voxel_loss
from dsacq.training.priors import Batch

SIZE = 12


@pytest.fixture
def architecture(small_optics: Optics) -> MixtureArchitecture:
    return MixtureArchitecture(
        fine_channels=4,
        fine_blocks=(0, 0),
        coarse_channels=4,
        dilations=(1,),
        z_range_um=small_optics.z_range_um,
        input_offset=1.0,
        input_scale=3.0,
    )


def batch(xyz_um: torch.Tensor, image: torch.Tensor, images: int = 2) -> Batch:
    counts = torch.zeros(images, 1, SIZE, SIZE)
    return Batch(
        counts,
        counts,
        torch.full((1, 1, SIZE, SIZE), 2.0),
        torch.full((images, SIZE, SIZE), 9.0),
        image,
        xyz_um,
        torch.full((len(image),), 3000.0),
    )


def said(logit: torch.Tensor, deviation: float = 0.3) -> Mixture:
    draw = torch.Generator().manual_seed(2)
    images = len(logit)
    mean = 0.5 * torch.randn((images, 4, SIZE, SIZE), generator=draw)
    level = (stabilised(torch.tensor(9.0), 2.0) - 1.0) / 3.0
    return Mixture(
        logit,
        mean,
        torch.full((images, 4, SIZE, SIZE), deviation),
        level.expand(images, SIZE, SIZE),
    )


def test_it_is_the_sum_of_four_logarithms(
    architecture: MixtureArchitecture, small_optics: Optics
) -> None:
    """Written out pixel by pixel and emitter by emitter; components beyond 3 px do not matter."""
    pixel = small_optics.pixel_um
    xyz = torch.tensor([[4.3 * pixel, 5.9 * pixel, 0.2], [8.1 * pixel, 2.2 * pixel, 0.7]])
    image = torch.tensor([1, 1])
    logit = -3 + torch.randn((2, SIZE, SIZE), generator=torch.Generator().manual_seed(1))
    found = said(logit)
    loss = mixture_loss(found, batch(xyz, image), architecture, small_optics)

    chance = logit.double().sigmoid()
    truth = torch.zeros_like(chance)
    truth[1, 5, 4] = truth[1, 2, 8] = 1
    total = -(truth * chance.log() + (1 - truth) * (1 - chance).log()).sum()
    for one, count in ((0, 0), (1, 2)):
        variance = (chance[one] * (1 - chance[one])).sum() + 0.05
        total += (count - chance[one].sum()) ** 2 / (2 * variance) + variance.log() / 2
    for x_um, y_um, z_um in xyz.double().tolist():
        mixed = torch.tensor(0.0, dtype=torch.float64)
        for row in range(SIZE):
            for column in range(SIZE):
                error = torch.tensor(
                    [
                        x_um / pixel - column - 0.5,
                        y_um / pixel - row - 0.5,
                        2 * z_um - 1,
                        3000**0.5 / ROOT_UNIT,
                    ],
                    dtype=torch.float64,
                )
                error -= found.mean[1, :, row, column]
                normal = torch.exp(-((error / 0.3) ** 2).sum() / 2) / (0.3**4 * (2 * math.pi) ** 2)
                mixed += chance[1, row, column] / chance[1].sum() * normal
        total -= mixed.log()
    assert float(loss) == pytest.approx(float(total) / 4, rel=1e-3)


def test_empty_frames_count(architecture: MixtureArchitecture, small_optics: Optics) -> None:
    """A frame without emitters pulls every chance down."""
    logit = torch.full((2, SIZE, SIZE), -2.0, requires_grad=True)
    nothing = batch(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    loss = mixture_loss(said(logit), nothing, architecture, small_optics)
    (slope,) = torch.autograd.grad(loss, logit)
    assert bool(torch.isfinite(loss))
    assert bool((slope > 1e-4).all())


def test_stated_deviations_are_those_of_the_errors(
    architecture: MixtureArchitecture, small_optics: Optics
) -> None:
    """The loss is least where the deviation is the root mean square of the errors."""
    pixel = small_optics.pixel_um
    count = 400
    draw = torch.Generator().manual_seed(0)
    error = 0.2 * torch.randn((count, 2), generator=draw).clamp(-2, 2)
    root = torch.tensor(3000.0).sqrt() / ROOT_UNIT
    xyz = torch.cat(((6.5 + error) * pixel, torch.full((count, 1), 0.5)), 1)
    truth = batch(xyz, torch.arange(count), count)

    def loss(deviation: float) -> float:
        found = said(torch.full((count, SIZE, SIZE), -12.0))
        found.logit[:, 6, 6] = 6.0
        found.mean.zero_()
        found.mean[:, 3] = root
        spread = found.deviation.clone()
        spread[:, :2] = deviation
        found = found._replace(deviation=spread)
        return float(mixture_loss(found, truth, architecture, small_optics))

    best = float((error**2).mean().sqrt())
    assert loss(best) < min(loss(0.9 * best), loss(1.1 * best))


def test_losses_are_finite_at_the_edges(
    architecture: MixtureArchitecture, small_optics: Optics
) -> None:
    pixel = small_optics.pixel_um
    xyz = torch.tensor([[0.0, 0.0, 0.0], [(SIZE - 1e-4) * pixel, (SIZE - 1e-4) * pixel, 1.0]])
    logit = torch.full((2, SIZE, SIZE), -80.0, requires_grad=True)
    loss = mixture_loss(
        said(logit, 1e-3), batch(xyz, torch.tensor([0, 1])), architecture, small_optics
    )
    (slope,) = torch.autograd.grad(loss, logit)
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(slope).all())


def test_voxels_false_and_true(small_optics: Optics) -> None:
    """The right volume costs least; a false emitter costs, in both terms."""
    architecture = VoxelArchitecture(depth=5, dilations=(1,))
    pixel = small_optics.pixel_um
    truth = batch(torch.tensor([[4.3 * pixel, 5.9 * pixel, 0.5]]), torch.tensor([0]), 1)
    right = torch.zeros(1, 5, 4 * SIZE, 4 * SIZE)
    right[0, 2, 23, 17] = architecture.scale
    false = right.clone()
    false[0, 1, 40, 40] = architecture.scale
    shifted = right.roll(1, 3)
    costs = [
        float(voxel_loss(one, truth, architecture, small_optics))
        for one in (right, shifted, false, torch.zeros_like(right))
    ]
    assert costs[0] == pytest.approx(0, abs=1e-6)
    assert costs[0] < costs[1] < costs[2]
    assert costs[3] > costs[0]
    empty = dataclasses.replace(truth, image=truth.image[:0], xyz_um=truth.xyz_um[:0])
    assert float(voxel_loss(right, empty, architecture, small_optics)) > 0.5
