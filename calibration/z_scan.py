"""Images at many positions of the focus, on the rig, and the file that keeps them."""

import json
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from calibration.registration import likeness, offset_px
from dsacq.awake import while_awake
from dsacq.config import validated
from dsacq.errors import FileError, SettingsError
from dsacq.files.atomic import replacing, write_atomically
from dsacq.files.masks import write_mask
from dsacq.files.names import make_folder
from dsacq.files.reading import reading
from dsacq.files.tiff import read_planes
from dsacq.physics.camera import response
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel
from dsacq.version import software
from hardware.pictures import pictures
from hardware.protocols import DeviceError, Stage
from hardware.rig import Rig
from hardware.slm_pattern import Panel, PupilAlignment

PLANES, FACTS, MASK = "scan.tif", "scan.json", "mask.tif"

_APPROACH_UM = 1.0  # from below: the first position is reached as all others are
_SETTLE_S = 0.05  # of the stage, before a plane
_MISSED = 0.5  # of a step, that a plane may lie beside its place
_MOST_PLANES = 1000
_LEAST_LIKENESS = 0.3  # of the first picture and the one at the end


@dataclass(frozen=True, kw_only=True)
class ZScanSettings:
    """From the first to the last position of the focus, both included, upwards; `frames` are
    added up in each plane."""

    first_um: float
    last_um: float
    step_um: float = 0.1
    frames: int = 5

    def __post_init__(self) -> None:
        if self.step_um <= 0 or self.frames < 1:
            raise SettingsError("A z scan needs a step above 0 and at least one frame per plane.")
        if self.last_um - self.first_um < 2 * self.step_um:
            raise SettingsError(
                f"A z scan from {self.first_um:g} to {self.last_um:g} um in steps of "
                f"{self.step_um:g} um has fewer than 3 planes."
            )
        if len(self.positions_um) > _MOST_PLANES:
            raise SettingsError(
                f"A z scan of {len(self.positions_um)} planes is more than {_MOST_PLANES}; take "
                "larger steps."
            )

    @property
    def positions_um(self) -> NDArray[np.float64]:
        """(K,)."""
        count = int((self.last_um - self.first_um) / self.step_um + 1e-6) + 1
        return np.asarray(self.first_um + self.step_um * np.arange(count), np.float64)


@dataclass(frozen=True, eq=False)
class Plane:
    """The sum of the frames at one position. number: from 0, of `of`. focus_um: as the stage
    measured it. counts (rows, columns): the camera's offset is left in. frames: each by itself,
    (N, rows, columns), where they were asked for. again: with the last plane, the sum at the first
    position once more, which tells how the sample moved meanwhile."""

    number: int
    of: int
    focus_um: float
    counts: NDArray[np.float32]
    frames: NDArray[np.float32] | None = None
    again: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class ZScan:
    """planes (K, rows, columns) counts; focus_um (K,). counts_per_photon: twice the gain of an
    EMCCD. saturated: least sum that holds a saturated pixel. panel, alignment: the SLM that the
    mask was shown on, or None, and where. drift_px: (x, y) of the sample from the first plane to
    the last, or None where it is not known."""

    planes: NDArray[np.float32]
    focus_um: NDArray[np.float64]
    counts_per_photon: float
    saturated: float
    optics: Optics
    psf: PsfModel
    mask_name: str
    panel: Panel | None = None
    alignment: PupilAlignment = PupilAlignment()  # noqa: RUF009 - frozen
    drift_px: tuple[float, float] | None = None


@while_awake("takes a z scan")
def z_scan(
    rig: Rig,
    settings: ZScanSettings,
    lasers_mw: Mapping[str, float] | None = None,
    stop: Event | None = None,
    *,
    keep_frames: bool = False,
) -> Generator[Plane]:
    """Move the focus upwards through the positions, and yield what the camera sees at each.

    However it ends, the light is off and the focus where it was. Raises SettingsError, before
    anything moves, for positions outside the limits; DeviceError when the stage does not follow.
    """
    focus = rig.focus
    if focus is None:
        raise SettingsError("A z scan needs a focus: give the rig file a table [focus].")
    low, high = focus.limits_um
    positions = settings.positions_um
    if positions[0] < low or positions[-1] > high:
        raise SettingsError(
            f"The z scan from {positions[0]:g} to {positions[-1]:g} um leaves the limits of "
            f"{focus.name}, {low:g} to {high:g} um."
        )
    before_um, stop = focus.position_um(), stop or Event()
    try:
        rig.light(rig.settings.use.lasers_mw if lasers_mw is None else lasers_mw)
        focus.move_to(max(low, float(positions[0]) - _APPROACH_UM))
        for number, wanted_um in enumerate(positions):
            if stop.is_set():
                return
            frames = _taken(rig, focus, float(wanted_um), settings.frames)
            reached_um = focus.position_um()
            if abs(reached_um - wanted_um) > _MISSED * settings.step_um:
                raise DeviceError(
                    focus.name,
                    f"stands at {reached_um:.3f} um where the z scan asked for {wanted_um:.3f} um; "
                    "it does not follow steps this small, or something holds it.",
                )
            counts = frames.sum(0)
            kept = frames if keep_frames else None
            again = None
            if number == len(positions) - 1:
                focus.move_to(max(low, float(positions[0]) - _APPROACH_UM))
                again = _taken(rig, focus, float(positions[0]), settings.frames).sum(0)
            yield Plane(number, len(positions), reached_um, counts, kept, again)
    finally:
        rig.dark()
        focus.move_to(before_um)


