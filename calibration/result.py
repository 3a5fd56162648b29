"""The files that a retrieved PSF leaves: the phase, what it is worth, and a page to judge it by."""

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from calibration.beads import doubts, require_usable, retrieve_checked, retrieve_settings
from calibration.report import report
from calibration.retrieve import BeadScan, Progress, Retrieved, RetrieveSettings
from dsacq.files.atomic import write_atomically
from dsacq.files.masks import write_mask
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel
from dsacq.version import software


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A retrieved PSF, of which bead scan and model. other_direction: as `retrieve_checked` tells.
    source: of the images, in words."""

    found: Retrieved
    scan: BeadScan
    other_direction: float
    optics: Optics
    psf: PsfModel
    source: str

    @property
    def doubts(self) -> list[str]:
        """What speaks against it, each in a sentence."""
        return doubts(self.found, self.other_direction)

    @property
    def summary(self) -> str:
        """One line of numbers."""
        found = self.found
        return (
            f"Median correlation {np.median(found.correlation):.4f}, lowest "
            f"{found.correlation.min():.4f}; chi-square {found.chi_square:.2f}; blur "
            f"{found.blur_px:.2f} px; the focus the other way: {self.other_direction:.2f} times "
            "this chi-square."
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
            "other_direction_chi_square_ratio": self.other_direction,
            "doubts": self.doubts,
        }


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


def write_result(result: Calibrated, mask: Path, page: Path | None = None) -> None:
    """Write the phase, and beside it a JSON file with date, origin, settings and quality; the page
    where it is wanted. Raises FileError."""
    write_mask(result.found.mask, mask)
    told = {
        "kind": "dsacq psf",
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
    write_atomically(mask.with_suffix(".json"), json.dumps(told, indent=1).encode())
    if page is not None:
        report(result.found, result.scan, page, f"{result.source}: {result.summary}")
