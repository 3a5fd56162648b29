"""The folder that keeps a z scan: written while it is taken, checked whole before it is used."""

import json
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from calibration.z_scan import (
    FARTHEST_UM,
    Plane,
    ZScan,
    ZScanSettings,
    drift_px,
    require_reachable,
    scan_of,
    z_scan,
)
from dsacq.config import validated
from dsacq.errors import FileError, SettingsError
from dsacq.files.atomic import discard, discard_folders, going_on, write_atomically
from dsacq.files.masks import write_mask
from dsacq.files.names import make_folder
from dsacq.files.paths import is_there
from dsacq.files.reading import reading
from dsacq.files.tiff import read_planes
from dsacq.files.tiff_writer import TiffPages
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel
from dsacq.version import software
from hardware.rig import Rig
from hardware.slm_pattern import Panel, PupilAlignment

PLANES, FACTS, MASK = FILES = "scan.tif", "scan.json", "mask.tif"

_Count = Annotated[int, Field(ge=1, le=100_000)]
_Place = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]  # um or px
_Counts = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]


def kept_scan(
    rig: Rig,
    settings: ZScanSettings,
    folder: Path,
    lasers_mw: Mapping[str, float] | None = None,
    stop: Event | None = None,
    *,
    farthest_um: float = FARTHEST_UM,
) -> Generator[Plane]:
    """A `z_scan` whose planes are in a new folder, with all that is needed to use them, as soon as
    they are yielded: however it ends, `read_scan` gives those that were taken. Nothing is left
    where there is none. Raises as `z_scan`, and FileError when they cannot be written."""
    _, stands_um = require_reachable(rig, settings, farthest_um)
    keeper = _Keeper(rig, settings, folder, stands_um)
    planes = z_scan(rig, settings, lasers_mw, stop, farthest_um=farthest_um)
    try:
        with closing(planes):
            for plane in planes:
                keeper.keep(plane)
                yield plane
    finally:
        keeper.close()


class _Keeper:
    """Writes planes into a new folder, one after the other."""

    def __init__(self, rig: Rig, settings: ZScanSettings, folder: Path, stands_um: float) -> None:
        self._rig, self._settings, self._folder = rig, settings, folder
        self._stands_um = stands_um
        self._first: Plane | None = None
        self._focus_um: list[float] = []
        self._file: TiffPages | None = None
        self._made = make_folder(folder, new=True)
        try:
            if rig.mask is not None:
                write_mask(rig.mask, folder / MASK)
        except BaseException:
            self.close()
            raise

    def keep(self, plane: Plane) -> None:
        """Raises FileError; what was kept before stays of use."""
        self._first = self._first or plane
        scan = scan_of(self._rig, [plane], self._settings)
        if plane.again is not None:
            scan = replace(scan, drift_px=drift_px(self._first, plane))
        counts = scan.planes[0]
        if self._file is None:
            self._file = TiffPages(
                self._folder / PLANES, counts.shape, np.float32, {"pixel_um": scan.optics.pixel_um}
            )
        self._file.write(counts)
        self._focus_um.append(plane.focus_um)
        self._write_facts(scan)

    def close(self) -> None:
        """The folder goes where nothing is in it that could be used."""
        if self._file is not None:
            self._file.close()
        if not (self._folder / FACTS).exists():
            for name in (PLANES, MASK):
                discard(self._folder / name)
            discard_folders(self._made)

    def _write_facts(self, scan: ZScan) -> None:
        rig = self._rig
        facts = {
            "kind": "dsacq z scan",
            "planned": scan.planned,
            "taken": len(self._focus_um),
            "focus_um": self._focus_um,
            "stood_um": self._stands_um,
            "counts_per_photon": scan.counts_per_photon,
            "saturated": scan.saturated,
            "mask_name": scan.mask_name,
            "slm": None if scan.panel is None else scan.panel._asdict(),
            "alignment": asdict(scan.alignment),
            "optics": asdict(scan.optics),
            "psf": asdict(scan.psf),
            "settings": asdict(self._settings),
            "drift_px": scan.drift_px,
            "exposure_s": rig.camera.exposure_s,
            "noise_known": rig.noise() is not None,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "made_by": software(),
        }
        with going_on():  # the next plane's are as good
            write_atomically(self._folder / FACTS, json.dumps(facts, indent=1).encode())


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class _PanelFacts:
    shape: tuple[_Count, _Count]
    pixel_um: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="ignore"))
