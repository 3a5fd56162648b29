"""What the mask panel shows of a mask, computed beside the window, the quick parts first."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dsacq.design.fisher import FisherStep
    from dsacq.physics.masks import PhaseMask
    from dsacq.physics.optics import Optics
    from dsacq.physics.pupil import PsfModel
    from hardware.rig_file import PatternSettings
    from hardware.slm_pattern import GreyLevels, Panel

PHOTONS, BACKGROUND = 3000.0, 20.0
IMAGES, _BOUNDS = 9, 21
_THUMBNAIL_PX = 400  # most columns
_SHOWN_STEPS = 12  # of a design, between those that are shown
_SAMPLES = 256  # most of a mask across the pupil for which bounds are computed

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A mask and where it is to be used.

    source: the name of a design, or a mask. added_rad: Zernike coefficients by Noll's index, rad
    rms, on top of it. panel: the SLM, or None.
    """

    source: "str | PhaseMask"
    added_rad: Mapping[int, float]
    optics: "Optics"
    model: "PsfModel"
    panel: "Panel | None"
    pattern: "PatternSettings"


class Images(NamedTuple):
    """Images (N, H, W) of an emitter at heights (N,), each over its brightest pixel."""

    heights_um: Floats
    relative: Floats


class Pattern(NamedTuple):
    """The pattern (rows, columns) for the SLM, means over squares of it of `step` pixels, and the
    edge of the pupil in pixels of the SLM, (2, K) of rows and columns."""

    grey: NDArray[np.uint8]
    thumbnail: NDArray[np.uint8]
    step: int
    edge_px: Floats


class Bounds(NamedTuple):
    """Cramer-Rao bounds (N, 3) in x, y, z at heights (N,)."""

    heights_um: Floats
    sigma_nm: Floats


def preview(wanted: Wanted) -> "Generator[PhaseMask | Images | Pattern | Bounds]":
    """The mask, then what it does. Raises FileError for the files of the pattern."""
    mask = made_mask(wanted)
    yield mask
    yield _images(mask, wanted)
    if wanted.panel is not None:
        yield slm_preview(mask, wanted.optics, wanted.panel, wanted.pattern)
    yield _bounds(mask, wanted)


def made_mask(wanted: Wanted) -> "PhaseMask":
    """The design or mask with what is added to it."""
    from dsacq.files.mask_library import MASKS
    from dsacq.physics.masks import PhaseMask, zernike_mask
    from dsacq.physics.zernike import noll

    source, optics = wanted.source, wanted.optics
    mask = MASKS[source][0](optics) if isinstance(source, str) else source
    added = {index: amount for index, amount in wanted.added_rad.items() if amount}
    if not added:
        return mask
    at_its_pitch = replace(optics, mask_pixel_um=mask.pixel_um)
    addition = zernike_mask(
        at_its_pitch,
        {noll(index): amount for index, amount in added.items()},
        shape=(mask.phase_rad.shape[0], mask.phase_rad.shape[1]),
    )
    return PhaseMask(
        mask.phase_rad + addition.phase_rad,
        mask.pixel_um,
        mask.wavelength_um,
        f"{mask.name}_adjusted",
        {**mask.origin, "added_noll_rad": {str(index): amount for index, amount in added.items()}},
    )


def slm_preview(
    mask: "PhaseMask", optics: "Optics", panel: "Panel", pattern: "PatternSettings"
) -> Pattern:
    """What `Rig.show` puts on an SLM. Raises FileError."""
    from hardware.slm_correction import read_correction
    from hardware.slm_pattern import slm_pattern, to_panel

    grey = slm_pattern(
        mask,
        optics,
        panel,
        pattern.alignment,
        _table(pattern.levels, optics.wavelength_um),
        correction_rad=read_correction(pattern.correction, panel.shape),
        carrier=pattern.carrier,
    )
    step = -(-panel.shape[1] // _THUMBNAIL_PX)
    rows, columns = panel.shape[0] // step, panel.shape[1] // step
    squares = grey[: rows * step, : columns * step].reshape(rows, step, columns, step)
    turn = np.linspace(0, 2 * np.pi, 91)
    radius_um = optics.pupil_diameter_um / 2
    edge = to_panel(radius_um * np.cos(turn), radius_um * np.sin(turn), panel, pattern.alignment)
    return Pattern(grey, squares.mean((1, 3)).astype(np.uint8), step, np.stack(edge))


@lru_cache(maxsize=1)
def _table(levels: "GreyLevels", wavelength_um: float) -> Any:
    """Kept, as making it logs what the levels leave out."""
    return levels.table(wavelength_um)


def _images(mask: "PhaseMask", wanted: Wanted) -> Images:
    import torch

    from dsacq.physics.psf import psf
    from dsacq.physics.tetrapod import crop_shape

    heights = np.linspace(*wanted.optics.z_range_um, IMAGES)
    images = psf(
        torch.from_numpy(mask.phase_rad),
        _on_axis(heights),
        wanted.optics,
        crop_shape(wanted.optics),
        wanted.model,
        mask_pixel_um=mask.pixel_um,
    ).numpy()
    return Images(heights, images / images.max((1, 2), keepdims=True))


def _bounds(mask: "PhaseMask", wanted: Wanted) -> Bounds:
    import torch

    from dsacq.physics.fisher import crlb
    from dsacq.physics.masks import resampled
    from dsacq.physics.tetrapod import crop_shape

    optics = wanted.optics
    coarsest_um = optics.pupil_diameter_um / _SAMPLES
    if mask.pixel_um < coarsest_um:  # finer samples cost much and change little
        samples = int(np.ceil(min(mask.phase_rad.shape) * mask.pixel_um / coarsest_um))
        mask = resampled(mask, coarsest_um, (samples, samples))
    heights = np.linspace(*optics.z_range_um, _BOUNDS)
    sigma_um = crlb(
        torch.from_numpy(mask.phase_rad),
        _on_axis(heights),
        optics,
        crop_shape(optics),
        wanted.model,
        photons=PHOTONS,
        background=BACKGROUND,
        mask_pixel_um=mask.pixel_um,
    )
    return Bounds(heights, 1000 * sigma_um[:, :3].numpy())


def _on_axis(heights_um: Floats) -> Any:
    import torch

    xyz_um = torch.zeros(len(heights_um), 3)
    xyz_um[:, 2] = torch.from_numpy(heights_um)
    return xyz_um


def read(path: Path, optics: "Optics") -> "Generator[PhaseMask]":
    """A mask in a file. Raises FileError."""
    from dsacq.files.masks import read_mask

    yield read_mask(path, optics=optics)


def designed(optics: "Optics", model: "PsfModel") -> "Generator[FisherStep]":
    """Steps of the search for the mask that is most precise for single emitters.

    By the scalar model, which is quick, with the blur of the rig's own; its optima serve the
    vectorial one.
    """
    from dsacq.design.fisher import fisher_design
    from dsacq.design.lone import LoneEmitter
    from dsacq.design.settings import FisherDesign, Panel
    from dsacq.physics.masks import flat
    from dsacq.physics.pupil import PsfModel

    emitter = LoneEmitter(photons=PHOTONS, background=BACKGROUND)
    scalar = PsfModel(blur_px=model.blur_px)
    shown: FisherStep | None = None
    design = FisherDesign(kind="fisher")
    for step in fisher_design(flat(optics), optics, scalar, design, emitter, Panel()):
        if shown is None or step.step - shown.step >= _SHOWN_STEPS or step.step == step.of:
            shown = step
            yield step
