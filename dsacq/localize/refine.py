"""Localizations made as precise as the data allow: joint maximum likelihood of a frame's emitters.

Emitters whose images overlap are fitted together, in groups of bounded size; a group sees the
emitters of the others as they were fitted last, and a smooth background and the emitters' own
blurs are free. What the likelihood does not support goes: two emitters that it cannot tell apart
become one, and those without significant light are dropped.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsacq.data import Localizations, Roi
from dsacq.localize.fitted_frame import FittedFrame, reach_px
from dsacq.localize.localizer import FrameSource
from dsacq.localize.search import THRESHOLD, explained, search
from dsacq.localize.side_by_side import side_by_side
from dsacq.localize.templates import Templates
from dsacq.physics.camera import (
    Camera,
    IdealCamera,
    read_variance_electrons,
    response,
    to_electrons,
)
from dsacq.physics.image_series import ImageSource
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel

SIGNIFICANCE = 5.0
_ITERATIONS, _SWEEPS = 10, 6


@dataclass(frozen=True, eq=False)
class Refined:
    """K emitters of a frame, in electrons.

    xyz_um (K, 3): from the frame's upper-left corner. electrons (K,), background (K,) per pixel at
    the emitter. sigma_um (K, 3): from the joint Fisher information. significance (K,): electrons
    over their own standard deviation. start (K,): index of the start that each came from, or -1.
    """

    xyz_um: Tensor
    electrons: Tensor
    background: Tensor
    sigma_um: Tensor
    significance: Tensor
    start: Tensor


def refine(
    electrons: Tensor,
    xyz_um: Tensor,
    source: ImageSource,
    *,
    read_variance: Tensor | float = 0.0,
    excess: bool = False,
    significance: float = SIGNIFICANCE,
    iterations: int = _ITERATIONS,
    sweeps: int = _SWEEPS,
    reach: int | None = None,
    templates: Templates | None = None,
    go_on: Callable[[], None] = lambda: None,
) -> Refined:
    """Emitters of the greatest likelihood near the starts.

    electrons (H, W): a frame, at the camera's input. xyz_um (K, 3): starts, from its upper-left
        corner. The dtype and device are those of the source's phase.
    read_variance: electrons^2, () or (H, W). excess: the camera multiplies (see `information`).
    significance: emitters with less light than this many of its standard deviations are dropped.
    iterations: of Fisher scoring, in each of at most `sweeps` over the groups.
    reach: of images, in pixels, by default `reach_px` of the source.
    templates: where they are given, emitters that the starts lack are looked for as well, and those
        that are one for two or at a wrong depth; `start` of the new is -1. Not so where
        much more than noise is left even then: the PSF is not the microscope's.
    go_on: called between fits; what it raises ends them.
    """
    if xyz_um.ndim != 2 or xyz_um.shape[1] != 3 or not bool(xyz_um.isfinite().all()):
        raise ValueError(f"xyz_um of shape {tuple(xyz_um.shape)}: expected (K, 3), finite")
    frame = FittedFrame(
        electrons,
        source,
        read_variance=read_variance,
        excess=excess,
        reach=reach_px(source) if reach is None else reach,
        go_on=go_on,
    )
    start = torch.arange(len(xyz_um), device=frame.electrons.device)
    frame.add(xyz_um.to(frame.electrons) - _centre_um(frame), start)
    frame.settle(significance, iterations, sweeps)
    if templates is not None:
        alone = refined(frame)
        search(frame, templates, THRESHOLD, significance)
        if not explained(frame):
            return alone
    return refined(frame)


def refined(frame: FittedFrame) -> Refined:
    """What a fitted frame holds."""
    xyz_um = frame.xyz_um + _centre_um(frame)
    height, width = frame.shape
    row, column = (xyz_um[:, [1, 0]] / frame.source.optics.pixel_um).long().unbind(1)
    surface = frame.surface[row.clamp(0, height - 1), column.clamp(0, width - 1)]
    return Refined(
        xyz_um,
        frame.brightness,
        surface,
        frame.sigma_um,
        frame.significance,
        frame.start,
    )


def refine_movie(
    frames: FrameSource,
    found: Iterable[Localizations],
    mask: PhaseMask,
    optics: Optics,
    model: PsfModel,
    *,
    thorough: bool = False,
    roi: Roi | None = None,
    camera: Camera = IdealCamera(),  # noqa: B008 - frozen
    device: torch.device | str = "cpu",
) -> Iterator[Localizations]:
    """Refine tables of one frame each, as a localizer yields them; yields them refined.

    thorough: emitters that a table lacks beside those it holds are looked for as well, and those
        that stand for two or are at a wrong depth; crowded frames then take many times as long.
    roi: the region that was localized; what shines outside it is not known and not looked at.

    The new and those of probability NaN get the chance that their light is not noise; others keep
    theirs.
    """
    source = psf_source(mask, optics, model, device)
    reach = reach_px(source)
    templates = Templates(source, reach) if thorough else None
    made = response(camera)
    rows, columns = slice(0, frames.shape[0]), slice(0, frames.shape[1])
    if roi is not None:
        rows, columns = roi.slices(frames.shape)
    corner_um = torch.tensor([columns.start, rows.start, 0], device=device) * optics.pixel_um
    read = torch.tensor(read_variance_electrons(camera))
    read = read.to(torch.float32).expand(frames.shape)[rows, columns].to(device)

    def with_frames() -> Iterator[tuple[Localizations, NDArray[np.float32] | None]]:
        for part in found:
            number = int(part.table["frame"].iloc[0]) if len(part) else None
            yield part, None if number is None else frames.frame(number).astype(np.float32)

    def fit(
        given: tuple[Localizations, NDArray[np.float32] | None], go_on: Callable[[], None]
    ) -> Localizations:
        part, counts = given
        if counts is None:
            return part
        fitted = refine(
            to_electrons(camera, torch.from_numpy(counts).to(device))[rows, columns],
            torch.tensor(part.positions_um()).to(device) - corner_um,
            source,
            read_variance=read,
            excess=made.excess,
            reach=reach,
            templates=templates,
            go_on=go_on,
        )
        fitted = replace(fitted, xyz_um=fitted.xyz_um + corner_um)
        start, before = fitted.start.cpu().numpy(), part.table["probability"].to_numpy()
        before = np.where(start < 0, np.nan, before[start])
        number = int(part.table["frame"].iloc[0])
        return table(fitted, number, camera, probability=before, origin=part.origin)

    yield from side_by_side(fit, with_frames(), device)


def psf_source(
    mask: PhaseMask, optics: Optics, model: PsfModel, device: torch.device | str = "cpu"
) -> ImageSource:
    """Images behind a mask, in float32 on a device."""
    phase_rad = torch.tensor(mask.phase_rad).to(device)
    return ImageSource(phase_rad, optics, model, mask.pixel_um)


def table(
    fitted: Refined,
    number: int,
    camera: Camera,
    *,
    probability: NDArray[np.floating] | None = None,
    origin: dict[str, Any] | None = None,
) -> Localizations:
    """Refined emitters of one frame as a table, in photons at the sensor."""
    made = response(camera)
    chance = torch.erf(fitted.significance / 2**0.5).cpu().numpy()
    if probability is not None:
        chance = np.where(np.isnan(probability), chance, probability)
    background = (fitted.background - made.spurious_electrons) / made.quantum_efficiency
    columns = dict(zip(("x_um", "y_um", "z_um"), fitted.xyz_um.cpu().numpy().T, strict=True))
    sigmas = ("sigma_x_um", "sigma_y_um", "sigma_z_um")
    columns |= dict(zip(sigmas, fitted.sigma_um.cpu().numpy().T, strict=True))
    return Localizations.from_columns(
        origin,
        frame=np.full(len(chance), number),
        photons=(fitted.electrons / made.quantum_efficiency).cpu().numpy(),
        background=background.cpu().numpy(),
        probability=chance,
        **columns,
    )


def _centre_um(frame: FittedFrame) -> Tensor:
    """Of the frame, from its upper-left corner."""
    height, width = frame.shape
    return frame.electrons.new_tensor([width / 2, height / 2, 0]) * frame.source.optics.pixel_um
