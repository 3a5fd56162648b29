"""Images at many positions of the focus, on the rig."""

import logging
import math
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from threading import Event

import numpy as np
from numpy.typing import NDArray

from calibration.registration import likeness, offset_px
from dsacq.awake import while_awake
from dsacq.errors import SettingsError, UserError
from dsacq.physics.camera import response
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel
from hardware.pictures import pictures
from hardware.protocols import DeviceError, Stage
from hardware.rig import Rig
from hardware.slm_pattern import Panel, PupilAlignment

log = logging.getLogger(__name__)

FARTHEST_UM = 20.0  # from where the stage stands, that a scan goes unasked

_APPROACH_UM = 1.0  # from below: the first position is reached as all others are
_SETTLE_S = 0.05  # of the stage, before a plane
_MISSED = 0.5  # of a step, that a plane may lie beside its place
_MOST_PLANES = 1000
_ROUNDING = 1e-6  # of a step
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
        if not all(map(math.isfinite, (self.first_um, self.last_um, self.step_um))):
            raise SettingsError(
                f"A z scan from {self.first_um:g} to {self.last_um:g} um in steps of "
                f"{self.step_um:g} um cannot be; give finite numbers."
            )
        if self.step_um <= 0 or self.frames < 1:
            raise SettingsError("A z scan needs a step above 0 and at least one frame per plane.")
        if self.last_um < self.first_um:
            raise SettingsError(
                f"A z scan goes upwards, not from {self.first_um:g} to {self.last_um:g} um; give "
                "the lower end first."
            )
        steps = (self.last_um - self.first_um) / self.step_um
        if steps < 2 - _ROUNDING:
            raise SettingsError(
                f"A z scan from {self.first_um:g} to {self.last_um:g} um in steps of "
                f"{self.step_um:g} um has fewer than 3 planes."
            )
        if steps > _MOST_PLANES - 1 + _ROUNDING:
            raise SettingsError(
                f"A z scan of {steps + 1:.6g} planes is more than {_MOST_PLANES}; take larger "
                "steps."
            )

    @property
    def positions_um(self) -> NDArray[np.float64]:
        """(K,)."""
        count = int((self.last_um - self.first_um) / self.step_um + _ROUNDING) + 1
        return np.asarray(self.first_um + self.step_um * np.arange(count), np.float64)

    def around(self, middle_um: float) -> "ZScanSettings":
        """These positions, counted from another one."""
        return replace(self, first_um=self.first_um + middle_um, last_um=self.last_um + middle_um)


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
    the last, or None where it is not known. planned: planes, more than K where the scan ended
    early. stood_um: the focus before the scan, where it is known."""

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
    planned: int | None = None
    stood_um: float | None = None

    @property
    def shortfall(self) -> str:
        """A sentence where the scan ended early, else nothing."""
        taken = len(self.planes)
        if self.planned is None or taken >= self.planned:
            return ""
        return f"The scan ended early: {taken} of {self.planned} planes were taken."


@while_awake("takes a z scan")
def z_scan(
    rig: Rig,
    settings: ZScanSettings,
    lasers_mw: Mapping[str, float] | None = None,
    stop: Event | None = None,
    *,
    keep_frames: bool = False,
    farthest_um: float = FARTHEST_UM,
) -> Generator[Plane]:
    """Move the focus upwards through the positions, and yield what the camera sees at each.

    farthest_um: from where the stage stands, that it may go. However it ends, the light is off and
    the focus where it was. Raises SettingsError, before anything moves, for positions outside the
    limits or farther away; DeviceError when the stage does not follow, or the camera fails.
    """
    focus, before_um = require_reachable(rig, settings, farthest_um)
    try:
        rig.light(rig.settings.use.lasers_mw if lasers_mw is None else lasers_mw)
        yield from _planes(rig, focus, settings, stop or Event(), keep_frames)
    except GeneratorExit:
        _put_back(rig, focus, before_um)
        raise
    except BaseException:
        try:
            _put_back(rig, focus, before_um)
        except UserError as error:
            log.error("%s", error)  # the failure that led here is what the user is told
        raise
    else:
        _put_back(rig, focus, before_um)


def require_reachable(
    rig: Rig, settings: ZScanSettings, farthest_um: float = math.inf
) -> tuple[Stage, float]:
    """The focus stage, and where it stands. Raises SettingsError as `z_scan`."""
    focus, stands_um = focus_of(rig)
    low, high = focus.limits_um
    positions = settings.positions_um
    if not (low <= positions[0] and positions[-1] <= high):
        raise SettingsError(
            f"The z scan from {positions[0]:g} to {positions[-1]:g} um leaves the limits of "
            f"{focus.name}, {low:g} to {high:g} um."
        )
    way_um = farthest(settings, stands_um)
    if way_um > farthest_um:
        raise SettingsError(
            f"The z scan from {positions[0]:g} to {positions[-1]:g} um goes {way_um:.3g} um away "
            f"from where {focus.name} stands, {stands_um:.2f} um; more than {farthest_um:g} um "
            "must be allowed first."
        )
    return focus, stands_um


def focus_of(rig: Rig) -> tuple[Stage, float]:
    """The focus stage, and where it stands, um. Raises SettingsError without one, DeviceError."""
    focus = rig.focus
    if focus is None:
        raise SettingsError("A z scan needs a focus: give the rig file a table [focus].")
    stands_um = focus.position_um()
    if not math.isfinite(stands_um):
        raise DeviceError(focus.name, "does not tell where it stands; start it again.")
    return focus, stands_um


def farthest(settings: ZScanSettings, stands_um: float) -> float:
    """How far a scan goes from where the stage stands, um."""
    return max(abs(settings.first_um - stands_um), abs(settings.last_um - stands_um))


def _planes(
    rig: Rig, focus: Stage, settings: ZScanSettings, stop: Event, keep_frames: bool
) -> Generator[Plane]:
    positions = settings.positions_um.tolist()
    below_um = max(focus.limits_um[0], positions[0] - _APPROACH_UM)
    focus.move_to(below_um)
    for number, wanted_um in enumerate(positions):
        frames = _taken(rig, focus, wanted_um, settings.frames, stop)
        if frames is None:
            return
        reached_um = focus.position_um()
        if not abs(reached_um - wanted_um) <= _MISSED * settings.step_um:
            raise DeviceError(
                focus.name,
                f"stands at {reached_um:.3f} um where the z scan asked for {wanted_um:.3f} um; "
                "it does not follow steps this small, or something holds it.",
            )
        again = None
        if number == len(positions) - 1:
            focus.move_to(below_um)
            again = _taken(rig, focus, positions[0], settings.frames, stop)
        yield Plane(
            number,
            len(positions),
            reached_um,
            _added(frames, rig.camera.saturation_level),
            frames if keep_frames else None,
            None if again is None else again.sum(0),
        )


def _taken(
    rig: Rig, focus: Stage, wanted_um: float, count: int, stop: Event
) -> NDArray[np.float32] | None:
    """Frames at a position, or None when they were stopped."""
    if stop.is_set():
        return None
    focus.move_to(wanted_um)
    time.sleep(_SETTLE_S)
    with closing(pictures(rig.camera, count, stop)) as coming:
        frames = [frame.astype(np.float32) for frame in coming]
    return np.stack(frames) if len(frames) == count else None


def _added(frames: NDArray[np.float32], saturation_level: float) -> NDArray[np.float32]:
    """The sum; of a pixel that was saturated in one of the frames, as if in all."""
    clipped = (frames >= saturation_level).any(0)
    return np.where(clipped, np.float32(len(frames) * saturation_level), frames.sum(0))


def _put_back(rig: Rig, focus: Stage, before_um: float) -> None:
    """Dark, and the focus where it was; tries both before it raises DeviceError."""
    failed = []
    for work in (rig.dark, partial(focus.move_to, before_um)):
        try:
            work()
        except UserError as error:
            failed.append(error)
    if len(failed) > 1:
        raise DeviceError(focus.name, f"is not back at {before_um:g} um. {failed[0]}")
    if failed:
        raise failed[0]


def drift_px(first: Plane, last: Plane) -> tuple[float, float] | None:
    """(x, y) from the first plane of a scan to its last, if the same is seen once more at the end;
    None where it is not known."""
    if last.again is None or last.number == 0:
        return None
    before, after = first.counts.astype(np.float64), last.again.astype(np.float64)
    before, after = before - np.median(before), after - np.median(after)
    offset = offset_px(before[None], after[None])
    if likeness(before, after, offset) < _LEAST_LIKENESS:
        return None
    # It came back one plane's time after the last.
    row, column = offset * last.number / (last.number + 1)
    return float(column), float(row)


def scan_of(rig: Rig, planes: list[Plane], settings: ZScanSettings) -> ZScan:
    """What the planes of a scan, one or more, are together, by the rig's noise and optics."""
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
        drift_px=drift_px(planes[0], planes[-1]),
        planned=len(settings.positions_um),
    )


def on_coverslip(scan: ZScan, zero_um: float) -> ZScan:
    """The focus counted from where it is on the coverslip."""
    stood_um = None if scan.stood_um is None else scan.stood_um - zero_um
    return replace(scan, focus_um=scan.focus_um - zero_um, stood_um=stood_um)
