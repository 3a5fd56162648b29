"""Frames to train on, drawn anew for every step, on the device that trains.

A step's frames depend on the seed and the step's number alone, so that training can stop and go on.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dsacq.physics.camera import (
    Camera,
    ScmosCamera,
    digitised,
    expected_electrons,
    expose,
    read_variance_electrons,
    response,
    to_electrons,
)
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.zernike import mask_disc, noll, zernike_modes
from dsacq.simulation.frames import FrameRenderer
from dsacq.simulation.places import Area, Volume
from dsacq.training.settings import MixtureChoice, Motion, TrainingSettings

_LEAST_DENSITY = 1 / 50  # of the most
_ABERRATIONS = range(5, 16)  # Noll: astigmatism to secondary coma and tetrafoil
_RENDERERS = 8  # aberrated PSFs at work at once,
_RENEWED = 100  # the oldest of which is replaced every so many steps
_NOISY = 0.005  # of the pixels
_NOISY_FACTOR = 20.0  # of their read variance
_LEAST_SHARE = 0.1  # of an emitter's photons, for it to be looked for in a frame
_FIXED = 0x5EED  # sets apart what is measured on from what is trained on


@dataclass(frozen=True)
class Batch:
    """B simulated windows of consecutive frames and what is truly in their middle frames.

    counts (B, frames, H, W); electrons: the same at the camera's input; read_variance (1, 1, H, W).
    background (B, H, W): expected electrons. image (E,): of each emitter; xyz_um (E, 3) from its
    upper-left corner; emitted (E,): expected electrons. Only emitters to be found are listed.
    """

    counts: Tensor
    electrons: Tensor
    read_variance: Tensor
    background: Tensor
    image: Tensor
    xyz_um: Tensor
    emitted: Tensor


class _Emitters(NamedTuple):
    """Image (E,), places (E, frames, 3) in um, photons (E,), share (E, frames) of them in each
    frame, blur (E,) in px."""

    image: Tensor
    places_um: Tensor
    photons: Tensor
    shares: Tensor
    blur_px: Tensor


class Sampler:
    """Draws batches for one mask and one set of priors, on `device`."""

    def __init__(
        self, settings: TrainingSettings, mask: PhaseMask, device: torch.device | str = "cpu"
    ) -> None:
        self._settings, self._mask, self.device = settings, mask, torch.device(device)
        self._renderers: dict[int, FrameRenderer] = {}
        self._unaberrated: dict[tuple[int, int], FrameRenderer] = {}

    def batch(self, step: int, *, part: int = 0, parts: int = 1) -> Batch:
        """The batch of a training step; `part` of `parts` when several devices share it."""
        schedule = self._settings.training
        size = len(range(part, schedule.batch, parts))
        newest = step // _RENEWED
        which = newest + (step * parts + part) % _RENDERERS
        if self._settings.priors.aberration_rad == self._settings.priors.focus_um == 0:
            newest = which = 0  # they are all alike
        draw = self._generator(schedule.seed, step, part)
        shape = (schedule.crop_px, schedule.crop_px)
        for old in [number for number in self._renderers if 0 <= number < newest]:
            del self._renderers[old]
        return self._drawn(size, shape, self._renderer(which), draw, self._camera(shape, draw))

    def fixed_batch(
        self, number: int, size: int, shape: tuple[int, int], density_per_um2: float
    ) -> Batch:
        """A batch of one density through the mask as it is, the same each time: to measure on."""
        draw = self._generator(self._settings.training.seed ^ _FIXED, number, 0)
        density = torch.full((size,), density_per_um2, device=self.device)
        return self._drawn(size, shape, self._exact(shape), draw, self._settings.camera, density)

    def isolated_batch(self, xyz_um: Tensor, photons: float, shape: tuple[int, int]) -> Batch:
        """Frames of one emitter each, at rest, at xyz_um (B, 3) from the upper-left corner."""
        draw = self._generator(self._settings.training.seed ^ _FIXED, 0, 1)
        size, frames = len(xyz_um), self.frames
        every = torch.ones(size, frames, device=self.device)
        emitters = _Emitters(
            torch.arange(size, device=self.device),
            xyz_um[:, None].expand(-1, frames, -1),
            photons * every[:, 0],
            every,
            self._settings.psf.blur_px * every[:, 0],
        )
        return self._exposed(emitters, size, shape, self._exact(shape), draw, self._settings.camera)

    @property
    def frames(self) -> int:
        """Consecutive frames of a window."""
        network = self._settings.network
        return network.frames if isinstance(network, MixtureChoice) else 1

    def _exact(self, shape: tuple[int, int]) -> FrameRenderer:
        if shape not in self._unaberrated:
            self._unaberrated[shape] = self._rendering(self._mask, self._settings.optics, shape)
        return self._unaberrated[shape]

    def _generator(self, seed: int, step: int, part: int) -> torch.Generator:
        mixed = np.random.SeedSequence([seed, step, part]).generate_state(1, np.uint64)
        return torch.Generator(self.device).manual_seed(int(mixed[0] >> 1))

    def _renderer(self, number: int) -> FrameRenderer:
        """Behind the mask with the random wavefront error and focus of this number."""
        if number not in self._renderers:
            settings = self._settings
            draw = np.random.default_rng([settings.training.seed, number, 1])
            mask = aberrated(self._mask, settings.optics, settings.priors.aberration_rad, draw)
            focus_um = settings.optics.focus_um + settings.priors.focus_um * draw.standard_normal()
            crop = settings.training.crop_px
            optics = replace(settings.optics, focus_um=focus_um)
            self._renderers[number] = self._rendering(mask, optics, (crop, crop))
        return self._renderers[number]

    def _rendering(self, mask: PhaseMask, optics: Optics, shape: tuple[int, int]) -> FrameRenderer:
        return FrameRenderer(
            torch.tensor(mask.phase_rad, device=self.device),
            optics,
            shape,
            self._settings.psf,
            mask_pixel_um=mask.pixel_um,
            z_range_um=self._z_range_um(),
            margin_px=max(0, -self._settings.priors.border_px),
        )

    def _z_range_um(self) -> tuple[float, float]:
        low, high = self._settings.optics.z_range_um
        margin = self._settings.priors.z_margin_um
        return low - margin, high + margin

    def _camera(self, shape: tuple[int, int], draw: torch.Generator) -> Camera:
        """The camera with pixels as unlike each other as those of real ones."""
        camera = self._settings.camera
        if not isinstance(camera, ScmosCamera) or np.ndim(camera.read_variance_adu2):
            return camera
        level = 0.5 + 1.5 * torch.rand(1, generator=draw, device=self.device)
        usual = torch.full(shape, 4.0, device=self.device)
        usual = torch._standard_gamma(usual, generator=draw) / 4
        noisy = torch.rand(shape, generator=draw, device=self.device) < _NOISY
        factor = level * torch.where(noisy, _NOISY_FACTOR, usual)
        return replace(
            camera,
            read_variance_adu2=camera.read_variance_adu2 * factor.cpu().numpy().astype(np.float32),
        )

    def _drawn(
        self,
        size: int,
        shape: tuple[int, int],
        renderer: FrameRenderer,
        draw: torch.Generator,
        camera: Camera,
        density: Tensor | None = None,
    ) -> Batch:
        settings, priors, device = self._settings, self._settings.priors, self.device
        area = self._area(shape)
        if density is None:
            density = self._densities(size, draw)
        extent_um2 = (area.right_um - area.left_um) * (area.bottom_um - area.top_um)
        # Those that shine only in the other frames are there as well.
        longer = 1.0 if priors.motion is None else 1 + _context_frames(priors.motion, self.frames)
        counts = torch.poisson(density * extent_um2 * longer, generator=draw).long()
        total = int(counts.sum())
        xyz_um = Volume().sample(total, area, draw)
        photons = priors.photons.sample(total, draw)
        low, high = priors.blur_px or (0.8 * settings.psf.blur_px, 1.2 * settings.psf.blur_px)
        blur = low + (high - low) * torch.rand(total, generator=draw, device=device)
        image = torch.arange(size, device=device).repeat_interleave(counts)
        places, shares = _moving(xyz_um, self.frames, area, priors.motion, draw)
        emitters = _Emitters(image, places, photons, shares, blur)
        return self._exposed(emitters, size, shape, renderer, draw, camera)

    def _exposed(
        self,
        emitters: "_Emitters",
        size: int,
        shape: tuple[int, int],
        renderer: FrameRenderer,
        draw: torch.Generator,
        camera: Camera,
    ) -> Batch:
        optics, frames = self._settings.optics, self.frames
        image, places, photons, shares, blur = emitters
        shown = shares > 0
        frame = image[:, None] * frames + torch.arange(frames, device=self.device)
        light = renderer.render(
            frame[shown],
            places[shown],
            (photons[:, None] * shares)[shown],
            size * frames,
            blur[:, None].expand_as(shares)[shown],
        ).view(size, frames, *shape)
        background = self._settings.priors.background.sample(size, shape, draw)
        counts = self._counts(camera, light + background[:, None], draw)
        middle = frames // 2
        extent = places.new_tensor([shape[1], shape[0]]) * optics.pixel_um
        here = places[:, middle]
        wanted = (here[:, :2] >= 0).all(1) & (here[:, :2] < extent).all(1)
        wanted &= (here[:, 2] >= optics.z_range_um[0]) & (here[:, 2] <= optics.z_range_um[1])
        wanted &= shares[:, middle] > _LEAST_SHARE
        read = torch.as_tensor(
            read_variance_electrons(camera), dtype=light.dtype, device=self.device
        )
        return Batch(
            counts,
            to_electrons(camera, counts),
            read.expand(shape)[None, None],
            expected_electrons(camera, background),
            image[wanted],
            here[wanted],
            (photons * shares[:, middle])[wanted] * response(camera).quantum_efficiency,
        )

    def _counts(self, camera: Camera, photons: Tensor, draw: torch.Generator) -> Tensor:
        """One exposure of the expected photons."""
        return digitised(expose(camera, photons, draw))

    def _area(self, shape: tuple[int, int]) -> Area:
        border, pixel_um = self._settings.priors.border_px, self._settings.optics.pixel_um
        rows, columns = shape
        return Area(
            border * pixel_um,
            border * pixel_um,
            (columns - border) * pixel_um,
            (rows - border) * pixel_um,
            self._z_range_um(),
        )

    def _densities(self, size: int, draw: torch.Generator) -> Tensor:
        priors = self._settings.priors
        part = torch.rand(size, 2, generator=draw, device=self.device)
        density = priors.density_per_um2 * _LEAST_DENSITY ** part[:, 0]
        return torch.where(part[:, 1] < priors.empty_fraction, 0, density)


def aberrated(
    mask: PhaseMask, optics: Optics, rms_rad: float, draw: np.random.Generator
) -> PhaseMask:
    """The mask plus a random wavefront error of the given expected rms over the pupil."""
    if rms_rad == 0:
        return mask
    rows, columns = mask.phase_rad.shape
    radius, azimuth = mask_disc(optics, (rows, columns), mask.pixel_um)
    modes = zernike_modes(map(noll, _ABERRATIONS), radius.clamp_max(1), azimuth)
    amounts = draw.standard_normal(len(modes)) * rms_rad / math.sqrt(len(modes))
    error = (torch.from_numpy(amounts)[:, None, None] * modes).sum(0)
    return replace(mask, phase_rad=mask.phase_rad + error.numpy().astype(np.float32))


def _context_frames(motion: Motion, frames: int) -> float:
    """How many more emitters shine at some time than in one frame, relative to those."""
    interval = motion.frame_interval_s
    return (frames - 1) * interval / (motion.on_s + interval)


def _moving(
    xyz_um: Tensor, frames: int, area: Area, motion: Motion | None, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Places (E, frames, 3) of emitters and the share (E, frames) of each frame that they shine."""
    if motion is None:
        return xyz_um[:, None].expand(-1, frames, -1), xyz_um.new_ones(len(xyz_um), frames)
    device = xyz_um.device
    on = torch.empty(len(xyz_um), device=device).exponential_(generator=draw)
    on = on * motion.on_s / motion.frame_interval_s  # in frames
    first = torch.rand(len(xyz_um), generator=draw, device=device) * (frames + on) - on
    begin = torch.arange(frames, device=device)
    start, stop = (
        torch.maximum(begin, first[:, None]),
        torch.minimum(begin + 1, (first + on)[:, None]),
    )
    step_um = math.sqrt(2 * motion.diffusion_um2_per_s * motion.frame_interval_s)
    steps = torch.randn(len(xyz_um), frames, 3, generator=draw, device=device) * step_um
    places = xyz_um[:, None] + steps.cumsum(1) - steps[:, : frames // 2 + 1].sum(1, keepdim=True)
    low, high = area.z_range_um
    z_um = places[..., 2].clamp(low, high)
    return torch.cat((places[..., :2], z_um[..., None]), 2), (stop - start).clamp_min(0)
