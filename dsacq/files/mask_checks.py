"""What a phase mask must be before it is used, from whichever file it comes."""

import logging
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dsacq.errors import FileError
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics

log = logging.getLogger(__name__)

SMALLEST, LARGEST = 8, 16384  # samples along each axis
Pitch = Annotated[float, Field(gt=0, le=1e4)]  # um, of its samples
Wavelength = Annotated[float, Field(ge=0.01, le=100)]  # um, at which its phase holds
_LARGEST_RAD = 1e6  # single precision tells phases beyond by a tenth of a radian at best
_WIDE, _OBLONG = 1.5, 1.2  # of the pupil, and of its own sides: told, as some are meant so


def require_shape(path: Path, shape: tuple[int, ...]) -> None:
    """Raises FileError where an array of this shape is no mask."""
    if len(shape) != 2 or not all(SMALLEST <= samples <= LARGEST for samples in shape):
        size = " x ".join(str(samples) for samples in shape) or "1"
        raise FileError(
            f"{path}: holds {size} numbers; a mask has two dimensions "
            f"of {SMALLEST} to {LARGEST} samples."
        )


def checked_phase(path: Path, array: NDArray[Any]) -> NDArray[np.float32]:
    """The array as single precision, once it is known to be a finite map of real numbers, of a size
    that a phase in rad can have. Raises FileError."""
    require_shape(path, array.shape)
    if array.dtype.kind not in "fiu":
        raise FileError(f"{path}: holds no real numbers; save the phase in rad.")
    with np.errstate(all="ignore"):  # what does not fit becomes infinite, and is told
        phase = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(phase).all():
        raise FileError(f"{path}: has samples that are no finite number; set them to 0.")
    require_below(path, phase, _LARGEST_RAD)
    return phase


def require_below(path: Path, phase: NDArray[np.float32], largest_rad: float) -> None:
    """Raises FileError where a phase goes beyond that, to either side."""
    low, high = float(phase.min()), float(phase.max())
    if max(-low, high) > largest_rad:
        raise FileError(f"{path}: reaches from {low:g} to {high:g}, which is no phase in rad.")


def require_fit(path: Path, mask: PhaseMask, optics: Optics) -> None:
    """Refuse a mask that light passes beside, or whose samples are too coarse to shape it.

    Raises FileError.
    """
    pupil_um = _pupil_um(optics)
    across_um = min(mask.phase_rad.shape) * mask.pixel_um
    if across_um < 0.98 * pupil_um or pupil_um < SMALLEST * mask.pixel_um:
        raise FileError(
            f"{path}: is {across_um / 1000:.3g} mm across with samples of {mask.pixel_um:g} um, "
            f"which does not fit a pupil of {pupil_um / 1000:.3g} mm; "
            "check mask_pixel_um, focal_4f_um and na."
        )


def remark_on_size(path: Path, mask: PhaseMask, optics: Optics) -> None:
    """Log a warning for a mask that is much wider than the pupil or oblong: its middle is used."""
    short_um, long_um = (side * mask.pixel_um for side in sorted(mask.phase_rad.shape))
    pupil_um = _pupil_um(optics)
    if short_um > _WIDE * pupil_um or long_um > _OBLONG * short_um:
        rows, columns = mask.phase_rad.shape
        log.warning(
            "%s: has %d x %d samples, but the pupil covers %d of them across: only the middle of "
            "the mask is used. If it should fill the pupil, check mask_pixel_um.",
            path,
            rows,
            columns,
            round(pupil_um / mask.pixel_um),
        )


def _pupil_um(optics: Optics) -> float:
    """Diameter on the mask of the light that propagates in the sample."""
    return optics.pupil_diameter_um * optics.na_sample / optics.na
