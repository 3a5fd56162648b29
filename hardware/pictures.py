"""A few frames, waited for: what calibrations look at."""

from collections.abc import Generator
from contextlib import closing
from threading import Event

import numpy as np
from numpy.typing import NDArray

from dsacq.errors import UserError
from dsacq.patience import Patience
from dsacq.stream import Frame
from hardware.protocols import Camera, DeviceError

_PATIENCE_S = 5.0  # for one frame, or
_PATIENT_EXPOSURES = 5
_PATIENT_FIRST = 4  # times, for the first frame: cameras prepare for a sequence
_POLL_S = 0.05
_TRIGGERS = ("trigger", "triggermode", "triggersource")  # as drivers name the setting
_OUTSIDE = ("ext", "hardware", "edge", "level", "bulb", "strobe", "line", "trigger")


def pictures(
    camera: Camera, count: int = 1, stop: Event | None = None
) -> Generator[NDArray[np.float64]]:
    """The next frames (rows, columns) as the camera is set; fewer of them when `stop` is set.

    However it ends, the camera is stopped. Raises DeviceError when a frame does not come, is lost,
    comes twice or has another shape than the first.
    """
    stop, before = stop or Event(), None
    camera.start(count)
    try:
        for number in range(count):
            frame = _awaited(camera, number, count, stop)
            if frame is None:
                return
            _check(camera, frame, before)
            before = frame
            yield frame.pixels.astype(np.float64)
    finally:
        camera.stop()


def picture(camera: Camera) -> NDArray[np.float64]:
    """One frame."""
    with closing(pictures(camera)) as one:
        return next(one)


def _awaited(camera: Camera, number: int, count: int, stop: Event) -> Frame | None:
    """Frame `number` of `count`, or None when `stop` was set."""
    silence = Patience(_POLL_S)
    patience_s = _patience_s(camera.exposure_s, number == 0)
    while not stop.is_set():
        frame = camera.next_frame(_POLL_S)
        if frame is not None:
            return frame
        if not camera.running:
            frame = camera.next_frame(0.0)  # that came with the end
            if frame is not None:
                return frame
            raise DeviceError(
                camera.name, f"ended its sequence after {number} of {count} frames; try again."
            )
        if camera.computing:
            silence.begin()
        elif (waited_s := silence.look()) > patience_s:
            raise DeviceError(
                camera.name,
                f"gave no frame for {waited_s:.0f} s: frame {number + 1} of {count}, exposed for "
                f"{camera.exposure_s:g} s, was waited for; {_advice(camera)}.",
            )
    return None


def _patience_s(exposure_s: float, first: bool) -> float:
    patience_s = max(_PATIENCE_S, _PATIENT_EXPOSURES * exposure_s)
    return patience_s * (_PATIENT_FIRST if first else 1)


def _advice(camera: Camera) -> str:
    """What to do about a frame that does not come."""
    trigger = _outside_trigger(camera)
    if trigger:
        return f"its setting {trigger} makes it wait for a signal: check that, or the trigger"
    return "check its cable and its power, and start it again"


def _outside_trigger(camera: Camera) -> str:
    """The camera's setting by which each exposure waits for a signal, as "name = value", or ""."""
    listed = getattr(camera, "properties", None)
    if listed is None:
        return ""
    try:
        found = [(one.name, str(one.value)) for one in listed() if "trigger" in one.name.lower()]
    except UserError:
        return ""
    if any(value.lower() == "off" for _, value in found):  # of which line, it tells all the same
        return ""
    for name, value in found:
        kind = name.lower().replace(" ", "").replace("_", "")
        if kind in _TRIGGERS and value.lower().startswith(_OUTSIDE):
            return f"{name} = {value}"
    return ""


def _check(camera: Camera, frame: Frame, before: Frame | None) -> None:
    if before is None:
        return
    if frame.pixels.shape != before.pixels.shape:
        raise DeviceError(
            camera.name,
            f"sent a frame of {frame.pixels.shape} pixels after one of {before.pixels.shape}.",
        )
    if frame.index <= before.index:
        raise DeviceError(camera.name, f"sent frame {frame.index} after frame {before.index}.")
