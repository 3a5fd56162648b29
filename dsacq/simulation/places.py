"""Where emitters can be: a volume, a membrane, vesicles, nuclei. Positions in um, see `Area`."""

import math
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from dsacq.physics.optics import Positive

_STRICT = ConfigDict(extra="forbid")
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Area(NamedTuple):
    """The box that emitters are meant for: x, y from the frame's upper-left corner, z above the
    coverslip."""

    left_um: float
    top_um: float
    right_um: float
    bottom_um: float
    z_range_um: tuple[float, float]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Volume:
    """Uniform in the area and z_range_um, by default that of the optics."""

    kind: Literal["volume"] = "volume"
    z_range_um: tuple[Finite, Finite] | None = None

    def __post_init__(self) -> None:
        if self.z_range_um is not None and self.z_range_um[0] > self.z_range_um[1]:
            raise ValueError(f"z_range_um = {list(self.z_range_um)}: expected the lower one first")

    def heights_um(self, area: Area) -> tuple[float, float]:
        """Lowest and highest z that `sample` can give."""
        return area.z_range_um if self.z_range_um is None else self.z_range_um

    def sample(self, count: int, area: Area, generator: torch.Generator) -> Tensor:
        """(count, 3) positions."""
        low, high = self.heights_um(area)
        part = _uniform(count, 3, generator)
        corner = part.new_tensor([area.left_um, area.top_um, low])
        return corner + part * (part.new_tensor([area.right_um, area.bottom_um, high]) - corner)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Plane:
    """A membrane: uniform over the area, on a tilted sheet of finite thickness."""

    kind: Literal["plane"] = "plane"
    z_um: Finite  # in the middle of the area
    slope_x: Finite = 0.0  # um of height per um
    slope_y: Finite = 0.0
    thickness_um: NotNegative = 0.0

    def heights_um(self, area: Area) -> tuple[float, float]:
        """Lowest and highest z that `sample` can give."""
        width, height = area.right_um - area.left_um, area.bottom_um - area.top_um
        tilt = abs(self.slope_x) * width + abs(self.slope_y) * height
        return self.z_um - (tilt + self.thickness_um) / 2, self.z_um + (
            tilt + self.thickness_um
        ) / 2

    def sample(self, count: int, area: Area, generator: torch.Generator) -> Tensor:
        """(count, 3) positions."""
        part = _uniform(count, 3, generator) - 0.5
        x = part[:, 0] * (area.right_um - area.left_um)
        y = part[:, 1] * (area.bottom_um - area.top_um)
        z = self.z_um + self.slope_x * x + self.slope_y * y + part[:, 2] * self.thickness_um
        middle = (area.left_um + area.right_um) / 2, (area.top_um + area.bottom_um) / 2
        return torch.stack((x + middle[0], y + middle[1], z), 1)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Spheres:
    """Uniform on the surfaces of spheres of one radius: vesicles, dyed beads."""

    kind: Literal["spheres"] = "spheres"
    radius_um: Positive
    centres_um: Annotated[tuple[tuple[Finite, Finite, Finite], ...], Field(min_length=1)]

    def heights_um(self, area: Area) -> tuple[float, float]:
        """Lowest and highest z that `sample` can give."""
        heights = [z for _, _, z in self.centres_um]
        return min(heights) - self.radius_um, max(heights) + self.radius_um

    def sample(self, count: int, area: Area, generator: torch.Generator) -> Tensor:
        """(count, 3) positions."""
        centres = torch.tensor(self.centres_um, device=generator.device)
        return _chosen(centres, count, generator) + self.radius_um * _directions(count, generator)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Nuclei:
    """Uniform in ellipsoids that lie on the coverslip, or at `bottom_um` above it."""

    kind: Literal["nuclei"] = "nuclei"
    semi_axes_um: tuple[Positive, Positive, Positive]  # x, y, z
    centres_um: Annotated[tuple[tuple[Finite, Finite], ...], Field(min_length=1)]
    bottom_um: NotNegative = 0.0

    def heights_um(self, area: Area) -> tuple[float, float]:
        """Lowest and highest z that `sample` can give."""
        return self.bottom_um, self.bottom_um + 2 * self.semi_axes_um[2]

    def sample(self, count: int, area: Area, generator: torch.Generator) -> Tensor:
        """(count, 3) positions."""
        middle = self.bottom_um + self.semi_axes_um[2]
        centres = torch.tensor(
            [(x, y, middle) for x, y in self.centres_um], device=generator.device
        )
        axes = torch.tensor(self.semi_axes_um, device=generator.device)
        inside = _directions(count, generator) * _uniform(count, 1, generator) ** (1 / 3)
        return _chosen(centres, count, generator) + axes * inside


Place = Annotated[Volume | Plane | Spheres | Nuclei, Field(discriminator="kind")]


def _uniform(count: int, columns: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, columns, generator=generator, device=generator.device)


def _directions(count: int, generator: torch.Generator) -> Tensor:
    """(count, 3) unit vectors, uniform on the sphere."""
    part = _uniform(count, 2, generator)
    z, around = 2 * part[:, 0] - 1, 2 * math.pi * part[:, 1]
    across = (1 - z**2).sqrt()
    return torch.stack((across * around.cos(), across * around.sin(), z), 1)


def _chosen(centres: Tensor, count: int, generator: torch.Generator) -> Tensor:
    index = torch.randint(len(centres), (count,), generator=generator, device=generator.device)
    return centres[index]
