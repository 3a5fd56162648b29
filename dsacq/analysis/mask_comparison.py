"""Masks side by side: precision and size of their images through depth, alone, in pairs, and with
aberrations; and what networks find in a crowd behind each."""

from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from dsacq.design.fisher import pair_bounds
from dsacq.files.figures import save_figure
from dsacq.physics.fisher import crlb
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel
from dsacq.physics.tetrapod import crop_shape
from dsacq.training.crowding import Crowded
from dsacq.training.priors import aberrated

Floats = NDArray[np.float64]

PAIRS_UM = (0.3, 0.6, 1.2, 2.4)
_DEPTHS, _PAIRS, _DRAWS = 41, 64, 8
_SHARE = 0.8  # of the light in the crop, that the footprint holds
_ABERRATION_RAD = 0.5


@dataclass(frozen=True, eq=False)
class MaskReport:
    """What a mask is worth. bound_nm (Z, 3): of one emitter at heights_um. radius_um (Z,): holds
    80 % of the light that falls in the crop. lost: the share of the light outside it, mean.
    pair_nm: mean over x, y, z of one of two emitters, the median of random pairs, by PAIRS_UM.
    aberrated_nm: mean bound with 0.5 rad rms of random aberrations, known to the fit.
    crowded: what a network finds behind it, by density; empty where none was trained."""

    name: str
    heights_um: Floats
    bound_nm: Floats
    radius_um: Floats
    lost: float
    pair_nm: tuple[float, ...]
    aberrated_nm: float
    crowded: tuple[Crowded, ...] = ()

    def row(self) -> dict[str, Any]:
        """The numbers of a table."""
        mean = self.bound_nm.mean(0)
        numbers: dict[str, Any] = {
            "mask": self.name,
            "mean_nm": float(mean.mean()),
            "worst_nm": float(self.bound_nm.mean(1).max()),
            "x_nm": float(mean[0]),
            "y_nm": float(mean[1]),
            "z_nm": float(mean[2]),
            "radius_um": float(self.radius_um.mean()),
            "lost_share": self.lost,
            "aberrated_mean_nm": self.aberrated_nm,
        }
        for distance, value in zip(PAIRS_UM, self.pair_nm, strict=True):
            numbers[f"pair_{distance:g}um_nm"] = value
        for point in self.crowded:
            at, scores = f"at_{point.density_per_um2:.3g}_per_um2", point.scores
            numbers[f"jaccard_{at}"] = scores.jaccard
            numbers[f"lateral_nm_{at}"] = scores.rmse_lateral_nm
            numbers[f"axial_nm_{at}"] = scores.rmse_axial_nm
        return numbers


def compare(
    masks: list[PhaseMask],
    optics: Optics,
    model: PsfModel,
    photons: float = 1e4,
    background: float = 50.0,
) -> Generator[MaskReport]:
    """A report on each mask, by the same optics, photons and background, all with the same pairs
    and aberrations."""
    for mask in masks:
        yield _examined(mask, optics, model, photons, background)


def comparison_picture(reports: list[MaskReport], path: Path) -> None:
    """All masks in one figure. Raises FileError."""
    crowded = any(report.crowded for report in reports)
    figure = Figure(figsize=(17 if crowded else 13, 7.5), layout="constrained")
    grid = figure.add_gridspec(2, 4 if crowded else 3)
    panels = [figure.add_subplot(grid[place, column]) for place in (0, 1) for column in range(3)]
    if crowded:
        _draw_crowded(reports, *(figure.add_subplot(grid[place, 3]) for place in (0, 1)))
    for number, report in enumerate(reports):
        colour = f"C{number}"
        for axes, axis in zip(panels, range(3), strict=False):
            axes.plot(report.heights_um, report.bound_nm[:, axis], color=colour, label=report.name)
        panels[3].plot(report.heights_um, report.radius_um, color=colour)
        panels[4].plot(PAIRS_UM, report.pair_nm, "o-", color=colour, ms=4)
        alone = float(report.bound_nm.mean())
        panels[5].bar(number - 0.2, alone, 0.38, color=colour)
        panels[5].bar(number + 0.2, report.aberrated_nm, 0.38, color=colour, alpha=0.5)
    for axes, name in zip(panels, "xyz", strict=False):
        axes.set(yscale="log", ylabel=f"bound in {name}, nm", xlabel="height, um")
    panels[0].legend(fontsize=8)
    panels[3].set(ylabel="radius of 80 % of the light, um", xlabel="height, um", ylim=(0, None))
    panels[4].set(
        xscale="log",
        yscale="log",
        ylabel="bound of one of two emitters, nm",
        xlabel="mean distance of the two, um",
    )
    panels[4].set_xticks(PAIRS_UM, [f"{distance:g}" for distance in PAIRS_UM])
    panels[4].xaxis.set_minor_formatter(NullFormatter())
    for axes in (*panels[:3], panels[4]):
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    panels[5].set_xticks(range(len(reports)), [report.name[:14] for report in reports], fontsize=8)
    panels[5].set_ylabel("mean bound, nm (pale: aberrated)")
    for axes in panels[:5]:
        axes.grid(alpha=0.3)
    save_figure(figure, path)


