"""Blinking labels on mitochondria, as a specimen of the simulated microscope."""

import math
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.physics.optics import Positive
from dsacq.simulation.background import Background, Constant
from dsacq.simulation.brightness import Brightness, Lognormal
from dsacq.simulation.emitters import Blinking, Emission, EmitterSettings, Molecules
from dsacq.simulation.places import Area, NotNegative
from hardware.scene import Count, Scene, Specimen, require_room
from hardware.tubes import labels_on_tubes


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class MitochondriaSettings:
    """Labels that blink on the surfaces of curved tubes. Bleached ones stay dark."""

    kind: Literal["mitochondria"] = "mitochondria"
    tubes: Annotated[int, Field(ge=1, le=1000)] = 12
    length_um: Positive = 10.0
    radius_um: Positive = 0.25
    z_range_um: tuple[NotNegative, NotNegative] = (2.0, 6.0)
    labels: Count = 4000
    blinking: Blinking = Blinking(on_s=0.1, off_s=10.0)
    photons: Brightness = Lognormal(median=10_000, sigma=0.3)  # of one that is on all the time
    background: Background = Constant(photons=40.0, roughness=0.3, steady=True)

    def __post_init__(self) -> None:
        require_room(self.z_range_um, 2 * self.radius_um)

    def placed(self, scene: Scene, generator: torch.Generator) -> Specimen:
        """The tubes within the field, and where on them the labels are."""
        return _Mitochondria(self, scene, generator)


class _Mitochondria:
    def __init__(
        self, settings: MitochondriaSettings, scene: Scene, generator: torch.Generator
    ) -> None:
        self._settings, self._field, self._generator = settings, scene.field, generator
        self.z_range_um = settings.z_range_um
        self._xyz_um = labels_on_tubes(
            settings.labels,
            settings.tubes,
            settings.length_um,
            settings.radius_um,
            scene.field._replace(z_range_um=settings.z_range_um),
            generator,
        )
        light_s = torch.empty(settings.labels).exponential_(generator=generator)
        self._lifetime_s = light_s * (scene.half_life_s / math.log(2))
        self._interval_s = math.nan

    def next_frame(self, field: Area, interval_s: float, dose_s: float) -> Emission:
        if interval_s != self._interval_s:  # all states are drawn anew
            self._interval_s = interval_s
            self._molecules = Molecules(
                EmitterSettings(count=self._settings.labels, blinking=self._settings.blinking),
                self._settings.photons,
                self._field,
                interval_s,
                self._generator,
            )
        shining = self._molecules.next_frames(1)
        assert shining.track is not None
        kept = dose_s < self._lifetime_s[shining.track]
        label = shining.track[kept]
        return Emission(
            shining.frame[kept], self._xyz_um[label], shining.photons[kept], label, None
        )
