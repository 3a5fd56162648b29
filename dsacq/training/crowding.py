"""How what a network finds falls with the density of emitters, on the frames it was trained for."""

from collections.abc import Generator
from dataclasses import dataclass

import torch

from dsacq.analysis.metrics import Scores, evaluate
from dsacq.networks.model_file import Model
from dsacq.physics.masks import PhaseMask
from dsacq.training.fixed_frames import FixedFrames
from dsacq.training.priors import Sampler
from dsacq.training.settings import TrainingSettings

PARTS = (0.06, 0.12, 0.25, 0.5, 0.75, 1.0)  # of the greatest density
_EMITTERS = 2400  # at each density, in
_FRAMES = 12, 240  # at least and at most
_RADIUS_UM = 0.1  # in 3D
_FIRST = 1000  # number of the first batch: others than those that a training is judged by


@dataclass(frozen=True)
class Crowded:
    """Scores at a density, of pairs within 100 nm in 3D."""

    density_per_um2: float
    scores: Scores


def by_density(
    model: Model,
    settings: TrainingSettings,
    mask: PhaseMask,
    device: torch.device | str = "cpu",
) -> Generator[Crowded]:
    """Scores at each of PARTS of the priors' greatest density.

    Whatever the mask, the same settings give the same emitters and backgrounds; only images and
    noise differ.
    """
    where = torch.device(device)
    sampler = Sampler(settings, mask, where)
    crop_px, most = settings.training.crop_px, settings.priors.density_per_um2
    area_um2 = (crop_px * settings.optics.pixel_um) ** 2
    for number, part in enumerate(PARTS, _FIRST):
        least, greatest = _FRAMES
        count = min(max(least, round(_EMITTERS / (part * most * area_um2))), greatest)
        batch = sampler.fixed_batch(number, count, (crop_px, crop_px), part * most)
        frames = FixedFrames(batch, settings)
        found = frames.found(model, where)
        yield Crowded(part * most, evaluate(found, frames.truth, radius_um=_RADIUS_UM))
