"""A few frames, waited for: what calibrations look at."""

from collections.abc import Generator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from hardware.protocols import Camera, DeviceError

_PATIENCE_S = 5.0  # for one frame, beside its exposure


def pictures(camera: Camera, count: int = 1) -> Generator[NDArray[np.float64]]:
    """The next frames (rows, columns) as the camera is set. Raises DeviceError when none comes."""
    camera.start(count)
    try:
        for _ in range(count):
            frame = camera.next_frame(_PATIENCE_S + 2 * camera.exposure_s)
            if frame is None:
                raise DeviceError(camera.name, "gave no frame; check its trigger settings.")
            yield frame.pixels.astype(np.float64)
    finally:
        camera.stop()


def picture(camera: Camera) -> NDArray[np.float64]:
    """One frame."""
    with closing(pictures(camera)) as one:
        return next(one)
