"""Binning by whatever sets it, with a region: the sensor stays what it is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from contracts import taken
from micromanager_demo import CONFIG, open_camera, open_demo

from dsacq.data import Roi
from dsacq.errors import SettingsError
from dsacq.physics.camera import ScmosCamera
from hardware.micromanager import MicroManager
from hardware.micromanager_browser import Browser
from hardware.micromanager_camera import MicroManagerCamera
from hardware.rig_file import noise_of_region

PRESETS = "".join(f"ConfigGroup,Binning,{n},Camera,Binning,{n}\n" for n in (1, 2, 4, 8))
MAPS = ScmosCamera(offset_adu=np.arange(128 * 256, dtype=np.float32).reshape(128, 256))


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[MicroManager]:
    manager = open_demo(tmp_path, CONFIG + PRESETS, buffer_mb=64)
    yield manager
    manager.close()


@pytest.fixture
def camera(manager: MicroManager) -> Iterator[MicroManagerCamera]:
    camera = open_camera(manager)
    yield camera
    camera.close()


Bin = Callable[[int], None]


@pytest.fixture(params=["property", "property in the browser", "preset"])
def bins(request: pytest.FixtureRequest, camera: MicroManagerCamera, manager: MicroManager) -> Bin:
    browser = Browser(manager, camera, {})
    ways: dict[str, Bin] = {
        "property": lambda n: camera.set_property("Binning", n),
        "property in the browser": lambda n: browser.set_property("Camera", "Binning", n),
        "preset": lambda n: browser.apply_preset("Binning", str(n)),
    }
    return ways[request.param]


@pytest.mark.parametrize("roi", [Roi(16, 32, 60, 40), Roi(0, 0, 256, 64), Roi(255, 127, 1, 1)])
@pytest.mark.parametrize("binning", [2, 4, 8])
def test_a_region_gives_way_and_the_sensor_stays(
    camera: MicroManagerCamera, bins: Bin, roi: Roi, binning: int
) -> None:
    camera.set_roi(roi)
    bins(binning)
    assert camera.binning == binning
    assert camera.sensor_shape == (128, 256)
    assert camera.roi == Roi(0, 0, 256 // binning, 128 // binning)
    part = Roi(256 // binning - 8, 128 // binning - 8, 8, 8)  # its far corner
    assert camera.set_roi(part) == part
    camera.start(2)
    assert taken(camera) == [0, 1]
    with pytest.raises(SettingsError, match="binning 1"):
        noise_of_region(MAPS, camera.sensor_shape, camera.roi, camera.binning)

    bins(1)
    assert camera.sensor_shape == (128, 256)
    assert camera.roi == Roi(0, 0, 256, 128)
    assert camera.set_roi(Roi(200, 100, 56, 28)) == Roi(200, 100, 56, 28)
    noise = noise_of_region(MAPS, camera.sensor_shape, camera.roi, camera.binning)
    assert isinstance(noise, ScmosCamera)
    assert np.array_equal(noise.offset_adu, np.asarray(MAPS.offset_adu)[100:128, 200:256])


def test_the_same_binning_again_leaves_the_region(camera: MicroManagerCamera, bins: Bin) -> None:
    camera.set_roi(Roi(16, 32, 60, 40))
    bins(1)
    assert camera.roi == Roi(16, 32, 60, 40)
    assert camera.sensor_shape == (128, 256)


def test_what_is_no_binning_leaves_the_region(
    camera: MicroManagerCamera, manager: MicroManager
) -> None:
    camera.set_roi(Roi(16, 32, 60, 40))
    camera.set_property("Gain", 2)
    camera.set_property("PixelType", "8bit")
    Browser(manager, camera, {}).apply_preset("Speed", "Fast")
    assert camera.roi == Roi(16, 32, 60, 40)
    assert camera.sensor_shape == (128, 256)


def test_an_odd_sensor_keeps_its_last_row_and_column(
    manager: MicroManager,
) -> None:
    camera = open_camera(manager, properties={"OnCameraCCDXSize": 101, "OnCameraCCDYSize": 67})
    assert camera.sensor_shape == (67, 101)
    for binning in (2, 4, 1):
        camera.set_property("Binning", binning)
        assert camera.sensor_shape == (67, 101)
        camera.set_roi(Roi(1, 1, 5, 5))
        camera.set_binning(binning)
        assert camera.sensor_shape == (67, 101)
        assert camera.roi == Roi(0, 0, 101 // binning, 67 // binning)


def test_another_sensor_under_a_region_is_measured(camera: MicroManagerCamera) -> None:
    camera.set_roi(Roi(16, 32, 60, 40))
    camera.set_property("OnCameraCCDXSize", 100)
    assert camera.sensor_shape == (128, 100)
    assert camera.roi == Roi(0, 0, 100, 128)
    assert camera.set_roi(Roi(90, 120, 10, 8)) == Roi(90, 120, 10, 8)
