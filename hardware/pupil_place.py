"""Where the image of the pupil lies on an SLM, and what does not fit."""

from dataclasses import dataclass, replace

import numpy as np

from dsacq.physics.optics import Optics
from hardware.slm_pattern import Panel, PupilAlignment, to_panel

_FEWEST_PX = 16  # fewer cannot show a mask
_UNSEEN = 0.02  # of its diameter: as much may lie beside the SLM unnoticed


@dataclass(frozen=True)
class PupilPlace:
    """rows, columns: from where to where on the SLM, in pixels. diameter_px: not made wider by an
    oblique incidence."""

    panel: Panel
    diameter_px: float
    rows: tuple[float, float]
    columns: tuple[float, float]

    @property
    def misfit(self) -> str:
        """Why it fits on the SLM nowhere, or nothing."""
        if self.diameter_px < _FEWEST_PX:
            return (
                f"the pupil's image is {self.diameter_px:.3g} pixels across on the SLM, too few "
                "for a mask; check focal_4f_um, magnification, and pixel_um of the SLM"
            )
        (low, high), (left, right) = self.rows, self.columns
        size = (high - low, right - left)
        kept = min(pixels / taken for pixels, taken in zip(self.panel.shape, size, strict=True))
        if kept < 1 - _UNSEEN:
            rows, columns = self.panel.shape
            return (
                f"the pupil's image takes up {size[0]:,.0f} rows and {size[1]:,.0f} columns, but "
                f"the SLM has {rows:,} and {columns:,}: it cuts the NA to {100 * kept:.0f} %; "
                "check focal_4f_um, magnification, and pixel_um of the SLM, or give the NA that is "
                "left"
            )
        return ""

    @property
    def beside(self) -> tuple[float, str]:
        """How much of its diameter lies beside the SLM at most, and at which edge."""
        (low, high), (left, right), (rows, columns) = self.rows, self.columns, self.panel.shape
        over = {
            "upper": -0.5 - low,
            "lower": high - (rows - 0.5),
            "left": -0.5 - left,
            "right": right - (columns - 0.5),
        }
        edge = max(over, key=lambda name: over[name])
        return max(over[edge] / self.diameter_px, 0.0), edge


def pupil_place(optics: Optics, panel: Panel, alignment: PupilAlignment) -> PupilPlace:
    """Where the pupil's image lies on an SLM."""
    turn = np.linspace(0, 2 * np.pi, 361)
    radius_um = optics.pupil_diameter_um / 2
    rows, columns = to_panel(radius_um * np.cos(turn), radius_um * np.sin(turn), panel, alignment)
    return PupilPlace(
        panel,
        optics.pupil_diameter_um * alignment.scale / panel.pixel_um,
        (float(rows.min()), float(rows.max())),
        (float(columns.min()), float(columns.max())),
    )


def leaving(optics: Optics, panel: Panel, alignment: PupilAlignment) -> str:
    """That the alignment puts the pupil's image beside the SLM, in part or all, or nothing."""
    part, edge = pupil_place(optics, panel, alignment).beside
    if part <= _UNSEEN:
        return ""
    far = f"{100 * part:.0f} % of its diameter lies" if part < 1 else "all of it lies"
    return (
        f"the pupil's image leaves the SLM: {far} beyond the {edge} edge"
        f"{_swapped(optics, panel, alignment)}"
    )


def _swapped(optics: Optics, panel: Panel, alignment: PupilAlignment) -> str:
    if alignment.centre_px is None:
        return ""
    row, column = alignment.centre_px
    other = replace(alignment, centre_px=(column, row))
    if pupil_place(optics, panel, other).beside[0] > _UNSEEN:
        return f"; check centre_px = ({row:g}, {column:g}), its row and column"
    return (
        f"; centre_px = ({row:g}, {column:g}) is (row, column), and the other way round, "
        f"({column:g}, {row:g}), it fits"
    )
