"""A picture of a phase mask: its phase, its PSF through depth, the precision it allows."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from dsacq.files.atomic import replacing
from dsacq.physics.fisher import crlb
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel
from dsacq.physics.tetrapod import crop_shape

_PHOTONS, _BACKGROUND = 1e4, 50.0
_MODEL = PsfModel(blur_px=1.0)
_HEIGHTS = 7
_SCALE_BAR_UM = 2.0
_PAPER, _INK, _FAINT = "#14171c", "#e6e8eb", "#8b929c"
_AXES = {"x": ("#6ec1ff", "-"), "y": ("#8fe0a4", (0, (5, 1.5))), "z": ("#ffb454", "-")}
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "figure.facecolor": _PAPER,
    "axes.facecolor": _PAPER,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.titlecolor": _INK,
    "axes.titlesize": 10,
    "text.color": _INK,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "grid.color": "#2a2f37",
}


def mask_picture(mask: PhaseMask, optics: Optics, path: Path) -> None:
    """Write a PNG: wrapped phase, images over `optics.z_range_um`, Cramer-Rao bounds over depth.

    The bounds hold for one emitter of 10 000 photons on 50 per pixel, blurred by one pixel.
    Raises FileError when it cannot be written.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(13, 5.4))
        halves = figure.add_gridspec(
            1, 2, width_ratios=(1, 2.35), left=0.025, right=0.98, top=0.84, bottom=0.11, wspace=0.13
        )
        title = mask.name.replace("_", " ")[:48]
        figure.text(0.025, 0.94, title, fontsize=15, weight="bold", parse_math=False)
        figure.text(0.98, 0.945, _setting(optics), ha="right", color=_FAINT)
        _draw_phase(figure.add_subplot(halves[0]), mask, optics)
        rows = halves[1].subgridspec(2, 1, height_ratios=(1, 1.75), hspace=0.38)
        images = rows[0].subgridspec(1, _HEIGHTS, wspace=0.05)
        _draw_images([figure.add_subplot(images[i]) for i in range(_HEIGHTS)], mask, optics)
        _draw_bounds(figure.add_subplot(rows[1]), mask, optics)
        with replacing(path) as partial:
            figure.savefig(partial, format="png", dpi=150)


def _setting(optics: Optics) -> str:
    return (
        f"NA {optics.na:g}   indices {optics.index_immersion:g} / {optics.index_sample:g}   "
        f"wavelength {optics.wavelength_um:g} µm   focus {optics.focus_um:g} µm"
    )


def _draw_phase(axes: Axes, mask: PhaseMask, optics: Optics) -> None:
    """The part of the mask that the light of the objective meets, wrapped."""
    radius = optics.pupil_diameter_um / 2
    half = [samples * mask.pixel_um / 2 for samples in mask.phase_rad.shape]
    wrapped = np.angle(np.exp(1j * mask.phase_rad.astype(np.float64)))
    picture = axes.imshow(
        wrapped,
        cmap="twilight",
        vmin=-np.pi,
        vmax=np.pi,
        extent=(-half[1], half[1], half[0], -half[0]),
        interpolation="nearest",
    )
    edge = Circle((0, 0), radius, fill=False, edgecolor=_INK, linewidth=1.2)
    axes.add_patch(edge)
    picture.set_clip_path(edge)
    told = f"pupil {2 * radius / 1000:.2f} mm, samples of {mask.pixel_um:g} µm"
    if optics.na_sample < optics.na:
        inner = radius * optics.na_sample / optics.na
        axes.add_patch(
            Circle((0, 0), inner, fill=False, edgecolor=_INK, linewidth=0.9, ls=(0, (4, 4)))
        )
        told += f"\ndashed: light that propagates in the sample (index {optics.index_sample:g})"
    axes.set(xlim=(-1.04 * radius, 1.04 * radius), ylim=(1.04 * radius, -1.04 * radius))
    axes.set_axis_off()
    axes.set_anchor("N")
    bar = axes.inset_axes((0.2, -0.05, 0.6, 0.03))
    scale = axes.figure.colorbar(picture, cax=bar, orientation="horizontal")
    scale.set_ticks([-np.pi, 0, np.pi], labels=["\u2212π", "phase", "π"])
    scale.outline.set_visible(False)
    axes.text(
        0.5,
        -0.17,
        told,
        transform=axes.transAxes,
        ha="center",
        va="top",
        color=_FAINT,
        fontsize=8.5,
    )


def _draw_images(panels: list[Axes], mask: PhaseMask, optics: Optics) -> None:
    heights = np.linspace(*optics.z_range_um, len(panels))
    shape = crop_shape(optics)
    phase = torch.from_numpy(mask.phase_rad)
    images = psf(phase, _on_axis(heights), optics, shape, _MODEL, mask_pixel_um=mask.pixel_um)
    for axes, height, image in zip(panels, heights, images.numpy(), strict=True):
        axes.imshow(image, cmap="inferno", vmin=0, interpolation="nearest")
        axes.set_title(f"{height:.2f}".rstrip("0").rstrip(".") + " µm", pad=5)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
    bar_px = _SCALE_BAR_UM / optics.pixel_um
    rows, columns = shape
    panels[0].add_patch(
        Rectangle((0.06 * columns, 0.92 * rows), bar_px, 0.025 * rows, color=_INK, linewidth=0)
    )
    panels[0].text(
        0.06 * columns + bar_px / 2, 0.89 * rows, f"{_SCALE_BAR_UM:g} µm", ha="center", fontsize=8
    )


def _draw_bounds(axes: Axes, mask: PhaseMask, optics: Optics) -> None:
    heights = np.linspace(*optics.z_range_um, 81)
    limits = crlb(
        torch.from_numpy(mask.phase_rad),
        _on_axis(heights),
        optics,
        crop_shape(optics),
        _MODEL,
        photons=_PHOTONS,
        background=_BACKGROUND,
        mask_pixel_um=mask.pixel_um,
    )
    nanometres = 1000 * limits[:, :3].numpy()
    for (name, (colour, line)), values in zip(_AXES.items(), nanometres.T, strict=True):
        axes.plot(heights, values, color=colour, linestyle=line, linewidth=1.8, label=name)
    axes.set(
        yscale="log",
        xlim=optics.z_range_um,
        ylim=(0.7 * np.nanmin(nanometres), min(1.4 * np.nanmax(nanometres), 500)),
        xlabel="height above the coverslip, µm",
        ylabel="standard deviation, nm",
    )
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title(
        f"best precision for one emitter of {_PHOTONS:,.0f} photons on a background of "
        f"{_BACKGROUND:g} per pixel".replace(",", "\u2009"),
        loc="left",
    )
    axes.grid(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, ncols=3, loc="upper right", bbox_to_anchor=(1, 1.14))


def _on_axis(heights_um: NDArray[np.float64]) -> torch.Tensor:
    xyz_um = torch.zeros(len(heights_um), 3)
    xyz_um[:, 2] = torch.from_numpy(heights_um)
    return xyz_um
