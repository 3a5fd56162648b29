"""Simulated frames that are always the same, localized and compared with their truth."""

import numpy as np
import torch
from numpy.typing import NDArray

from dsacq.analysis.metrics import match
from dsacq.data import Localizations
from dsacq.localize.localizer import FrameStack, LocalizeSettings, localize
from dsacq.networks.model_file import Model
from dsacq.physics.camera import response
from dsacq.training.priors import Batch
from dsacq.training.settings import TrainingSettings

SIGMAS = ("sigma_x_um", "sigma_y_um", "sigma_z_um")
_FAR_UM = (0.25, 0.5)  # lateral and axial, of a pair
Rows = NDArray[np.intp]


class FixedFrames:
    """Simulated windows of which the middle frames are localized. truth: what is there."""

    def __init__(self, batch: Batch, settings: TrainingSettings) -> None:
        windows, frames, height, width = batch.counts.shape
        self._movie = FrameStack(batch.counts.cpu().numpy().reshape(-1, height, width))
        self._middles = range(frames // 2, windows * frames, frames)
        x_um, y_um, z_um = batch.xyz_um.cpu().numpy().T
        self.truth = Localizations.from_columns(
            frame=batch.image.cpu().numpy() * frames + frames // 2,
            x_um=x_um,
            y_um=y_um,
            z_um=z_um,
            photons=batch.emitted.cpu().numpy() / response(settings.camera).quantum_efficiency,
        )

    def found(
        self, model: Model, device: torch.device, threshold: float | None = None
    ) -> Localizations:
        """What a model finds in the middle frames."""
        settings = LocalizeSettings(threshold=threshold)
        parts = localize(self._movie, model, self._middles, settings, device=device)
        return Localizations.joined(parts)


def pairs(found: Localizations, truth: Localizations) -> tuple[Rows, Rows, NDArray[np.float64]]:
    """Rows of both that belong together, and found minus true (K, 3) in um."""
    rows, partners = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    found_um, truth_um = found.positions_um(), truth.positions_um()
    found_frame = found.table["frame"].to_numpy()
    truth_frame = truth.table["frame"].to_numpy()
    for frame in np.unique(truth_frame):
        here, there = np.flatnonzero(found_frame == frame), np.flatnonzero(truth_frame == frame)
        own, partner = match(found_um[here], truth_um[there], _FAR_UM[0], axial_um=_FAR_UM[1])
        rows.append(here[own])
        partners.append(there[partner])
    row, partner = np.concatenate(rows), np.concatenate(partners)
    return row, partner, found_um[row] - truth_um[partner]
