"""The phase in the pupil, from images of a bead at many positions of the focus.

Maximum likelihood through the exact PSF. Photons and background of each plane are solved in closed
form inside every step, so that only the phase, the bead's place and the blur are searched.
Method: Ferdman et al., Opt. Express 28, 10179 (2020), with other noise and full gradients.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.bead_scan import BeadScan
from dsacq.physics.masks import PhaseMask, resampled
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel, pupil

Floats = NDArray[np.floating[Any]]

_EARLY = 0.2  # of the passes, in which the variance is that of the data, smoothed
_SMOOTH = 0.6  # of the passes, in which the roughness allowed grows
_FIRST_ROUGHNESS = 1.0
_SLOWER = ((0.6, 0.3), (0.85, 0.3))  # after this part of the passes, steps are this much smaller
_PLACE_STEP_PX, _HEIGHT_STEP_UM, _BLUR_STEP_PX = 0.03, 0.005, 0.02
_LEAST_BLUR_PX = 0.2
_LEAST_STEPS = 4  # of a pass
_ROUNDS = 3  # of weights and brightness, in the result


@dataclass(frozen=True, kw_only=True)
class RetrieveSettings:
    """How the phase is searched.

    passes over all planes, at most planes_per_step in each step of at most step_rad. roughness:
    weight of the squared difference of unit phasors of neighbours, at the end; the search begins
    smooth, as vortices of the phase that form early stay. pupil_pixel_um: pitch of the phase that
    is searched, on the mask.
    """

    passes: int = 240
    planes_per_step: int = 12
    step_rad: float = 0.15
    roughness: float = 0.001
    pupil_pixel_um: float = 40.0
    seed: int = 0


@dataclass(frozen=True)
class Progress:
    """chi_square: per pixel, over the planes of the last pass."""

    passes: int
    of: int
    chi_square: float


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """What the images tell.

    mask: the phase, without piston and tilt, 0 where no light passes. centre_um: (B, 2) of each
    bead from the middle of its images. height_um: (B,) of each bead, from their mean, as a tilted
    coverslip makes them. photons, background: (K,), per plane and per pixel. correlation, residual:
    (K,) Pearson correlation, and norm of the difference over that of the data without background.
    model_planes: (K, H, W) counts.
    """

    mask: PhaseMask
    centre_um: Floats
    height_um: Floats
    blur_px: float
    photons: Floats
    background: Floats
    correlation: Floats
    residual: Floats
    chi_square: float
    model_planes: Floats = field(repr=False)


def retrieve(
    scan: BeadScan,
    optics: Optics,
    model: PsfModel = PsfModel(),  # noqa: B008 - frozen
    start: PhaseMask | None = None,
    settings: RetrieveSettings = RetrieveSettings(),
    device: torch.device | str = "cpu",
) -> Generator[Progress, None, Retrieved]:
    """Search the phase; yields after each pass and returns what was found.

    start: a phase near to what is expected, or None for none.
    """
    wavefront = _Pixels(optics, model, start, settings.pupil_pixel_um, device)
    search = Search(scan, optics, model, wavefront, settings, device)
    for number in range(settings.passes):
        yield Progress(number + 1, settings.passes, search.go_on(number))
    return search.result()


class Wavefront(Protocol):
    """A phase in the pupil that is searched by parameters of its own."""

    def parameters(self) -> list[dict[str, Any]]:
        """Groups for Adam: "params", and their step "lr"."""
        ...

    def phase(self) -> Tensor:
        """(n, n) rad, n = `pupil_samples`."""
        ...

    def roughness(self) -> Tensor:
        """() what is kept small beside the misfit."""
        ...


def pupil_samples(optics: Optics, pixel_um: float) -> int:
    """Along an axis, of a phase with this pitch that covers the pupil."""
    return 2 * math.ceil(optics.pupil_diameter_um / 2 / pixel_um) + 2


class _Pixels:
    """Every sample of the phase by itself."""

    def __init__(
        self,
        optics: Optics,
        model: PsfModel,
        start: PhaseMask | None,
        pixel_um: float,
        device: torch.device | str,
    ) -> None:
        samples = pupil_samples(optics, pixel_um)
        first = np.zeros((samples, samples), np.float32)
        if start is not None:
            first = resampled(start, pixel_um, (samples, samples)).phase_rad
        self._phase = torch.tensor(first, device=device, requires_grad=True)
        self._lit = _lit(optics, model, samples, pixel_um).to(device)

    def parameters(self) -> list[dict[str, Any]]:
        return [{"params": [self._phase]}]

    def phase(self) -> Tensor:
        return self._phase

    def roughness(self) -> Tensor:
        phasor = torch.exp(1j * self._phase)
        rough = self._phase.new_zeros(())
        for axis in (0, 1):
            both = self._lit.narrow(axis, 1, len(phasor) - 1) & self._lit.narrow(
                axis, 0, len(phasor) - 1
            )
            difference = phasor.diff(dim=axis)[both]
            rough = rough + (difference.real**2 + difference.imag**2).mean()
        return rough


class Search:
    """A search that goes on pass by pass. Beside the wavefront, it searches places and heights of
    the beads and the blur. A drift must be known: searched, even a steady one takes from the phase
    what that does to the image, tens of nm with a Tetrapod."""

    def __init__(
        self,
        scan: BeadScan,
        optics: Optics,
        model: PsfModel,
        wavefront: Wavefront,
        settings: RetrieveSettings,
        device: torch.device | str,
    ) -> None:
        self._scan, self._settings, self._wavefront = scan, settings, wavefront
        self._pixel_um = settings.pupil_pixel_um
        self._optics = replace(optics, mask_pixel_um=self._pixel_um)
        self._model = model
        self._lit = _lit(optics, model, pupil_samples(optics, self._pixel_um), self._pixel_um)
        self._data = torch.as_tensor(
            scan.planes / scan.counts_per_photon, dtype=torch.float32, device=device
        )
        self._focus_um = torch.as_tensor(scan.focus_um, dtype=torch.float32, device=device)
        self._noise = _corner_variance(self._data)
        self._bead = torch.as_tensor(scan.numbers, device=device)
        beads = int(self._bead.max()) + 1
        self._drifted_px = _since_middle(self._bead, beads)[:, None] * torch.tensor(
            scan.drift_px, dtype=torch.float32, device=device
        )
        self._place_px = torch.zeros(beads, 2, device=device, requires_grad=True)
        self._raised_um = torch.zeros(beads, device=device, requires_grad=beads > 1)
        blur = max(model.blur_px, 2 * _LEAST_BLUR_PX)
        self._blur_px = torch.tensor(blur, device=device, requires_grad=True)
        self._steps = torch.optim.Adam(
            [
                *wavefront.parameters(),
                {"params": [self._place_px], "lr": _PLACE_STEP_PX},
                {"params": [self._raised_um], "lr": _HEIGHT_STEP_UM},
                {"params": [self._blur_px], "lr": _BLUR_STEP_PX},
            ],
            lr=settings.step_rad,
        )
        self._random = torch.Generator().manual_seed(settings.seed)

    def go_on(self, number: int) -> float:
        """One pass; the chi-square per pixel on its way."""
        settings = self._settings
        for after, factor in _SLOWER:
            if number == int(after * settings.passes):
                for group in self._steps.param_groups:
                    group["lr"] *= factor
        early = number < _EARLY * settings.passes
        smooth = max(1 - number / (_SMOOTH * settings.passes), 0)
        roughness = settings.roughness * (_FIRST_ROUGHNESS / settings.roughness) ** smooth
        order = torch.randperm(len(self._data), generator=self._random)
        chi_square = []
        a_quarter = -(-len(order) // _LEAST_STEPS)
        for some in torch.split(order, min(settings.planes_per_step, a_quarter)):
            self._steps.zero_grad()
            images = self._images(some)
            cost, square = self._cost(images, some, early)
            (cost + roughness * self._wavefront.roughness()).backward()
            self._steps.step()
            with torch.no_grad():
                self._blur_px.clamp_(min=_LEAST_BLUR_PX)
            chi_square.append(square)
        return float(np.mean(chi_square))

    def result(self) -> Retrieved:
        data, scan = self._data, self._scan
        with torch.no_grad():
            images = self._images(torch.arange(len(data)))
            variance = self._variance(_smooth(data) - _background(data), torch.arange(len(data)))
            for _ in range(_ROUNDS):
                photons, background = _brightness(images, data, 1 / variance)
                variance = self._variance(photons * images, torch.arange(len(data)))
            model = photons * images + background
            chi_square = float(((data - model) ** 2 / variance).mean())
        above = data - background
        correlation = [
            float(np.corrcoef(one.flatten(), other.flatten())[0, 1])
            for one, other in zip(data.cpu().numpy(), model.cpu().numpy(), strict=True)
        ]
        residual = (data - model).flatten(1).norm(dim=1) / above.flatten(1).norm(dim=1)
        phase, shift_px = self._levelled()
        place_px = self._place_px.detach().cpu().numpy() + shift_px
        pixel_um = self._optics.pixel_um
        return Retrieved(
            mask=PhaseMask(
                phase, self._pixel_um, self._optics.wavelength_um, "retrieved", {"made_by": "beads"}
            ),
            centre_um=place_px * pixel_um,
            height_um=self._height_um().detach().cpu().numpy(),
            blur_px=float(self._blur_px.detach()),
            photons=photons.flatten().cpu().numpy(),
            background=background.flatten().cpu().numpy(),
            correlation=np.array(correlation),
            residual=residual.cpu().numpy(),
            chi_square=chi_square,
            model_planes=model.cpu().numpy() * scan.counts_per_photon,
        )

    def _images(self, some: Tensor) -> Tensor:
        """(n, H, W) of these planes, per photon."""
        bead = self._bead[some]
        place_um = (self._place_px[bead] + self._drifted_px[some]) * self._optics.pixel_um
        height_um = torch.full_like(place_um[:, :1], self._scan.radius_um)
        xyz_um = torch.cat((place_um, height_um), 1)
        shape = (self._data.shape[1], self._data.shape[2])
        return psf(
            self._wavefront.phase(),
            xyz_um,
            self._optics,
            shape,
            self._model,
            # A bead that is higher is seen as one on the coverslip with the focus lower.
            focus_um=self._focus_um[some] - self._height_um()[bead],
            blur_px=self._blur_px,
        )

    def _height_um(self) -> Tensor:
        """(B,) from their mean, which is the zero of the focus."""
        return self._raised_um - self._raised_um.mean()

    def _variance(self, light: Tensor, some: Tensor) -> Tensor:
        """Of the data, with this light of the bead (n, H, W), in photons."""
        return light.clamp_min(0) + self._noise[some]

    def _cost(self, images: Tensor, some: Tensor, early: bool) -> tuple[Tensor, float]:
        """Negative logarithm of the likelihood, per photon, and chi-square per pixel."""
        data = self._data[some]
        expected = self._variance(_smooth(data) - _background(data), some)
        photons, background = _brightness(images, data, 1 / expected)
        light = photons * images
        variance = expected if early else self._variance(light, some)
        square = (data - light - background) ** 2 / variance
        cost = square / 2
        if not early:
            cost = cost + variance.log() / 2
        # Per photon, so that roughness means the same for every brightness.
        return cost.sum() / float(photons.detach().sum()), float(square.detach().mean())

    def _levelled(self) -> tuple[NDArray[np.float32], Floats]:
        """The phase without piston and tilt, and the tilt as a shift (x, y) in pixels."""
        lit = self._lit.numpy()
        phase = self._wavefront.phase().detach().cpu().numpy().astype(np.float64)
        light = pupil(self._optics, lit.shape, self._pixel_um, self._model, dtype=torch.float64)
        per_px = float((light.image_x[1] - light.image_x[0]).abs())  # rad per sample and pixel
        phasor = np.exp(1j * phase)
        tilt = []
        for axis in (1, 0):  # the mean step between neighbours, which wraps do not disturb
            both = np.take(lit, range(1, lit.shape[axis]), axis) & np.take(
                lit, range(lit.shape[axis] - 1), axis
            )
            steps = np.take(phasor, range(1, lit.shape[axis]), axis) * np.conj(
                np.take(phasor, range(lit.shape[axis] - 1), axis)
            )
            tilt.append(float(np.angle(steps[both].sum())))
        rows, columns = np.indices(lit.shape) - (np.array(lit.shape)[:, None, None] - 1) / 2
        levelled = phasor * np.exp(-1j * (tilt[0] * columns + tilt[1] * rows))
        levelled *= np.exp(-1j * np.angle(levelled[lit].sum()))
        flat = np.where(lit, np.angle(levelled), 0).astype(np.float32)
        return flat, np.array(tilt) / per_px


def _since_middle(bead: Tensor, beads: int) -> Tensor:
    """(K,) time of each plane in the scan of its bead, from -1/2 to 1/2."""
    since = torch.zeros(len(bead), device=bead.device)
    for number in range(beads):
        here = bead == number
        since[here] = torch.linspace(-0.5, 0.5, int(here.sum()), device=bead.device)
    return since


def _lit(optics: Optics, model: PsfModel, samples: int, pixel_um: float) -> Tensor:
    """(n, n) where light passes."""
    own = replace(optics, mask_pixel_um=pixel_um)
    light = pupil(own, (samples, samples), pixel_um, model)
    lit = torch.zeros(samples, samples, dtype=torch.bool)
    lit[light.rows, light.columns] = (light.weight.abs() > 0).any(0)
    return lit


def _brightness(images: Tensor, data: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Photons and background (n, 1, 1) of each plane, by weighted least squares."""

    def total(values: Tensor) -> Tensor:
        return values.sum((-2, -1), keepdim=True)

    image_mean = total(weights * images) / total(weights)
    data_mean = total(weights * data) / total(weights)
    centred = images - image_mean
    photons = total(weights * centred * (data - data_mean)) / total(weights * centred**2)
    photons = photons.clamp_min(1.0)
    return photons, data_mean - photons * image_mean


def _corners(data: Tensor) -> Tensor:
    """(K, 4, n) pixels in the corners."""
    rows, columns = max(data.shape[1] // 8, 3), max(data.shape[2] // 8, 3)
    top, bottom = data[:, :rows], data[:, -rows:]
    corners = [
        part[..., one] for part in (top, bottom) for one in (slice(columns), slice(-columns, None))
    ]
    return torch.stack([corner.flatten(1) for corner in corners], 1)


def _background(data: Tensor) -> Tensor:
    """(K, 1, 1) of the darkest corner."""
    return _corners(data).mean(2).amin(1)[:, None, None]


def _corner_variance(data: Tensor) -> Tensor:
    """(K, 1, 1) of the steadiest corner, at least a hundredth of a photon."""
    least: Tensor = _corners(data).var(2).median(1).values
    return least.clamp_min(0.01)[:, None, None]


def _smooth(data: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(data[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
