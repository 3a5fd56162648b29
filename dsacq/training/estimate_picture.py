"""A picture to judge estimated priors by: real frames above simulated ones, on one grey scale."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from dsacq.files.atomic import replacing
from dsacq.physics.camera import response, to_photons
from dsacq.physics.masks import PhaseMask
from dsacq.training.chosen_priors import gain_adu_per_electron
from dsacq.training.estimate import Estimate
from dsacq.training.examine import Examined
from dsacq.training.priors import Sampler
from dsacq.training.settings import TrainingSettings

_COLUMNS = 3
_SCALE_BAR_UM = 5.0
_PAPER, _INK, _FAINT, _REAL, _PRIOR = "#14171c", "#e6e8eb", "#8b929c", "#6ec1ff", "#ffb454"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "figure.facecolor": _PAPER,
    "axes.facecolor": _PAPER,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
Image = NDArray[np.float32]


def estimate_picture(
    examined: Sequence[Examined],
    estimate: Estimate,
    settings: TrainingSettings,
    mask: PhaseMask,
    title: str,
    path: Path,
) -> None:
    """Write a PNG: frames as examined, frames drawn from the priors at the density found, and how
    photons and noise compare. Raises FileError when it cannot be written."""
    chosen = np.unique(np.linspace(0, len(examined) - 1, _COLUMNS).round().astype(int))
    shown = [examined[k] for k in chosen]
    height, width = (min(part.image.shape[axis] for part in examined) for axis in (0, 1))
    real = [part.image[:height, :width] for part in shown]
    drawn = _drawn(settings, mask, estimate, len(real), (height, width))
    low, high = np.percentile(np.stack(real), (0.5, 99.8))
    with rc_context(_STYLE):
        wide = 2.7 * len(real) * min(max(width / height, 0.5), 2)
        figure = Figure(figsize=(wide + 6.2, 6.6))
        edge = wide / (wide + 6.2)
        figure.text(0.02, 0.955, title[:60], fontsize=14, weight="bold", parse_math=False)
        panels = figure.add_gridspec(
            2, len(real), left=0.02, right=edge, top=0.88, bottom=0.03, hspace=0.14, wspace=0.04
        )
        for row, images in enumerate((real, drawn)):
            for column, image in enumerate(images):
                axes = figure.add_subplot(panels[row, column])
                grey = axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
                axes.set_axis_off()
                told = f"frame {shown[column].number}" if row == 0 else "simulated from the priors"
                axes.set_title(told, loc="left", color=_REAL if row == 0 else _PRIOR)
                if row == column == 0:
                    _draw_scale(axes, settings.optics.pixel_um, image.shape)
        scale = figure.colorbar(grey, cax=figure.add_axes((edge + 0.012, 0.03, 0.011, 0.85)))
        scale.set_label("photons per pixel")
        scale.outline.set_visible(False)
        charts = figure.add_gridspec(
            2, 1, left=edge + 0.115, right=0.975, top=0.88, bottom=0.085, hspace=0.42
        )
        _draw_photons(figure.add_subplot(charts[0]), examined, estimate, settings)
        _draw_transfer(figure.add_subplot(charts[1]), estimate, settings)
        with replacing(path) as partial:
            figure.savefig(partial, format="png", dpi=130)


def _drawn(
    settings: TrainingSettings,
    mask: PhaseMask,
    estimate: Estimate,
    count: int,
    shape: tuple[int, int],
) -> list[Image]:
    density = estimate.density_per_um2 or settings.priors.density_per_um2 / 4
    batch = Sampler(settings, mask).fixed_batch(0, count, shape, density)
    return list(to_photons(settings.camera, batch.counts[:, batch.counts.shape[1] // 2]).numpy())


def _draw_scale(axes: Axes, pixel_um: float, shape: tuple[int, ...]) -> None:
    rows, columns = shape
    length = _SCALE_BAR_UM / pixel_um
    place = (0.04 * columns, 0.94 * rows)
    axes.add_patch(Rectangle(place, length, 0.018 * rows, color=_INK, linewidth=0))
    middle = place[0] + length / 2
    axes.text(middle, 0.925 * rows, f"{_SCALE_BAR_UM:g} µm", ha="center", fontsize=8)


def _draw_photons(
    axes: Axes, examined: Sequence[Examined], estimate: Estimate, settings: TrainingSettings
) -> None:
    found = np.concatenate([part.photons for part in examined])
    generator = torch.Generator().manual_seed(0)
    prior = settings.priors.photons.sample(20_000, generator).numpy()
    ends = np.concatenate([found, np.percentile(prior, (0.5, 99.5))])
    bins = np.geomspace(ends.min(), ends.max(), 30).tolist()
    if len(found):
        axes.hist(
            found, bins, weights=np.full(len(found), 1 / len(found)), color=_REAL, label="found"
        )
    weights = np.full(len(prior), 1 / len(prior))
    axes.hist(prior, bins, weights=weights, histtype="step", color=_PRIOR, lw=1.8, label="prior")
    axes.axvline(estimate.visible_photons, color=_FAINT, ls="dashed", lw=1, label="visible")
    axes.set(xscale="log", yticks=[], xlabel="photons of an emitter at the sensor")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if ends.max() < 100 * ends.min() else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title("Brightness", loc="left")
    axes.legend(loc="upper right")


def _draw_transfer(axes: Axes, estimate: Estimate, settings: TrainingSettings) -> None:
    axes.set_title("Camera: noise between consecutive frames", loc="left")
    transfer, made = estimate.transfer, response(settings.camera)
    if not len(transfer.mean_adu):
        axes.set_axis_off()
        axes.text(0.0, 0.85, "too few frames to tell", color=_FAINT, transform=axes.transAxes)
        return
    given = gain_adu_per_electron(settings.camera)
    offset = float(np.mean(made.offset_adu))
    read_adu2 = float(np.mean(made.read_variance_electrons)) * given**2
    axes.scatter(transfer.mean_adu, transfer.variance_adu2, s=9, color=_REAL, alpha=0.7, lw=0)
    mean = np.linspace(min(offset, transfer.mean_adu.min()), 1.05 * transfer.mean_adu.max(), 2)
    excess = 2 if made.excess else 1
    lines = [(given, _PRIOR, "solid", "given")]
    if transfer.adu_per_electron is not None:
        lines.append((transfer.adu_per_electron, _REAL, "dashed", "measured, dark pixels"))
    for gain, colour, line, name in lines:
        variance = excess * gain * (mean - offset) + read_adu2
        told = f"{gain:.3g} ADU per electron {name}"
        axes.plot(mean, variance, color=colour, ls=line, lw=1.6, label=told)
    axes.set(xlabel="mean, ADU", ylabel="variance, ADU²", ylim=(0, None))
    axes.legend(loc="upper left")
