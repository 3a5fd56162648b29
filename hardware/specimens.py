"""What lies under the simulated microscope: beads, telomeres, mitochondria, or a cloud of emitters.

Each kind has its settings, a table of the rig file, whose `placed` makes the specimen itself.
Positions are those of `Area`, with the stages x and y at 0; photons are those of a frame in the
bench's reference light.
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from dsacq.physics.optics import Positive
from dsacq.physics.psf import bead_blur_px
from dsacq.simulation.background import Background, Constant, Gradient, SuperGaussian
from dsacq.simulation.brightness import Brightness, Lognormal
from dsacq.simulation.emitters import Emission, EmitterSettings, new_emitters
from dsacq.simulation.places import Area, Finite, NotNegative, Nuclei, Volume
from hardware.mitochondria import MitochondriaSettings
from hardware.scene import Count, Scene, Specimen, require_room

_STRICT = ConfigDict(extra="forbid")
_FIELDS_OF_BEADS = 3  # along x and y, so that beads come when the stage moves


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class BeadSettings:
    """Bright beads that lie on the coverslip, one in every square of spacing_um."""

    kind: Literal["beads"] = "beads"
    spacing_um: Positive = 7.0
    radius_um: NotNegative = 0.05
    photons: Brightness = Lognormal(median=60_000, sigma=0.1)
    background: Background = Constant(photons=10.0)

    def placed(self, scene: Scene, generator: torch.Generator) -> Specimen:
        """The beads, somewhere in their squares but never closer than half a spacing."""
        left, top, right, bottom, _ = scene.field
        more = (_FIELDS_OF_BEADS - 1) / 2
        middles = [
            torch.arange(
                low - more * (high - low) + self.spacing_um / 2,
                high + more * (high - low),
                self.spacing_um,
            )
            for low, high in ((left, right), (top, bottom))
        ]
        grid = torch.cartesian_prod(*middles)
        part = torch.rand(grid.shape, generator=generator) - 0.5
        xyz_um = torch.full((len(grid), 3), self.radius_um)
        xyz_um[:, :2] = grid + self.spacing_um / 2 * part
        blur_px = bead_blur_px(scene.blur_px, self.radius_um, scene.pixel_um)
        photons = self.photons.sample(len(grid), generator)
        return _Beads(xyz_um, photons, torch.full_like(photons, blur_px), scene.half_life_s)


class _Beads:
    def __init__(
        self, xyz_um: Tensor, photons: Tensor, blur_px: Tensor, half_life_s: float
    ) -> None:
        self._xyz_um, self._photons, self._blur_px = xyz_um, photons, blur_px
        self._half_life_s = half_life_s
        height_um = float(xyz_um[0, 2])
        self.z_range_um = (height_um, height_um)

    def next_frame(self, field: Area, interval_s: float, dose_s: float) -> Emission:
        return _all(self._xyz_um, self._photons * _left(dose_s, self._half_life_s), self._blur_px)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TelomereSettings:
    """Loci that diffuse within a nucleus, an ellipsoid in the middle of the field, which turns."""

    kind: Literal["telomeres"] = "telomeres"
    count: Count = 48
    semi_axes_um: tuple[Positive, Positive, Positive] = (10.0, 8.5, 1.6)  # x, y, z
    bottom_um: NotNegative = 2.3
    diffusion_um2_per_s: NotNegative = 0.001
    rotation_rad_per_s: Finite = 0.001  # about z, from x to y
    photons: Brightness = Lognormal(median=15_000, sigma=0.3)
    background: Background = SuperGaussian(steady=True, base=(20.0, 20.0), peak=(70.0, 70.0))

    def placed(self, scene: Scene, generator: torch.Generator) -> Specimen:
        """The nucleus, its loci uniform within."""
        return _Telomeres(self, scene, generator)


class _Telomeres:
    def __init__(
        self, settings: TelomereSettings, scene: Scene, generator: torch.Generator
    ) -> None:
        left, top, right, bottom, _ = scene.field
        centre = ((left + right) / 2, (top + bottom) / 2)
        nucleus = Nuclei(
            semi_axes_um=settings.semi_axes_um, centres_um=(centre,), bottom_um=settings.bottom_um
        )
        self.z_range_um = nucleus.heights_um(scene.field)
        self._centre_um = torch.tensor((*centre, sum(self.z_range_um) / 2))
        self._semi_axes_um = torch.tensor(settings.semi_axes_um)
        # In the frame of the nucleus, in which it does not turn.
        self._xyz_um = nucleus.sample(settings.count, scene.field, generator) - self._centre_um
        self._photons = settings.photons.sample(settings.count, generator)
        self._diffusion, self._turning = settings.diffusion_um2_per_s, settings.rotation_rad_per_s
        self._half_life_s = scene.half_life_s
        self._angle = 0.0
        self._generator = generator

    def next_frame(self, field: Area, interval_s: float, dose_s: float) -> Emission:
        cos, sin = math.cos(self._angle), math.sin(self._angle)
        turn = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        shown_um = self._xyz_um @ turn.T + self._centre_um
        self._move(interval_s)
        return _all(shown_um, self._photons * _left(dose_s, self._half_life_s), None)

    def _move(self, interval_s: float) -> None:
        step = torch.randn(self._xyz_um.shape, generator=self._generator)
        moved = self._xyz_um + (2 * self._diffusion * interval_s) ** 0.5 * step
        # Steps out of the nucleus are not taken: so the loci stay uniform within it.
        inside = ((moved / self._semi_axes_um) ** 2).sum(1, keepdim=True) <= 1
        self._xyz_um = torch.where(inside, moved, self._xyz_um)
        self._angle += self._turning * interval_s


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DenseSettings:
    """New emitters anywhere in every frame. As they are new, they do not bleach."""

    kind: Literal["dense"] = "dense"
    density_per_um2: Positive = 0.3
    z_range_um: tuple[NotNegative, NotNegative] = (2.0, 6.0)
    photons: Brightness = Lognormal(median=10_000, sigma=0.4)
    background: Background = Gradient(low=20.0, high=60.0, steady=True)

    def __post_init__(self) -> None:
        require_room(self.z_range_um, 0.0)

    def placed(self, scene: Scene, generator: torch.Generator) -> Specimen:
        """The cloud."""
        return _Dense(self, generator)


class _Dense:
    def __init__(self, settings: DenseSettings, generator: torch.Generator) -> None:
        place = Volume(z_range_um=settings.z_range_um)
        self._emitters = EmitterSettings(density_per_um2=settings.density_per_um2, place=place)
        self._photons, self._generator = settings.photons, generator
        self.z_range_um = settings.z_range_um

    def next_frame(self, field: Area, interval_s: float, dose_s: float) -> Emission:
        return new_emitters(self._emitters, self._photons, field, 1, self._generator)


SpecimenSettings = Annotated[
    BeadSettings | TelomereSettings | MitochondriaSettings | DenseSettings,
    Field(discriminator="kind"),
]


def _all(xyz_um: Tensor, photons: Tensor, blur_px: Tensor | None) -> Emission:
    """Every molecule shines, under its own number."""
    track = torch.arange(len(photons))
    return Emission(torch.zeros_like(track), xyz_um, photons, track, blur_px)


def _left(dose_s: float, half_life_s: float) -> float:
    """What bleaching leaves of the brightness."""
    return float(0.5 ** (dose_s / half_life_s))
