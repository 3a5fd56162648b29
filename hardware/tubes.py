"""Random curved tubes, as mitochondria are, and labels on their surfaces."""

import math

import torch
from torch import Tensor

from dsacq.simulation.places import Area

_STEPS = 200  # along a tube
_PERSISTENCE_UM = 5.0  # over which its direction is remembered


def labels_on_tubes(
    labels: int,
    tubes: int,
    length_um: float,
    radius_um: float,
    area: Area,
    generator: torch.Generator,
) -> Tensor:
    """(labels, 3) positions on the surfaces of tubes that wind within the area.

    A tube lies flat at its ends and rises or falls in between, at most through the whole z range.
    """
    line_um = _lines(tubes, length_um, radius_um, area, generator)
    along = line_um[:, 1:] - line_um[:, :-1]
    along = along / along.norm(dim=-1, keepdim=True).clamp_min(1e-9)

    tube = torch.randint(tubes, (labels,), generator=generator)
    place = torch.rand(labels, generator=generator) * (_STEPS - 1)
    step = place.long()
    axis, ahead = line_um[tube, step], along[tube, step]
    axis = axis + (place - step)[:, None] * (line_um[tube, step + 1] - axis)
    upwards = torch.tensor([0.0, 0.0, 1.0]).expand_as(ahead)
    sideways = torch.linalg.cross(ahead, upwards)
    sideways = sideways / sideways.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    other = torch.linalg.cross(sideways, ahead)
    around = 2 * math.pi * torch.rand(labels, 1, generator=generator)
    beside: Tensor = around.cos() * sideways + around.sin() * other
    return axis + radius_um * beside


def _lines(
    tubes: int, length_um: float, radius_um: float, area: Area, generator: torch.Generator
) -> Tensor:
    """(tubes, steps + 1, 3) middles: a worm-like chain in x and y, reflected at the borders."""

    def drawn(*shape: int) -> Tensor:
        return torch.rand(tubes, *shape, generator=generator)

    step_um = length_um / _STEPS
    bend = torch.randn(tubes, _STEPS, generator=generator) * (2 * step_um / _PERSISTENCE_UM) ** 0.5
    heading = 2 * math.pi * drawn(1) + bend.cumsum(1)
    low, high = area.z_range_um[0] + radius_um, area.z_range_um[1] - radius_um
    ends_um = low + (high - low) * drawn(2)
    risen = (1 - torch.cos(math.pi * torch.linspace(0, 1, _STEPS + 1))) / 2
    z = ends_um[:, :1] + (ends_um[:, 1:] - ends_um[:, :1]) * risen
    x = _walked(step_um * heading.cos(), area.left_um, area.right_um, drawn(1))
    y = _walked(step_um * heading.sin(), area.top_um, area.bottom_um, drawn(1))
    return torch.stack((x, y, z), -1)


def _walked(steps_um: Tensor, low: float, high: float, start: Tensor) -> Tensor:
    """Positions (tubes, steps + 1) from a random start, reflected at low and high."""
    width = high - low
    way = start * width + torch.cat((torch.zeros(len(steps_um), 1), steps_um.cumsum(1)), 1)
    return low + width - ((way % (2 * width)) - width).abs()
