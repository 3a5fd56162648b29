"""The light between the emitters: expected photons per pixel at the sensor."""

import math
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional

from dsacq.physics.optics import Positive
from dsacq.simulation.places import NotNegative

_STRICT = ConfigDict(extra="forbid")
Range = tuple[NotNegative, NotNegative]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class _Background:
    """What all backgrounds share.

    steady: one background for all frames; otherwise each frame has its own.
    roughness: peak to valley of a smooth random factor, with features of about roughness_px.
    """

    steady: bool = False
    roughness: Annotated[float, Field(ge=0, lt=2)] = 0.0
    roughness_px: Positive = 64.0

    def sample(self, frames: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """(frames, H, W) expected photons, on the generator's device."""
        smooth = self._smooth(frames, shape, generator)
        if self.roughness == 0:
            return smooth
        return smooth * (1 + self.roughness * (_noise(frames, shape, self.roughness_px, generator)))

    def _smooth(self, frames: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Constant(_Background):
    """The same everywhere; per frame uniform over the range if `photons` is one."""

    kind: Literal["constant"] = "constant"
    photons: NotNegative | Range

    def __post_init__(self) -> None:
        _check_range("photons", self.photons)

    def _smooth(self, frames: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        level = _uniform(self.photons, frames, generator)
        return level[:, None, None].expand(frames, *shape)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Gradient(_Background):
    """A linear slope from low to high photons across the frame, in a random direction."""

    kind: Literal["gradient"] = "gradient"
    low: NotNegative
    high: NotNegative

    def __post_init__(self) -> None:
        _check_range("low, high", (self.low, self.high))

    def _smooth(self, frames: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        angle = _uniform((0, 2 * math.pi), frames, generator)[:, None, None]
        y, x = _grid(shape, generator)
        return self.low + (self.high - self.low) * _to_unit(angle.cos() * x + angle.sin() * y)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SuperGaussian(_Background):
    """A bright cell or nucleus: flat in the middle, falling to its surroundings, tilted at random.

    base, peak: ranges of the least and most photons. exp(-Q^2) with the quadratic form Q of a
    Gaussian, whose standard deviations are a fifth to two fifths of the frame, turned by up to
    45 degrees and up to 10 px off centre. Source: Nehme et al., Nat. Methods 17, 734 (2020).
    """

    kind: Literal["super_gaussian"] = "super_gaussian"
    base: Range = (20.0, 30.0)
    peak: Range = (100.0, 150.0)

    def __post_init__(self) -> None:
        _check_range("base", self.base)
        _check_range("peak", self.peak)

    def _smooth(self, frames: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        def drawn(low: float, high: float) -> Tensor:
            return _uniform((low, high), frames, generator)[:, None, None]

        y, x = _grid(shape, generator)
        x, y = x - drawn(-10, 10), y - drawn(-10, 10)
        wide, tall = drawn(shape[1] / 5, 2 * shape[1] / 5), drawn(shape[0] / 5, 2 * shape[0] / 5)
        angle = drawn(-math.pi / 4, math.pi / 4)
        along, across = x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()
        form = (along / wide) ** 2 / 2 + (across / tall) ** 2 / 2
        base, peak = drawn(*self.base), drawn(*self.peak)
        return base + (peak - base) * _to_unit(torch.exp(-(form**2)))


Background = Annotated[Constant | Gradient | SuperGaussian, Field(discriminator="kind")]


def _noise(
    frames: int, shape: tuple[int, int], length_px: float, generator: torch.Generator
) -> Tensor:
    """(frames, H, W) smooth random fields from -1/2 to 1/2: random values a length apart, bicubic
    in between."""
    coarse = [math.ceil(size / length_px) + 3 for size in shape]
    values = torch.randn(frames, 1, *coarse, generator=generator, device=generator.device)
    fine = [round((n - 1) * length_px) + 1 for n in coarse]
    field = functional.interpolate(values, fine, mode="bicubic", align_corners=True)[:, 0]
    first = math.ceil(length_px)
    return _to_unit(field[:, first : first + shape[0], first : first + shape[1]]) - 0.5


def _to_unit(images: Tensor) -> Tensor:
    """Each image (N, H, W) shifted and scaled to run from 0 to 1."""
    low, high = images.amin((1, 2), keepdim=True), images.amax((1, 2), keepdim=True)
    return (images - low) / (high - low).clamp_min(1e-12)


def _grid(shape: tuple[int, int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """y (H, 1) and x (W,) of the pixels from the centre of the frame, px."""
    y, x = (torch.arange(n, device=generator.device) - (n - 1) / 2 for n in shape)
    return y[:, None], x


def _uniform(values: float | Range, count: int, generator: torch.Generator) -> Tensor:
    low, high = values if isinstance(values, tuple) else (values, values)
    return low + (high - low) * torch.rand(count, generator=generator, device=generator.device)


def _check_range(name: str, values: float | Range) -> None:
    if isinstance(values, tuple) and values[0] > values[1]:
        raise ValueError(f"{name}={values}: expected low, high")
