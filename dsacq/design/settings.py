"""What a mask is designed for and how, as the TOML file of `dsacq design` holds it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.config import read_settings, read_toml
from dsacq.physics.optics import Positive
from dsacq.simulation.places import NotNegative
from dsacq.training.settings import TrainingSettings, read_training, require_consistent

_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Panel:
    """The SLM as it is, while a mask is designed for it.

    levels: phases that it can show, None for any. range_rad: the largest; phases beyond it up to
    2 pi are shown as the nearer end. fringing_px: standard deviation, in samples of the mask, by
    which the field between its pixels smooths the phase it shows, wraps included. fill: share of
    its area that changes phases; what the gaps between pixels reflect stays as it came. shift_px:
    standard deviation of a random shift of the mask in each step, so that the design bears it.
    """

    levels: Annotated[int, Field(ge=2, le=65536)] | None = 256
    range_rad: Annotated[float, Field(gt=3.0, le=6.2832)] = 6.2832
    fringing_px: NotNegative = 0.0
    fill: Annotated[float, Field(gt=0.5, le=1)] = 1.0
    shift_px: NotNegative = 0.0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class FisherDesign:
    """Make the Cramer-Rao bound over depth small, for the usual emitter of [priors].

    worst: the largest bound over depth rather than the mean. pair_um: for two emitters at once,
    this far apart on average, in place of one. order: largest radial order of the Zernike
    polynomials. pixels: afterwards each sample of the mask by itself.
    """

    kind: Literal["fisher"]
    worst: bool = False
    pair_um: Positive | None = None
    order: Annotated[int, Field(ge=2, le=12)] = 6
    pixels: bool = False
    steps: _Count = 120
    starts: _Count = 4
    roughness: NotNegative = 0.05
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class LearnedDesign:
    """Train mask and network together, [training] says for how long.

    step_rad: of the mask, at first. order: Zernike polynomials up to this radial order, None for
    each sample by itself. roughness: weight of the bends of the phase from sample to sample, which
    an SLM cannot show and which throw light far aside. bound: weight of the logarithm of a single
    emitter's mean Cramer-Rao bound, which leads the mask while the network knows little. still:
    part of the steps before the mask begins to move; fixed: part of them after which it does no
    more, so that the network learns the mask as it is. kick_rad: rms of a random smooth phase that
    is added to a mask without structure at first: such a mask is the same seen from both sides of
    the focus and turned any way, a saddle that is hard to leave.
    """

    kind: Literal["learned"]
    step_rad: Positive = 0.03
    order: Annotated[int, Field(ge=2, le=20)] | None = None
    roughness: NotNegative = 0.3
    bound: NotNegative = 0.3
    still: Annotated[float, Field(ge=0, lt=1)] = 0.05
    fixed: Annotated[float, Field(gt=0, le=1)] = 0.75
    kick_rad: NotNegative = 1.0
    slm: Panel = Panel()

    def __post_init__(self) -> None:
        if self.still >= self.fixed:
            raise ValueError(f"still={self.still}: expected less than fixed={self.fixed}")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DesignSettings(TrainingSettings):
    """The settings of a training, whose mask is where the design begins, and the table design."""

    design: Annotated[FisherDesign | LearnedDesign, Field(discriminator="kind")]


def read_design(path: Path) -> DesignSettings:
    """Read and check the settings of a design. Raises FileError or SettingsError."""
    settings = read_settings(DesignSettings, path)
    require_consistent(settings, path)
    return settings


def read_training_or_design(path: Path) -> TrainingSettings:
    """As `read_design` where the file has a table [design], else as `read_training`."""
    return read_design(path) if "design" in read_toml(path) else read_training(path)
