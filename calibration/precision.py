"""How precisely a bead is localized at each focus, against what the photons allow."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.finding import Bead, bead_window
from calibration.z_scan import Plane
from dsacq.errors import SettingsError
from dsacq.files.figures import save_figure
from dsacq.localize.refine import psf_source, refine
from dsacq.physics.camera import Camera, read_variance_electrons, response, to_electrons
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel

Floats = NDArray[np.float64]

_Z_RANGE_UM = -0.4, 0.6  # around the coverslip, where the bead is looked for
_LEAST_FRAMES = 5


@dataclass(frozen=True, eq=False)
class AtFocus:
    """Localizations of one bead in the frames at one focus.

    std_um, bound_um, bias_um (3,): in x, y and z; their spread, the Cramer-Rao bound of a frame,
    and their mean from the median over all positions of the focus. photons: of a frame. found: the
    share of the frames in which the bead was found.
    """

    focus_um: float
    std_um: Floats
    bound_um: Floats
    bias_um: Floats
    photons: float
    found: float

    @property
    def ratio(self) -> Floats:
        """(3,) spread over the bound: 1 is as good as can be."""
        return self.std_um / self.bound_um


@dataclass(frozen=True, eq=False)
class Held:
    """frames (N, H, W) counts of one bead, near the middle, at a focus."""

    focus_um: float
    frames: NDArray[np.floating]


def held_bead(planes: list[Plane], bead: Bead, side_px: int, zero_um: float = 0.0) -> list[Held]:
    """The frames of one bead. zero_um: the stage where the coverslip is in focus. Raises ValueError
    for planes without their frames."""
    shape = planes[0].counts.shape
    window = bead_window(bead.row, bead.column, side_px, shape)
    if window is None:
        raise SettingsError("The bead is too near to the edge of the frame.")
    held = []
    for plane in planes:
        if plane.frames is None:
            raise ValueError("planes: expected a scan with keep_frames")
        held.append(Held(plane.focus_um - zero_um, plane.frames[:, *window]))
    return held


def localized(
    held: list[Held],
    mask: PhaseMask,
    optics: Optics,
    model: PsfModel,
    camera: Camera,
    radius_um: float = 0.05,
) -> Generator[int, None, list[AtFocus]]:
    """Localize a bead on the coverslip in every frame by maximum likelihood, with the focus known.

    mask, model: the PSF, as a calibration found it. Yields how many positions of the focus are
    done. Raises SettingsError for too few frames, and where the bead is lost.
    """
    if min(len(one.frames) for one in held) < _LEAST_FRAMES:
        raise SettingsError(f"A spread needs at least {_LEAST_FRAMES} frames at each focus.")
    made = response(camera)
    places, parts = [], []
    for number, one in enumerate(held):
        own = replace(optics, focus_um=one.focus_um, z_range_um=_Z_RANGE_UM)
        source = psf_source(mask, own, model)
        electrons = to_electrons(camera, torch.as_tensor(one.frames, dtype=torch.float32))
        middle = [size / 2 * optics.pixel_um for size in (one.frames.shape[2], one.frames.shape[1])]
        fits = [
            refine(
                frame,
                torch.tensor([[*middle, radius_um]]),
                source,
                read_variance=torch.as_tensor(read_variance_electrons(camera)),
                excess=made.excess,
                reach=min(one.frames.shape[1:]) // 2,
            )
            for frame in electrons
        ]
        fits = [fit for fit in fits if len(fit.xyz_um) == 1]
        if len(fits) < _LEAST_FRAMES:
            raise SettingsError(
                f"The bead is lost at focus {one.focus_um:g} um: found in {len(fits)} of "
                f"{len(electrons)} frames. Check the PSF and the light."
            )
        xyz_um = torch.cat([fit.xyz_um for fit in fits]).double().numpy()
        sigma_um = torch.cat([fit.sigma_um for fit in fits]).double().numpy()
        photons = float(np.mean([float(fit.electrons) for fit in fits])) / made.quantum_efficiency
        places.append(xyz_um.mean(0))
        parts.append((xyz_um.std(0, ddof=1), sigma_um.mean(0), photons, len(fits)))
        yield number + 1
    middle_um = np.median(places, axis=0)
    return [
        AtFocus(one.focus_um, std, bound, place - middle_um, photons, found / len(one.frames))
        for one, place, (std, bound, photons, found) in zip(held, places, parts, strict=True)
    ]


def precision_page(found: list[AtFocus], path: Path, headline: str) -> None:
    """Spread beside its bound, their ratio, and bias, through the focus. Raises FileError."""
    focus_um = [one.focus_um for one in found]
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    figure.suptitle(headline, fontsize=11)
    spread, ratio, bias = figure.subplots(1, 3)
    for axis, (name, colour) in enumerate((("x", "C0"), ("y", "C2"), ("z", "C1"))):
        spread.plot(focus_um, [1e3 * one.std_um[axis] for one in found], "o", ms=4, color=colour)
        bound_nm = [1e3 * one.bound_um[axis] for one in found]
        spread.plot(focus_um, bound_nm, "-", color=colour, label=name)
        ratio.plot(focus_um, [one.ratio[axis] for one in found], "o-", ms=4, color=colour)
        bias.plot(focus_um, [1e3 * one.bias_um[axis] for one in found], "o-", ms=4, color=colour)
    spread.set_ylabel("spread (dots) and Cramer-Rao bound (line), nm")
    spread.set_ylim(0, None)
    spread.legend()
    ratio.axhline(1.0, lw=0.8, color="0.6")
    ratio.set_ylabel("spread / bound")
    bias.axhline(0.0, lw=0.8, color="0.6")
    bias.set_ylabel("bias from the median, nm")
    for axes in (spread, ratio, bias):
        axes.set_xlabel("focus, um")
    save_figure(figure, path)
