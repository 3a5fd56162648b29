"""A sequence of frames out of Micro-Manager's buffer: each one in order, or the newest."""

import time
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.patience import Patience
from dsacq.stream import Frame
from hardware.micromanager_core import Core, Tags
from hardware.protocols import DeviceError

GREY_ONLY = "only grey pictures of 8 or 16 bits can be used: set its PixelType."

_UNTIL_STOPPED = 2**31 - 1
_LOOK_S = 0.01
_LATE_S = 0.1  # a frame may reach the buffer just after the camera says that it has ended
_BRIDGE_LOOKS_PER_S = 20.0


class Sequence:
    """The running, or last, sequence of the camera that MMCore records from.

    One thread takes frames; the rest may be used from any.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._closed = False
        self._asked: int | None = 0  # frames, None until stopped
        self._newest_only = self._stopped = False
        self._taken = 0
        self._last_index = -1
        self._last_waiting = 0
        self._looked_s = 0.0
        self._first_tags: Tags = {}

    def start(self, count: int | None, newest_only: bool) -> None:
        self._newest_only, self._stopped, self._asked = newest_only, False, 0
        self._taken, self._last_index, self._last_waiting = 0, -1, 0
        self._first_tags = {}
        # With True it stops at a full buffer, and says so. With False, as in the continuous
        # mode of Micro-Manager, all that waits is thrown away, silently: good for looking.
        self._core("start_sequence_acquisition", count or _UNTIL_STOPPED, 0.0, not newest_only)
        self._asked = count

    def next_frame(self, timeout_s: float) -> Frame | None:
        """As of a FrameStream. Raises DeviceError when the camera ended the sequence by itself."""
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
        return not self._closed and bool(self._core("is_sequence_running"))

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
            self._core("stop_sequence_acquisition")

    def close(self) -> None:
        try:
            self.stop()
        finally:
            self._closed = True

    def _oldest(self) -> Frame | None:
        if self._core("get_remaining_image_count") < 1:
            return None
        return self._frame(*self._core.pop_image())

    def _newest(self) -> Frame | None:
        if self._core.attached and time.monotonic() < self._looked_s + 1 / _BRIDGE_LOOKS_PER_S:
            return None
        waiting = self._core("get_remaining_image_count")  # nothing takes them: it moves with each
        if waiting < 1 or waiting == self._last_waiting:
            return None
        self._last_waiting, self._looked_s = waiting, time.monotonic()
        try:
            pixels, tags = self._core.last_image()
        except DeviceError as error:
            if "is empty" in str(error):  # it was full, and has been emptied just now
                return None
            raise
        if int(tags["ImageNumber"]) == self._last_index:
            return None
        return self._frame(pixels, tags)

    def _frame(self, pixels: NDArray[Any], tags: Tags) -> Frame:
        if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
            raise DeviceError(
                self._core.device,
                f"it sent a picture of {pixels.shape} {pixels.dtype}; {GREY_ONLY}",
            )
        self._taken += 1
        self._last_index = int(tags.pop("ImageNumber"))
        counted = tags.pop("PVCAM-FrameNr", None)
        frame = Frame(
            pixels=pixels.astype(np.uint16, copy=False),
            index=self._last_index,
            time_s=_seconds(tags.pop("TimeReceivedByCore", "")),
            camera_index=None if counted is None else int(counted),
            # Most tags stay as they are: after the first frame, only those that differ from its.
            metadata={
                key: value for key, value in tags.items() if self._first_tags.get(key) != value
            },
        )
        self._first_tags = self._first_tags or tags
        return frame

    def _complete(self) -> bool:
        """Whether a sequence that has ended, its frames taken, ended as it should."""
        if self._stopped or self._asked == 0 or self.overflowed:
            return True
        return self._asked is not None and (self._newest_only or self._taken >= self._asked)


def _seconds(received: str) -> float:
    """Local time as MMCore writes it, in seconds since 1970; now, where it wrote none."""
    try:
        return datetime.fromisoformat(received).timestamp()
    except ValueError:
        return time.time()
