"""Taking frames from a camera, in a thread of its own; it sees to it that none is missing."""

import logging
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Lock, Thread

from dsacq.errors import UserError
from dsacq.files.recording import Counters, State
from dsacq.files.recording_writer import RecordingWriter
from dsacq.live_analysis import Analysis
from dsacq.patience import Patience
from dsacq.stream import Frame, FrameStream

log = logging.getLogger(__name__)

_POLL_S = 0.05
_WATCHED_S = 0.5  # between looks of whoever watches whether the driver comes back
_PATIENT_FIRST = 4  # times, for the first frame


class StreamError(UserError):
    """Frames were lost, or came otherwise than they should."""


class Acquisition:
    """The thread that takes frames, and hands them on to disk and analysis.

    on_end, patience_s, stop: as for `live`. state, reason: as in Facts. newest: the last frame.
    """

    def __init__(
        self,
        stream: FrameStream,
        count: int | None,
        analysis: Analysis,
        on_end: Callable[[], None],
        patience_s: float,
        stop: Event,
    ) -> None:
        self.state: State = "recording"
        self.reason = ""
        self.newest: Frame | None = None
        self._stream, self._count, self._shape_px = stream, count, stream.shape
        self._analysis, self._on_end, self._patience_s = analysis, on_end, patience_s
        self._stop = stop
        self._recorder: RecordingWriter | None = None
        self._lock = Lock()  # of the counters
        self._counters = Counters(asked=count)
        self._asked = 0  # how often the camera was asked for a frame,
        self._answered = 0  # and came back
        self._watched = 0  # the question that is watched
        self._hanging = Patience(_WATCHED_S)
        self._thread = Thread(target=self._acquire, name="acquisition", daemon=True)

    def start(self, recorder: RecordingWriter | None) -> None:
        self._recorder = recorder
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def hangs(self) -> bool:
        """Whether the camera's driver does not come back; nothing can be done for it here.

        To be asked again and again, by one thread.
        """
        asked = self._asked
        if asked == self._answered or asked != self._watched:
            self._watched = asked
            self._hanging.begin()
            return False
        return self._hanging.look() > self._patience_s + _POLL_S

    @property
    def counters(self) -> Counters:
        """Of frames received and lost."""
        with self._lock:
            return self._counters

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def finish(self) -> None:
        """Wait until all frames are taken, or the camera's driver is given up."""
        while self.running and not self.hangs():
            self._thread.join(_POLL_S)
        if self.running:
            self.state = "failed"
            self.reason = (
                f"{self._stream.name}: did not answer for {self._patience_s:g} s and was given up; "
                f"{self._kept()}."
            )
            self._analysis.close()

    def quieten(self) -> None:
        """Lasers first: to stop a camera can take long."""
        try:
            self._on_end()
        finally:
            self._stream.stop()

    def _quieten_early(self) -> None:
        """For this thread, which goes on: whoever ends it tries again, and raises."""
        try:
            self.quieten()
        except Exception as error:
            log.warning("%s", error)

    def _acquire(self) -> None:
        try:
            try:
                self._take_all()
            finally:
                self._quieten_early()
        except UserError as error:
            self.state, self.reason = "failed", str(error)
        except Exception as error:
            log.exception("acquisition failed")
            self.state = "failed"
            self.reason = f"{self._stream.name}: failed in dsacq ({type(error).__name__}: {error})"
        finally:
            self._analysis.close()

    def _take_all(self) -> None:
        stream = self._stream
        stream.start(self._count, newest_only=self._recorder is None)
        quiet, silence = False, Patience(_POLL_S)
        while True:
            if self._stop.is_set() and not quiet:  # perhaps before there was a sequence
                self._quieten_early()
                quiet = True
            if self._recorder is not None and self._recorder.trouble is not None:
                raise self._recorder.trouble
            frame = self._next_frame()
            if self.state == "failed":  # it was given up meanwhile
                return
            if frame is not None:
                self._take(frame)
                silence.begin()
            elif not stream.running:
                break
            elif stream.computing:
                silence.begin()
            elif silence.look() > (patience_s := self._patience()):
                raise StreamError(
                    f"{stream.name}: sent no frame for {patience_s:g} s and was stopped; "
                    f"{self._kept()}."
                )
        self.state = self._end_state()

    def _patience(self) -> float:
        """The first frame may take longer: cameras prepare for a sequence."""
        return self._patience_s * (_PATIENT_FIRST if self.newest is None else 1)

    def _next_frame(self) -> Frame | None:
        self._asked += 1
        try:
            return self._stream.next_frame(_POLL_S)
        finally:
            self._answered = self._asked

    def _take(self, frame: Frame) -> None:
        recorder, before = self._recorder, self.newest
        if recorder is not None:
            self._check(frame, before)
        number = self._counters.received
        if recorder is not None:
            recorder.put(frame)
        self._count_up(received=1)
        self.newest = frame
        self._analysis.put(number, frame)
        if recorder is not None:
            self._check_losses(frame, before)

    def _check(self, frame: Frame, before: Frame | None) -> None:
        """Refuses a frame that does not belong into the recording."""
        if frame.pixels.shape != self._shape_px:
            raise StreamError(
                f"{self._stream.name}: sent a frame of {frame.pixels.shape} pixels after frames of "
                f"{self._shape_px}; {self._kept()}."
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

    def _count_up(self, **more: int) -> None:
        with self._lock:
            counted = {name: getattr(self._counters, name) + one for name, one in more.items()}
            self._counters = replace(self._counters, **counted)
