"""Making a mixture network's chances and standard deviations come true on average."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from dsacq.networks.model_file import Calibration, ElectronInput, Model
from dsacq.training.fixed_frames import SIGMAS, FixedFrames, pairs
from dsacq.training.priors import Sampler
from dsacq.training.settings import TrainingSettings

_DENSITIES = (0.05, 0.2, 0.5)  # of the most
_FRAMES, _FIRST = 32, 100  # frames of each density, and the number of the first batch
_LOW_THRESHOLD = 0.05
_ENOUGH = 50  # emitters, to say anything


def calibrated(
    model: Model, settings: TrainingSettings, sampler: Sampler, device: torch.device
) -> Model:
    """A mixture model whose chances and deviations hold on frames simulated for that.

    Chances by logistic regression on whether there was an emitter, deviations by the central 68 %
    of the errors. A model that finds next to nothing, and a voxel model, are returned as they are.
    """
    card = model.card
    if not isinstance(card.input, ElectronInput):
        return model
    crop = (settings.training.crop_px, settings.training.crop_px)
    plain = Model(replace(card, calibration=None), model.mask, model.network)
    chances, real, scores = [], [], []
    for number, part in enumerate(_DENSITIES):
        density = part * settings.priors.density_per_um2
        frames = FixedFrames(sampler.fixed_batch(_FIRST + number, _FRAMES, crop, density), settings)
        found = frames.found(plain, device, _LOW_THRESHOLD)
        own, partner, error_um = pairs(found, frames.truth)
        chance = found.table["probability"].to_numpy(dtype=np.float64)
        chances.append(chance)
        real.append(np.isin(np.arange(len(chance)), own))
        light = found.table["photons"].to_numpy(dtype=np.float64)[own]
        error = light - frames.truth.table["photons"].to_numpy(dtype=np.float64)[partner]
        if "sigma_photons" in found.table:
            sigma = found.table[[*SIGMAS, "sigma_photons"]].to_numpy(dtype=np.float64)[own]
            sure = chance[own] > card.input.threshold
            scores.append((np.column_stack((error_um, error)) / sigma)[sure])
    if sum(map(len, scores)) < _ENOUGH:
        return model
    slope, offset = logistic(np.concatenate(chances), np.concatenate(real))
    x, y, z, photons = np.quantile(np.abs(np.concatenate(scores)), 0.6827, axis=0).tolist()
    calibration = Calibration(logit_slope=slope, logit_offset=offset, deviation=(x, y, z, photons))
    return Model(replace(card, calibration=calibration), model.mask, model.network)


def logistic(chance: NDArray[np.float64], real: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the chances' logit under which the outcomes (K,) are most probable."""
    given = logit(np.clip(chance, 1e-5, 1 - 1e-5))

    def cost(values: NDArray[np.float64]) -> float:
        signed = np.where(real, 1, -1) * (values[0] * given + values[1])
        # A weak pull to no change, for outcomes that are all alike.
        pull = 1e-3 * ((values[0] - 1) ** 2 + values[1] ** 2)
        return float(-np.log(np.maximum(expit(signed), 1e-300)).mean() + pull)

    slope, offset = minimize(cost, [1.0, 0.0], method="Nelder-Mead").x
    return float(max(slope, 0.1)), float(offset)
