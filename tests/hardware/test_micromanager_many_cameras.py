"""Several cameras in one Micro-Manager, and one that stands for them: no property of exposure."""

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts import PATIENCE_S, CameraContract, taken
from micromanager_demo import CONFIG, open_camera, open_demo

from dsacq.data import Roi
from hardware.micromanager import MicroManager
from hardware.micromanager_camera import MicroManagerCamera
from hardware.protocols import DeviceError

MULTI = (
    CONFIG.replace("Device,Focus", "Device,Multi,Utilities,Multi Camera\nDevice,Focus")
    + "Property,Second,PixelType,16bit\n"
    + "Property,Second,OnCameraCCDXSize,256\n"
    + "Property,Second,OnCameraCCDYSize,128\n"
    + "Property,Multi,Physical Camera 1,Camera\n"
)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[MicroManager]:
    manager = open_demo(tmp_path, MULTI, buffer_mb=64)
    yield manager
    manager.close()


class TestACameraWithoutAPropertyOfExposure(CameraContract):
    @pytest.fixture
    def camera(self, manager: MicroManager) -> Iterator[MicroManagerCamera]:
        camera = open_camera(manager, device="Multi", properties={"TransposeMirrorX": 0})
        assert not [one for one in camera.properties() if one.name == "Exposure"]
        yield camera
        camera.close()


@pytest.fixture
def multi(manager: MicroManager) -> Iterator[MicroManagerCamera]:
    camera = open_camera(manager, device="Multi")
    yield camera
    camera.close()


def test_its_exposure_is_that_of_the_camera_behind(
    multi: MicroManagerCamera, manager: MicroManager
) -> None:
    assert multi.set_exposure(0.007) == pytest.approx(0.007)
    assert manager.core("mm")("get_exposure", "Camera") == pytest.approx(7.0)


@pytest.mark.parametrize("exposure_s", [1e-6, 1e-9, 3000.0, 1e12])
def test_an_exposure_that_it_does_not_have_is_refused(
    multi: MicroManagerCamera, exposure_s: float
) -> None:
    multi.set_exposure(0.007)
    with pytest.raises(DeviceError, match=r"^camera: an exposure of .* but the camera makes"):
        multi.set_exposure(exposure_s)
    assert multi.exposure_s == pytest.approx(0.007)


def test_several_cameras_in_one_are_refused_by_their_names(manager: MicroManager) -> None:
    manager.core("mm")("set_property", "Multi", "Physical Camera 2", "Second")
    told = r"^camera: Multi joins the pictures of 2 cameras, Camera, Second; set device to the one"
    with pytest.raises(DeviceError, match=told):
        open_camera(manager, device="Multi")
    assert open_camera(manager, device="Second").label == "Second"


def test_a_second_camera_that_is_joined_later_is_refused(multi: MicroManagerCamera) -> None:
    multi.set_property("Physical Camera 2", "Second")
    with pytest.raises(DeviceError, match="joins the pictures of 2 cameras"):
        multi.start(3)
    assert not multi.running
    multi.set_property("Physical Camera 2", "Undefined")
    multi.start(3)
    assert taken(multi) == [0, 1, 2]


def test_its_frames_tell_which_camera_is_behind(multi: MicroManagerCamera) -> None:
    multi.start(1)
    frame = multi.next_frame(PATIENCE_S)
    assert frame is not None
    assert frame.metadata["Camera"] == "Camera"
    assert frame.metadata["Multi-CameraChannelName"] == "Camera"
    assert frame.metadata["Multi-CameraChannelIndex"] == "0"


def test_another_choice_of_camera_changes_nothing_here(manager: MicroManager) -> None:
    camera = open_camera(manager, device="Camera")
    core = manager.core("mm")
    core("set_property", "Second", "OnCameraCCDXSize", 64)
    core("set_property", "Second", "PixelType", "8bit")
    core("set_exposure", "Second", 77.0)
    core("set_camera_device", "Second")
    assert camera.shape == (128, 256)
    core("set_camera_device", "Second")
    assert camera.exposure_s == pytest.approx(0.002)
    assert camera.saturation_level == 65535
    core("set_camera_device", "Second")
    assert camera.roi == Roi(0, 0, 256, 128)
    core("set_camera_device", "Second")
    assert camera.set_roi(Roi(8, 16, 24, 32)) == Roi(8, 16, 24, 32)
    core("set_camera_device", "Second")
    assert camera.set_exposure(0.003) == pytest.approx(0.003)
    assert core("get_exposure", "Second") == pytest.approx(77.0)
    core("set_camera_device", "Second")
    camera.start(2)
    frames = [camera.next_frame(PATIENCE_S) for _ in range(2)]
    assert [frame.pixels.shape for frame in frames if frame] == [(32, 24)] * 2
    assert frames[0] is not None
    assert frames[0].metadata["Camera"] == "Camera"


