"""A picture of accuracy against density: Jaccard index, lateral and axial error."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dsacq.analysis.sweep import Point
from dsacq.files.atomic import replacing

# Okabe and Ito's, told apart by the colour-blind too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_GREY = "#666666"
_BOUND = "Cramér-Rao bound, alone (median)"


def sweep_picture(points: Sequence[Point], radius_um: float, path: Path) -> None:
    """Write a PNG with a line for each way of localizing. Raises FileError when it cannot be."""
    figure = Figure(figsize=(12.6, 4.7))
    figure.subplots_adjust(left=0.06, right=0.985, top=0.86, bottom=0.27, wspace=0.24)
    panels = figure.subplots(1, 3)
    names = list(dict.fromkeys(point.name for point in points))
    lines = []
    for place, name in enumerate(names):
        own = [point for point in points if point.name == name]
        emitters = [point.emitters for point in own]
        scores = [point.scores for point in own]
        values = (
            [one.jaccard for one in scores],
            [_number(one.rmse_lateral_nm) for one in scores],
            [_number(one.rmse_axial_nm) for one in scores],
        )
        for axes, heights in zip(panels, values, strict=True):
            axes.plot(emitters, heights, **_look(place), clip_on=False)
        lines.append(Line2D([], [], **_look(place), label=name))
    lines.append(_draw_bounds(panels[1:], [point for point in points if point.name == names[0]]))
    per_um2 = points[0].density_per_um2 / points[0].emitters
    matched = f"Jaccard index (pairs within {1000 * radius_um:g} nm)"
    for axes, label in zip(panels, (matched, "lateral RMSE, nm", "axial RMSE, nm"), strict=True):
        _dress(axes, label, per_um2)
    panels[0].set_ylim(0, 1)
    shown = figure.legend(handles=lines, loc="lower center", ncols=4, frameon=False, fontsize=9)
    for text in shown.get_texts():
        text.set_parse_math(False)
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=150)


def _look(place: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[place % len(_COLOURS)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "markersize": 5,
        "linewidth": 1.6,
    }


def _draw_bounds(panels: Sequence[Axes], points: Sequence[Point]) -> Line2D:
    emitters = [point.emitters for point in points]
    lateral, axial = panels
    look: dict[str, Any] = {"color": _GREY, "linestyle": "--", "linewidth": 1.4}
    lateral.plot(emitters, [point.bound_lateral_nm for point in points], **look)
    axial.plot(emitters, [point.bound_axial_nm for point in points], **look)
    return Line2D([], [], **look, label=_BOUND)


def _dress(axes: Axes, label: str, per_um2: float) -> None:
    axes.set(xlabel="emitters per frame", ylabel=label)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(True, color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["right"].set_visible(False)
    density = axes.secondary_xaxis(
        "top",
        functions=(
            lambda count: np.asarray(count, float) * per_um2,
            lambda value: np.asarray(value, float) / per_um2,
        ),
    )
    density.set_xlabel("emitters per µm²", fontsize=9, color=_GREY)
    density.tick_params(labelsize=8, colors=_GREY)
    density.spines["top"].set_color(_GREY)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
