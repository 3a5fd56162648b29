"""Frames through a voxel network, tile by tile, to positions. No whole refined volume is held."""

from collections.abc import Iterator

import torch
from torch import Tensor

from dsacq.localize.detections import Detections
from dsacq.localize.peaks import RADIUS, Peaks, find_peaks
from dsacq.localize.tiling import Span, Tile
from dsacq.networks.architectures import VoxelArchitecture
from dsacq.networks.model_file import Model
from dsacq.networks.voxel import REFINE_REACH_PX, UPSAMPLING, VoxelNetwork
from dsacq.physics.optics import InputScaling

# The context stage is cheap and its halo wide, the refinement dear and its halo narrow: large tiles
# for the one, small ones inside them for the other.
CONTEXT_TILE_PX = 256
_REFINE_TILE_PX = {"cpu": 96, "cuda": 256}
_HALO_PX = REFINE_REACH_PX + -(-RADIUS // UPSAMPLING)


def detect(
    model: Model, frames: Tensor, threshold: float, tile_px: int = CONTEXT_TILE_PX
) -> Detections:
    """Emitters in frames by the voxel network of a model.

    frames: (B, H, W) counts, float32, on the network's device. threshold: on the network's output.
    """
    network = model.network
    assert isinstance(network, VoxelNetwork)
    with torch.inference_mode():
        scaled = scaled_input(model, frames)[:, None]
        shape = (frames.shape[1], frames.shape[2])
        peaks = [
            _shifted(find_peaks(volume, threshold, rows=rows, columns=columns), corner)
            for volume, rows, columns, corner in volumes(network, scaled, shape, tile_px)
        ]
        image = torch.cat([part.image for part in peaks])
        zyx = torch.cat([part.zyx for part in peaks])
        value = torch.cat([part.value for part in peaks])
        x_um, y_um, z_um = voxels_to_um(model, zyx).unbind(1)
        confidence = value / network.scale
        return Detections(
            image, {"x_um": x_um, "y_um": y_um, "z_um": z_um, "probability": confidence}
        )


def scaled_input(model: Model, frames: Tensor) -> Tensor:
    """(B, H, W) counts as the network wants them: each frame to [0, 1], or by a fixed scale."""
    scaling = model.card.input
    assert isinstance(scaling, InputScaling)
    if scaling.normalise == "fixed":
        return (frames - scaling.offset) / scaling.scale
    low, high = frames.amin((1, 2), keepdim=True), frames.amax((1, 2), keepdim=True)
    return (frames - low) / (high - low).clamp_min(1e-6)


def voxels_to_um(model: Model, zyx: Tensor) -> Tensor:
    """Continuous voxel coordinates (K, 3) z, y, x to x, y, z in um."""
    architecture = model.card.architecture
    assert isinstance(architecture, VoxelArchitecture)
    lateral_um, axial_um = architecture.voxel_um(model.card.optics)
    offset_x, offset_y = architecture.label_offset_voxels
    z, y, x = zyx.unbind(1)
    return torch.stack(
        (
            (x + offset_x) * lateral_um,
            (y + offset_y) * lateral_um,
            model.card.optics.z_range_um[0] + z * axial_um,
        ),
        1,
    )


def volumes(
    network: VoxelNetwork,
    scaled: Tensor,
    shape: tuple[int, int],
    tile_px: int = CONTEXT_TILE_PX,
) -> Iterator[tuple[Tensor, slice, slice, tuple[int, int]]]:
    """Refined volumes, the voxels in each that its tile answers for, and its corner (row, column).

    What a tile answers for is the same, to rounding, as in the volume of the whole frame.
    """
    for tile in Tile.whole(shape).split(tile_px):
        seen = tile.grown(network.context_reach_px + _HALO_PX, shape)
        rows, columns = seen.within(Tile.whole(shape))
        features = network.context(scaled[:, :, rows, columns])
        for inner in tile.split(_REFINE_TILE_PX[scaled.device.type]):
            read = inner.grown(_HALO_PX, shape)
            rows, columns = read.within(seen)
            volume = network.refine(features[:, :, rows, columns])
            rows, columns = _voxels(inner.rows, read.rows), _voxels(inner.columns, read.columns)
            yield volume, rows, columns, (read.rows.start, read.columns.start)


def _voxels(part: Span, whole: Span) -> slice:
    pixels = part.within(whole)
    return slice(pixels.start * UPSAMPLING, pixels.stop * UPSAMPLING)


def _shifted(peaks: Peaks, corner: tuple[int, int]) -> Peaks:
    row, column = corner
    shift = torch.tensor([0, row * UPSAMPLING, column * UPSAMPLING], device=peaks.zyx.device)
    return Peaks(peaks.image, peaks.zyx + shift, peaks.value)
