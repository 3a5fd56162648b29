"""The single emitter by which masks are judged."""

from dataclasses import dataclass

import torch

from dsacq.design.settings import DesignSettings
from dsacq.physics.camera import response
from dsacq.training.validation import typical_photons

_DARKEST = 0.1  # electrons: bounds need some light in every pixel


@dataclass(frozen=True, kw_only=True)
class LoneEmitter:
    """photons, of it, and background per pixel, as detected."""

    photons: float = 1e4
    background: float = 50.0


def usual_emitter(settings: DesignSettings) -> LoneEmitter:
    """The median brightness and mean background of the priors, as the camera detects them."""
    background = settings.priors.background.sample(16, (16, 16), torch.Generator())
    efficiency = response(settings.camera).quantum_efficiency
    return LoneEmitter(
        photons=typical_photons(settings.priors.photons) * efficiency,
        background=max(float(background.mean()) * efficiency, _DARKEST),
    )
