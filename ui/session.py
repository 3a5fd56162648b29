"""The rig behind the window: open or not, and what it does. Panels ask it; it tells them.

Nothing here waits for a device: commands go through one thread in their order, an acquisition has
its own.
"""

import logging
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QObject, pyqtSignal

from dsacq.errors import NO_MEMORY, UserError, is_out_of_memory
from ui.job import Job

if TYPE_CHECKING:
    from dsacq.live import Update
    from dsacq.networks.model_file import Model
    from dsacq.physics.masks import PhaseMask
    from hardware.rig import Rig
    from hardware.rig_file import RigSettings

log = logging.getLogger(__name__)

_INTERVAL_S = 0.05  # between updates of the window
_CLOSING_S = 10.0


class Activity(Enum):
    """What the rig is doing."""

    closed = "closed"
    opening = "opening"
    idle = "idle"
    looking = "live"
    recording = "recording"
    calibrating = "calibrating"

    @property
    def exclusive(self) -> bool:
        """Whether what runs allows no changes of camera and mask beside it."""
        return self in (Activity.recording, Activity.calibrating)


@dataclass(frozen=True)
class Analysis:
    """Live localization as it was asked for."""

    model: "Model"
    threshold: float | None = None


class Session(QObject):
    """The open rig and its acquisition.

    rig_file: that the rig was opened from, or None. recording: the folder that is recorded into.

    activity_changed: Activity. opened: the Rig. acquisition_began: an Activity and the folder that
    is recorded into, or None. updated: an Update, about 20 times a second.
    ended: the last Update of an acquisition, and the folder of the recording or None. mask_shown:
    the PhaseMask, or None for a blank SLM. device_changed: after a command. failed: a sentence.
    said: a sentence for the log.
    """

    activity_changed = pyqtSignal(object)
    opened = pyqtSignal(object)
    acquisition_began = pyqtSignal(object, object)
    updated = pyqtSignal(object)
    ended = pyqtSignal(object, object)
    mask_shown = pyqtSignal(object)
    device_changed = pyqtSignal()
    failed = pyqtSignal(str)
    said = pyqtSignal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rig: Rig | None = None
        self.rig_file: Path | None = None
        self.recording: Path | None = None
        self.activity = Activity.closed
        self.analysis: Analysis | None = None
        self.lasers_mw: dict[str, float] = {}  # switched on with every acquisition
        self._job: Job | None = None
        self._stops: list[Event] = []  # each ends something that runs or waits to
        self._next: Callable[[], None] | None = None
        self._closed = False
        self._last: Update | None = None
        self._commands = ThreadPoolExecutor(1, thread_name_prefix="commands")

    def open(self, settings: "RigSettings", open_screen: Any = None) -> None:
        """Open a rig in the background."""
        self._become(Activity.opening)

        def opening() -> Generator["Rig"]:
            from hardware.rig import Rig

            rig = Rig(settings, open_screen)
            try:
                yield rig
            except GeneratorExit:  # the window was closed meanwhile
                rig.close()
                raise

        job = Job(opening, "opening the rig", self)
        job.yielded.connect(self._on_opened)
        job.failed.connect(self._on_not_opened)
        self._job = job
        job.start()

    def look(self) -> None:
        """Live view, localized if `analysis` is set."""
        self._acquire(Activity.looking, None, None, {})

    def record(self, folder: Path, count: int | None, about: Mapping[str, Any]) -> None:
        """Record `count` frames, or until stopped. A live view that runs is ended first."""
        self._acquire(Activity.recording, folder, count, dict(about))

    def end(self) -> None:
        """End the acquisition, or a long command; a recording keeps all frames that came."""
        self._next = None
        for stop in self._stops.copy():
            stop.set()

    def stop_all(self) -> None:
        """The STOP button: lasers off and camera stopped, now, whatever is going on."""
        self.end()
        rig = self.rig
        if rig is None:
            return

        # beside the other commands, which may be waiting for a stage
        stopping = ThreadPoolExecutor(1, thread_name_prefix="stop")
        stopping.submit(self._guarded, rig.make_safe)
        stopping.shutdown(wait=False)

    def until_stopped(self) -> Event:
        """A new event that `end` sets: for an acquisition, or a command that takes long."""
        stop = Event()
        self._stops = [one for one in self._stops if not one.is_set()] + [stop]
        return stop

    def command(self, work: Callable[["Rig"], object], what: str = "") -> None:
        """Do something with the devices, after what was asked before. A failure is told."""
        rig = self.rig
        if rig is not None:
            self._commands.submit(self._guarded, lambda: work(rig), what)

    def ask(self, work: Callable[["Rig"], object]) -> None:
        """Read from the devices, after what was asked before; as `command`, but nothing changes."""
        rig = self.rig
        if rig is not None:
            self._commands.submit(self._guarded, lambda: work(rig), changes=False)

    def between_sequences(self, work: Callable[["Rig"], object]) -> None:
        """Do what the camera allows only while it is not exposing; a live view goes on after it.

        Not while recording or calibrating: that is told.
        """
        if self.activity.exclusive:
            self.failed.emit(f"This cannot be changed while {self.activity.value}; stop it first.")
            return
        if self.activity is not Activity.looking:
            self.command(work)
            return

        def then() -> None:
            self.command(work)
            self.look()

        self._restart(then)

    def restart_look(self) -> None:
        """Take up a changed `analysis` in a live view that runs."""
        if self.activity is Activity.looking:
            self._restart(self.look)

    def show(self, mask: "PhaseMask") -> None:
        """Show a mask on the SLM."""

        def work(rig: "Rig") -> None:
            rig.show(mask)
            self.mask_shown.emit(mask)

        self.command(work, f"The SLM shows {mask.name}.")

    def blank(self) -> None:
        """No mask on the SLM."""

        def work(rig: "Rig") -> None:
            rig.blank()
            self.mask_shown.emit(None)

        self.command(work, "The SLM is blank.")

    def calibrate(
        self,
        make: Callable[["Rig", Event], Generator[Any]],
        what: str,
        on_item: Callable[[Any], None],
    ) -> None:
        """Run a generator that has the rig for itself; a live view that runs is ended first.

        make: gets the rig, and an Event that is set when it should end, which it does by itself, as
        its last items tell what was kept. on_item: called in the thread of the window with each
        item. However it ends, lasers go off and the camera stops,
        and `ended` is told with None, None.
        """
        if self.rig is None or self.activity.exclusive:
            return
        if self.activity is Activity.looking:
            self._restart(lambda: self.calibrate(make, what, on_item))
            return
        rig = self.rig
        stop = self.until_stopped()

        def calibrating() -> Generator[Any]:
            self._commands.submit(lambda: None).result()
            try:
                with closing(make(rig, stop)) as items:
                    yield from items
            finally:
                rig.make_safe()

        job = Job(calibrating, what, self)
        job.yielded.connect(on_item)
        self._begin(Activity.calibrating, job, None)

    def close(self) -> None:
        """Stop everything and release the devices; waits for it. Nothing can be opened again."""
        self._closed = True
        self.end()
        if self._job is not None:
            self._job.stop(_CLOSING_S)
        self._commands.shutdown(wait=True)
        if self.rig is not None:
            rig, self.rig = self.rig, None
            try:
                rig.close()
            except UserError as error:
                log.error("%s", error)
        self._become(Activity.closed)

    def wait_stopped(self, timeout_s: float) -> None:
        """For any thread, once `end` was called: until what had the rig has closed its files."""
        if (job := self._job) is not None:
            job.stop(timeout_s)

    def _restart(self, then: Callable[[], None]) -> None:
        self.end()
        self._next = then

    def _acquire(
        self, kind: Activity, folder: Path | None, count: int | None, about: dict[str, Any]
    ) -> None:
        if self.rig is None or self.activity.exclusive:
            return
        if self.activity is Activity.looking:
            self._restart(lambda: self._acquire(kind, folder, count, about))
            return
        rig, analysis, powers = self.rig, self.analysis, dict(self.lasers_mw)
        stop = self.until_stopped()

        def acquiring() -> Generator["Update"]:
            from dsacq.device import chosen_device
            from hardware.acquire import acquire, live_localizer

            # commands that were asked for before, such as a new region, come first
            self._commands.submit(lambda: None).result()
            localizer = None
            if analysis is not None:
                localizer = live_localizer(
                    rig, analysis.model, threshold=analysis.threshold, device=chosen_device("auto")
                )
            yield from acquire(
                rig,
                count,
                folder=folder,
                lasers_mw=powers,
                localizer=localizer,
                about=about,
                stop=stop,
                interval_s=_INTERVAL_S,
            )

        job = Job(acquiring, kind.value, self)
        job.yielded.connect(self._on_update)
        self._begin(kind, job, folder)

    def _begin(self, kind: Activity, job: Job, folder: Path | None) -> None:
        self._last = None
        job.failed.connect(self._on_failure)
        job.finished.connect(lambda: self._on_finished(folder))
        self._job, self.recording = job, folder
        self.acquisition_began.emit(kind, folder)
        self._become(kind)
        job.start()

    def _on_opened(self, rig: "Rig") -> None:
        if self._closed:
            rig.close()
            return
        self.rig, self._job = rig, None
        self.lasers_mw = dict(rig.settings.use.lasers_mw)
        self._become(Activity.idle)
        self.opened.emit(rig)

    def _on_not_opened(self, error: Exception) -> None:
        self._job = None
        self._become(Activity.closed)
        self._on_failure(error)

    def _on_update(self, update: "Update") -> None:
        from dsacq.files.change_remarks import change_remarks

        known = 0 if self._last is None else len(self._last.changes)
        for change in update.changes[known:]:
            (self.said if change.asked else self.failed).emit(change_remarks([change])[0])
        self._last = update
        self.updated.emit(update)

    def _on_failure(self, error: Exception) -> None:
        self.failed.emit(told(error))

    def _on_finished(self, folder: Path | None) -> None:
        self._job = self.recording = None
        self._become(Activity.idle)
        last = self._last
        if last is not None and last.state == "failed":
            self.failed.emit(last.reason)
        elif last is not None and last.analysis_failure:
            self.failed.emit(last.analysis_failure)
        self.ended.emit(last, folder)
        following, self._next = self._next, None
        if following is not None:
            following()

    def _become(self, activity: Activity) -> None:
        self.activity = activity
        self.activity_changed.emit(activity)

    def _guarded(self, work: Callable[[], object], what: str = "", *, changes: bool = True) -> None:
        try:
            work()
        except Exception as error:
            log.info("command failed", exc_info=True)
            self.failed.emit(told(error))
        else:
            if what:
                self.said.emit(what)
        if changes:
            self.device_changed.emit()


def told(error: Exception) -> str:
    """A failure in one sentence; the log has the rest."""
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return NO_MEMORY.capitalize()
    return f"dsacq itself failed ({type(error).__name__}: {error}); the log has the details."
