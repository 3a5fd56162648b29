"""How many photons an emitter sends to the sensor in a frame."""

from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from dsacq.physics.optics import Positive

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Fixed:
    """All emitters alike."""

    kind: Literal["fixed"] = "fixed"
    photons: Positive

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) photons."""
        return torch.full((count,), self.photons, device=generator.device)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class _Between:
    """Between low and high."""

    low: Positive
    high: Positive

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low={self.low}: expected no more than high={self.high}")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Uniform(_Between):
    """Uniform from low to high."""

    kind: Literal["uniform"] = "uniform"

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) photons."""
        part = torch.rand(count, generator=generator, device=generator.device)
        return self.low + (self.high - self.low) * part


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class LogUniform(_Between):
    """As many from each factor of two between low and high: for training over a wide range."""

    kind: Literal["log_uniform"] = "log_uniform"

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) photons."""
        part = torch.rand(count, generator=generator, device=generator.device)
        return self.low * (self.high / self.low) ** part


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Gamma:
    """Gamma with mean shape * scale; values below the minimum are drawn again."""

    kind: Literal["gamma"] = "gamma"
    shape: Positive
    scale: Positive
    minimum: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    def __post_init__(self) -> None:
        mean, deviation = self.shape * self.scale, self.shape**0.5 * self.scale
        if self.minimum > mean + 2 * deviation:
            raise ValueError(
                f"minimum={self.minimum}: expected no more than shape * scale + 2 sqrt(shape) * "
                f"scale = {mean + 2 * deviation:.0f}, as hardly any value is larger"
            )

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) photons."""
        photons = self._draw(count, generator)
        while len(low := (photons < self.minimum).nonzero().flatten()):
            photons[low] = self._draw(len(low), generator)
        return photons

    def _draw(self, count: int, generator: torch.Generator) -> Tensor:
        shape = torch.full((count,), self.shape, device=generator.device)
        return torch._standard_gamma(shape, generator=generator) * self.scale


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Lognormal:
    """Lognormal; `sigma` is the standard deviation of the natural logarithm."""

    kind: Literal["lognormal"] = "lognormal"
    median: Positive
    sigma: Annotated[float, Field(gt=0, le=3)]

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) photons."""
        normal = torch.randn(count, generator=generator, device=generator.device)
        return self.median * (self.sigma * normal).exp()


Brightness = Annotated[
    Fixed | Uniform | LogUniform | Gamma | Lognormal, Field(discriminator="kind")
]