@pytest.mark.parametrize("device", ["Camera", "Second"])
def test_a_camera_that_runs_already_is_not_taken(manager: MicroManager, device: str) -> None:
    core = manager.core("mm")
    core("set_camera_device", "Second")
    core("start_sequence_acquisition", 10**6, 0.0, False)
    with pytest.raises(DeviceError, match="shows live images; stop that first"):
        open_camera(manager, device=device)
    core("stop_sequence_acquisition")
    open_camera(manager, device=device)


def test_frames_of_another_camera_between_ours_are_an_error(manager: MicroManager) -> None:
    camera, core = open_camera(manager, device="Camera"), manager.core("mm")
    core("start_sequence_acquisition", "Second", 10**6, 0.0, True)
    camera.start()
    with pytest.raises(DeviceError, match=r"^camera: another program .* frames of Second come"):
        taken(camera)
    core("stop_sequence_acquisition", "Second")
    camera.stop()
    camera.start(4)
    assert taken(camera) == [0, 1, 2, 3]


def test_another_camera_that_begins_meanwhile_is_an_error(manager: MicroManager) -> None:
    camera = open_camera(manager, device="Camera")
    camera.start()
    assert camera.next_frame(PATIENCE_S) is not None
    manager.core("mm")("start_sequence_acquisition", "Second", 10**6, 0.0, True)
    with pytest.raises(DeviceError, match=r"^camera: another program has interfered"):
        taken(camera)
    manager.core("mm")("stop_sequence_acquisition", "Second")


def test_looking_leaves_out_frames_of_another_camera(manager: MicroManager) -> None:
    camera = open_camera(manager, device="Camera")
    camera.start(newest_only=True)
    manager.core("mm")("start_sequence_acquisition", "Second", 10**6, 0.0, True)
    time.sleep(0.1)
    for _ in range(10):
        frame = camera.next_frame(PATIENCE_S)
        assert frame is not None
        assert frame.metadata.get("Camera", "Camera") == "Camera"
    manager.core("mm")("stop_sequence_acquisition", "Second")


@pytest.fixture
def camera(manager: MicroManager) -> Iterator[MicroManagerCamera]:
    camera = open_camera(manager, device="Camera")
    yield camera
    camera.close()


@pytest.mark.parametrize("exposure_ms", [0.001, 0.0004, 0.003])
def test_an_exposure_that_reads_back_as_another_is_refused(
    camera: MicroManagerCamera, exposure_ms: float
) -> None:
    told = rf"^camera: an exposure of {exposure_ms:g} ms was asked for, but the camera makes 0 ms"
    with pytest.raises(DeviceError, match=told):
        camera.set_exposure(exposure_ms / 1000)
    assert camera.exposure_s == pytest.approx(0.002)
    camera.start(1)
    assert taken(camera) == [0]


def test_the_accepted_exposure_counts_and_a_difference_is_told(
    camera: MicroManagerCamera, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        accepted_s = camera.set_exposure(26e-6)  # its steps are of 0.01 ms
    assert accepted_s == camera.exposure_s
    assert accepted_s in (pytest.approx(20e-6), pytest.approx(30e-6))
    assert "exposes for" in caplog.text
    caplog.clear()
    assert camera.set_exposure(0.02) == pytest.approx(0.02)
    assert not caplog.records


@pytest.mark.parametrize("exposure_ms", [0.0, math.nan])
def test_no_sequence_begins_without_an_exposure(
    camera: MicroManagerCamera, manager: MicroManager, exposure_ms: float
) -> None:
    manager.core("mm")("set_exposure", "Camera", exposure_ms)  # by somebody else
    with pytest.raises(DeviceError, match=r"^camera: its exposure reads .* ms; set one first"):
        camera.start(1)
    assert not camera.running
    camera.set_exposure(0.002)
    camera.start(1)
    assert taken(camera) == [0]
