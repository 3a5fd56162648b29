"""How much each place of an image looks like an emitter there."""

from collections.abc import Iterator

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional

from dsacq.localize.tiling import Tile
from dsacq.physics.image_series import ImageSource

_DEPTH_STEP_UM = 0.1
_TILE_PX = 256  # of the frame that is scored at once
_PLANES = 16  # depths that are scored at once


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
        self._spectra: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

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

    def volume(self, residual: Tensor, variance: Tensor) -> Tensor:
        """As `score`, at each depth of z_um (Z, H, W), for images up to a tile in size."""
        return torch.cat(list(self._planes(residual / variance, 1 / variance)))

    def _best(self, weighted: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        best = torch.full_like(weighted, -torch.inf)
        plane = torch.zeros_like(weighted, dtype=torch.long)
        first = 0
        for score in self._planes(weighted, weight):
            value, index = score.max(0)
            plane = torch.where(value > best, index + first, plane)
            best = torch.maximum(best, value)
            first += len(score)
        return best, plane

    def _planes(self, weighted: Tensor, weight: Tensor) -> Iterator[Tensor]:
        height, width = weighted.shape
        rows, columns = (next_fast_len(n + 2 * self.reach, real=True) for n in (height, width))
        size = (rows, columns)
        if size not in self._spectra:
            self._spectra[size] = (
                torch.fft.rfft2(self._images, s=size).conj(),
                torch.fft.rfft2(self._images**2, s=size).conj(),
            )
        images, squares = self._spectra[size]
        edge = (self.reach, columns - width - self.reach, self.reach, rows - height - self.reach)
        spectrum = torch.fft.rfft2(functional.pad(weighted, edge))
        weight_spectrum = torch.fft.rfft2(functional.pad(weight, edge))
        for first in range(0, len(self.z_um), _PLANES):
            part = slice(first, first + _PLANES)
            signal = torch.fft.irfft2(spectrum * images[part], s=size)
            power = torch.fft.irfft2(weight_spectrum * squares[part], s=size)
            yield signal[:, :height, :width] / power[:, :height, :width].clamp_min(1e-12).sqrt()
