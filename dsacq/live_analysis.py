"""Localizing and linking a camera's frames beside their recording, in a thread of its own.

It takes what it has the time for, newest frames first; what it could not take is counted.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock, Thread

from dsacq.data import Localizations
from dsacq.errors import UserError
from dsacq.files.localization_stream import LocalizationStream, finish
from dsacq.files.recording import LOCALIZATIONS, STREAMED
from dsacq.localize.as_they_come import LiveLocalizer
from dsacq.stream import Frame

log = logging.getLogger(__name__)

_BACKLOG_S = 1.0  # of frames that wait to be localized
_MOST_WAITING, _LEAST_WAITING = 64, 4
_UNSEEN_TABLES = 1000  # kept for whoever watches


@dataclass(frozen=True)
class Analysed:
    """A frame and what was found in it.

    number: of the frame, as in the table. latency_s: from its arrival to its localizations.
    """

    number: int
    frame: Frame
    found: Localizations
    latency_s: float


@dataclass(frozen=True)
class AnalysisNews:
    """count: frames localized so far. found: tables since the last news. newest: the last frame
    localized. failure: why localization ended early, or nothing."""

    count: int
    found: tuple[Localizations, ...]
    newest: Analysed | None
    failure: str


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


class Analysis:
    """The thread that localizes; without a localizer it does nothing.

    folder: of the recording that keeps the localizations, or None. shape_px: (rows, columns).
    """

    def __init__(
        self,
        localizer: LiveLocalizer | None,
        folder: Path | None,
        shape_px: tuple[int, int],
        exposure_s: float,
    ) -> None:
        self._localizer, self._folder, self._shape_px = localizer, folder, shape_px
        most = int(_BACKLOG_S / max(exposure_s, 1e-6))
        self._waiting = _Waiting(min(max(most, _LEAST_WAITING), _MOST_WAITING))
        self._pending: deque[tuple[int, Frame]] = deque()  # given to the localizer, not yet back
        self._received = 0
        self._lock = Lock()  # of what was found
        self._found: deque[Localizations] = deque(maxlen=_UNSEEN_TABLES)
        self._newest: Analysed | None = None
        self._count = 0
        self._failure = ""
        self._ends_s = math.inf
        self._thread = Thread(target=self._run, name="localization", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def put(self, number: int, frame: Frame) -> None:
        """Take a frame, for as long as it can wait. Numbers count from 0, without gaps."""
        self._received = number + 1
        if self._localizer is not None:
            self._waiting.put(number, frame)

    def close(self) -> None:
        """No more frames come; those that wait are still localized."""
        self._waiting.close()

    def finish(self, within_s: float) -> None:
        """Wait for the end, for which it has this long."""
        self._ends_s = time.monotonic() + within_s
        if self._thread.ident is not None:
            self._thread.join()

    def news(self) -> AnalysisNews:
        """What was found since this was asked before."""
        with self._lock:
            found = tuple(self._found)
            self._found.clear()
            return AnalysisNews(self._count, found, self._newest, self._failure)

    @property
    def count(self) -> int:
        """Of frames that were localized."""
        return self._count

    def _run(self) -> None:
        if self._localizer is None:
            return
        try:
            self._localize_all(self._localizer)
        except Exception as error:
            if not isinstance(error, UserError):
                log.exception("localization failed")
            self._failure = f"Localization ended: {error}"

    def _localize_all(self, localizer: LiveLocalizer) -> None:
        if self._folder is None:
            self._found_in(localizer, None)
            return
        streamed, target = self._folder / STREAMED, self._folder / LOCALIZATIONS
        try:
            with LocalizationStream(streamed) as table:
                self._found_in(localizer, table)
        finally:
            made_by = localizer.origin(self._shape_px, self._received)
            finish(streamed, target, made_by)

    def _found_in(self, localizer: LiveLocalizer, table: LocalizationStream | None) -> None:
        while batch := self._waiting.take():
            self._pending.extend(batch)
            numbers = [number for number, _ in batch]
            if not self._keep(localizer.add(numbers, [frame.pixels for _, frame in batch]), table):
                return
            del batch  # its frames are not kept while the next come
        self._keep(localizer.rest(), table)

    def _keep(self, tables: Generator[Localizations], file: LocalizationStream | None) -> bool:
        """False once there is no more time."""
        for found in tables:
            if file is not None:
                file.append(found)
            number, frame = self._pending.popleft()  # tables come in the order of their frames
            latency_s = max(time.time() - frame.time_s, 0.0)
            with self._lock:
                self._newest = Analysed(number, frame, found, latency_s)
                self._found.append(found)
                self._count += 1
            if time.monotonic() > self._ends_s:
                return False
        return True
