"""A camera's frames to disk, and to localization and linking, while they come.

Recording is lossless or ends and says why; live analysis takes what it has the time for, newest
frames first, and counts it. Three threads work: one takes frames from the camera, one writes them
(see RecordingWriter), one localizes.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from typing import Any

from dsacq.data import Localizations
from dsacq.errors import UserError
from dsacq.files.localization_stream import LocalizationStream, to_parquet
from dsacq.files.recording import LOCALIZATIONS, STREAMED, Counters, Facts, State
from dsacq.files.recording_writer import DiskSettings, RecordingWriter
from dsacq.localize.as_they_come import LiveLocalizer
from dsacq.stream import Frame, FrameStream
from dsacq.version import software

log = logging.getLogger(__name__)

_POLL_S = 0.05
_PATIENT_EXPOSURES = 5
_PATIENT_FIRST = 4  # times, for the first frame
_LAST_ANALYSIS_S = 2.0  # of frames that wait to be localized when the camera was stopped early
_BACKLOG_S = 1.0  # of frames that wait to be localized
_MOST_WAITING, _LEAST_WAITING = 64, 4
_UNSEEN_TABLES = 1000  # kept for whoever watches


class StreamError(UserError):
    """Frames were lost, or came otherwise than they should."""


@dataclass(frozen=True)
class Update:
    """What has happened so far, and since the last update.

    newest: the last frame that came. found: tables of frames localized since the last update.
    buffer_fill, queue_fill: used parts of the camera's buffer and of the queue to the disk, 0 to 1.
    free_bytes: on the disk, or None without a recording. state, reason: as in Facts.
    analysis_failure: why localization ended early, or nothing; recording goes on without it.
    """

    counters: Counters
    newest: Frame | None
    found: tuple[Localizations, ...]
    buffer_fill: float
    queue_fill: float
    free_bytes: float | None
    elapsed_s: float
    state: State
    reason: str
    analysis_failure: str


@dataclass(frozen=True, kw_only=True)
class RecordingPlan:
    """Where to record, and what recording.json is to tell of rig, optics, mask and settings."""

    folder: Path
    pixel_um: float | None = None
    about: dict[str, Any] = field(default_factory=dict)
    disk: DiskSettings = field(default_factory=DiskSettings)


def live(
    stream: FrameStream,
    count: int | None = None,
    *,
    plan: RecordingPlan | None = None,
    localizer: LiveLocalizer | None = None,
    on_end: Callable[[], None] = lambda: None,
    interval_s: float = 0.1,
    patience_s: float = 5.0,
    stop: Event | None = None,
) -> Generator[Update]:
    """Run a camera for `count` frames, until `stop` is set or the generator closed; yields often.

    Without a plan nothing is recorded, and frames may be left out. The last update tells how it
    ended: the state is "complete", "stopped" or "failed". on_end: makes lasers dark; it is called
    as soon as the sequence ends for whatever reason, before the camera is stopped, and may be
    called again, by another thread too. patience_s: how long a frame is waited for, or five
    exposures where that is more; the first frame may take four times as long. Closing the
    generator ends the sequence; what the camera had taken by then is recorded.
    Raises FileError when the recording cannot be begun or not be completed; and, once the recording
    is closed, what on_end or stopping the camera raised.
    """
    patience_s = max(patience_s, _PATIENT_EXPOSURES * stream.exposure_s)
    session = _Session(stream, count, plan, localizer, on_end, patience_s, stop or Event())
    try:
        session.start()
        while session.going(interval_s):
            yield session.update()
    finally:
        session.end()
    yield session.update()


class _Waiting:
    """Frames that wait to be localized; the oldest go when there are too many."""

    def __init__(self, most: int) -> None:
        self._frames: deque[tuple[int, Frame]] = deque(maxlen=most)
        self._changed = Condition()
        self._closed = False

    def put(self, number: int, frame: Frame) -> None:
        with self._changed:
            self._frames.append((number, frame))
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self) -> Sequence[tuple[int, Frame]]:
        """All that wait; nothing once it is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed)
            taken = list(self._frames)
            self._frames.clear()
            return taken


