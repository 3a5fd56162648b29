"""From a phase mask to the 8-bit pattern on an SLM, and back to what the light gets from it.

Positions on the mask are (x, y) in um from the optical axis, x along its columns (the pupil's u), y
along its rows (v); a pupil coordinate u lies at x = u f/M'. Positions on the SLM are (row, column)
in pixels, whole numbers at the centres of pixels. A longer optical path is a positive phase.
"""

import logging
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy import ndimage

from dsacq.bounds import bounded
from dsacq.files.grey_levels import (
    Table,
    largest_gap_rad,
    linear_table,
    nearest_levels,
    read_table,
)
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics, Positive, Wavelength

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Grey = NDArray[np.uint8]

_STRICT = ConfigDict(extra="forbid")
_Pixel = Annotated[float, Field(allow_inf_nan=False), bounded(-1e5, 1e5)]
_Angle = Annotated[
    float, Field(allow_inf_nan=False), bounded(-2 * np.pi, 2 * np.pi, "rad", ["degrees"])
]
_Incidence = Annotated[float, Field(allow_inf_nan=False), bounded(-1.5, 1.5, "rad", ["degrees"])]
_Scale = Annotated[Positive, bounded(0.01, 100)]
_RIM = 1.05  # the mask is shown a little beyond the pupil, whose image may lie off by some pixels
_COARSEST_RAD = 0.2  # largest step of phase, twice the largest error, that needs no word


class Panel(NamedTuple):
    """The pixels of an SLM: (rows, columns) and pitch."""

    shape: tuple[int, int]
    pixel_um: float


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class PupilAlignment:
    """Where the image of the pupil lies on the SLM.

    centre_px: (row, column) of the optical axis, by default the middle of the SLM.
    flip_x, flip_y, then rotation_rad (from columns towards rows): how the pupil's image is turned.
    scale: its size over that computed from the optics.
    incidence_rad: of the light, to the SLM's normal and in the plane of its rows; the image is
        wider by 1/cos along the columns then.
    """

    centre_px: tuple[_Pixel, _Pixel] | None = None
    rotation_rad: _Angle = 0.0
    flip_x: bool = False
    flip_y: bool = False
    scale: _Scale = 1.0
    incidence_rad: _Incidence = 0.0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class GreyLevels:
    """What phase the grey levels of an SLM make.

    levels_per_2pi: of an SLM whose phase is linear; more than 256 when it does not reach 2 pi.
    lut: instead, a CSV file of the phases of the 256 levels, rad; the file of an SLM whose higher
        levels are the shorter path has falling phases.
    wavelength_um: at which these hold, by default that in use; at a longer one phases are smaller.
    """

    levels_per_2pi: Annotated[float, Field(ge=2, le=65536)] = 256.0
    lut: Path | None = None
    wavelength_um: Wavelength | None = None

    def table(self, wavelength_um: float) -> Table:
        """(256,) rad by level at a wavelength; logs when it leaves phases out. Raises FileError."""
        table = linear_table(self.levels_per_2pi) if self.lut is None else read_table(self.lut)
        if self.wavelength_um is not None:
            table = table * (self.wavelength_um / wavelength_um)
        gap_rad = largest_gap_rad(table)
        if gap_rad > _COARSEST_RAD:
            logger.warning(
                "The SLM's grey levels leave out %.2g rad of 2 pi at %.3g um; phases there are "
                "shown as the nearest level.",
                gap_rad,
                wavelength_um,
            )
        return table


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Carrier:
    """A blazed grating, which moves the shaped image away from the light the SLM leaves as it is.

    The phase rises by 2 pi every period_px towards direction_rad, from columns towards rows of the
    SLM. The image moves by f wavelength/(period pixel_um)/M in the sample, the same way as the
    phase rises when the pupil's image is not turned.
    """

    period_px: Annotated[float, Field(le=1e5)]
    direction_rad: _Angle = 0.0

    def __post_init__(self) -> None:
        if not self.period_px > 2:
            raise ValueError(
                f"period_px={self.period_px:g}: expected more than 2, at which as much light goes "
                "to the other side; from 4 on most of it goes where it is to go"
            )

    @property
    def share(self) -> float:
        """Of the light, that the pixels send where it is to go. Source: as of a stepped blaze,
        Swanson, MIT Lincoln Laboratory Technical Report 854 (1989)."""
        return float(np.sinc(1 / self.period_px) ** 2)


def to_panel(
    x_um: Floats, y_um: Floats, panel: Panel, alignment: PupilAlignment
) -> tuple[Floats, Floats]:
    """(row, column) on the SLM of positions on the mask."""
    cos, sin = np.cos(alignment.rotation_rad), np.sin(alignment.rotation_rad)
    scale = alignment.scale / panel.pixel_um
    x, y = _flipped(x_um, y_um, alignment)
    row, column = _centre(panel, alignment)
    across = scale * (cos * x - sin * y) / np.cos(alignment.incidence_rad)
    return row + scale * (sin * x + cos * y), column + across


