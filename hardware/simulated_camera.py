"""The simulated camera: exposes a `Bench` in real time, with a sensor's noise and faults."""

import logging
import time
from dataclasses import replace
from itertools import count as counting
from threading import Lock, Thread
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic import dataclasses as pydantic_dataclasses

from dsacq.data import Localizations, Roi
from dsacq.errors import SettingsError
from dsacq.physics.camera import digitised, expose
from dsacq.physics.optics import Positive
from dsacq.stream import Frame, clock_s
from hardware.bench import Bench
from hardware.faults import Faults
from hardware.frame_buffer import FrameBuffer
from hardware.protocols import DeviceError, check_within
from hardware.readout import Readout, truth_columns

logger = logging.getLogger(__name__)

_EXPOSURES_S = (1e-4, 60.0)
_BINNINGS = (1, 2, 4)
_BITS = 16  # of the converter
_FULL_SCALE = 2**_BITS - 1
_Exposure = Annotated[float, Field(ge=_EXPOSURES_S[0], le=_EXPOSURES_S[1])]


@pydantic_dataclasses.dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class SimulatedCameraSettings:
    """readout_s: of the whole sensor; frames come no faster. buffer_mb: for untaken frames."""

    kind: Literal["simulated"] = "simulated"
    exposure_s: _Exposure = 0.1
    readout_s: Positive = 0.005
    buffer_mb: Positive = 256.0