def _taken(rig: Rig, focus: Stage, wanted_um: float, count: int) -> NDArray[np.float32]:
    """Frames at a position."""
    focus.move_to(wanted_um)
    time.sleep(_SETTLE_S)
    with closing(pictures(rig.camera, count)) as coming:
        return np.stack([frame.astype(np.float32) for frame in coming])


def _drift_px(planes: list[Plane]) -> tuple[float, float] | None:
    """(x, y) from the first plane to the last, if the same is seen once more at the end."""
    first, again = planes[0].counts.astype(np.float64), planes[-1].again
    if again is None or len(planes) < 2:
        return None
    first, last = first - np.median(first), again - np.median(again).astype(np.float64)
    offset = offset_px(first[None], last[None])
    if likeness(first, last, offset) < _LEAST_LIKENESS:
        return None
    # It came back one plane's time after the last.
    row, column = offset * (len(planes) - 1) / len(planes)
    return float(column), float(row)


def scan_of(rig: Rig, planes: list[Plane], settings: ZScanSettings) -> ZScan:
    """What the planes of a scan are together, by the rig's noise and optics."""
    noise = rig.noise()
    made = None if noise is None else response(noise)
    gain, offset = 1.0, 0.0
    if made is not None:
        gain = float(np.mean(made.adu_per_electron)) * made.quantum_efficiency
        gain *= 2 if made.excess else 1
        offset = float(np.mean(made.offset_adu))
    return ZScan(
        planes=np.stack([plane.counts for plane in planes]) - settings.frames * np.float32(offset),
        focus_um=np.array([plane.focus_um for plane in planes]),
        counts_per_photon=gain,
        saturated=settings.frames * (rig.camera.saturation_level - offset),
        optics=rig.optics,
        psf=rig.settings.psf,
        mask_name="none" if rig.mask is None else rig.mask.name,
        panel=None if rig.slm is None else Panel(rig.slm.shape, rig.slm.pixel_um),
        alignment=rig.settings.pattern.alignment,
        drift_px=_drift_px(planes),
    )


def write_scan(rig: Rig, planes: list[Plane], settings: ZScanSettings, folder: Path) -> ZScan:
    """Keep the planes in a new folder, with all that is needed to use them. Raises FileError."""
    scan = scan_of(rig, planes, settings)
    facts = {
        "kind": "dsacq z scan",
        "focus_um": scan.focus_um.tolist(),
        "counts_per_photon": scan.counts_per_photon,
        "saturated": scan.saturated,
        "mask_name": scan.mask_name,
        "slm": None if scan.panel is None else scan.panel._asdict(),
        "alignment": asdict(scan.alignment),
        "optics": asdict(scan.optics),
        "psf": asdict(scan.psf),
        "settings": asdict(settings),
        "drift_px": scan.drift_px,
        "exposure_s": rig.camera.exposure_s,
        "noise_known": rig.noise() is not None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "made_by": software(),
    }
    make_folder(folder, new=True)
    with replacing(folder / PLANES) as unfinished:
        tifffile.imwrite(unfinished, scan.planes, metadata={"axes": "ZYX"})
    if rig.mask is not None:
        write_mask(rig.mask, folder / MASK)
    write_atomically(folder / FACTS, json.dumps(facts, indent=1).encode())
    return scan


def read_scan(folder: Path) -> ZScan:
    """What `write_scan` kept. Raises FileError or SettingsError."""
    path = folder / FACTS
    with reading(path, "a z scan"):
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        planes = read_planes(folder / PLANES)
        focus_um = np.array(facts["focus_um"], np.float64)
        scan = ZScan(
            planes=planes.astype(np.float32),
            focus_um=focus_um,
            counts_per_photon=float(facts["counts_per_photon"]),
            saturated=float(facts["saturated"]),
            optics=validated(Optics, facts["optics"], str(path)),
            psf=validated(PsfModel, facts["psf"], str(path)),
            mask_name=str(facts["mask_name"]),
            panel=None if facts["slm"] is None else Panel(**facts["slm"]),
            alignment=validated(PupilAlignment, facts["alignment"], str(path)),
            drift_px=None if facts.get("drift_px") is None else _pair(facts["drift_px"]),
        )
    if planes.ndim != 3 or len(planes) != len(focus_um):
        raise FileError(f"{folder}: {PLANES} and {FACTS} do not belong together.")
    return scan


def _pair(values: list[float]) -> tuple[float, float]:
    x, y = values
    return float(x), float(y)


def is_scan(path: Path) -> bool:
    """Whether a folder holds a z scan."""
    return (path / FACTS).is_file()


def on_coverslip(scan: ZScan, zero_um: float) -> ZScan:
    """The focus counted from where it is on the coverslip."""
    return replace(scan, focus_um=scan.focus_um - zero_um)
