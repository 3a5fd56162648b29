"""The files that a retrieved PSF leaves: the phase, what it is worth, and a page to judge it by."""

import json
import math
from collections.abc import Generator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from calibration.align import Aligned, align, require_structure
from calibration.bead_scan import BeadScan
from calibration.beads import (
    doubts,
    require_usable,
    retrieve_checked,
    retrieve_settings,
    twin_doubts,
)
from calibration.report import report
from calibration.retrieve import Progress, Retrieved, RetrieveSettings
from calibration.z_scan import ZScan
from dsacq.errors import SettingsError
from dsacq.files.atomic import write_atomically
from dsacq.files.masks import write_mask
from dsacq.files.measured_psf import KIND, measured_file
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel
from dsacq.version import software

ALIGN_PASSES = 60  # a few numbers are found sooner than a phase at every sample


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A retrieved PSF, of which bead scan and model. other_direction: as `retrieve_checked` tells.
    source: of the images, in words. aligned: what `align` found, where it was asked."""

    found: Retrieved
    scan: BeadScan
    other_direction: float
    optics: Optics
    psf: PsfModel
    source: str
    aligned: Aligned | None = None

    @property
    def doubts(self) -> list[str]:
        """What speaks against it, each in a sentence."""
        moved_nm = 1e3 * math.hypot(*self.scan.drift_px) * self.optics.pixel_um
        return doubts(self.found, self.other_direction, moved_nm) + twin_doubts(self.scan)

    @property
    def summary(self) -> str:
        """One line of numbers."""
        found = self.found
        text = (
            f"Median correlation {np.median(found.correlation):.4f}, lowest "
            f"{found.correlation.min():.4f}; chi-square {found.chi_square:.2f}; blur "
            f"{found.blur_px:.2f} px; the focus the other way: {self.other_direction:.2f} times "
            "this chi-square."
        )
        if self.aligned is None:
            return text
        alignment = self.aligned.alignment
        row, column = alignment.centre_px or (math.nan, math.nan)
        rms_rad = math.hypot(*self.aligned.aberration_rad.values())
        return (
            f"Pupil at row {row:.1f}, column {column:.1f} of the SLM, turned by "
            f"{math.degrees(alignment.rotation_rad):.2f} deg, scale {alignment.scale:.4f}; "
            f"aberrations {rms_rad / (2 * math.pi):.3f} waves rms. {text}"
        )

    def quality(self) -> dict[str, Any]:
        """The numbers by name."""
        found = self.found
        return {
            "median_correlation": float(np.median(found.correlation)),
            "lowest_correlation": float(found.correlation.min()),
            "median_residual": float(np.median(found.residual)),
            "chi_square": found.chi_square,
            "blur_px": found.blur_px,
            "beads": len(found.centre_um),
            "drift_px": list(self.scan.drift_px),
            "height_um": found.height_um.tolist(),
            "other_direction_chi_square_ratio": self.other_direction,
            "doubts": self.doubts,
        } | ({} if self.aligned is None else _told(self.aligned))


def calibrate(
    scan: BeadScan,
    optics: Optics,
    psf: PsfModel,
    source: str,
    passes: int = RetrieveSettings.passes,
) -> Generator[Progress | Calibrated]:
    """Retrieve the PSF of a scan that can be used, both ways of the focus; the result comes last.

    Raises SettingsError as `require_usable`.
    """
    require_usable(scan)
    search = retrieve_checked(scan, optics, psf, retrieve_settings(optics, passes))
    found, other_direction = yield from search
    yield Calibrated(found, scan, other_direction, optics, psf, source)


def calibrate_pupil(
    whole: ZScan, scan: BeadScan, mask: PhaseMask, source: str, passes: int = ALIGN_PASSES
) -> Generator[Progress | Calibrated]:
    """Where the pupil lies on the SLM that showed a mask during a z scan, and the aberrations; the
    result comes last. scan: one bead of it. Raises SettingsError as `require_usable` and
    `require_structure`."""
    require_usable(scan)
    if whole.panel is None:
        raise SettingsError("The scan was taken without an SLM, so there is no pupil on one.")
    require_structure(mask, whole.optics, whole.panel)
    optics, psf, settings = whole.optics, whole.psf, retrieve_settings(whole.optics, passes)
    aligned = yield from align(scan, optics, psf, mask, whole.panel, whole.alignment, settings)
    yield Calibrated(
        aligned.found, scan, aligned.other_direction, optics, psf, source, aligned=aligned
    )


def _told(aligned: Aligned) -> dict[str, Any]:
    return {
        "alignment": asdict(aligned.alignment),
        "aberration_rad": aligned.aberration_rad,
        "mirrored_chi_square_ratio": aligned.mirrored,
    }


def write_result(result: Calibrated, mask: Path, page: Path | None = None) -> None:
    """Write the phase, and beside it a JSON file with date, origin, settings and quality; the page
    where it is wanted. Raises FileError."""
    write_mask(result.found.mask, mask)
    told = {
        "kind": KIND,
        "mask": mask.name,
        "source": result.source,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "made_by": software(),
        "quality": result.quality(),
        "optics": asdict(result.optics),
        "psf": asdict(result.psf) | {"blur_px": result.found.blur_px},
        "bead_radius_um": result.scan.radius_um,
        "counts_per_photon": result.scan.counts_per_photon,
        "focus_um": np.asarray(result.scan.focus_um).tolist(),
    }
    write_atomically(measured_file(mask), json.dumps(told, indent=1).encode())
    if page is not None:
        report(result.found, result.scan, page, f"{result.source}: {result.summary}")
