"""A PSF calibration as the window runs it: the scan on the rig, its beads, the search."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibration.finding import Bead
    from calibration.result import Calibrated
    from calibration.z_scan import Plane, ZScan, ZScanSettings
    from hardware.rig import Rig


@dataclass(frozen=True, eq=False)
class Scanned:
    """A z scan in its folder, and the beads in it."""

    folder: Path
    scan: "ZScan"
    beads: "list[Bead]"
    side_px: int


def scanning(
    rig: "Rig",
    stop: Event,
    settings: "ZScanSettings",
    lasers_mw: dict[str, float],
    folder: Path,
    side_px: int,
) -> "Generator[Plane | Scanned]":
    """Each plane as it comes, and last what was found in all; nothing is kept when stopped."""
    from calibration.finding import find_beads
    from calibration.z_scan import write_scan, z_scan

    planes = []
    with closing(z_scan(rig, settings, lasers_mw, stop)) as coming:
        for plane in coming:
            planes.append(plane)
            yield plane
    if len(planes) == len(settings.positions_um):
        scan = write_scan(rig, planes, settings, folder)
        yield Scanned(folder, scan, find_beads(scan, side_px), side_px)


def opened_scan(folder: Path, side_px: int) -> Scanned:
    """Raises FileError or SettingsError."""
    from calibration.finding import find_beads
    from calibration.z_scan import FACTS, is_scan, read_scan
    from dsacq.errors import FileError

    if not is_scan(folder):
        raise FileError(f"{folder}: is no z scan; it has no {FACTS}.")
    scan = read_scan(folder)
    return Scanned(folder, scan, find_beads(scan, side_px), side_px)


def retrieving(
    scanned: Scanned, bead: "Bead", radius_um: float, zero_um: float, *, pupil: bool
) -> "Generator[Any | Calibrated]":
    """Progress, and last the result. Raises SettingsError for a bead that cannot be used.

    pupil: search where the pupil lies on the SLM, and aberrations; else the phase of every sample.
    """
    from calibration.finding import bead_scan
    from calibration.result import calibrate, calibrate_pupil
    from calibration.z_scan import MASK, on_coverslip
    from dsacq.errors import SettingsError
    from dsacq.files.masks import read_mask

    whole = on_coverslip(scanned.scan, zero_um)
    one = bead_scan(whole, bead, scanned.side_px, radius_um)
    source = f"bead at row {bead.row:.0f}, column {bead.column:.0f} of {scanned.folder.name}"
    if not pupil:
        yield from calibrate(one, whole.optics, whole.psf, source)
        return
    if not (scanned.folder / MASK).exists():
        raise SettingsError("No mask was on the SLM during the scan; search the phase instead.")
    mask = read_mask(scanned.folder / MASK, optics=whole.optics)
    yield from calibrate_pupil(whole, one, mask, source)
