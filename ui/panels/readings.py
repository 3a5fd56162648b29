"""How the devices stand, read in the thread of the commands; all panels share one reading."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from dsacq.errors import UserError
from ui.session import Session

if TYPE_CHECKING:
    from hardware.protocols import Camera
    from hardware.rig import Rig

log = logging.getLogger(__name__)

AXES = ("focus", "stage_x", "stage_y")
_INTERVAL_MS = 1000
_SOON_MS = 100  # commands that come together are followed by one reading

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class CameraState:
    """region: column, row, width, height; shape_px: rows, columns of a frame. binnings: that the
    camera can have. saturation_level: counts."""

    exposure_s: float
    region: tuple[int, int, int, int]
    shape_px: tuple[int, int]
    binning: int
    binnings: tuple[int, ...]
    saturation_level: int
    temperature_c: float | None


@dataclass(frozen=True)
class RigState:
    """By name of laser, shutter and axis; None for what could not be read."""

    camera: CameraState | None
    emitting: dict[str, bool | None]
    opened: dict[str, bool | None]
    position_um: dict[str, float | None]
    troubles: frozenset[str] = field(default_factory=frozenset)


class Readings(QObject):
    """Reads the devices after every command, and once a second. taken: a RigState."""

    taken = pyqtSignal(object)
    _done = pyqtSignal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._waiting = False
        self._troubles: frozenset[str] = frozenset()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.take)
        often = QTimer(self)
        often.timeout.connect(self.take)
        often.start(_INTERVAL_MS)
        self._soon.start(_SOON_MS)
        self.taken.connect(self._on_taken)
        self._done.connect(self._on_done)
        session.device_changed.connect(lambda: self._soon.start(_SOON_MS))
        session.activity_changed.connect(lambda _: self._soon.start(_SOON_MS))

    def take(self) -> None:
        """Ask for a reading, unless one is on its way."""
        if self._session.rig is None or self._waiting:
            return

        def work(rig: "Rig") -> None:
            try:
                self.taken.emit(read_rig_state(rig))
            finally:
                self._done.emit()

        self._waiting = True
        self._session.ask(work)

    def _on_taken(self, state: RigState) -> None:
        for trouble in state.troubles - self._troubles:  # told once, not every second
            self._session.failed.emit(trouble)
        self._troubles = state.troubles

    def _on_done(self) -> None:
        self._waiting = False


def readings_of(session: Session) -> Readings:
    """The one of this session."""
    return session.findChild(Readings) or Readings(session)


def read_rig_state(rig: "Rig") -> RigState:
    """Asks every device; one that fails does not keep the others from being read."""
    troubles: set[str] = set()

    def tried(read: Callable[[], _Value]) -> _Value | None:
        try:
            return read()
        except UserError as error:
            troubles.add(str(error))
            return None

    camera = tried(lambda: _camera_state(rig.camera))
    emitting = {n: tried(partial(getattr, one, "emitting")) for n, one in rig.lasers.items()}
    opened = {n: tried(partial(getattr, one, "opened")) for n, one in rig.shutters.items()}
    stages = {name: getattr(rig, name) for name in AXES if getattr(rig, name) is not None}
    position_um = {n: tried(one.position_um) for n, one in stages.items()}
    return RigState(camera, emitting, opened, position_um, frozenset(troubles))


def _camera_state(camera: "Camera") -> CameraState:
    roi = camera.roi
    return CameraState(
        camera.exposure_s,
        (roi.column, roi.row, roi.width, roi.height),
        camera.shape,
        camera.binning,
        camera.binnings,
        camera.saturation_level,
        camera.temperature_c(),
    )
