"""What training makes small: how improbable a network finds the truth."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from dsacq.networks.architectures import MixtureArchitecture, VoxelArchitecture
from dsacq.networks.mixture import ROOT_UNIT, Mixture, stabilised
from dsacq.physics.optics import Optics
from dsacq.training.priors import Batch

_REACH = 3  # pixels around an emitter whose components can mean it
_LEAST_VARIANCE = 0.05  # of the number of emitters: no reward for ever greater certainty
_BACKGROUND = 3.0  # weight


def mixture_loss(
    found: Mixture, batch: Batch, architecture: MixtureArchitecture, optics: Optics
) -> Tensor:
    """Loss per emitter of a mixture, () tensor.

    The sum of four negative logarithms of probability: of each pixel holding an emitter, of the
    number of emitters, of each true emitter in the mixture, and of the background. All chances are
    kept as logarithms, so that empty pixels can become as certain as they are. Source: Speiser et
    al., Nature Methods 18, 1082 (2021); the cross-entropy after Fu et al., Nature Methods 20, 459
    (2023). The number has weight 1, with empty frames too, which leaves chances calibrated.
    """
    count = torch.bincount(batch.image, minlength=len(found.logit))
    place = batch.xyz_um[:, :2] / optics.pixel_um
    column, row = place.long().unbind(1)
    holds = torch.zeros_like(found.logit)
    holds[batch.image, row, column] = 1
    pixels = functional.binary_cross_entropy_with_logits(found.logit, holds, reduction="sum")

    log_chance = functional.logsigmoid(found.logit)
    chance = log_chance.exp()
    total = chance.sum((1, 2))
    variance = (chance * functional.logsigmoid(-found.logit).exp()).sum((1, 2)) + _LEAST_VARIANCE
    number = ((count - total) ** 2 / (2 * variance) + variance.log() / 2).sum()

    emitters = -(
        _log_density(found, log_chance, batch, architecture, place) - total.log()[batch.image]
    )
    level = stabilised(batch.background, batch.read_variance[:, 0])
    level = (level - architecture.input_offset) / architecture.input_scale
    background = ((found.background - level) ** 2).mean((1, 2)) @ (count + 1.0)
    return (pixels + number + emitters.sum() + _BACKGROUND * background) / (
        len(batch.image) + len(count)
    )


def _log_density(
    found: Mixture,
    log_chance: Tensor,
    batch: Batch,
    architecture: MixtureArchitecture,
    place: Tensor,
) -> Tensor:
    """(E,) logarithms of the mixture's density, not normalised, at the true emitters."""
    height, width = log_chance.shape[1:]
    reach = torch.arange(-_REACH, _REACH + 1, device=place.device)
    down, right = (step.flatten() for step in torch.meshgrid(reach, reach, indexing="ij"))
    column, row = place.long().unbind(1)
    rows, columns = row[:, None] + down, column[:, None] + right
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    index = (batch.image[:, None] * height + rows) * width + columns
    mean = found.mean.permute(0, 2, 3, 1).flatten(0, 2)[index]  # (E, window, 4)
    deviation = found.deviation.permute(0, 2, 3, 1).flatten(0, 2)[index]

    low_um, high_um = architecture.z_range_um
    z = 2 * (batch.xyz_um[:, 2] - low_um) / (high_um - low_um) - 1
    root = batch.emitted.sqrt() / ROOT_UNIT
    offset = place[:, None] - torch.stack((columns, rows), 2) - 0.5
    others = torch.stack((z, root), 1)[:, None].expand(-1, len(down), -1)
    error = (torch.cat((offset, others), 2) - mean) / deviation
    log_normal = -(error**2 / 2 + deviation.log()).sum(2) - 2 * math.log(2 * math.pi)
    log_weight = torch.where(inside, log_chance.flatten()[index], -torch.inf)
    return torch.logsumexp(log_weight + log_normal, 1)


def voxel_loss(
    volume: Tensor, batch: Batch, architecture: VoxelArchitecture, optics: Optics
) -> Tensor:
    """Loss of a volume (B, D, 4 H, 4 W), () tensor: squared error of blurred volumes, and overlap.

    As in Nehme et al., Nature Methods 17, 734 (2020), but the denominator of the overlap is
    Dice's, with the square of the prediction, so that false emitters cost something.
    """
    depth, height, width = volume.shape[1:]
    lateral_um, axial_um = architecture.voxel_um(optics)
    size = volume.new_tensor([lateral_um, lateral_um, axial_um])
    start = volume.new_tensor([0, 0, optics.z_range_um[0]])
    x, y, z = ((batch.xyz_um - start) / size).long().unbind(1)
    truth = torch.zeros_like(volume)
    truth[batch.image, z.clamp(0, depth - 1), y.clamp(0, height - 1), x.clamp(0, width - 1)] = 1
    error = _blurred(volume - architecture.scale * truth)
    share = volume / architecture.scale
    overlap = (share * truth).sum((1, 2, 3))
    both = (share**2).sum((1, 2, 3)) + truth.sum((1, 2, 3))
    return (error**2).mean() + (1 - (2 * overlap + 1) / (both + 1)).mean()


def _blurred(volume: Tensor) -> Tensor:
    """With a Gaussian of one voxel and peak 1, cut after three."""
    steps = torch.arange(-3, 4, device=volume.device, dtype=volume.dtype)
    kernel = torch.exp(-(steps**2) / 2)
    blurred = volume[:, None]
    for axis in range(3):
        shape, padding = [1, 1, 1, 1, 1], [0, 0, 0]
        shape[axis + 2], padding[axis] = len(kernel), 3
        blurred = functional.conv3d(blurred, kernel.view(shape), padding=padding)
    return blurred[:, 0]