def to_mask(
    rows: Floats, columns: Floats, panel: Panel, alignment: PupilAlignment
) -> tuple[Floats, Floats]:
    """(x, y) um on the mask of positions on the SLM: the inverse of `to_panel`."""
    cos, sin = np.cos(alignment.rotation_rad), np.sin(alignment.rotation_rad)
    scale = panel.pixel_um / alignment.scale
    row, column = _centre(panel, alignment)
    down = scale * (rows - row)
    right = scale * (columns - column) * np.cos(alignment.incidence_rad)
    return _flipped(cos * right + sin * down, cos * down - sin * right, alignment)


def panel_phase(
    mask: PhaseMask,
    optics: Optics,
    panel: Panel,
    alignment: PupilAlignment,
    *,
    correction_rad: NDArray[Any] | None = None,
    carrier: Carrier | None = None,
) -> Floats:
    """Phase (rows, columns), rad, that the SLM is to give the light; not wrapped.

    The mask is interpolated bilinearly in exp(i phase) and shown where the light of the pupil
    falls. Elsewhere there is the carrier alone, or a checkerboard that throws the light aside.
    correction_rad: (rows, columns) of the SLM's own wavefront error with the sign that mends it.
    """
    rows, columns = np.ogrid[: panel.shape[0], : panel.shape[1]]
    x_um, y_um = to_mask(rows.astype(np.float64), columns.astype(np.float64), panel, alignment)
    inside = np.hypot(x_um, y_um) < _RIM * optics.pupil_diameter_um / 2
    phase = np.zeros(panel.shape)
    if carrier is None:
        phase += np.pi * ((rows + columns) % 2)
    phase[inside] = _interpolated(
        np.exp(1j * mask.phase_rad.astype(np.float64)),
        y_um[inside] / mask.pixel_um + (mask.phase_rad.shape[0] - 1) / 2,
        x_um[inside] / mask.pixel_um + (mask.phase_rad.shape[1] - 1) / 2,
    )
    if carrier is not None:
        row, column = _centre(panel, alignment)
        along = np.cos(carrier.direction_rad) * (columns - column)
        along = along + np.sin(carrier.direction_rad) * (rows - row)
        phase += 2 * np.pi / carrier.period_px * along
    if correction_rad is not None:
        if correction_rad.shape != panel.shape:
            raise ValueError(f"{correction_rad.shape=}: expected {panel.shape}")
        phase += correction_rad
    return phase


def slm_pattern(
    mask: PhaseMask,
    optics: Optics,
    panel: Panel,
    alignment: PupilAlignment,
    table: Table,
    *,
    correction_rad: NDArray[Any] | None = None,
    carrier: Carrier | None = None,
) -> Grey:
    """The pattern (rows, columns) that shows `panel_phase`, by the phases of the grey levels."""
    phase = panel_phase(
        mask, optics, panel, alignment, correction_rad=correction_rad, carrier=carrier
    )
    return nearest_levels(phase, table)


def seen_phase(
    grey: Grey,
    optics: Optics,
    panel: Panel,
    alignment: PupilAlignment,
    table: Table,
    *,
    pixel_um: float | None = None,
) -> NDArray[np.float32]:
    """Phase on the pupil, rad from -pi to pi, that the light gets from a pattern on the SLM.

    alignment, table: as they truly are. pixel_um: pitch of the square, odd, centred grid, to be
    given to `psf` too; by default the optics' mask_pixel_um. A carrier needs the SLM's own pitch.
    """
    pitch_um = optics.mask_pixel_um if pixel_um is None else pixel_um
    samples = (int(np.ceil(optics.pupil_diameter_um / pitch_um)) + 4) | 1
    axis: Floats = (np.arange(samples, dtype=np.float64) - samples // 2) * pitch_um
    places = to_panel(axis[None, :], axis[:, None], panel, alignment)
    return _interpolated(np.exp(1j * table)[grey], *places).astype(np.float32)


def staircase(shape: tuple[int, int], steps: int = 16) -> Grey:
    """Equal columns of grey from 0 to 255: shows whether levels reach the SLM unchanged."""
    step = np.arange(shape[1]) * steps // shape[1]
    return np.broadcast_to((step * 255 // (steps - 1)).astype(np.uint8), shape).copy()


def checkerboard(
    shape: tuple[int, int], size_px: int = 1, levels: tuple[int, int] = (0, 128)
) -> Grey:
    """Squares of two grey levels, the first at the upper left."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    squares: Grey = np.array(levels, np.uint8)[(rows // size_px + columns // size_px) % 2]
    return squares


def _centre(panel: Panel, alignment: PupilAlignment) -> tuple[float, float]:
    rows, columns = panel.shape
    return alignment.centre_px or ((rows - 1) / 2, (columns - 1) / 2)


def _flipped(x: Floats, y: Floats, alignment: PupilAlignment) -> tuple[Floats, Floats]:
    return -x if alignment.flip_x else x, -y if alignment.flip_y else y


def _interpolated(field: NDArray[np.complex128], rows: Floats, columns: Floats) -> Floats:
    """Phase of a field between its samples; beyond its edges it goes on as at them."""
    rows, columns = np.broadcast_arrays(rows, columns)
    phase: Floats = np.angle(
        ndimage.map_coordinates(field, (rows, columns), order=1, mode="nearest")
    )
    return phase