class _Session:
    def __init__(
        self,
        stream: FrameStream,
        count: int | None,
        plan: RecordingPlan | None,
        localizer: LiveLocalizer | None,
        on_end: Callable[[], None],
        patience_s: float,
        stop: Event,
    ) -> None:
        self._stream, self._count, self._plan = stream, count, plan
        self._localizer, self._on_end, self._patience_s = localizer, on_end, patience_s
        self._began_s = time.monotonic()
        self._facts = Facts(
            state="recording",
            reason="",
            started=_now(),
            ended=None,
            software=software(),
            shape_px=stream.shape,
            pixel_um=plan.pixel_um if plan else None,
            exposure_s=stream.exposure_s,
            frames=Counters(asked=count),
            about=dict(plan.about) if plan else {},
        )
        self._lock = Lock()  # of the counters and of what was found
        self._counters = Counters(asked=count)
        self._found: deque[Localizations] = deque(maxlen=_UNSEEN_TABLES)
        self._newest: Frame | None = None
        self._state: State = "recording"
        self._reason = ""
        self._analysis_failure = ""
        self._stop = stop
        self._asked_s = math.inf  # when the camera was asked for the frame it has yet to give
        self._analysis_ends_s = math.inf
        most = int(_BACKLOG_S / max(stream.exposure_s, 1e-6))
        self._waiting = _Waiting(min(max(most, _LEAST_WAITING), _MOST_WAITING))
        self._recorder: RecordingWriter | None = None
        self._acquiring = Thread(target=self._acquire, name="acquisition", daemon=True)
        self._analysing = Thread(target=self._analyse, name="localization", daemon=True)

    def start(self) -> None:
        if self._plan is not None:
            self._recorder = RecordingWriter(self._plan.folder, self._facts, self._plan.disk)
        self._acquiring.start()
        self._analysing.start()

    def going(self, wait_s: float) -> bool:
        """Whether frames still come, or are localized, after this wait."""
        end_s = time.monotonic() + wait_s
        for thread in (self._acquiring, self._analysing):
            thread.join(max(end_s - time.monotonic(), 0))
        if self._hangs():
            return False
        return self._acquiring.is_alive() or self._analysing.is_alive()

    def update(self) -> Update:
        recorder = self._recorder
        with self._lock:
            found = tuple(self._found)
            self._found.clear()
            counters = self._counters
        if recorder is not None:
            counters = replace(counters, written=recorder.written)
        return Update(
            counters=counters,
            newest=self._newest,
            found=found,
            buffer_fill=self._stream.buffer_fill,
            queue_fill=recorder.queue_fill if recorder else 0.0,
            free_bytes=recorder.free_bytes() if recorder else None,
            elapsed_s=time.monotonic() - self._began_s,
            state=self._state,
            reason=self._reason,
            analysis_failure=self._analysis_failure,
        )

    def end(self) -> None:
        """Lasers dark and camera stopped first; then all is written that was taken."""
        self._stop.set()
        try:
            self._quieten()
        finally:
            self._finish()

    def _quieten(self) -> None:
        """Lasers first: to stop a camera can take long."""
        try:
            self._on_end()
        finally:
            self._stream.stop()

    def _quieten_early(self) -> None:
        """For the thread that takes frames, which goes on: `end` tries again, and raises."""
        try:
            self._quieten()
        except Exception as error:
            log.warning("%s", error)

    def _finish(self) -> None:
        while self._acquiring.is_alive() and not self._hangs():
            self._acquiring.join(_POLL_S)
        if self._acquiring.is_alive():
            self._state = "failed"
            self._reason = (
                f"{self._stream.name}: did not answer for {self._patience_s:g} s and was given up; "
                f"{self._kept()}."
            )
            self._waiting.close()
        self._analysis_ends_s = time.monotonic() + _LAST_ANALYSIS_S
        if self._analysing.ident is not None:
            self._analysing.join()
        if self._recorder is not None:
            ended = replace(
                self._facts,
                state="stopped" if self._state == "recording" else self._state,
                reason=self._reason,
                ended=_now(),
                frames=self._counters,
            )
            self._recorder.close(ended)

    def _hangs(self) -> bool:
        """Whether the camera's driver does not come back; nothing can be done for it here."""
        return time.monotonic() - self._asked_s > self._patience_s + _POLL_S

    def _acquire(self) -> None:
        try:
            try:
                self._take_all()
            finally:
                self._quieten_early()
        except UserError as error:
            self._state, self._reason = "failed", str(error)
        except Exception as error:
            log.exception("acquisition failed")
            self._state = "failed"
            self._reason = f"{self._stream.name}: failed in dsacq ({type(error).__name__}: {error})"
        finally:
            self._waiting.close()

    def _take_all(self) -> None:
        stream = self._stream
        stream.start(self._count, newest_only=self._recorder is None)
        quiet, last_s = False, time.monotonic()
        while True:
            if self._stop.is_set() and not quiet:  # by `end`, perhaps before there was a sequence
                self._quieten_early()
                quiet = True
            if self._recorder is not None and self._recorder.trouble is not None:
                raise self._recorder.trouble
            frame = self._next_frame()
            if self._state == "failed":  # it was given up meanwhile
                return
            if frame is not None:
                self._take(frame)
                last_s = time.monotonic()
            elif not stream.running:
                break
            elif time.monotonic() - last_s > (patience_s := self._patience()):
                raise StreamError(
                    f"{stream.name}: sent no frame for {patience_s:g} s and was stopped; "
                    f"{self._kept()}."
                )
        self._state = self._end_state()

    def _patience(self) -> float:
        """The first frame may take longer: cameras prepare for a sequence."""
        return self._patience_s * (_PATIENT_FIRST if self._newest is None else 1)

    def _next_frame(self) -> Frame | None:
        self._asked_s = time.monotonic()
        try:
            return self._stream.next_frame(_POLL_S)
        finally:
            self._asked_s = math.inf

    def _take(self, frame: Frame) -> None:
        recorder, before = self._recorder, self._newest
        if recorder is not None:
            self._check(frame, before)
        number = self._counters.received
        if recorder is not None:
            recorder.put(frame)
        self._count_up(received=1)
        self._newest = frame
        if self._localizer is not None:
            self._waiting.put(number, frame)
        if recorder is not None:
            self._check_losses(frame, before)

    def _check(self, frame: Frame, before: Frame | None) -> None:
        """Refuses a frame that does not belong into the recording."""
        if frame.pixels.shape != self._facts.shape_px:
            raise StreamError(
                f"{self._stream.name}: sent a frame of {frame.pixels.shape} pixels after frames of "
                f"{self._facts.shape_px}; {self._kept()}."
            )
        if before is not None and frame.index <= before.index:
            raise StreamError(
                f"{self._stream.name}: sent frame {frame.index} after frame {before.index}, a "
                f"frame twice or a new count; {self._kept()}."
            )

    def _check_losses(self, frame: Frame, before: Frame | None) -> None:
        """Ends a recording that lacks frames; this one, after the gap, is kept."""
        core = frame.index - (before.index + 1 if before else 0)
        camera = 0
        if before is not None and None not in (frame.camera_index, before.camera_index):
            assert frame.camera_index is not None
            assert before.camera_index is not None
            camera = frame.camera_index - before.camera_index - 1
            # What the camera counts and the software does not was lost between the two.
            camera = max(camera - core, 0)
        if core or camera:
            self._count_up(lost_in_core=core, lost_in_camera=camera)
            raise StreamError(
                f"{self._stream.name}: lost frames before frame {frame.index}, {core} on the way "
                f"and {camera} in the camera, and was stopped; {self._kept()}."
            )

    def _end_state(self) -> State:
        """How a sequence ended of which all frames were taken."""
        received, recorded = self._counters.received, self._recorder is not None
        if received == self._count:
            return "complete"
        if recorded and self._stream.overflowed:
            raise StreamError(
                f"{self._stream.name}: its buffer overflowed after {received} frames, as the disk "
                f"or this computer was too slow; {self._kept()}."
            )
        if self._stop.is_set():
            return "stopped"
        if self._count is not None and not recorded:  # frames may be left out then
            return "complete"
        raise StreamError(
            f"{self._stream.name}: ended by itself after {received} frames; {self._kept()}."
        )

    def _kept(self) -> str:
        if self._recorder is None:
            return "nothing was being recorded"
        return f"the {self._counters.received} frames up to there are kept"

    def _analyse(self) -> None:
        if self._localizer is None:
            return
        try:
            self._localize_all(self._localizer)
        except Exception as error:
            if not isinstance(error, UserError):
                log.exception("localization failed")
            self._analysis_failure = f"Localization ended: {error}"

    def _localize_all(self, localizer: LiveLocalizer) -> None:
        if self._plan is None:
            self._found_in(localizer, None)
            return
        streamed, target = self._plan.folder / STREAMED, self._plan.folder / LOCALIZATIONS
        try:
            with LocalizationStream(streamed) as table:
                self._found_in(localizer, table)
        finally:
            made_by = localizer.origin(self._facts.shape_px, self._counters.received)
            to_parquet(streamed, target, made_by)
            streamed.unlink()

    def _found_in(self, localizer: LiveLocalizer, table: LocalizationStream | None) -> None:
        while batch := self._waiting.take():
            numbers = [number for number, _ in batch]
            self._keep(localizer.add(numbers, [frame.pixels for _, frame in batch]), table)
        self._keep(localizer.rest(), table)

    def _keep(self, tables: Generator[Localizations], file: LocalizationStream | None) -> None:
        for found in tables:
            if file is not None:
                file.append(found)
            self._count_up(analysed=1)
            with self._lock:
                self._found.append(found)
            if time.monotonic() > self._analysis_ends_s:
                return

    def _count_up(self, **more: int) -> None:
        with self._lock:
            counted = {name: getattr(self._counters, name) + one for name, one in more.items()}
            self._counters = replace(self._counters, **counted)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
