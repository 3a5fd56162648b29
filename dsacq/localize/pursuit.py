"""Emitters found from the mask and the optics alone: matching pursuit with joint refinement.

What the emitters so far leave of a frame is compared with the image of an emitter at every pixel
and depth; where it fits best, emitters are added and all are fitted again. It ends where nothing
that is left looks like an emitter. Slow in crowded frames beside a network, and needs no training.
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from dsacq.data import Localizations, Roi
from dsacq.errors import SettingsError
from dsacq.localize.fitted_frame import FittedFrame, reach_px
from dsacq.localize.localizer import FrameSource
from dsacq.localize.refine import SIGNIFICANCE, psf_source, refined, table
from dsacq.localize.search import THRESHOLD, search
from dsacq.localize.side_by_side import side_by_side
from dsacq.localize.templates import Templates
from dsacq.physics.camera import (
    Camera,
    IdealCamera,
    read_variance_electrons,
    response,
    to_electrons,
)
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel


@dataclass(frozen=True, kw_only=True)
class PursuitSettings:
    """threshold: signal to noise of an emitter's light, below which it is not looked for.
    roi: the part of the frames to search."""

    threshold: float = THRESHOLD
    roi: Roi | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold < math.inf:
            raise SettingsError(f"threshold {self.threshold} is not a number above 0.")


def pursue(
    frames: FrameSource,
    mask: PhaseMask,
    optics: Optics,
    model: PsfModel,
    indices: Sequence[int],
    settings: PursuitSettings = PursuitSettings(),
    *,
    camera: Camera = IdealCamera(),  # noqa: B008 - frozen
    device: torch.device | str = "cpu",
) -> Generator[Localizations]:
    """Localize the frames of the given numbers; yields one table per frame, in their order.

    Photons, background and errors are filled in; `probability` is that the light is not noise.
    Positions are from the corner of the full frame, with a region of interest too.
    """
    source = psf_source(mask, optics, model, device)
    reach = reach_px(source)
    templates = Templates(source, reach)
    rows, columns = slice(0, frames.shape[0]), slice(0, frames.shape[1])
    if settings.roi is not None:
        rows, columns = settings.roi.slices(frames.shape)
    corner = source.phase_rad.new_tensor([columns.start, rows.start, 0]) * optics.pixel_um
    read = torch.tensor(read_variance_electrons(camera), dtype=torch.float32)
    read = read.expand(frames.shape)[rows, columns].to(device)

    def find(given: tuple[int, NDArray[np.float32]], go_on: Callable[[], None]) -> Localizations:
        number, counts = given
        frame = FittedFrame(
            to_electrons(camera, torch.from_numpy(counts).to(device))[rows, columns],
            source,
            read_variance=read,
            excess=response(camera).excess,
            reach=reach,
            go_on=go_on,
        )
        least = settings.threshold
        search(frame, templates, least, min(least, SIGNIFICANCE), unexplained=least)
        found = refined(frame)
        found = replace(found, xyz_um=found.xyz_um + corner)
        return table(found, number, camera)

    given = ((number, frames.frame(number).astype(np.float32)) for number in indices)
    yield from side_by_side(find, given, device)
