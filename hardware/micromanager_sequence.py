"""A sequence of frames out of Micro-Manager's buffer: each one in order, or the newest."""

import time
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.patience import Patience
from dsacq.stream import Frame, clock_s
from hardware.micromanager_core import Core, Tags
from hardware.protocols import DeviceError

GREY_ONLY = "only grey pictures of 8 or 16 bits can be used: set its PixelType."

_UNTIL_STOPPED = 2**31 - 1
_LOOK_S = 0.01
_EMPTY = "is empty"  # MMCore of a buffer that holds no frame
_LATE_S = 0.1  # a frame may reach the buffer just after the camera says that it has ended
_BRIDGE_LOOKS_PER_S = 20.0


class Sequence:
    """The running, or last, sequence of a camera of MMCore's, by Micro-Manager's name of it.

    MMCore lets others empty its buffer, take frames out of it and put another camera's into it,
    without a word; whatever that does to a sequence of which each frame is wanted is an error here.
    One thread takes frames; the rest may be used from any.
    """

    def __init__(self, core: Core, label: str) -> None:
        self._core, self._label = core, label
        self._others: frozenset[str] = frozenset()  # cameras whose frames are not this one's
        self._left = 0  # frames that waited when the last was taken
        self._skipped = 0  # frames before the last time that somebody began a new count
        self._closed = False
        self._asked: int | None = 0  # frames, None until stopped
        self._newest_only = self._stopped = False
        self._taken = 0
        self._last_index = -1
        self._last_waiting = 0
        self._looked_s = self._last_time_s = 0.0
        self._first_tags: Tags = {}

    def start(self, count: int | None, newest_only: bool, others: frozenset[str]) -> None:
        """Of the camera that MMCore records from. others: cameras that may send frames too."""
        self._others, self._left, self._skipped = others, 0, 0
        self._newest_only, self._stopped, self._asked = newest_only, False, 0
        self._taken, self._last_index, self._last_waiting = 0, -1, 0
        self._last_time_s = 0.0
        self._first_tags = {}
        # With True it stops at a full buffer, and says so. With False, as in the continuous
        # mode of Micro-Manager, all that waits is thrown away, silently: good for looking.
        self._core("start_sequence_acquisition", count or _UNTIL_STOPPED, 0.0, not newest_only)
        self._asked = count

    def forget(self) -> None:
        """Let the last sequence be over, and its frames gone; not while it runs."""
        self._asked, self._left = 0, 0

    def next_frame(self, timeout_s: float) -> Frame | None:
        """As of a FrameStream. Raises DeviceError when the camera ended the sequence by itself, and
        when another program has lost or mixed its frames."""
        take = self._newest if self._newest_only else self._oldest
        deadline_s = time.monotonic() + timeout_s
        ended: Patience | None = None
        while not self._closed:
            frame = take()
            if frame is not None:
                return frame
            if ended is not None:
                if self._complete():
                    return None
                if ended.look() > _LATE_S:
                    asked = "until stopped" if self._asked is None else f"of {self._asked} frames"
                    raise DeviceError(
                        self._core.device,
                        f"it ended a sequence {asked} by itself after {self._taken}.",
                    )
            elif not self.running:
                ended = Patience(_LOOK_S)
                continue  # what arrived between the look and the end
            elif self.overflowed:
                self.stop()  # not every camera does it by itself
            elif time.monotonic() >= deadline_s:
                return None
            time.sleep(0.005 if self._core.attached else 0.0005)
        return None

    @property
    def running(self) -> bool:
        return not self._closed and bool(self._core("is_sequence_running", self._label))

    @property
    def overflowed(self) -> bool:
        return not self._closed and bool(self._core("is_buffer_overflowed"))

    @property
    def buffer_fill(self) -> float:
        if self._closed or self._newest_only:
            return 0.0
        capacity: int = self._core("get_buffer_total_capacity")
        return float(self._core("get_remaining_image_count")) / max(capacity, 1)

    def stop(self) -> None:
        if self.running:
            self._stopped = True
            self._core("stop_sequence_acquisition", self._label)

    def close(self) -> None:
        try:
            self.stop()
        finally:
            self._closed = True

    def _oldest(self) -> Frame | None:
        waiting: int = self._core("get_remaining_image_count")
        if waiting < self._left:  # nobody else is to take any: so many wait, or more
            raise self._disturbed(f"{self._left - waiting} frames that waited are gone")
        if waiting < 1:
            return None
        self._left = waiting
        try:
            pixels, tags = self._core.pop_image()
        except DeviceError as error:
            if _EMPTY in str(error):
                raise self._disturbed("the frames that waited are gone") from None
            raise
        self._left = waiting - 1
        return self._frame(pixels, tags)

    def _disturbed(self, how: str) -> DeviceError:
        return DeviceError(
            self._core.device,
            f"another program has interfered with Micro-Manager's buffer: {how} after "
            f"{self._taken} frames were taken; let only one program use Micro-Manager meanwhile.",
        )

    def _newest(self) -> Frame | None:
        if self._core.attached and time.perf_counter() < self._looked_s + 1 / _BRIDGE_LOOKS_PER_S:
            return None
        waiting = self._core("get_remaining_image_count")  # nothing takes them: it moves with each
        if waiting < 1 or waiting == self._last_waiting:
            return None
        self._last_waiting, self._looked_s = waiting, time.perf_counter()
        try:
            pixels, tags = self._core.last_image()
        except DeviceError as error:
            if _EMPTY in str(error):  # it was full, and has been emptied just now
                return None
            raise
        number = int(tags["ImageNumber"])
        if number + self._skipped == self._last_index or tags.get("Camera") in self._others:
            return None
        if number + self._skipped < self._last_index:  # somebody has emptied the buffer
            self._skipped = self._last_index + 1
        return self._frame(pixels, tags)

    def _frame(self, pixels: NDArray[Any], tags: Tags) -> Frame:
        if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
            raise DeviceError(
                self._core.device,
                f"it sent a picture of {pixels.shape} {pixels.dtype}; {GREY_ONLY}",
            )
        if tags.get("Camera") in self._others:
            raise self._disturbed(f"frames of {tags['Camera']} come between those of {self._label}")
        index = int(tags.pop("ImageNumber")) + self._skipped
        if index <= self._last_index:
            raise self._disturbed(f"after frame {self._last_index} it counts from {index} again")
        self._taken += 1
        self._last_index = index
        counted = tags.pop("PVCAM-FrameNr", None)
        frame = Frame(
            pixels=pixels.astype(np.uint16, copy=False),
            index=self._last_index,
            time_s=self._time_s(tags.pop("TimeReceivedByCore", "")),
            camera_index=None if counted is None else int(counted),
            # Most tags stay as they are: after the first frame, only those that differ from its.
            metadata={
                key: value for key, value in tags.items() if self._first_tags.get(key) != value
            },
        )
        self._first_tags = self._first_tags or tags
        return frame

    def _time_s(self, received: str) -> float:
        """Of arrival in MMCore's buffer: now, less the time that it waited there by MMCore's clock.

        That clock may be set at any moment, which matters to no frame but those waiting then, and
        those come between the frame before and now.
        """
        now_s, waited_s = clock_s(), _waited_s(received)
        self._last_time_s = min(max(now_s - waited_s, self._last_time_s), now_s)
        return self._last_time_s

    def _complete(self) -> bool:
        """Whether a sequence that has ended, its frames taken, ended as it should."""
        if self._stopped or self._asked == 0 or self.overflowed:
            return True
        return self._asked is not None and (self._newest_only or self._taken >= self._asked)


def _waited_s(received: str) -> float:
    """Since the local time that MMCore wrote; 0 where it wrote none."""
    try:
        return time.time() - datetime.fromisoformat(received).timestamp()
    except ValueError:
        return 0.0