class _Facts:
    """What of the facts is used; earlier scans have neither planned, taken nor stood_um."""

    kind: Literal["dsacq z scan"]
    focus_um: Annotated[tuple[_Place, ...], Field(min_length=1, max_length=100_000)]
    counts_per_photon: _Counts
    saturated: _Counts
    mask_name: str
    slm: _PanelFacts | None
    alignment: PupilAlignment
    optics: Optics
    psf: PsfModel
    drift_px: tuple[_Place, _Place] | None = None
    planned: _Count | None = None
    taken: _Count | None = None
    stood_um: _Place | None = None


def read_scan(folder: Path) -> ZScan:
    """What `kept_scan` kept. Raises FileError, or SettingsError for facts that cannot be."""
    path = folder / FACTS
    with reading(path, "a z scan"):
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(told, dict):
        raise FileError(f"{path}: cannot be read as a z scan (it holds no table of facts).")
    facts = validated(_Facts, told, str(path))
    _require_sane(facts, path)
    count = len(facts.focus_um)
    planes = _planes(folder, count, facts.taken is None)
    if facts.taken not in (None, count):
        raise FileError(f"{folder}: {PLANES} and {FACTS} do not belong together.")
    return ZScan(
        planes=planes,
        focus_um=np.array(facts.focus_um, np.float64),
        counts_per_photon=facts.counts_per_photon,
        saturated=facts.saturated,
        optics=facts.optics,
        psf=facts.psf,
        mask_name=facts.mask_name,
        panel=None if facts.slm is None else Panel(facts.slm.shape, facts.slm.pixel_um),
        alignment=facts.alignment,
        drift_px=facts.drift_px,
        planned=facts.planned,
        stood_um=facts.stood_um,
    )


def files_of(path: Path) -> list[Path]:
    """What is read of a z scan; of anything else, itself."""
    return [path / name for name in FILES] if is_scan(path) else [path]


def is_scan(path: Path) -> bool:
    """Whether a folder holds a z scan."""
    return is_there(path / FACTS, Path.is_file)


def _planes(folder: Path, count: int, exact: bool) -> NDArray[np.float32]:
    """The first `count`, one more being there when the last was not kept to its end."""
    planes = read_planes(folder / PLANES)[: None if exact else count]
    if len(planes) != count or planes.ndim != 3:
        raise FileError(f"{folder}: {PLANES} and {FACTS} do not belong together.")
    planes = planes.astype(np.float32)
    if not np.isfinite(planes).all():
        raise FileError(f"{folder / PLANES}: has pixels that are no finite numbers; scan again.")
    return planes


def _require_sane(facts: _Facts, path: Path) -> None:
    """Raises SettingsError for numbers that no microscope has."""
    optics, alignment, psf = facts.optics, facts.alignment, facts.psf
    centre = alignment.centre_px or (0.0, 0.0)
    for name, value, low, high in (
        ("optics.wavelength_um", optics.wavelength_um, 0.1, 20),
        ("optics.na", optics.na, 0.01, 3),
        ("optics.index_immersion", optics.index_immersion, 0.9, 5),
        ("optics.index_sample", optics.index_sample, 0.9, 5),
        ("optics.magnification", optics.magnification, 0.5, 10_000),
        ("optics.focal_4f_um", optics.focal_4f_um, 100, 1e8),
        ("optics.camera_pixel_um", optics.camera_pixel_um, 0.1, 1000),
        ("optics.mask_pixel_um", optics.mask_pixel_um, 0.01, 1e4),
        ("psf.oversample", psf.oversample, 1, 64),
        ("psf.blur_px", psf.blur_px, 0, 1000),
        ("alignment.scale", alignment.scale, 0.01, 100),
        ("alignment.rotation_rad", alignment.rotation_rad, -100, 100),
        *(("alignment.centre_px", place, -1e5, 1e5) for place in centre),
    ):
        if not low <= value <= high:
            raise SettingsError(
                f"{path}: {name} = {value:g} lies outside {low:g} to {high:g}; mend the file, or "
                "scan again."
            )
