"""All devices of Micro-Manager, set by hand without light and motion."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from micromanager_demo import CONFIG, open_camera, open_demo

from hardware.micromanager import MicroManager
from hardware.micromanager_browser import Browser
from hardware.micromanager_camera import MicroManagerCamera
from hardware.protocols import DeviceError

MORE = (
    CONFIG.replace(
        "Device,Shutter,DemoCamera,DShutter\n",
        "Device,Shutter,DemoCamera,DShutter\nDevice,LaserSwitch,DemoCamera,DStateDevice\n"
        "Device,Diffuser,DemoCamera,DWheel\n",
    )
    + "ConfigGroup,Speed,Lit,Camera,Gain,1\n"
    + "ConfigGroup,Speed,Lit,Shutter,State,1\n"
    + "ConfigGroup,Speed,Binned,Camera,Binning,2\n"
)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[MicroManager]:
    opened = open_demo(tmp_path, MORE)
    yield opened
    opened.close()


@pytest.fixture
def camera(manager: MicroManager) -> Iterator[MicroManagerCamera]:
    camera = open_camera(manager, exposure_s=0.01)
    yield camera
    camera.close()


@pytest.fixture
def browser(manager: MicroManager, camera: MicroManagerCamera) -> Browser:
    return Browser(manager, camera, {"Diffuser": "561"})


def settable(browser: Browser, label: str) -> set[str]:
    found = next(one for one in browser.devices() if one.label == label)
    return {one.name for one in found.properties if not one.read_only}


def test_light_and_motion_can_only_be_read(browser: Browser, manager: MicroManager) -> None:
    assert {one.label for one in browser.devices()} == {*manager.devices()}
    assert {"Gain", "Photon Flux", "Binning"} <= settable(browser, "Camera")
    assert "Gain" in settable(browser, "Second")
    assert {"State", "Label"} <= settable(browser, "Wheel")
    for label in ("Focus", "Table", "Shutter", "LaserSwitch", "Diffuser", "Core"):
        assert not settable(browser, label)
        found = next(one for one in browser.devices() if one.label == label)
        notes = [one.note for one in found.properties if one.note]
        assert notes  # what the device itself would let be set says why not
        assert ("rig's own 561" in notes[0]) == (label == "Diffuser")


@pytest.mark.parametrize(
    ("label", "name", "value"),
    [("Focus", "Position", 5), ("Shutter", "State", 1), ("LaserSwitch", "State", 1),
     ("Diffuser", "State", 1), ("Core", "AutoShutter", 1)],
)  # fmt: skip
def test_what_is_guarded_is_not_set(
    browser: Browser, manager: MicroManager, label: str, name: str, value: int
) -> None:
    before = manager.properties(label)
    with pytest.raises(DeviceError, match=f"mm: {label} {name} "):
        browser.set_property(label, name, value)
    assert manager.properties(label) == before


def test_the_camera_takes_note(browser: Browser, camera: MicroManagerCamera) -> None:
    browser.set_property("Camera", "OnCameraCCDXSize", 100)
    assert camera.sensor_shape == (128, 100)
    browser.set_property("Wheel", "State", 3)
    found = next(one for one in browser.devices() if one.label == "Wheel")
    assert {one.name: one.value for one in found.properties}["State"] == 3


def test_presets(browser: Browser, manager: MicroManager, camera: MicroManagerCamera) -> None:
    groups = {one.name: one for one in browser.presets()}
    assert groups["Filter"].current == ""
    browser.apply_preset("Filter", "Red")
    assert {one.name: one for one in browser.presets()}["Filter"].current == "Red"
    browser.apply_preset("Speed", "Binned")
    assert camera.binning == 2
    assert camera.sensor_shape == (128, 256)

    refused = groups["Speed"].refused
    assert [preset for preset, why in refused.items() if why] == ["Lit"]
    assert "Shutter State" in refused["Lit"]
    with pytest.raises(DeviceError, match=r"Lit of Speed sets Shutter State"):
        browser.apply_preset("Speed", "Lit")
    values = {each.name: each.value for each in manager.properties("Camera")}
    assert values["Gain"] == 0  # nothing of it was set
    with pytest.raises(DeviceError, match="mm: "):
        browser.apply_preset("Speed", "Slow")
