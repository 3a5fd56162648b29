"""Micro-Manager's simulated camera in this process."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts import PATIENCE_S, CameraContract, taken
from micromanager_demo import open_camera, open_demo

from dsacq.data import Roi
from dsacq.stream import Frame
from hardware.micromanager import MicroManager
from hardware.micromanager_camera import MicroManagerCamera
from hardware.micromanager_stage import MicroManagerStage, MicroManagerStageSettings
from hardware.protocols import DeviceError


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[MicroManager]:
    manager = open_demo(tmp_path, buffer_mb=64)
    yield manager
    manager.close()


@pytest.fixture
def camera(manager: MicroManager) -> Iterator[MicroManagerCamera]:
    camera = open_camera(manager)
    yield camera
    camera.close()


def frames(camera: MicroManagerCamera) -> Iterator[Frame]:
    """All frames up to the end of the sequence."""
    while (frame := camera.next_frame(PATIENCE_S)) is not None:
        yield frame


class TestMicroManagerCamera(CameraContract):
    pass


def test_2000_frames_all_in_order(manager: MicroManager) -> None:
    camera = open_camera(
        manager,
        exposure_s=0.001,
        properties={"OnCameraCCDXSize": 512, "OnCameraCCDYSize": 512, "FastImage": 1},
    )
    begun_s = time.time()
    camera.start(2000)
    count, last_ms, last_s = 0, -1.0, begun_s - 1
    for frame in frames(camera):
        assert frame.index == count
        assert frame.pixels.shape == (512, 512)
        assert frame.pixels.dtype == np.uint16
        elapsed_ms = float(frame.metadata["ElapsedTime-ms"])  # a second witness of the order
        assert elapsed_ms > last_ms
        assert frame.time_s >= last_s
        count, last_ms, last_s = count + 1, elapsed_ms, frame.time_s
    assert count == 2000
    assert begun_s - 1 < last_s < time.time() + 1
    assert not camera.overflowed
    assert camera.buffer_fill == 0


def test_pictures_that_change(camera: MicroManagerCamera) -> None:
    camera.start(60)
    pictures = [frame.pixels for frame in frames(camera)]
    assert len(pictures) == 60
    for before, after in pairwise(pictures):
        assert not np.array_equal(before, after)


def test_metadata_tell_what_changes(camera: MicroManagerCamera) -> None:
    camera.start(3)
    first, *others = [frame.metadata for frame in frames(camera)]
    assert first["Camera"] == "Camera"
    assert first["Width"] == "256"
    for metadata in others:
        assert list(metadata) == ["ElapsedTime-ms"]


def test_a_full_buffer_ends_the_sequence_without_a_gap(tmp_path: Path) -> None:
    manager = open_demo(tmp_path, buffer_mb=2)  # 32 frames
    camera = open_camera(manager)
    camera.start()
    deadline = time.monotonic() + PATIENCE_S
    while camera.running and time.monotonic() < deadline:
        time.sleep(0.005)
    assert camera.overflowed
    assert camera.buffer_fill == 1
    assert taken(camera) == list(range(32))
    assert camera.overflowed
    assert camera.buffer_fill == 0
    camera.start(3)
    assert taken(camera) == [0, 1, 2]
    assert not camera.overflowed
    manager.close()


def test_looking_goes_on_when_frames_are_not_taken(tmp_path: Path) -> None:
    manager = open_demo(tmp_path, buffer_mb=2)
    camera = open_camera(manager, properties={"FastImage": 1})
    camera.start(newest_only=True)
    time.sleep(0.5)  # the buffer has been emptied several times
    assert camera.running
    assert not camera.overflowed
    indices = [frame.index for _ in range(20) if (frame := camera.next_frame(PATIENCE_S))]
    assert indices[0] > 32
    assert all(before < after for before, after in pairwise(indices))
    assert len(indices) == 20
    camera.stop()
    while camera.next_frame(PATIENCE_S) is not None:
        pass
    manager.close()


def test_a_sequence_that_ends_by_itself_is_a_failure(
    camera: MicroManagerCamera, manager: MicroManager
) -> None:
    camera.start()
    manager.core("mm")("stop_sequence_acquisition")  # not by the camera's own stop
    with pytest.raises(DeviceError, match=r"^camera: it ended a sequence until stopped by itself"):
        taken(camera)


def test_the_buffer_holds_5_s(tmp_path: Path) -> None:
    manager = open_demo(tmp_path, buffer_mb=300)
    camera = open_camera(manager, exposure_s=0.01)  # 256 x 128 x 2 bytes, 100 per s: 33 MB in 5 s
    core = manager.core("mm")
    camera.start(1)
    assert core("get_circular_buffer_memory_footprint") == 64
    camera.set_exposure(0.003)
    camera.stop()
    camera.start(1)
    assert core("get_circular_buffer_memory_footprint") == pytest.approx(110, abs=1)
    assert taken(camera) == [0]
    camera.set_exposure(0.0001)
    camera.start(1)
    assert core("get_circular_buffer_memory_footprint") == 300
    manager.close()


def test_8_bits_are_widened(manager: MicroManager) -> None:
    camera = open_camera(manager, properties={"PixelType": "8bit"})
    camera.start(2)
    for frame in frames(camera):
        assert frame.pixels.dtype == np.uint16
        assert 0 < frame.pixels.max() < 256


@pytest.mark.parametrize("kind", ["32bit", "32bitRGB", "64bitRGB"])
def test_only_grey_pictures_of_8_or_16_bits(manager: MicroManager, kind: str) -> None:
    with pytest.raises(DeviceError, match=r"^camera: .*only grey pictures of 8 or 16 bits"):
        open_camera(manager, properties={"PixelType": kind})
    camera = open_camera(manager, properties={"PixelType": "16bit"})
    camera.set_property("PixelType", kind)
    with pytest.raises(DeviceError, match="only grey"):
        camera.start(1)
    assert not camera.running


def test_binning(camera: MicroManagerCamera) -> None:
    assert camera.sensor_shape == (128, 256)
    camera.set_roi(Roi(8, 8, 16, 16))
    camera.set_binning(2)
    assert camera.binning == 2
    assert camera.sensor_shape == (128, 256)
    assert camera.shape == (64, 128)
    assert camera.roi == Roi(0, 0, 128, 64)
    assert camera.set_roi(Roi(64, 32, 64, 32)) == Roi(64, 32, 64, 32)
    with pytest.raises(DeviceError, match="does not lie within"):
        camera.set_roi(Roi(64, 32, 65, 32))
    camera.start(2)
    assert taken(camera) == [0, 1]
    with pytest.raises(DeviceError, match=r"^camera: .*Binning.*1, 2, 4, 8"):
        camera.set_binning(3)
    camera.start()
    with pytest.raises(DeviceError, match="running"):
        camera.set_binning(1)
    camera.stop()


def test_saturation_follows_the_depth(camera: MicroManagerCamera) -> None:
    assert camera.binnings == (1, 2, 4, 8)
    assert camera.saturation_level == 65535
    camera.set_property("BitDepth", 12)
    assert camera.saturation_level == 4095
    camera.set_property("PixelType", "8bit")
    assert camera.saturation_level == 255


def test_settings_are_applied(manager: MicroManager) -> None:
    camera = open_camera(
        manager,
        exposure_s=0.004,
        binning=2,
        roi=(10, 20, 30, 40),
        properties={"Gain": 4, "Photon Flux": 7.5, "FastImage": True},
    )
    assert camera.exposure_s == pytest.approx(0.004)
    assert camera.roi == Roi(10, 20, 30, 40)
    assert camera.shape == (40, 30)
    values = {each.name: each.value for each in camera.properties()}
    assert (values["Gain"], values["Photon Flux"], values["FastImage"]) == (4, 7.5, 1)
    assert values["Binning"] == 2


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"properties": {"Gain": 99}}, "Gain = 99 was refused; allowed is .* from -5 to 8"),
        ({"binning": 3}, "1, 2, 4, 8"),
        ({"exposure_s": 1000.0}, "outside its limits, 0 to 10"),
        ({"roi": (0, 0, 257, 10)}, "does not lie within"),
        ({"device": "Focus"}, "'Focus' is not a camera in Micro-Manager; there is Camera, Second"),
    ],
)
def test_impossible_settings_are_told(
    manager: MicroManager, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(DeviceError, match=f"^camera: .*{told}"):
        open_camera(manager, **settings)
    open_camera(manager).close()


def test_another_camera_of_the_configuration(manager: MicroManager) -> None:
    camera = open_camera(
        manager, device="Second", properties={"PixelType": "16bit", "OnCameraCCDXSize": 64}
    )
    assert camera.sensor_shape == (512, 64)
    camera.start(1)
    frame = camera.next_frame(PATIENCE_S)
    assert frame is not None
    assert frame.metadata["Camera"] == "Second"
    with pytest.raises(DeviceError, match="records from camera already"):
        open_camera(manager)
    camera.close()
    assert open_camera(manager, device="Camera").sensor_shape == (128, 256)


def test_a_property_may_change_the_sensor(camera: MicroManagerCamera) -> None:
    camera.set_property("OnCameraCCDXSize", 100)
    assert camera.sensor_shape == (128, 100)
    assert camera.set_roi(None) == Roi(0, 0, 100, 128)
    camera.set_property("Binning", 2)
    assert camera.binning == 2
    assert camera.sensor_shape == (128, 100)


def test_exposure_may_change_while_it_runs(camera: MicroManagerCamera) -> None:
    camera.start()
    assert camera.set_exposure(0.005) == pytest.approx(0.005)
    assert camera.next_frame(PATIENCE_S) is not None
    assert camera.running


def test_temperature(camera: MicroManagerCamera) -> None:
    camera.set_property("CCDTemperature", -12.5)
    assert camera.temperature_c() == -12.5
    camera.start()
    assert camera.temperature_c() == -12.5  # an Andor would end its sequence
    camera.close()
    assert camera.temperature_c() is None


def test_a_closed_camera_has_nothing_to_give(camera: MicroManagerCamera) -> None:
    camera.start()
    camera.close()
    assert camera.next_frame(PATIENCE_S) is None
    assert not camera.running


def test_a_stack_through_the_focus(camera: MicroManagerCamera, manager: MicroManager) -> None:
    settings = MicroManagerStageSettings(limits_um=(-10, 10))
    stage = MicroManagerStage("focus", settings, manager)
    pictures = []
    for z_um in np.linspace(-2, 2, 5):
        stage.move_to(float(z_um))
        assert stage.position_um() == pytest.approx(z_um, abs=0.2)
        camera.start(2)
        pictures += [frame.pixels for frame in frames(camera)]
    assert len(pictures) == 10
