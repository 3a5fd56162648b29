"""One figure on how emitters move."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dsacq.analysis.motion import (
    Anomalous,
    Confinement,
    Diffusion,
    Displacements,
    anomalous,
    confinement,
    diffusion,
    displacements,
    jump_distances,
)
from dsacq.analysis.rigid_motion import RigidMotion
from dsacq.data import Localizations
from dsacq.files.figures import save_figure

_TRACKS = 100  # whose own curves are drawn


@dataclass(frozen=True, eq=False)
class MotionReport:
    """All that is told of a table's motion."""

    moved: Displacements
    diffusion: Diffusion
    anomalous: Anomalous
    confinement: Confinement | None
    jumps_um: np.ndarray
    rigid: RigidMotion | None = None

    @property
    def summary(self) -> str:
        """One line of numbers."""
        rate, error, exponent = (
            self.diffusion.diffusion_um2_per_s,
            self.diffusion.error_um,
            self.anomalous.exponent,
        )
        text = (
            f"{len(self.moved.track)} tracks: D = {rate.value:.4g} um2/s ({rate.low:.4g} to "
            f"{rate.high:.4g}), localization error {1e3 * error.value:.0f} nm, exponent "
            f"{exponent.value:.2f} ({exponent.low:.2f} to {exponent.high:.2f})"
        )
        if self.confinement is not None:
            text += f"; confined within {self.confinement.radius_um:.3f} um"
        if self.rigid is not None:
            text += f"; turned by up to {np.degrees(np.nanmax(self.rigid.angle_rad)):.1f} degrees"
        return text + "."

    def told(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "tracks": len(self.moved.track),
            "diffusion_um2_per_s": vars(self.diffusion.diffusion_um2_per_s),
            "error_um": vars(self.diffusion.error_um),
            "exponent": vars(self.anomalous.exponent),
            "rate": vars(self.anomalous.rate),
            "confinement": None if self.confinement is None else vars(self.confinement),
            "lag_s": self.moved.lag_s.tolist(),
            "msd_um2": self.moved.mean.tolist(),
        }


def motion_report(
    table: Localizations,
    frame_interval_s: float,
    *,
    exposure_s: float | None = None,
    rigid: RigidMotion | None = None,
) -> MotionReport:
    """Raises SettingsError for a table without tracks, or with too short ones."""
    moved = displacements(table, frame_interval_s)
    return MotionReport(
        moved,
        diffusion(table, frame_interval_s, exposure_s=exposure_s),
        anomalous(moved, exposure_s=exposure_s),
        confinement(moved),
        jump_distances(table),
        rigid,
    )


def motion_picture(report: MotionReport, path: Path) -> None:
    """Write `motion_figure`. Raises FileError."""
    save_figure(motion_figure(report), path)


def motion_figure(report: MotionReport) -> Figure:
    """Displacements over lags, diffusion by track, jump distances, rotation."""
    moved = report.moved
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    figure.suptitle(report.summary, fontsize=10)
    spread, rates, jumps = figure.subplots(1, 3)
    for squared, pairs in list(zip(moved.squared_um2, moved.pairs, strict=True))[:_TRACKS]:
        known = pairs > 0
        spread.plot(moved.lag_s[known], squared[known], color="0.8", lw=0.5)
    known = moved.pairs.sum(0) > 0
    spread.plot(moved.lag_s[known], moved.mean[known], color="C0", lw=2, label="all tracks")
    rate, exponent = report.anomalous.rate.value, report.anomalous.exponent.value
    offset = np.nan_to_num(2 * moved.dimensions * moved.error_um2)
    curve = 2 * moved.dimensions * rate * moved.lag_s**exponent + offset
    spread.plot(moved.lag_s, curve, "--", color="C1", label=f"t^{exponent:.2f} and the error")
    spread.set(xscale="log", yscale="log", xlabel="lag, s", ylabel="mean squared displacement, um²")
    spread.legend(fontsize=8)
    rates.hist(report.diffusion.of_tracks, 30)
    rates.axvline(report.diffusion.diffusion_um2_per_s.value, color="C1")
    rates.set(xlabel="D of each track, um²/s", ylabel="tracks")
    if report.rigid is None:
        jumps.hist(report.jumps_um, 50)
        jumps.set(xlabel="distance from frame to frame, um", ylabel="steps")
    else:
        for axis, name in enumerate("xyz"):
            turn = np.degrees(report.rigid.rotation_rad[:, axis])
            jumps.plot(report.rigid.frame, turn, label=f"about {name}")
        jumps.set(xlabel="frame", ylabel="rotation of the whole, degrees")
        jumps.legend(fontsize=8)
    return figure