class SimulatedCamera:
    """Frames of what the bench shows, paced by the exposure. Slow rendering delays frames; none are
    lost but by `faults` of the bench and by a full buffer.

    The truth beside the frames is taken with `take_truth`. One camera looks at a bench.
    """

    def __init__(self, name: str, settings: SimulatedCameraSettings, bench: Bench) -> None:
        self.name, self._bench, self._settings = name, bench, settings
        self._readout = Readout(Roi(0, 0, *bench.settings.shape_px[::-1]), 1)
        self._exposure_s = settings.exposure_s
        self._noise = torch.Generator().manual_seed(bench.settings.seed + 1)
        self._buffer = FrameBuffer(1, False)
        self._buffer.end()
        self._starting = Lock()
        self._thread: Thread | None = None
        self._computing = False
        self._closed = False

    @property
    def sensor_shape(self) -> tuple[int, int]:
        return self._bench.settings.shape_px

    @property
    def shape(self) -> tuple[int, int]:
        return self._readout.roi.height, self._readout.roi.width

    @property
    def exposure_s(self) -> float:
        return self._exposure_s

    def set_exposure(self, exposure_s: float) -> float:
        check_within(self.name, "exposure", exposure_s, _EXPOSURES_S, "s")
        self._exposure_s = float(exposure_s)
        return self._exposure_s

    @property
    def roi(self) -> Roi:
        return self._readout.roi

    def set_roi(self, roi: Roi | None) -> Roi:
        with self._starting:
            self._require_idle("changing its region")
            binning = self._readout.binning
            rows, columns = (size // binning for size in self.sensor_shape)
            chosen = Roi(0, 0, columns, rows) if roi is None else roi
            try:
                chosen.slices((rows, columns))
            except SettingsError as error:
                raise DeviceError(self.name, str(error)) from None
            self._readout = Readout(chosen, binning)
            return chosen

    @property
    def saturation_level(self) -> int:
        return int(_FULL_SCALE)

    @property
    def binnings(self) -> tuple[int, ...]:
        return _BINNINGS

    @property
    def binning(self) -> int:
        return self._readout.binning

    def set_binning(self, binning: int) -> None:
        with self._starting:
            self._require_idle("changing its binning")
            if binning not in _BINNINGS:
                raise DeviceError(self.name, f"binning {binning} is not one of {_BINNINGS}.")
            rows, columns = (size // binning for size in self.sensor_shape)
            self._readout = Readout(Roi(0, 0, columns, rows), binning)

    def temperature_c(self) -> float | None:
        return None

    def start(self, count: int | None = None, *, newest_only: bool = False) -> None:
        with self._starting:
            if self._closed:
                raise DeviceError(self.name, "has been closed; open the rig again.")
            self._require_idle("starting a new sequence")
            buffer = FrameBuffer(int(self._settings.buffer_mb * 1e6), newest_only)
            self._buffer = buffer
            self._thread = Thread(
                target=self._run, args=(buffer, self._readout, count), name=self.name, daemon=True
            )
            self._thread.start()

    def next_frame(self, timeout_s: float) -> Frame | None:
        return self._buffer.take(timeout_s)

    def take_truth(self) -> Localizations:
        """Who was in the frames of this sequence that were exposed since the last call.

        x, y from the corner of the whole sensor; `photons` as expected in that frame, `background`
        per read-out pixel. Emitters outside the region are left out, those of frames that were
        lost in the computer are not. Untaken rows are kept up to TRUTH_ROWS.
        """
        parts = self._buffer.take_truth()
        origin = {"made_by": "simulated bench", "seed": self._bench.settings.seed}
        if not parts:
            return Localizations.empty(origin)
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return Localizations.from_columns(origin, **columns)

    @property
    def running(self) -> bool:
        return self._buffer.running

    @property
    def computing(self) -> bool:
        return self._computing and self.running

    @property
    def overflowed(self) -> bool:
        return self._buffer.overflowed

    @property
    def buffer_fill(self) -> float:
        return self._buffer.fill

    def stop(self) -> None:
        self._buffer.end()

    def close(self) -> None:
        with self._starting:
            self._closed = True
        self.stop()
        if self._thread is not None:
            # What it computes ends by itself, after seconds, or more on a busy computer; a thread
            # that still computes when Python ends would take the whole process down.
            self._thread.join()

    def _require_idle(self, what: str) -> None:
        if self.running:
            raise DeviceError(self.name, f"is running; stop it before {what}.")

    def _run(self, buffer: FrameBuffer, readout: Readout, count: int | None) -> None:
        try:
            self._expose_all(buffer, readout, count)
        except Exception as error:
            logger.exception("%s: a frame could not be simulated", self.name)
            buffer.end(error=DeviceError(self.name, f"could not simulate a frame ({error})."))
        buffer.end()

    def _expose_all(self, buffer: FrameBuffer, readout: Readout, count: int | None) -> None:
        faults, due_s = self._bench.faults, time.perf_counter()
        noise = readout.of_noise(self._bench.settings.noise)
        lost = 0
        for number in counting() if count is None else range(count):
            if self._ended_by_fault(faults, number, buffer):
                return
            exposure_s, interval_s = self._exposure_s, self._interval_s(readout)
            due_s = max(due_s + interval_s, time.perf_counter())
            self._computing = True
            exposed = self._bench.expose(exposure_s, interval_s)
            expected = readout.of_photons(exposed.photons)
            seen = digitised(expose(noise, expected, self._noise), _BITS)
            counts = seen.numpy().astype(np.uint16)
            self._computing = False
            if not buffer.wait_until(due_s):
                return
            if number in faults.drop_in_camera:
                lost += 1
                continue
            index = number - lost
            frame = Frame(
                counts[: len(counts) // 2] if number == faults.resize_at else counts,
                index,
                clock_s(),
                camera_index=number,
                metadata={
                    "exposure_s": exposure_s,
                    "focus_um": exposed.view.focus_um,
                    "power_mw": exposed.view.light_mw,
                },
            )
            buffer.add(
                _delivered(frame, faults, number),
                truth_columns(exposed, readout, index, self._bench.optics.pixel_um),
            )

    def _interval_s(self, readout: Readout) -> float:
        part = readout.roi.height * readout.binning / self.sensor_shape[0]
        return max(self._exposure_s, self._settings.readout_s * part)

    def _ended_by_fault(self, faults: Faults, number: int, buffer: FrameBuffer) -> bool:
        if number == faults.stall_at:
            buffer.wait_for_end()
        elif number == faults.raise_at:
            buffer.end(error=DeviceError(self.name, "failed, as its faults say; start it again."))
        elif number == faults.overflow_at:
            buffer.end(overflowed=True)
        return not buffer.running


def _delivered(frame: Frame, faults: Faults, number: int) -> list[Frame]:
    """What of a frame reaches the buffer."""
    if faults.reset_index_at is not None and number >= faults.reset_index_at:
        frame = replace(frame, index=number - faults.reset_index_at)
    if number in faults.drop:
        return []
    again = [replace(frame, pixels=frame.pixels.copy())] if number in faults.duplicate else []
    return [frame, *again]
