"""Frames as they come from a camera: what recording and live localization ask of one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One exposure.

    pixels: (rows, columns) uint16 counts, the receiver's own. index: as the camera's software
    counted it, 0 for the first frame of a sequence; a gap is a loss on the way. camera_index: as
    the camera itself counted it, where it does, from any start; a gap is a loss in the camera.
    time_s: of arrival, seconds since 1970. metadata: what else is known, strings and numbers.
    """

    pixels: NDArray[np.uint16]
    index: int
    time_s: float
    camera_index: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class FrameStream(Protocol):
    """A camera in so far as frames come from it. Errors of the device are UserErrors.

    One thread takes frames; `stop` and the properties may be used from any.
    """

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a frame, as the camera is set."""

    @property
    def exposure_s(self) -> float: ...

    def start(self, count: int | None = None, *, newest_only: bool = False) -> None:
        """Begin a sequence of `count` frames, or one that lasts until `stop`.

        Every frame is kept until it is taken; when the buffer is full the camera stops, and
        `overflowed` says so. With newest_only, for looking, frames nobody took may be dropped.
        Frames of an earlier sequence that were not taken are discarded. Raises when one is running.
        """

    def next_frame(self, timeout_s: float) -> Frame | None:
        """The oldest frame not taken yet (with newest_only: the newest), or None.

        None when none came within timeout_s, at once when the sequence has ended and all its
        frames were taken. Raises when the camera fails; what arrived before is given out first.
        """

    @property
    def running(self) -> bool:
        """Whether the camera is exposing; False before the last frames have been taken."""

    @property
    def computing(self) -> bool:
        """Whether it works out a frame, which takes the time it takes, as a simulated camera does:
        that no frame comes meanwhile is no failure."""

    @property
    def overflowed(self) -> bool:
        """Whether the last sequence ended because its frames were not taken in time."""

    @property
    def buffer_fill(self) -> float:
        """Used part of the buffer for frames that were not taken yet, 0 to 1."""

    def stop(self) -> None:
        """End the sequence, if there is one. Frames that arrived can still be taken."""