def _draw_crowded(reports: list[MaskReport], found: Axes, errors: Axes) -> None:
    for number, report in enumerate(reports):
        density = [point.density_per_um2 for point in report.crowded]
        scores = [point.scores for point in report.crowded]
        found.plot(density, [one.jaccard for one in scores], "o-", color=f"C{number}", ms=4)
        for name, style in (("rmse_lateral_nm", "o-"), ("rmse_axial_nm", "s--")):
            values = [getattr(one, name) or np.nan for one in scores]
            errors.plot(density, values, style, color=f"C{number}", ms=4)
    for axes in (found, errors):
        axes.set(xlabel="emitters per um2", xlim=(0, None), ylim=(0, None))
        axes.grid(alpha=0.3)
    found.set_ylabel("Jaccard index of a network")
    errors.set_ylabel("its errors, nm: lateral, axial dashed")


def _examined(
    mask: PhaseMask, optics: Optics, model: PsfModel, photons: float, background: float
) -> MaskReport:
    heights = np.linspace(*optics.z_range_um, _DEPTHS)
    xyz_um = torch.zeros(_DEPTHS, 3)
    xyz_um[:, 2] = torch.from_numpy(heights)
    shape = crop_shape(optics)

    def bound_nm(one: PhaseMask) -> Floats:
        limits = crlb(
            torch.from_numpy(one.phase_rad),
            xyz_um,
            optics,
            shape,
            model,
            photons=photons,
            background=background,
            mask_pixel_um=one.pixel_um,
        )
        return np.asarray(1e3 * limits[:, :3].double().numpy())

    draw = np.random.default_rng(0)
    with_errors = [
        float(bound_nm(aberrated(mask, optics, _ABERRATION_RAD, draw)).mean())
        for _ in range(_DRAWS)
    ]
    phase = torch.from_numpy(mask.phase_rad)
    images = psf(phase, xyz_um, optics, shape, model, mask_pixel_um=mask.pixel_um).double().numpy()
    pairs = []
    for distance_um in PAIRS_UM:
        bound = pair_bounds(
            phase,
            mask.pixel_um,
            optics,
            model,
            distance_um=distance_um,
            pairs=_PAIRS,
            photons=photons,
            background=background,
            draw=torch.Generator().manual_seed(1),
        )
        pairs.append(1e3 * float(bound.mean(1).median()))
    return MaskReport(
        name=mask.name,
        heights_um=heights,
        bound_nm=bound_nm(mask),
        radius_um=np.array([_radius_px(image) for image in images]) * optics.pixel_um,
        lost=float(1 - images.sum((1, 2)).mean()),
        pair_nm=tuple(pairs),
        aberrated_nm=float(np.mean(with_errors)),
    )


def _radius_px(image: Floats) -> float:
    """Of the circle around the centre of its light that holds most of it."""
    rows, columns = np.indices(image.shape)
    total = image.sum()
    row, column = (rows * image).sum() / total, (columns * image).sum() / total
    away = np.hypot(rows - row, columns - column).ravel()
    order = np.argsort(away)
    within = np.cumsum(image.ravel()[order]) / total
    return float(away[order][np.searchsorted(within, _SHARE)])


def as_told(report: MaskReport) -> dict[str, object]:
    """All of a report, as JSON can hold it."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in asdict(report).items()
    }
