"""A camera's frames to disk, and to localization and linking, while they come.

Recording is lossless or ends and says why; live analysis takes what it has the time for, newest
frames first, and counts it. Three threads work: one takes frames from the camera (Acquisition),
one writes them (RecordingWriter), one localizes (Analysis).
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

from dsacq.data import Localizations
from dsacq.files.recording import Counters, Facts, State
from dsacq.files.recording_writer import DiskSettings, RecordingWriter
from dsacq.live_acquisition import Acquisition
from dsacq.live_analysis import Analysed, Analysis
from dsacq.localize.as_they_come import LiveLocalizer
from dsacq.stream import Frame, FrameStream
from dsacq.version import software

_PATIENT_EXPOSURES = 5
_LAST_ANALYSIS_S = 2.0  # of frames that wait to be localized when the camera was stopped early


@dataclass(frozen=True)
class Update:
    """What has happened so far, and since the last update.

    newest: the last frame that came. found: tables of frames localized since the last update.
    buffer_fill, queue_fill: used parts of the camera's buffer and of the queue to the disk, 0 to 1.
    free_bytes: on the disk, or None without a recording. state, reason: as in Facts.
    analysis_failure: why localization ended early, or nothing; recording goes on without it.
    newest_analysed: the last frame that was localized, with what was found in it.
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
    newest_analysed: Analysed | None = None

    @property
    def analysis_latency_s(self) -> float | None:
        """From the arrival of the newest localized frame to its localizations."""
        return None if self.newest_analysed is None else self.newest_analysed.latency_s

    @property
    def skipped(self) -> int:
        """Frames up to the newest localized one that were not localized, those that a live view
        left out in the camera among them."""
        newest = self.newest_analysed
        return 0 if newest is None else max(newest.frame.index + 1 - self.counters.analysed, 0)


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
    exposures where that is more; the first frame may take four times as long. Time in which this
    process did not run, or a simulated camera computes, does not count. Closing the
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
        self._stream, self._plan, self._stop = stream, plan, stop
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
        folder = plan.folder if plan else None
        self._recorder: RecordingWriter | None = None
        self._analysis = Analysis(localizer, folder, stream.shape, stream.exposure_s)
        self._acquisition = Acquisition(stream, count, self._analysis, on_end, patience_s, stop)

    def start(self) -> None:
        if self._plan is not None:
            self._recorder = RecordingWriter(self._plan.folder, self._facts, self._plan.disk)
        self._acquisition.start(self._recorder)
        self._analysis.start()

    def going(self, wait_s: float) -> bool:
        """Whether frames still come, or are localized, after this wait."""
        end_s = time.monotonic() + wait_s
        for thread in (self._acquisition, self._analysis):
            thread.join(max(end_s - time.monotonic(), 0))
        if self._acquisition.hangs():
            return False
        return self._acquisition.running or self._analysis.running

    def update(self) -> Update:
        recorder, acquisition = self._recorder, self._acquisition
        news = self._analysis.news()
        counters = replace(acquisition.counters, analysed=news.count)
        if recorder is not None:
            counters = replace(counters, written=recorder.written)
        return Update(
            counters=counters,
            newest=acquisition.newest,
            found=news.found,
            buffer_fill=self._stream.buffer_fill,
            queue_fill=recorder.queue_fill if recorder else 0.0,
            free_bytes=recorder.free_bytes() if recorder else None,
            elapsed_s=time.monotonic() - self._began_s,
            state=acquisition.state,
            reason=acquisition.reason,
            analysis_failure=news.failure,
            newest_analysed=news.newest,
        )

    def end(self) -> None:
        """Lasers dark and camera stopped first; then all is written that was taken."""
        self._stop.set()
        try:
            self._acquisition.quieten()
        finally:
            self._finish()

    def _finish(self) -> None:
        acquisition = self._acquisition
        acquisition.finish()
        self._analysis.finish(_LAST_ANALYSIS_S)
        if self._recorder is not None:
            state = acquisition.state
            ended = replace(
                self._facts,
                state="stopped" if state == "recording" else state,
                reason=acquisition.reason,
                ended=_now(),
                frames=replace(acquisition.counters, analysed=self._analysis.count),
            )
            self._recorder.close(ended)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
