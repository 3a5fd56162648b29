"""Which emitters shine in which frame: new ones in every frame, or molecules that blink and move.

Emitters of several frames are flat tensors with a row per emitter and frame, see `Emission`.
"""

from typing import Annotated, NamedTuple

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from dsacq.physics.optics import Positive
from dsacq.simulation.brightness import Brightness
from dsacq.simulation.places import Area, NotNegative, Place, Volume

_STRICT = ConfigDict(extra="forbid")
Count = Annotated[int, Field(ge=0)]


class Emission(NamedTuple):
    """Emitters of some frames, in the order of their frames.

    frame (E,) counts from 0. xyz_um (E, 3): see `Area`. photons (E,) at the sensor. track (E,): the
    molecule, or None when every row is another. blur_px (E,), or None for that of the PSF model.
    """

    frame: Tensor
    xyz_um: Tensor
    photons: Tensor
    track: Tensor | None
    blur_px: Tensor | None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Blinking:
    """Switching at random: mean times in the bright and in the dark state."""

    on_s: Positive
    off_s: Positive


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class EmitterSettings:
    """How many emitters, where, and what becomes of them.

    One of: density_per_um2 (a Poisson number over the frame less its border), count (a number, or
        the least and most of a uniform one).
    border_px: kept free of emitters; a negative one lets them lie outside the frame.
    blur_px: range of the emitters' blur, in place of the PSF model's.
    blinking, diffusion_um2_per_s: with either, count or density are those of molecules that live
        through all frames; without, every frame has new emitters.
    """

    place: Place = Volume()
    density_per_um2: Positive | None = None
    count: Count | tuple[Count, Count] | None = None
    border_px: int = 0
    blur_px: tuple[NotNegative, NotNegative] | None = None
    blinking: Blinking | None = None
    diffusion_um2_per_s: NotNegative | None = None

    def __post_init__(self) -> None:
        if (self.density_per_um2 is None) == (self.count is None):
            raise ValueError("density_per_um2, count: expected one of them")
        if isinstance(self.count, tuple) and self.count[0] > self.count[1]:
            raise ValueError(f"count = {list(self.count)}: expected the smaller one first")
        if self.blur_px is not None and self.blur_px[0] > self.blur_px[1]:
            raise ValueError(f"blur_px = {list(self.blur_px)}: expected the smaller one first")

    @property
    def lasting(self) -> bool:
        """Whether emitters are the same in all frames."""
        return self.blinking is not None or self.diffusion_um2_per_s is not None


def new_emitters(
    settings: EmitterSettings,
    brightness: Brightness,
    area: Area,
    frames: int,
    generator: torch.Generator,
) -> Emission:
    """Emitters of frames that have nothing to do with each other, on the generator's device."""
    counts = _counts(settings, area, frames, generator)
    total = int(counts.sum())
    return Emission(
        torch.arange(frames, device=counts.device).repeat_interleave(counts),
        settings.place.sample(total, area, generator),
        brightness.sample(total, generator),
        None,
        _blur(settings, total, generator),
    )


class Molecules:
    """Molecules that last: they blink and diffuse from frame to frame.

    A molecule sends its photons while it is on, so that a frame gets the share of its time on. It
    moves between frames, freely in x and y; z is reflected at the ends of the area's z range.
    """

    def __init__(
        self,
        settings: EmitterSettings,
        brightness: Brightness,
        area: Area,
        frame_interval_s: float,
        generator: torch.Generator,
    ) -> None:
        self._blinking = settings.blinking
        self._diffusion = settings.diffusion_um2_per_s or 0.0
        self._z_range_um = area.z_range_um
        self._interval_s = frame_interval_s
        self._generator = generator
        count = int(_counts(settings, area, 1, generator))
        self._xyz_um = settings.place.sample(count, area, generator)
        self._photons = brightness.sample(count, generator)
        self._blur_px = _blur(settings, count, generator)
        if self._blinking is not None:
            on_s, off_s = self._blinking.on_s, self._blinking.off_s
            part = torch.rand(count, generator=generator, device=generator.device)
            self._on = part < on_s / (on_s + off_s)
            self._rest_s = self._state_times()

    def next_frames(self, frames: int) -> Emission:
        """What shines in the next frames."""
        parts = [self._next_frame(index) for index in range(frames)]
        frame, xyz_um, photons, track = (torch.cat(column) for column in zip(*parts, strict=True))
        blur_px = None if self._blur_px is None else self._blur_px[track]
        return Emission(frame, xyz_um, photons, track, blur_px)

    def _next_frame(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        photons = self._photons * self._share_on()
        track = photons.nonzero().flatten()
        shown = torch.full_like(track, index), self._xyz_um[track], photons[track], track
        self._diffuse()
        return shown

    def _share_on(self) -> Tensor | float:
        """(molecules,) part of the next frame's time in the bright state."""
        if self._blinking is None:
            return 1.0
        left_s = torch.full_like(self._rest_s, self._interval_s)
        on_s = torch.zeros_like(left_s)
        while bool((left_s > 0).any()):
            step_s = torch.minimum(self._rest_s, left_s)
            on_s += step_s * self._on
            left_s -= step_s
            self._rest_s = self._rest_s - step_s
            ended = self._rest_s <= 0
            self._on = self._on ^ ended
            self._rest_s = torch.where(ended, self._state_times(), self._rest_s)
        return on_s / self._interval_s

    def _state_times(self) -> Tensor:
        assert self._blinking is not None
        drawn = torch.empty_like(self._photons).exponential_(generator=self._generator)
        return drawn * torch.where(self._on, self._blinking.on_s, self._blinking.off_s)

    def _diffuse(self) -> None:
        if self._diffusion == 0:
            return
        step = torch.randn(
            self._xyz_um.shape, generator=self._generator, device=self._generator.device
        )
        moved = self._xyz_um + (2 * self._diffusion * self._interval_s) ** 0.5 * step
        low, high = self._z_range_um
        around = (moved[:, 2] - low) % (2 * (high - low))
        moved[:, 2] = low + torch.minimum(around, 2 * (high - low) - around)
        self._xyz_um = moved


def _counts(
    settings: EmitterSettings, area: Area, frames: int, generator: torch.Generator
) -> Tensor:
    """(frames,) emitters in each."""
    device = generator.device
    if settings.density_per_um2 is not None:
        surface = (area.right_um - area.left_um) * (area.bottom_um - area.top_um)
        mean = torch.full((frames,), settings.density_per_um2 * surface, device=device)
        return torch.poisson(mean, generator=generator).long()
    count = settings.count
    assert count is not None
    low, high = count if isinstance(count, tuple) else (count, count)
    return torch.randint(low, high + 1, (frames,), generator=generator, device=device)


def _blur(settings: EmitterSettings, count: int, generator: torch.Generator) -> Tensor | None:
    if settings.blur_px is None:
        return None
    low, high = settings.blur_px
    return low + (high - low) * torch.rand(count, generator=generator, device=generator.device)
