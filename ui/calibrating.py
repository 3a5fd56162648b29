"""A PSF calibration as the window runs it: the scan on the rig, its beads, the search."""

import math
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


@dataclass(frozen=True)
class ScanWanted:
    """A z scan as it was chosen. relative: positions count from where the focus stands. far: a way
    of more than 20 um was agreed to."""

    settings: "ZScanSettings"
    relative: bool
    lasers_mw: dict[str, float]
    folder: Path
    side_px: int
    far: bool = False


def scanning(rig: "Rig", stop: Event, wanted: ScanWanted) -> "Generator[Plane | Scanned]":
    """Each plane as it comes, and last what was found in all; also of a scan that ended early, by
    `stop` or a failure, which is raised after it."""
    from calibration.scan_files import kept_scan
    from calibration.z_scan import FARTHEST_UM, focus_of
    from dsacq.errors import UserError

    settings = wanted.settings
    if wanted.relative:
        _, stands_um = focus_of(rig)
        settings = settings.around(stands_um)
    farthest_um = math.inf if wanted.far else FARTHEST_UM
    taken = 0
    planes = kept_scan(
        rig, settings, wanted.folder, wanted.lasers_mw, stop, farthest_um=farthest_um
    )
    try:
        with closing(planes):
            for plane in planes:
                taken += 1
                yield plane
    except UserError:
        if taken:
            yield opened_scan(wanted.folder, wanted.side_px)
        raise
    if taken:
        yield opened_scan(wanted.folder, wanted.side_px)


def opened_scan(folder: Path, side_px: int) -> Scanned:
    """Raises FileError or SettingsError."""
    from calibration.finding import find_beads
    from calibration.scan_files import FACTS, is_scan, read_scan
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
    from calibration.scan_files import MASK
    from calibration.z_scan import on_coverslip
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
