"""A movie localized, in whatever way: by a network, refined or not, or by matching pursuit."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from dsacq.data import Localizations
from dsacq.files.movies import Movie
from dsacq.localize.localizer import LocalizeSettings, localize, origin
from dsacq.localize.pursuit import PursuitSettings, pursue
from dsacq.localize.refine import refine_movie
from dsacq.localize.search import THRESHOLD
from dsacq.microscope import Microscope
from dsacq.networks.model_file import Model
from dsacq.physics.camera import IdealCamera


def localize_movie(
    movie: Movie,
    indices: Sequence[int],
    microscope: Microscope,
    model: Model | None,
    settings: LocalizeSettings,
    *,
    refine: bool = False,
    thorough: bool = False,
    device: torch.device | str = "cpu",
) -> tuple[Iterable[Localizations], dict[str, Any]]:
    """One table per frame, in the order of indices, as they are made; and what makes them.

    model: None is matching pursuit; the threshold of settings is then a signal to noise. refine,
    thorough: what a network finds, as `refine_movie`; pursuit fits anyhow. Raises as `localize`,
    `pursue` and `refine_movie` do.
    """
    camera = microscope.camera or IdealCamera()
    refine = refine or thorough
    if model is None:
        wanted = PursuitSettings(threshold=settings.threshold or THRESHOLD, roi=settings.roi)
        mask, optics, psf = microscope.mask, microscope.optics, microscope.psf
        steps: Iterable[Localizations] = pursue(
            movie, mask, optics, psf, indices, wanted, camera=camera, device=device
        )
        method = "pursuit"
    else:
        steps = localize(movie, model, indices, settings, camera=microscope.camera, device=device)
        method = "network"
        if refine:
            method = "network and refinement"
            steps = refine_movie(
                movie,
                steps,
                microscope.mask,
                microscope.optics,
                microscope.psf,
                thorough=thorough,
                roi=settings.roi,
                camera=camera,
                device=device,
            )
    made_by = origin(
        microscope.optics,
        movie,
        settings,
        movie.metadata,
        model=None if model is None else model.card.name,
        method=method,
        mask=microscope.mask.name,
        movie=str(movie.path),
    )
    return steps, made_by
