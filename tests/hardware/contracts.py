"""What every device of a kind must do. A test class per implementation inherits one of these and
gives the device as a fixture; the same tests meet real devices with `pytest --bench my.toml`."""

import math
import time
from itertools import pairwise
from threading import Timer

import numpy as np
import pytest

from dsacq.data import Roi
from hardware.protocols import SLM, Camera, DeviceError, Laser, Shutter, Stage

PATIENCE_S = 60.0


def taken(camera: Camera, patience_s: float = PATIENCE_S) -> list[int]:
    """Indices of all frames up to the end of the sequence."""
    indices = []
    while (frame := camera.next_frame(patience_s)) is not None:
        assert frame.pixels.shape == camera.shape
        assert frame.pixels.dtype == np.uint16
        indices.append(frame.index)
    return indices


class CameraContract:
    def test_a_sequence_has_every_frame_once(self, camera: Camera) -> None:
        camera.start(20)
        assert taken(camera) == list(range(20))
        assert not camera.running
        assert not camera.overflowed

    def test_two_sequences_count_from_zero(self, camera: Camera) -> None:
        for _ in range(2):
            camera.start(3)
            assert taken(camera) == [0, 1, 2]

    def test_until_stopped(self, camera: Camera) -> None:
        camera.start()
        first = [camera.next_frame(PATIENCE_S) for _ in range(3)]
        assert [frame.index for frame in first if frame] == [0, 1, 2]
        assert camera.running
        camera.stop()
        assert not camera.running
        left = taken(camera)
        assert left == list(range(3, 3 + len(left)))

    def test_stop_ends_the_wait_of_another_thread(self, camera: Camera) -> None:
        camera.start()
        stopper = Timer(0.3, camera.stop)
        stopper.start()
        begun = time.monotonic()
        while camera.next_frame(PATIENCE_S) is not None:
            pass
        stopper.join()
        assert time.monotonic() - begun < PATIENCE_S / 2

    def test_stop_does_no_harm_twice(self, camera: Camera) -> None:
        camera.stop()
        camera.start(2)
        camera.stop()
        camera.stop()

    def test_frames_of_an_earlier_sequence_are_gone(self, camera: Camera) -> None:
        camera.start(5)
        deadline = time.monotonic() + PATIENCE_S
        while camera.running and time.monotonic() < deadline:
            time.sleep(0.01)
        camera.start(2)
        assert taken(camera) == [0, 1]

    def test_nothing_comes_before_a_start(self, camera: Camera) -> None:
        assert camera.next_frame(0.01) is None
        assert not camera.running
        assert not camera.computing

    def test_one_sequence_at_a_time(self, camera: Camera) -> None:
        camera.start()
        with pytest.raises(DeviceError):
            camera.start()
        with pytest.raises(DeviceError):
            camera.set_roi(None)
        camera.stop()

    def test_newest_frames_for_looking(self, camera: Camera) -> None:
        camera.start(newest_only=True)
        indices = []
        for _ in range(4):
            frame = camera.next_frame(PATIENCE_S)
            assert frame is not None
            indices.append(frame.index)
        camera.stop()
        assert all(before < after for before, after in pairwise(indices))

    def test_frames_are_the_receivers_own(self, camera: Camera) -> None:
        camera.start(2)
        first, second = camera.next_frame(PATIENCE_S), camera.next_frame(PATIENCE_S)
        assert first is not None
        assert second is not None
        kept = second.pixels.copy()
        first.pixels[:] = 0
        assert np.array_equal(second.pixels, kept)

    def test_region(self, camera: Camera) -> None:
        rows, columns = camera.sensor_shape
        got = camera.set_roi(Roi(columns // 4, rows // 4, columns // 2, rows // 2))
        assert camera.roi == got
        assert camera.shape == (got.height, got.width)
        assert camera.shape != (rows, columns)
        camera.start(2)
        assert taken(camera) == [0, 1]
        assert camera.set_roi(None) == Roi(0, 0, columns, rows)
        assert camera.shape == (rows, columns)

    def test_a_region_outside_the_sensor_is_refused(self, camera: Camera) -> None:
        rows, columns = camera.sensor_shape
        for roi in (Roi(0, 0, columns + 8, rows), Roi(-8, 0, 16, 16), Roi(columns, 0, 16, 16)):
            before = camera.roi
            with pytest.raises(DeviceError, match=camera.name):
                camera.set_roi(roi)
            assert camera.roi == before

    def test_binnings_are_those_it_accepts(self, camera: Camera) -> None:
        assert camera.binning in camera.binnings
        assert list(camera.binnings) == sorted(set(camera.binnings))
        for binning in camera.binnings:
            camera.set_binning(binning)
            assert camera.binning == binning
        with pytest.raises(DeviceError, match=camera.name):
            camera.set_binning(max(camera.binnings) + 1)

    def test_no_pixel_is_above_saturation(self, camera: Camera) -> None:
        assert 255 <= camera.saturation_level <= 65535
        camera.start(1)
        frame = camera.next_frame(PATIENCE_S)
        assert frame is not None
        assert frame.pixels.max() <= camera.saturation_level

    def test_exposure(self, camera: Camera) -> None:
        accepted = camera.set_exposure(0.02)
        assert accepted == pytest.approx(0.02, rel=0.2)
        assert camera.exposure_s == accepted
        for exposure_s in (-1.0, math.nan, "20,5", True, None):
            with pytest.raises(DeviceError, match=camera.name):
                camera.set_exposure(exposure_s)  # type: ignore[arg-type]
        assert camera.exposure_s == accepted

    def test_closed_twice(self, camera: Camera) -> None:
        camera.start()
        camera.close()
        camera.close()


class StageContract:
    tolerance_um = 0.2

    def test_it_arrives(self, stage: Stage) -> None:
        low, high = stage.limits_um
        for part in (0.25, 0.75, 0.5):
            stage.move_to(low + part * (high - low))
            assert stage.position_um() == pytest.approx(
                low + part * (high - low), abs=self.tolerance_um
            )

    def test_limits_hold(self, stage: Stage) -> None:
        low, high = stage.limits_um
        stage.move_to((low + high) / 2)
        before = stage.position_um()
        for position_um in (high + 1, low - 1, math.nan, math.inf, "5,5", True):
            with pytest.raises(DeviceError, match=stage.name):
                stage.move_to(position_um)
        assert stage.position_um() == pytest.approx(before, abs=self.tolerance_um)

    def test_stop_and_close(self, stage: Stage) -> None:
        stage.stop()
        stage.close()
        stage.close()


class SLMContract:
    def test_it_shows_what_it_is_given(self, slm: SLM) -> None:
        rows, columns = slm.shape
        grey = (np.arange(rows * columns) % 251).astype(np.uint8).reshape(rows, columns)
        slm.show(grey)
        assert slm.shown is not None
        assert np.array_equal(slm.shown, grey)

    def test_it_keeps_a_copy(self, slm: SLM) -> None:
        grey = np.full(slm.shape, 7, np.uint8)
        slm.show(grey)
        grey[:] = 9
        assert slm.shown is not None
        assert (slm.shown == 7).all()

    def test_other_shapes_are_refused(self, slm: SLM) -> None:
        slm.show(np.zeros(slm.shape, np.uint8))
        rows, columns = slm.shape
        with pytest.raises(DeviceError, match=slm.name):
            slm.show(np.ones((rows, columns - 1), np.uint8))
        with pytest.raises(DeviceError, match=slm.name):
            slm.show(np.ones((rows, columns), np.float32))  # type: ignore[arg-type]
        assert slm.shown is not None
        assert not slm.shown.any()

    def test_closed_twice(self, slm: SLM) -> None:
        slm.close()
        slm.close()


class LaserContract:
    def test_it_begins_dark(self, laser: Laser) -> None:
        assert not laser.emitting

    def test_on_and_off(self, laser: Laser) -> None:
        laser.set_power(laser.limit_mw / 2)
        assert laser.power_mw == pytest.approx(laser.limit_mw / 2, rel=0.02)
        laser.on()
        assert laser.emitting
        laser.off()
        assert not laser.emitting
        laser.off()

    def test_limits_hold(self, laser: Laser) -> None:
        laser.set_power(laser.limit_mw / 4)
        before = laser.power_mw
        for power_mw in (laser.limit_mw * 1.01 + 0.01, -1.0, math.nan, "5,5", True):
            with pytest.raises(DeviceError, match=laser.name):
                laser.set_power(power_mw)
        assert laser.power_mw == before

    def test_closing_makes_it_dark(self, laser: Laser) -> None:
        laser.set_power(laser.limit_mw / 10)
        laser.on()
        laser.close()
        laser.close()


class ShutterContract:
    def test_it_opens_and_closes(self, shutter: Shutter) -> None:
        assert not shutter.opened
        shutter.set_opened(True)
        assert shutter.opened
        shutter.set_opened(False)
        assert not shutter.opened

    def test_closed_twice(self, shutter: Shutter) -> None:
        shutter.close()
        shutter.close()
