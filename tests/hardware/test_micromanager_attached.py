"""Micro-Manager that runs elsewhere: a stand-in for its server in front of a real MMCore."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts import (
    PATIENCE_S,
    CameraContract,
    LaserContract,
    ShutterContract,
    StageContract,
    taken,
)
from micromanager_demo import open_camera, write_config
from micromanager_studio import Studio, demo_core

from dsacq.data import Roi
from hardware import micromanager_bridge
from hardware.micromanager import MicroManager, MicroManagerSettings
from hardware.micromanager_browser import Browser
from hardware.micromanager_camera import MicroManagerCamera
from hardware.micromanager_light import (
    MicroManagerLaser,
    MicroManagerLaserSettings,
    MicroManagerShutter,
    MicroManagerShutterSettings,
)
from hardware.micromanager_stage import MicroManagerStage, MicroManagerStageSettings
from hardware.protocols import DeviceError

# The bridge leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed socket:ResourceWarning")


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    import mm_test_adapters

    adapters = Path(mm_test_adapters.__file__).parent / "libs"
    studio = Studio(demo_core(str(write_config(tmp_path)), str(adapters)))
    yield studio
    studio.close()
    studio.core.stopSequenceAcquisition()
    studio.core.unloadAllDevices()


@pytest.fixture
def manager(studio: Studio) -> Iterator[MicroManager]:
    manager = attached(studio.port)
    yield manager
    manager.close()


def attached(port: int) -> MicroManager:
    return MicroManager("mm", MicroManagerSettings(attach=True, port=port))


class TestAttachedCamera(CameraContract):
    @pytest.fixture
    def camera(self, manager: MicroManager) -> Iterator[MicroManagerCamera]:
        camera = open_camera(manager, exposure_s=0.01, properties={"FastImage": 1})
        yield camera
        camera.close()


class TestAttachedStage(StageContract):
    @pytest.fixture(params=["x", "z"])
    def stage(self, manager: MicroManager, request: pytest.FixtureRequest) -> MicroManagerStage:
        settings = MicroManagerStageSettings(axis=request.param, limits_um=(-5, 5))
        return MicroManagerStage("stage", settings, manager)


class TestAttachedShutter(ShutterContract):
    @pytest.fixture
    def shutter(self, manager: MicroManager) -> MicroManagerShutter:
        return MicroManagerShutter("shutter", MicroManagerShutterSettings(), manager)


class TestAttachedLaser(LaserContract):
    @pytest.fixture
    def laser(self, manager: MicroManager) -> MicroManagerLaser:
        settings = MicroManagerLaserSettings(
            device="Camera",
            power_property="TestProperty6",
            mw_per_unit=0.5,
            on_property="RotateImages",
            on_value="1",
            off_value="0",
            limit_mw=50,
        )
        return MicroManagerLaser("laser", settings, manager)


def test_properties_and_presets(manager: MicroManager) -> None:
    manager.apply_preset("Speed", "Fast")
    found = {each.name: each for each in manager.properties("Camera")}
    assert found["Gain"].value == 3
    assert found["Gain"].kind == "whole number"
    assert found["Gain"].limits == (-5, 8)
    assert "Noise" in found["Mode"].choices
    with pytest.raises(DeviceError, match="from -5 to 8"):
        manager.set_property("Camera", "Gain", 9)


def test_what_micromanager_says_is_one_sentence(manager: MicroManager) -> None:
    with pytest.raises(DeviceError, match=r"^mm: No device with label \"Nothing\"\.$"):
        manager.core("mm")("get_device_type", "Nothing")


def test_fast_recordings_are_refused(manager: MicroManager) -> None:
    camera = open_camera(manager, exposure_s=0.001)  # 256 x 128 x 2 bytes, 1000 per s
    with pytest.raises(DeviceError, match=r"^camera: 66 MB/s do not pass the bridge.*at most 60"):
        camera.start()
    assert not camera.running
    camera.set_roi(Roi(0, 0, 256, 110))
    camera.start(20)
    assert taken(camera) == list(range(20))


def test_looking_is_slow_enough_for_the_bridge(manager: MicroManager) -> None:
    camera = open_camera(manager, exposure_s=0.001)
    camera.start(newest_only=True)
    begun = time.monotonic()
    for _ in range(7):
        assert camera.next_frame(PATIENCE_S) is not None
    assert time.monotonic() - begun > 6 / 20
    camera.stop()


def test_closing_leaves_micromanager_as_it_was(studio: Studio) -> None:
    studio.core.setAutoShutter(True)
    for _ in range(2):  # and it can be attached to again
        manager = attached(studio.port)
        shutter = MicroManagerShutter("shutter", MicroManagerShutterSettings(), manager)
        assert not studio.core.getAutoShutter()
        shutter.close()
        manager.close()
        manager.close()
        assert studio.core.getAutoShutter()
        assert studio.held == []  # no object is kept alive there
        with pytest.raises(DeviceError, match="closed"):
            manager.devices()
    assert "Camera" in studio.core.getLoadedDevices()
    assert not [name for name in studio.requests if "unload" in name.lower()]


def test_live_images_there_come_first(studio: Studio, manager: MicroManager) -> None:
    studio.core.startContinuousSequenceAcquisition(0)
    with pytest.raises(DeviceError, match=r"^camera: Micro-Manager shows live images; stop"):
        open_camera(manager)
    assert studio.core.isSequenceRunning()


def test_no_micromanager_is_told_in_seconds() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = threading.active_count()
    begun = time.monotonic()
    with pytest.raises(DeviceError, match=f"^mm: no Micro-Manager answers at port {port}; start"):
        attached(port)
    assert time.monotonic() - begun < 20
    assert threading.active_count() <= threads


def test_another_program_at_the_port_is_told_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(micromanager_bridge, "_GREETING_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DeviceError, match="no Micro-Manager answers"):
            attached(port)


def test_a_micromanager_that_hangs_does_not_hang_this(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micromanager_bridge, "_ANSWER_S", 0.5)
    manager = attached(studio.port)
    camera = open_camera(manager, exposure_s=0.01)
    studio.mute = True
    for _ in range(2):
        with pytest.raises(DeviceError, match=r"^camera: Micro-Manager has not answered for 0\.5"):
            camera.set_exposure(0.02)
    with pytest.raises(DeviceError, match="has not answered"):
        camera.close()
    camera.close()
    studio.mute = False  # the answer to the first question comes now: to none of the later ones
    time.sleep(0.1)
    with pytest.raises(DeviceError, match="has not answered"):
        manager.devices()
    manager.close()
    again = attached(studio.port)
    assert "Camera" in again.devices()
    again.close()


def test_presets_are_looked_into_over_the_bridge(manager: MicroManager) -> None:
    camera = open_camera(manager, exposure_s=0.01)
    browser = Browser(manager, camera, {"Wheel": "561"})
    browser.apply_preset("Speed", "Fast")
    groups = {one.name: one for one in browser.presets()}
    assert groups["Speed"].current == "Fast"
    assert groups["Speed"].refused == {"Fast": "", "True": ""}
    assert "Wheel State" in groups["Filter"].refused["Red"]
    labels = {one.label for one in browser.devices()}
    assert labels == {*manager.devices()}
    camera.close()
