"""A page on a retrieved PSF that a person can judge."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from calibration.bead_scan import BeadScan
from calibration.retrieve import Retrieved
from dsacq.files.figures import save_figure

_SHOWN = 9


def report(found: Retrieved, scan: BeadScan, path: Path, headline: str) -> None:
    """Write a PNG or PDF: the phase, planes beside their model, correlation and photons by plane.

    Raises FileError when it cannot be written.
    """
    figure = Figure(figsize=(13, 7), layout="constrained")
    figure.suptitle(headline, fontsize=11)
    halves = figure.add_gridspec(2, 1, height_ratios=(1, 1.15))
    upper, lower = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    chosen = np.linspace(0, len(scan.planes) - 1, min(_SHOWN, len(scan.planes))).round().astype(int)
    panels = upper.subplots(2, len(chosen), squeeze=False)
    for column, plane in enumerate(chosen):
        data, model = scan.planes[plane], found.model_planes[plane]
        low, high = np.percentile(data, (1, 99.9))
        for row, (name, image) in enumerate((("data", data), ("model", model))):
            axes = panels[row, column]
            axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if column == 0:
                axes.set_ylabel(name)
        panels[0, column].set_title(f"focus {scan.focus_um[plane]:.2f} um", fontsize=8)
    left, middle, right = lower.subplots(1, 3)
    phase = np.where(found.mask.phase_rad == 0, np.nan, found.mask.phase_rad)
    shown = left.imshow(phase, cmap="twilight", vmin=-np.pi, vmax=np.pi, interpolation="nearest")
    lower.colorbar(shown, ax=left, label="phase, rad")
    left.set_title("retrieved phase, wrapped")
    left.set_axis_off()
    middle.plot(scan.focus_um, found.correlation, "o-", ms=3)
    middle.axhline(float(np.median(found.correlation)), lw=0.8, color="0.6")
    middle.set_xlabel("focus, um")
    middle.set_ylabel("correlation of plane and model")
    right.plot(scan.focus_um, found.photons, "o-", ms=3)
    right.set_ylim(0, None)
    right.set_xlabel("focus, um")
    right.set_ylabel("photons of the bead")
    save_figure(figure, path)
