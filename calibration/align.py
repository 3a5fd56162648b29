"""Where the pupil lies on the SLM, and the aberrations, from one bead's z scan with a known mask.

The mask on the SLM is the test pattern: its phase, moved, turned and scaled, and a sum of Zernike
polynomials explain the images. Far fewer numbers than the phase of every sample, so far surer ones.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from calibration.bead_scan import BeadScan
from calibration.retrieve import (
    Progress,
    Retrieved,
    RetrieveSettings,
    Search,
    pupil_samples,
)
from dsacq.errors import SettingsError
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel
from dsacq.physics.zernike import mask_disc, noll, zernike_modes
from hardware.slm_pattern import Panel, PupilAlignment

_MODES = range(4, 29)  # Noll's indices: defocus to the sixth order
_CENTRE_STEP_PX, _TURN_STEP_RAD, _SCALE_STEP, _MODE_STEP_RAD = 0.5, 0.004, 0.003, 0.03
_ROUGHNESS = 2e-4  # weight of squared aberrations beside the misfit per photon, at the end
_LEAST_STRUCTURE_RAD = 0.004  # rms beside a tilt, that a shift by an SLM pixel must make
_TRIAL = 0.2  # of the passes, for each way of mirroring
_SURELY = 0.95  # chi-square of another way of mirroring over that of the one assumed


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """alignment: of the pupil on the SLM. aberration_rad: Zernike coefficients, rad rms, by Noll's
    index. mirrored: chi-square of the next best way of mirroring over that of this one; near 1 when
    the mask cannot tell them apart. other_direction: the same for the focus. found: the whole
    wavefront, as `retrieve` gives it."""

    alignment: PupilAlignment
    aberration_rad: dict[int, float]
    mirrored: float
    other_direction: float
    found: Retrieved


def align(
    scan: BeadScan,
    optics: Optics,
    model: PsfModel,
    mask: PhaseMask,
    panel: Panel,
    assumed: PupilAlignment,
    settings: RetrieveSettings,
    device: torch.device | str = "cpu",
) -> Generator[Progress, None, Aligned]:
    """Search alignment and aberrations; yields after each pass.

    mask: on the SLM, shown as `assumed` says. All four ways of mirroring are tried, with the focus
    as told and the other way; the mirroring assumed is kept unless another explains the images
    clearly better.
    """
    trial = max(1, int(_TRIAL * settings.passes))
    of, done = 8 * trial + settings.passes, 0
    settings = replace(settings, roughness=_ROUGHNESS)
    short = replace(settings, passes=trial)

    def wavefront(start: PupilAlignment) -> _Aligned:
        return _Aligned(mask, panel, assumed, start, optics, settings.pupil_pixel_um, device)

    tried: dict[bool, list[tuple[float, PupilAlignment]]] = {False: [], True: []}
    for reverse, flip_x, flip_y in product((False, True), repeat=3):
        way = replace(assumed, flip_x=assumed.flip_x != flip_x, flip_y=assumed.flip_y != flip_y)
        searched = wavefront(way)
        images = scan.reversed() if reverse else scan
        search = Search(images, optics, model, searched, short, device)
        for number in range(trial):
            done += 1
            yield Progress(done, of, search.go_on(number))
        tried[reverse].append((search.result().chi_square, searched.alignment()))
    costs = [chi_square for chi_square, _ in tried[False]]
    best = min(range(4), key=lambda way: costs[way] * (1.0 if way else _SURELY))
    searched = wavefront(tried[False][best][1])
    search = Search(scan, optics, model, searched, settings, device)
    for number in range(settings.passes):
        done += 1
        yield Progress(done, of, search.go_on(number))
    return Aligned(
        alignment=searched.alignment(),
        aberration_rad=searched.aberration_rad(),
        mirrored=min(costs[:best] + costs[best + 1 :]) / costs[best],
        other_direction=min(chi_square for chi_square, _ in tried[True]) / costs[best],
        found=search.result(),
    )


def require_structure(mask: PhaseMask, optics: Optics, panel: Panel) -> None:
    """Raises SettingsError for a mask that cannot tell where the pupil lies on it.

    One that is moved adds to the phase its own slope. Where that is a tilt, as with astigmatism or
    a lens, it moves the image and nothing else, and the place of the bead is not known.
    """
    rows, columns = mask.phase_rad.shape
    radius, _ = mask_disc(optics, (rows, columns), mask.pixel_um)
    inside = (radius < 0.95).numpy()
    phasor = np.exp(1j * mask.phase_rad.astype(np.float64))
    y, x = np.indices(mask.phase_rad.shape) - (np.array([rows, columns])[:, None, None] - 1) / 2
    basis = np.stack((np.ones(inside.sum()), x[inside], y[inside]), 1)
    for axis in (0, 1):
        slope = np.angle(np.roll(phasor, -1, axis) * np.roll(phasor, 1, axis).conj())[inside] / 2
        fitted = basis @ np.linalg.lstsq(basis, slope, rcond=None)[0]
        rest_rad = float((slope - fitted).std()) * panel.pixel_um / mask.pixel_um
        if rest_rad < _LEAST_STRUCTURE_RAD:
            raise SettingsError(
                f"The mask {mask.name} cannot tell where the pupil lies on the SLM: moving it only "
                "moves the image. Scan with a Tetrapod, or another mask of higher order."
            )


class _Aligned:
    """The phase of the SLM as a pupil that lies somewhere on it sees it, and aberrations."""

    def __init__(
        self,
        mask: PhaseMask,
        panel: Panel,
        assumed: PupilAlignment,
        start: PupilAlignment,
        optics: Optics,
        pixel_um: float,
        device: torch.device | str,
    ) -> None:
        self._mask, self._panel, self._assumed, self._start = mask, panel, assumed, start
        samples = pupil_samples(optics, pixel_um)
        axis = (torch.arange(samples, device=device) - (samples - 1) / 2) * pixel_um
        self._y_um, self._x_um = torch.meshgrid(axis, axis, indexing="ij")
        field = np.exp(1j * mask.phase_rad)
        self._field = torch.tensor(
            np.stack([field.real, field.imag])[None], dtype=torch.float32, device=device
        )
        own = replace(optics, mask_pixel_um=pixel_um)
        radius, azimuth = mask_disc(own, (samples, samples), pixel_um)
        modes = zernike_modes(map(noll, _MODES), radius.clamp_max(1.0), azimuth)
        self._modes = modes.float().to(device)
        centre = _centre(panel, start)
        self._centre_px = torch.tensor(centre, device=device, requires_grad=True)
        self._turn_rad = torch.tensor(start.rotation_rad, device=device, requires_grad=True)
        self._log_scale = torch.tensor(math.log(start.scale), device=device, requires_grad=True)
        self._coefficients = torch.zeros(len(_MODES), device=device, requires_grad=True)

    def parameters(self) -> list[dict[str, Any]]:
        return [
            {"params": [self._centre_px], "lr": _CENTRE_STEP_PX},
            {"params": [self._turn_rad], "lr": _TURN_STEP_RAD},
            {"params": [self._log_scale], "lr": _SCALE_STEP},
            {"params": [self._coefficients], "lr": _MODE_STEP_RAD},
        ]

    def phase(self) -> Tensor:
        x_um, y_um = self._on_mask()
        rows, columns = self._mask.phase_rad.shape
        pitch_um = self._mask.pixel_um
        places = torch.stack(
            (2 * x_um / pitch_um / (columns - 1), 2 * y_um / pitch_um / (rows - 1)), -1
        )
        real, imaginary = functional.grid_sample(
            self._field, places[None], padding_mode="border", align_corners=True
        )[0]
        aberration = (self._coefficients[:, None, None] * self._modes).sum(0)
        return torch.atan2(imaginary, real) + aberration

    def roughness(self) -> Tensor:
        """Aberrations: what a turn or a shift of the mask explains as well is not taken for one."""
        return (self._coefficients**2).sum() / 2

    def alignment(self) -> PupilAlignment:
        row, column = (float(place) for place in self._centre_px.detach())
        return replace(
            self._start,
            centre_px=(row, column),
            rotation_rad=float(self._turn_rad.detach()),
            scale=math.exp(float(self._log_scale.detach())),
        )

    def aberration_rad(self) -> dict[int, float]:
        values = self._coefficients.detach().cpu().tolist()
        return dict(zip(_MODES, values, strict=True))

    def _on_mask(self) -> tuple[Tensor, Tensor]:
        """(x, y) um on the mask of each sample of the pupil: `to_panel` as it is found, then
        `to_mask` as it was assumed, both of `hardware.slm_pattern`."""
        true, shown, pitch_um = self._start, self._assumed, self._panel.pixel_um
        wide = math.cos(shown.incidence_rad)
        x, y = _flipped(self._x_um, self._y_um, true)
        cos, sin = torch.cos(self._turn_rad), torch.sin(self._turn_rad)
        scale = torch.exp(self._log_scale) / pitch_um
        row, column = _centre(self._panel, shown)
        down = self._centre_px[0] - row + scale * (sin * x + cos * y)
        across = self._centre_px[1] - column + scale * (cos * x - sin * y) / wide
        down, across = down * pitch_um / shown.scale, across * wide * pitch_um / shown.scale
        turned, tilted = math.cos(shown.rotation_rad), math.sin(shown.rotation_rad)
        return _flipped(turned * across + tilted * down, turned * down - tilted * across, shown)


def _centre(panel: Panel, alignment: PupilAlignment) -> tuple[float, float]:
    rows, columns = panel.shape
    return alignment.centre_px or ((rows - 1) / 2, (columns - 1) / 2)


def _flipped(x: Tensor, y: Tensor, alignment: PupilAlignment) -> tuple[Tensor, Tensor]:
    return -x if alignment.flip_x else x, -y if alignment.flip_y else y
