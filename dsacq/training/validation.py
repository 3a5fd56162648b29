"""How well a network in training does, on simulated frames that are always the same."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsacq.analysis.metrics import Scores, evaluate
from dsacq.data import Localizations
from dsacq.networks.model_file import Model
from dsacq.physics.camera import read_variance_electrons, response
from dsacq.physics.fisher import crlb
from dsacq.physics.masks import PhaseMask
from dsacq.simulation.brightness import Brightness
from dsacq.training.fixed_frames import SIGMAS, FixedFrames, pairs
from dsacq.training.priors import Batch, Sampler
from dsacq.training.settings import TrainingSettings

_DENSITIES = (0.1, 0.3, 1.0)  # of the most
_CROWDED, _EMPTY, _ISOLATED = 12, 16, 48  # frames: of each density, without, with one emitter
_EMPTY_PX = 128
_RADIUS_UM = 0.1


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Accuracy on the fixed frames.

    jaccard, rmse_lateral_nm, rmse_axial_nm: of crowded frames, within 100 nm in 3D.
    false_positives: per empty frame of 128 x 128. isolated_recall: of single emitters.
    ratio_lateral, ratio_axial: rmse of single emitters over the Cramer-Rao bound.
    z_score: standard deviation of error over stated sigma, over x, y and z; None without sigmas.
    """

    jaccard: float
    rmse_lateral_nm: float | None
    rmse_axial_nm: float | None
    false_positives: float
    isolated_recall: float
    ratio_lateral: float | None
    ratio_axial: float | None
    z_score: float | None


class Validation:
    """Frames to measure on, made once."""

    def __init__(self, settings: TrainingSettings, mask: PhaseMask, sampler: Sampler) -> None:
        crop = (settings.training.crop_px, settings.training.crop_px)
        most = settings.priors.density_per_um2
        crowded = [
            sampler.fixed_batch(number, _CROWDED, crop, most * part)
            for number, part in enumerate(_DENSITIES)
        ]
        self._crowded = [FixedFrames(batch, settings) for batch in crowded]
        self._batches = crowded
        empty = sampler.fixed_batch(len(_DENSITIES), _EMPTY, (_EMPTY_PX, _EMPTY_PX), 0.0)
        self._empty = FixedFrames(empty, settings)
        isolated, self._bound_um = _isolated(settings, mask, sampler, crop)
        self._isolated = FixedFrames(isolated, settings)

    def loss(self, objective_loss: Callable[[Batch], Tensor]) -> float:
        """Mean loss over the crowded frames."""
        with torch.no_grad():
            return float(torch.stack([objective_loss(batch) for batch in self._batches]).mean())

    def measure(self, model: Model, device: torch.device) -> Measured:
        """Accuracy of a model."""
        scores = _together([(one.found(model, device), one.truth) for one in self._crowded])
        alone, truth = self._isolated.found(model, device), self._isolated.truth
        own, partner, error = pairs(alone, truth)
        ratio = error / self._bound_um[partner]
        sigma = alone.table[list(SIGMAS)].to_numpy(dtype=np.float64)[own]
        enough = len(own) > 1
        known = enough and bool(np.isfinite(sigma).all())
        return Measured(
            jaccard=scores.jaccard,
            rmse_lateral_nm=scores.rmse_lateral_nm,
            rmse_axial_nm=scores.rmse_axial_nm,
            false_positives=len(self._empty.found(model, device)) / _EMPTY,
            isolated_recall=len(own) / len(truth),
            ratio_lateral=float((ratio[:, :2] ** 2).mean() ** 0.5) if enough else None,
            ratio_axial=float((ratio[:, 2] ** 2).mean() ** 0.5) if enough else None,
            z_score=float((error / sigma).std()) if known else None,
        )


def _isolated(
    settings: TrainingSettings, mask: PhaseMask, sampler: Sampler, shape: tuple[int, int]
) -> tuple[Batch, NDArray[np.float64]]:
    """Single emitters over the depths near the frame's centre, and their bounds (B, 3)."""
    optics = settings.optics
    low, high = optics.z_range_um
    z_um = low + (high - low) * (torch.arange(_ISOLATED) + 0.5) / _ISOLATED
    draw = torch.Generator().manual_seed(settings.training.seed)
    offset_um = (torch.rand(_ISOLATED, 2, generator=draw) - 0.5) * 2 * optics.pixel_um
    from_centre = torch.cat((offset_um, z_um[:, None]), 1)
    middle = torch.tensor([shape[1] / 2, shape[0] / 2, 0]) * optics.pixel_um
    photons = typical_photons(settings.priors.photons)
    batch = sampler.isolated_batch((from_centre + middle).to(sampler.device), photons, shape)
    made = response(settings.camera)
    bound = crlb(
        torch.tensor(mask.phase_rad, dtype=torch.float64),
        from_centre.double(),
        optics,
        shape,
        settings.psf,
        photons=photons * made.quantum_efficiency,
        background=batch.background.mean((1, 2)).double().cpu(),
        read_variance=float(np.mean(read_variance_electrons(settings.camera))),
        excess=made.excess,
        mask_pixel_um=mask.pixel_um,
    )
    return batch, bound[:, :3].numpy()


def typical_photons(photons: Brightness) -> float:
    """The median of a brightness."""
    return float(photons.sample(10_001, torch.Generator().manual_seed(0)).median())


def _together(found: list[tuple[Localizations, Localizations]]) -> Scores:
    """Scores over several movies."""
    shifted = [
        tuple(
            Localizations(one.table.assign(frame=one.table["frame"] + 10_000 * place))
            for one in pair
        )
        for place, pair in enumerate(found)
    ]
    return evaluate(
        Localizations.joined(pair[0] for pair in shifted),
        Localizations.joined(pair[1] for pair in shifted),
        radius_um=_RADIUS_UM,
    )
