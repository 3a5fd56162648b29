"""Peaks of a confidence volume and their sub-voxel positions, without a loop over emitters."""

from dataclasses import dataclass

import torch
from torch import Tensor

RADIUS = 4  # voxels: maxima and averages are taken over 9 x 9 x 9
_GATHERED = 1 << 22  # voxels gathered at once, which bounds the memory of a crowded volume


@dataclass(frozen=True)
class Peaks:
    """K peaks: image (K,) in the batch, zyx (K, 3) continuous voxel coordinates, value (K,).

    A voxel's centre is at its index + 0.5.
    """

    image: Tensor
    zyx: Tensor
    value: Tensor


def find_peaks(
    volume: Tensor,
    threshold: float,
    *,
    rows: slice = slice(0, None),
    columns: slice = slice(0, None),
) -> Peaks:
    """Voxels above `threshold` that are the maximum of their neighbourhood.

    volume: (B, D, H, W), not negative. rows, columns: where a peak may lie; voxels around it count
    as its neighbours. Of equal neighbours the first is kept. The position is the mean of the
    neighbourhood's voxel centres weighted by value (Nehme et al. 2020).
    """
    image, z, y, x = torch.nonzero(volume[:, :, rows, columns] > threshold, as_tuple=True)
    places = torch.stack((image, z, y + rows.start, x + columns.start), 1)
    # Nearly all of them are beaten by a direct neighbour: few need the large window.
    for radius in (1, RADIUS):
        kept = [_unbeaten(volume, part, radius) for part in _parts(places, radius)]
        places = places[torch.cat(kept)]
    zyx = torch.cat([_centre_of_mass(volume, part) for part in _parts(places, RADIUS)])
    return Peaks(places[:, 0], zyx, volume[places.unbind(1)])


def _parts(places: Tensor, radius: int) -> tuple[Tensor, ...]:
    return torch.split(places, max(1, _GATHERED // (2 * radius + 1) ** 3))


def _unbeaten(volume: Tensor, places: Tensor, radius: int) -> Tensor:
    around, earlier, _ = _neighbourhood(volume, places, radius)
    value = volume[places.unbind(1)][:, None]
    return ~((around > value) | ((around == value) & earlier)).any(1)


def _centre_of_mass(volume: Tensor, places: Tensor) -> Tensor:
    around, _, offset = _neighbourhood(volume, places, RADIUS)
    shift = (around @ offset.to(around.dtype)) / around.sum(1, keepdim=True)
    return places[:, 1:] + 0.5 + shift


def _neighbourhood(volume: Tensor, places: Tensor, radius: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values (K, n) around each place, 0 outside; which precede it (n,); their offsets (n, 3)."""
    reach = torch.arange(-radius, radius + 1, device=volume.device)
    offset = torch.cartesian_prod(reach, reach, reach)
    around = places[:, None, 1:] + offset
    limit = torch.tensor(volume.shape[1:], device=volume.device)
    inside = ((around >= 0) & (around < limit)).all(-1)
    z, y, x = torch.minimum(around.clamp_min(0), limit - 1).unbind(-1)
    values = volume[places[:, :1].expand_as(z), z, y, x]
    earlier = torch.arange(len(offset), device=volume.device) < len(offset) // 2
    return torch.where(inside, values, 0), earlier, offset
