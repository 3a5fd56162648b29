"""Frames of one sequence between the thread of a simulated camera and the one that takes them."""

import time
from collections import deque
from collections.abc import Mapping
from threading import Condition
from typing import Any

from numpy.typing import NDArray

from dsacq.stream import Frame
from hardware.protocols import DeviceError

Columns = Mapping[str, NDArray[Any]]
TRUTH_ROWS = 1_000_000  # kept until they are taken; then the oldest are forgotten


class FrameBuffer:
    """Bounded by the bytes of pixels; with newest_only it holds one frame and who was in it.

    Safe between threads.
    """

    def __init__(self, capacity_bytes: int, newest_only: bool) -> None:
        self._changed = Condition()
        self._capacity_bytes, self._used_bytes = capacity_bytes, 0
        self._newest_only = newest_only
        self._frames: deque[Frame] = deque()
        self._truth: deque[Columns] = deque()
        self._truth_rows = 0
        self._error: DeviceError | None = None
        self.running = True
        self.overflowed = False

    @property
    def fill(self) -> float:
        """Used part, 0 to 1."""
        return 0.0 if self._newest_only else self._used_bytes / self._capacity_bytes

    def add(self, frames: list[Frame], truth: Columns) -> None:
        """Frames of one exposure, several, one or none, and who was in them.

        Nothing is added after the end; the sequence ends when they do not fit.
        """
        with self._changed:
            if not self.running:
                return
            for frame in frames:
                if self._newest_only:
                    self._frames.clear()
                    self._truth.clear()
                    self._truth_rows = 0
                elif self._used_bytes + frame.pixels.nbytes > self._capacity_bytes:
                    self.end(overflowed=True)
                    return
                else:
                    self._used_bytes += frame.pixels.nbytes
                self._frames.append(frame)
            self._truth.append(truth)
            self._truth_rows += len(truth["frame"])
            while self._truth_rows > TRUTH_ROWS and len(self._truth) > 1:
                self._truth_rows -= len(self._truth.popleft()["frame"])
            self._changed.notify_all()

    def end(self, *, overflowed: bool = False, error: DeviceError | None = None) -> None:
        """End the sequence; only the first end counts."""
        with self._changed:
            if self.running:
                self.running, self.overflowed, self._error = False, overflowed, error
                self._changed.notify_all()

    def wait_until(self, monotonic_s: float) -> bool:
        """Wait for a time or the end; whether the sequence still runs."""
        with self._changed:
            self._changed.wait_for(lambda: not self.running, max(0, monotonic_s - time.monotonic()))
            return self.running

    def wait_for_end(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self.running)

    def take(self, timeout_s: float) -> Frame | None:
        """As `FrameStream.next_frame`."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or not self.running, timeout_s)
            if self._frames:
                frame = self._frames.popleft()
                self._used_bytes -= 0 if self._newest_only else frame.pixels.nbytes
                return frame
            if self._error is not None:
                raise self._error
            return None

    def take_truth(self) -> list[Columns]:
        """Of each exposure since the last call."""
        with self._changed:
            taken = list(self._truth)
            self._truth.clear()
            self._truth_rows = 0
            return taken
