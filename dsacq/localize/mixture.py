"""Frames through a mixture network, tile by tile, to emitters, without a loop over them.

An emitter near the border of two pixels is announced by both. Components of nearby pixels that mean
the same emitter, by their own standard deviations, are one: their chances add up, and position and
errors are the moments of that part of the mixture.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dsacq.localize.detections import Detections
from dsacq.localize.tiling import Tile
from dsacq.networks.architectures import MixtureArchitecture
from dsacq.networks.mixture import ROOT_UNIT, STRIDE, Mixture, MixtureNetwork
from dsacq.networks.model_file import Calibration, Model
from dsacq.physics.camera import Camera, response

# A halo is as wide as the network sees, up to 150 px: small tiles would cost several times as much.
TILE_PX = 1024
_WINDOW = 2  # pixels around a component in which others can mean the same emitter
_HALO_PX = _WINDOW + STRIDE  # and tiles start on the network's coarse grid
_NEGLIGIBLE = 0.02  # chance below which a component is not looked at
_SUREST = 1 - 1e-5
_SAME = 3.0  # standard deviations between components of one emitter
_LEAST_SPREAD = (0.15, 0.15, 0.02)  # px, px, half z ranges: closer is the same in any case


@dataclass(frozen=True)
class Peaks:
    """K emitters: image (K,), row and column (K,) of the pixel that is surest of them, chance (K,).

    mean, deviation (K, 4): x and y in px from the corner of the region, else as in Mixture.
    background (K,): as in Mixture.
    """

    image: Tensor
    row: Tensor
    column: Tensor
    chance: Tensor
    mean: Tensor
    deviation: Tensor
    background: Tensor


def detect(
    model: Model,
    stabilised: Tensor,
    read_variance: Tensor,
    camera: Camera,
    threshold: float,
    tile_px: int,
) -> Detections:
    """Emitters in frames by the mixture network of a model.

    stabilised: (B, frames, H, W), see there, on the network's device. read_variance: (1, 1, H, W)
    electrons^2. camera: makes photons of electrons. threshold: on the probability.
    """
    network, architecture = model.network, model.card.architecture
    assert isinstance(network, MixtureNetwork)
    assert isinstance(architecture, MixtureArchitecture)
    calibration = model.card.calibration or Calibration()
    shape = (stabilised.shape[2], stabilised.shape[3])
    parts = []
    # Half precision keeps depths to a fraction of a nanometre; on CPUs it is no faster.
    half = torch.autocast("cuda", torch.float16, enabled=stabilised.is_cuda)
    with torch.inference_mode(), half:
        for tile in Tile.whole(shape).split(tile_px):
            seen = tile.grown(network.reach_px + _HALO_PX, shape).aligned(STRIDE)
            rows, columns = seen.within(Tile.whole(shape))
            found = network(stabilised[:, :, rows, columns], read_variance[:, :, rows, columns])
            peaks = find_peaks(found, calibration, threshold)
            inside = tile.holds(peaks.row + rows.start, peaks.column + columns.start)
            corner = peaks.mean.new_tensor([columns.start, rows.start])
            parts.append(_columns(peaks, inside, corner, read_variance, model, camera))
    return Detections(
        torch.cat([image for image, _ in parts]),
        {name: torch.cat([part[name] for _, part in parts]) for name in parts[0][1]},
    )


def find_peaks(found: Mixture, calibration: Calibration, threshold: float) -> Peaks:
    """Emitters of a mixture: components that mean the same one joined, chances above a threshold.

    The surest component of each emitter stands for it; of equal ones the first.
    """
    chance = found.logit.sigmoid()
    image, row, column = torch.nonzero(chance > _NEGLIGIBLE, as_tuple=True)
    height, width = chance.shape[1:]
    reach = torch.arange(-_WINDOW, _WINDOW + 1, device=chance.device)
    down, right = (step.flatten() for step in torch.meshgrid(reach, reach, indexing="ij"))
    rows, columns = row[:, None] + down, column[:, None] + right
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)

    near = torch.where(inside, chance[image[:, None], rows, columns], 0)
    mean = found.mean[image[:, None], :, rows, columns]  # (K, window, 4)
    corner = torch.stack((columns, rows), 2) + 0.5
    mean = torch.cat((mean[..., :2] + corner, mean[..., 2:]), 2)
    deviation = found.deviation[image[:, None], :, rows, columns] * mean.new_tensor(
        calibration.deviation
    )
    middle = len(down) // 2
    least = mean.new_tensor(_LEAST_SPREAD) ** 2
    spread = deviation[..., :3] ** 2
    apart = (mean[..., :3] - mean[:, middle, None, :3]) ** 2 / (
        spread + spread[:, middle, None] + least
    )
    same = (apart.sum(2) < _SAME**2) & inside & (near > _NEGLIGIBLE)
    own = near[:, middle, None]
    earlier = torch.arange(len(down), device=chance.device) < middle
    beaten = (same & ((near > own) | ((near == own) & earlier))).any(1)

    weight = torch.where(same, near, 0)
    total = weight.sum(1).clamp_max(_SUREST).logit()
    total = (total * calibration.logit_slope + calibration.logit_offset).sigmoid()
    kept = (~beaten & (total > threshold)).nonzero().flatten()
    weight, mean, deviation = weight[kept], mean[kept], deviation[kept]
    share = (weight / weight.sum(1, keepdim=True))[..., None]
    centre = (share * mean).sum(1)
    variance = (share * (deviation**2 + (mean - centre[:, None]) ** 2)).sum(1)
    image, row, column = image[kept], row[kept], column[kept]
    return Peaks(
        image,
        row,
        column,
        total[kept],
        centre,
        variance.sqrt(),
        found.background[image, row, column],
    )


def _columns(
    peaks: Peaks,
    inside: Tensor,
    corner: Tensor,
    read_variance: Tensor,
    model: Model,
    camera: Camera,
) -> tuple[Tensor, dict[str, Tensor]]:
    architecture = model.card.architecture
    assert isinstance(architecture, MixtureArchitecture)
    made, pixel_um = response(camera), model.card.optics.pixel_um
    low_um, high_um = architecture.z_range_um
    half_um = (high_um - low_um) / 2
    mean, deviation = peaks.mean[inside], peaks.deviation[inside]
    place = mean[:, :2] + corner
    row = (peaks.row[inside] + corner[1]).long()
    column = (peaks.column[inside] + corner[0]).long()
    noise = read_variance[0, 0, row, column]
    root = mean[:, 3] * ROOT_UNIT
    level = peaks.background[inside] * architecture.input_scale + architecture.input_offset
    background = (level / 2) ** 2 - 0.375 - noise - made.spurious_electrons
    return peaks.image[inside], {
        "x_um": place[:, 0] * pixel_um,
        "y_um": place[:, 1] * pixel_um,
        "z_um": low_um + half_um * (mean[:, 2] + 1),
        "photons": root**2 / made.quantum_efficiency,
        "background": background.clamp_min(0) / made.quantum_efficiency,
        "sigma_x_um": deviation[:, 0] * pixel_um,
        "sigma_y_um": deviation[:, 1] * pixel_um,
        "sigma_z_um": deviation[:, 2] * half_um,
        "sigma_photons": 2 * root * deviation[:, 3] * ROOT_UNIT / made.quantum_efficiency,
        "probability": peaks.chance[inside],
    }
