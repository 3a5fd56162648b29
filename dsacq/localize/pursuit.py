"""Emitters found from the mask and the optics alone: matching pursuit with joint refinement.

What the emitters so far leave of a frame is compared with the image of an emitter at every pixel
and depth; where it fits best, emitters are added and all are fitted again. It ends where nothing
that is left looks like an emitter. Slow in crowded frames beside a network, and needs no training.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional

from dsacq.data import Localizations
from dsacq.errors import SettingsError
from dsacq.localize.fitted_frame import FittedFrame, reach_px
from dsacq.localize.localizer import FrameSource, Roi
from dsacq.localize.refine import psf_source, refined, table
from dsacq.localize.tiling import Tile
from dsacq.physics.camera import (
    Camera,
    IdealCamera,
    read_variance_electrons,
    response,
    to_electrons,
)
from dsacq.physics.image_series import ImageSource
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel

_DEPTH_STEP_UM = 0.1
_TILE_PX = 256  # of the frame that is scored at once
_PLANES = 16  # depths that are scored at once
_PASSES = 40
# In each pass only scores above this part of the highest: fainter ones may be what is left of
# emitters that brighter neighbours still disturb.
_BRIGHTEST_FIRST = 0.6
_REFITS = 3  # steps of Fisher scoring for all emitters in each pass


@dataclass(frozen=True, kw_only=True)
class PursuitSettings:
    """threshold: signal to noise of an emitter's light, below which it is not looked for.
    roi: the part of the frames to search."""

    threshold: float = 12.0
    roi: Roi | None = None

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise SettingsError(f"threshold {self.threshold} is not above 0.")


class Templates:
    """Images of an emitter at all depths, ready to be compared with tiles of a frame."""

    def __init__(self, source: ImageSource, reach: int) -> None:
        self.reach = reach
        low, high = source.optics.z_range_um
        planes = round((high - low) / _DEPTH_STEP_UM) + 1
        self.z_um = torch.linspace(low, high, planes).to(source.phase_rad)
        xyz_um = torch.zeros(planes, 3).to(source.phase_rad)
        xyz_um[:, 2] = self.z_um
        self._images = source.images(xyz_um, (2 * reach + 1, 2 * reach + 1))
        self._size = (0, 0)
        self._spectra = self._images, self._images

    def score(self, residual: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Signal to noise of an emitter at each pixel, at its best depth, and that depth in um.

        residual, variance (H, W). S = q * (r / V) / sqrt(q^2 * (1 / V)), * a correlation.
        """
        shape = (residual.shape[0], residual.shape[1])
        best, depth = torch.zeros_like(residual), torch.zeros_like(residual)
        for tile in Tile.whole(shape).split(_TILE_PX):
            seen = tile.grown(self.reach, shape)
            part = seen.within(Tile.whole(shape))
            own, place = tile.within(seen), tile.within(Tile.whole(shape))
            value, plane = self._best(residual[part] / variance[part], 1 / variance[part])
            best[place], depth[place] = value[own], self.z_um[plane[own]]
        return best, depth

    def _best(self, weighted: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        height, width = weighted.shape
        rows, columns = (next_fast_len(n + 2 * self.reach, real=True) for n in (height, width))
        if (rows, columns) != self._size:
            self._size = (rows, columns)
            self._spectra = (
                torch.fft.rfft2(self._images, s=(rows, columns)).conj(),
                torch.fft.rfft2(self._images**2, s=(rows, columns)).conj(),
            )
        edge = (self.reach, columns - width - self.reach, self.reach, rows - height - self.reach)
        spectrum = torch.fft.rfft2(functional.pad(weighted, edge))
        weight_spectrum = torch.fft.rfft2(functional.pad(weight, edge))
        best = torch.full_like(weighted, -torch.inf)
        plane = torch.zeros_like(weighted, dtype=torch.long)
        for first in range(0, len(self.z_um), _PLANES):
            part = slice(first, first + _PLANES)
            signal = torch.fft.irfft2(spectrum * self._spectra[0][part], s=self._size)
            power = torch.fft.irfft2(weight_spectrum * self._spectra[1][part], s=self._size)
            score = signal[:, :height, :width] / power[:, :height, :width].clamp_min(1e-12).sqrt()
            value, index = score.max(0)
            plane = torch.where(value > best, index + first, plane)
            best = torch.maximum(best, value)
        return best, plane


def pursue(
    frames: FrameSource,
    mask: PhaseMask,
    optics: Optics,
    model: PsfModel,
    indices: Sequence[int],
    settings: PursuitSettings = PursuitSettings(),
    *,
    camera: Camera = IdealCamera(),  # noqa: B008 - frozen
    device: torch.device | str = "cpu",
) -> Generator[Localizations]:
    """Localize the frames of the given numbers; yields one table per frame, in their order.

    Photons, background and errors are filled in; `probability` is that the light is not noise.
    Positions are from the corner of the full frame, with a region of interest too.
    """
    source = psf_source(mask, optics, model, device)
    reach = reach_px(source)
    templates = Templates(source, reach)
    rows, columns = slice(0, frames.shape[0]), slice(0, frames.shape[1])
    if settings.roi is not None:
        rows, columns = settings.roi.slices(frames.shape)
    corner = source.phase_rad.new_tensor([columns.start, rows.start, 0]) * optics.pixel_um
    read = torch.tensor(read_variance_electrons(camera))
    for number in indices:
        counts = torch.from_numpy(frames.frame(number).astype(np.float32)).to(device)
        electrons = to_electrons(camera, counts)[rows, columns]
        frame = FittedFrame(
            electrons,
            source,
            read_variance=read.to(electrons).expand(frames.shape)[rows, columns],
            excess=response(camera).excess,
            reach=reach,
        )
        search(frame, templates, settings.threshold)
        found = refined(frame)
        found = replace(found, xyz_um=found.xyz_um + corner)
        yield table(found, number, camera)


def search(frame: FittedFrame, templates: Templates, threshold: float) -> None:
    """Add emitters to a frame until nothing above the threshold is left, and fit them all."""
    for _ in range(_PASSES):
        score, depth_um = templates.score(frame.electrons - frame.expected, frame.variance)
        least = max(threshold, _BRIGHTEST_FIRST * float(score.max()))
        row, column = _maxima(score, least, templates.reach)
        if not len(row):
            break
        size = score.new_tensor([frame.shape[1], frame.shape[0]])
        place = torch.stack((column, row), 1) + 0.5 - size / 2
        frame.add(torch.cat((place * frame.pixel_um, depth_um[row, column, None]), 1))
        frame.sweep(_REFITS)
        frame.update_surface()
        frame.prune(threshold / 2)
    frame.settle(threshold, 10, 4)


def _maxima(score: Tensor, threshold: float, apart: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of the largest values within `apart` pixels, above the threshold."""
    highest = functional.max_pool2d(score[None], 2 * apart + 1, 1, apart)[0]
    row, column = ((score == highest) & (score > threshold)).nonzero(as_tuple=True)
    return row, column
