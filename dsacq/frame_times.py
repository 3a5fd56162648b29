"""The true numbers of frames, and the time from one to the next, by what came with each frame."""

from array import array
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Gaps = Sequence[tuple[int, int]]  # (frame, how many were lost before it)

_MOST = 100_000  # frames that the interval is taken from
_LAG = 16  # frames, over which times are compared
_LARGEST = 2**40  # number that anything counts to
_LEAST = 3  # frames that tell an interval: with two there is nothing to compare with


class FrameTimes:
    """Of the frames of one sequence, as they come. One thread adds; others may read.

    gaps: where frames were lost, by the number of the frame that came after them.
    """

    def __init__(self) -> None:
        self.gaps: list[tuple[int, int]] = []
        self._lock = Lock()
        self._times_s, self._counts = array("d"), array("q")
        self._received, self._count = 0, -1
        self._before: tuple[int, int | None] | None = None

    def add(self, index: int, camera_index: int | None, time_s: float) -> int:
        """The true number of a frame, from 0, lost ones counted. index, camera_index: as a Frame
        has them; what the camera counts tells more, where it counts and goes on."""
        step = 1
        if self._before is not None:
            step = max(1, index - self._before[0])
            if camera_index is not None and self._before[1] is not None:
                step = max(step, camera_index - self._before[1])
        self._before = index, camera_index
        with self._lock:
            if step > 1:
                self.gaps.append((self._received, step - 1))
            self._received += 1
            self._count += step
            if len(self._counts) < _MOST:
                self._times_s.append(time_s)
                self._counts.append(self._count)
            return self._count

    @property
    def interval_s(self) -> float | None:
        """As `frame_interval_s` has it, so far."""
        with self._lock:
            counts, times_s = np.array(self._counts), np.array(self._times_s)
        return frame_interval_s(counts, times_s)


def frame_interval_s(counts: NDArray[np.int64], times_s: NDArray[np.float64]) -> float | None:
    """The time from one frame's start to the next's: the median of the differences of their times.

    counts: the true numbers of the frames. Differences are taken over several frames, so that a
    coarse clock, and frames that arrive in bundles, do not matter; those across a clock that was
    put back are dropped, and those across one that was put on, or across a pause, are too few to
    move a median. None where fewer than three frames, or no even times, are there.
    """
    if len(counts) < _LEAST:
        return None
    lag = min(max(len(counts) // 4, 1), _LAG)
    each_s = (times_s[lag:] - times_s[:-lag]) / (counts[lag:] - counts[:-lag])
    forward = each_s[np.isfinite(each_s) & (each_s > 0)]
    return float(np.median(forward)) if len(forward) > len(each_s) / 2 else None


def counted(frames: ArrayLike, gaps: Gaps) -> NDArray[np.int64]:
    """The true numbers of frames, that count what was lost before them too."""
    numbers = np.asarray(frames, np.int64)
    if not gaps:
        return numbers
    places, lost = np.array(sorted(gaps), np.int64).T
    total = np.concatenate([[0], np.cumsum(lost)])
    shifted: NDArray[np.int64] = numbers + total[np.searchsorted(places, numbers, side="right")]
    return shifted


def gaps_told(value: Any) -> Gaps:
    """Gaps as a file tells them; none where it tells no such thing."""
    try:
        gaps = [(int(frame), int(lost)) for frame, lost in value or ()]
    except (TypeError, ValueError, OverflowError):
        return ()
    sane = all(0 <= frame < _LARGEST and 0 < lost < _LARGEST for frame, lost in gaps)
    return gaps if sane else ()
