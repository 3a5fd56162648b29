"""What a simulated camera reads of its sensor: a region, joined pixels, and who was in it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dsacq.data import Roi
from dsacq.physics.camera import Camera, Map, ScmosCamera
from hardware.bench import Exposure
from hardware.frame_buffer import Columns


@dataclass(frozen=True)
class Readout:
    """Which pixels are read: joined, then cut."""

    roi: Roi
    binning: int

    def of_photons(self, photons: Tensor) -> Tensor:
        """Expected photons (H, W) of the sensor as those of the frame's pixels."""
        return self._cut(self._joined(photons) * self.binning**2)

    def of_noise(self, noise: Camera) -> Camera:
        """Joined pixels are read once, with the mean of their maps."""
        if not isinstance(noise, ScmosCamera):
            return noise
        return replace(
            noise,
            offset_adu=self._of_map(noise.offset_adu),
            gain_adu_per_electron=self._of_map(noise.gain_adu_per_electron),
            read_variance_adu2=self._of_map(noise.read_variance_adu2),
        )

    def _of_map(self, value: float | Map) -> float | Map:
        if not isinstance(value, np.ndarray):
            return value
        return np.asarray(self._cut(self._joined(torch.from_numpy(value))))

    def _joined(self, values: Tensor) -> Tensor:
        return functional.avg_pool2d(values[None], self.binning)[0] if self.binning > 1 else values

    def _cut(self, values: Tensor) -> Tensor:
        shape = (values.shape[0], values.shape[1])
        return values[self.roi.slices(shape)]


def truth_columns(exposed: Exposure, readout: Readout, index: int, pixel_um: float) -> Columns:
    """Columns of the emitters within the region, in um from the corner of the whole sensor."""
    emission, roi = exposed.emission, readout.roi
    pixel = (emission.xyz_um[:, :2] / (pixel_um * readout.binning)).floor().long()
    pixel -= torch.tensor([roi.column, roi.row])
    size = torch.tensor([roi.width, roi.height])
    inside = ((pixel >= 0) & (pixel < size)).all(1).nonzero().flatten()
    column, row = pixel[inside].unbind(1)
    xyz_um = emission.xyz_um[inside]
    values: dict[str, NDArray[Any]] = {
        "frame": np.full(len(inside), index, np.int64),
        "x_um": xyz_um[:, 0].numpy(),
        "y_um": xyz_um[:, 1].numpy(),
        "z_um": xyz_um[:, 2].numpy(),
        "photons": emission.photons[inside].numpy(),
        "background": readout.of_photons(exposed.background)[row, column].numpy(),
    }
    if emission.track is not None:
        values["track"] = emission.track[inside].numpy()
    return values
