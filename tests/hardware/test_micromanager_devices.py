"""Micro-Manager's simulated stages and shutter; a laser made of the properties of its camera."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest
from contracts import LaserContract, ShutterContract, StageContract
from micromanager_demo import open_demo
from pydantic import ValidationError

from hardware.micromanager import MicroManager
from hardware.micromanager_light import (
    MicroManagerLaser,
    MicroManagerLaserSettings,
    MicroManagerShutter,
    MicroManagerShutterSettings,
)
from hardware.micromanager_properties import number, same, set_property
from hardware.micromanager_stage import MicroManagerStage, MicroManagerStageSettings
from hardware.protocols import DeviceError


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[MicroManager]:
    manager = open_demo(tmp_path)
    yield manager
    manager.close()


def stage_of(manager: MicroManager, **settings: object) -> MicroManagerStage:
    settings.setdefault("limits_um", (-50.0, 50.0))
    return MicroManagerStage("stage", MicroManagerStageSettings(**settings), manager)  # type: ignore[arg-type]


class TestFocus(StageContract):
    @pytest.fixture
    def stage(self, manager: MicroManager) -> MicroManagerStage:
        return stage_of(manager)


class TestTable(StageContract):
    @pytest.fixture(params=["x", "y"])
    def stage(self, manager: MicroManager, request: pytest.FixtureRequest) -> MicroManagerStage:
        return stage_of(manager, axis=request.param, limits_um=(-5.0, 5.0))


class TestMicroManagerShutter(ShutterContract):
    @pytest.fixture
    def shutter(self, manager: MicroManager) -> MicroManagerShutter:
        return MicroManagerShutter("shutter", MicroManagerShutterSettings(), manager)


def laser_of(manager: MicroManager, **settings: object) -> MicroManagerLaser:
    given: dict[str, object] = {
        "device": "Camera",
        "power_property": "TestProperty6",  # a number from 0 to 6 million
        "mw_per_unit": 0.5,
        "on_property": "RotateImages",
        "on_value": "1",
        "off_value": "0",
        "limit_mw": 50.0,
    }
    return MicroManagerLaser("laser", MicroManagerLaserSettings(**{**given, **settings}), manager)  # type: ignore[arg-type]


def value_of(manager: MicroManager, name: str) -> object:
    return {each.name: each.value for each in manager.properties("Camera")}[name]


class TestMicroManagerLaser(LaserContract):
    @pytest.fixture
    def laser(self, manager: MicroManager) -> MicroManagerLaser:
        return laser_of(manager)


def test_moving_one_axis_leaves_the_other(manager: MicroManager) -> None:
    x, y = stage_of(manager, axis="x"), stage_of(manager, axis="y")
    x.move_to(3)
    y.move_to(-4)
    x.move_to(1)
    assert (x.position_um(), y.position_um()) == pytest.approx((1, -4), abs=0.2)


def test_a_move_that_is_stopped_raises(manager: MicroManager) -> None:
    manager.set_property("Table", "Velocity", 0.001)  # mm per s
    stage = stage_of(manager, axis="x", timeout_s=20.0)
    begun = time.monotonic()
    Timer(0.2, stage.stop).start()
    with pytest.raises(DeviceError, match=r"^stage: it was stopped on its way to 20 um"):
        stage.move_to(20)
    assert time.monotonic() - begun < 10


def test_a_move_that_takes_too_long_raises(manager: MicroManager) -> None:
    manager.set_property("Table", "Velocity", 0.001)
    stage = stage_of(manager, axis="x", timeout_s=0.2)
    with pytest.raises(DeviceError, match=r"^stage: it did not reach 20 um within 0\.2 s"):
        stage.move_to(20)
    stage.stop()


def test_wrong_stages_are_told(manager: MicroManager) -> None:
    with pytest.raises(DeviceError, match=r"^stage: 'Camera' is not a stage or XY stage.*Focus"):
        stage_of(manager, device="Camera")
    with pytest.raises(DeviceError, match=r"^stage: Table is an XY stage; set axis to x or y"):
        stage_of(manager, device="Table")
    for limits_um in ((1.0, 1.0), (2.0, 1.0), (0.0, float("inf"))):
        with pytest.raises(ValidationError, match="limits_um"):
            stage_of(manager, limits_um=limits_um)


def test_micromanager_no_longer_opens_the_shutter(manager: MicroManager) -> None:
    core = manager.core("mm")
    core("set_auto_shutter", True)
    shutter = MicroManagerShutter("shutter", MicroManagerShutterSettings(), manager)
    assert not core("get_auto_shutter")
    shutter.set_opened(True)
    shutter.close()
    assert not core("get_shutter_open")
    with pytest.raises(DeviceError, match="closed"):
        shutter.set_opened(True)


def test_a_laser_left_on_is_put_off_when_it_opens(manager: MicroManager) -> None:
    manager.set_property("Camera", "RotateImages", 1)
    laser = laser_of(manager)
    assert value_of(manager, "RotateImages") == 0
    laser.set_power(20)
    assert value_of(manager, "TestProperty6") == 40
    laser.on()
    laser.close()
    assert value_of(manager, "RotateImages") == 0
    with pytest.raises(DeviceError, match="closed"):
        laser.on()


def test_a_laser_set_too_high_elsewhere_does_not_go_on(manager: MicroManager) -> None:
    laser = laser_of(manager)
    manager.set_property("Camera", "TestProperty6", 200)
    with pytest.raises(DeviceError, match="set to 100 mW, above its limit of 50 mW"):
        laser.on()
    assert not laser.emitting
    laser.set_power(10)
    laser.on()
    laser.off()


def test_power_in_whole_units_is_never_more_than_asked(manager: MicroManager) -> None:
    laser = laser_of(manager, power_property="Gain", mw_per_unit=10.0)  # a whole number
    laser.set_power(29)
    assert value_of(manager, "Gain") == 2
    assert laser.power_mw == 20
    laser.set_power(30)
    assert laser.power_mw == 30


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"device": "Laser"}, "no 'Laser'; it has Camera"),
        ({"power_property": "Power"}, "Camera has no property 'Power'"),
        ({"power_property": "Mode"}, "is not a number"),
        ({"on_property": "Emission"}, "Camera has no property 'Emission'"),
        ({"on_value": "On"}, "RotateImages has no value 'On', only 0, 1"),
    ],
)
def test_wrong_lasers_are_told(
    manager: MicroManager, settings: dict[str, object], told: str
) -> None:
    with pytest.raises(DeviceError, match=f"^laser: .*{told}"):
        laser_of(manager, **settings)


def test_a_laser_must_have_two_states(manager: MicroManager) -> None:
    with pytest.raises(ValidationError, match="both"):
        laser_of(manager, on_value="0")


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_a_position_that_is_none_is_an_error_and_no_way_begins_there(
    manager: MicroManager, axis: str
) -> None:
    stage = stage_of(manager, axis=axis)
    core = manager.core("mm")
    if axis == "z":  # by somebody else
        core("set_position", "Focus", math.nan)
    else:
        core("set_xy_position", "Table", *((math.nan, 0.0) if axis == "x" else (0.0, math.nan)))
    with pytest.raises(DeviceError, match=r"^stage: its position reads .* um, which is none"):
        stage.position_um()
    if axis != "z":
        with pytest.raises(DeviceError, match="which is none"):
            stage.move_to(1.0)
    with pytest.raises(DeviceError, match="which is none"):
        stage_of(manager, axis=axis)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize("position_um", [math.nan, math.inf, -math.inf])
def test_no_move_to_nowhere_is_sent(manager: MicroManager, axis: str, position_um: float) -> None:
    stage = stage_of(manager, axis=axis)
    stage.move_to(2.0)
    with pytest.raises(DeviceError, match=r"^stage: position .* is outside its limits"):
        stage.move_to(position_um)
    assert stage.position_um() == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-inf", "1e999"])
def test_what_is_not_finite_is_no_number(manager: MicroManager, text: str) -> None:
    assert number(text) is None
    assert not same(text, "0")
    core = manager.core("mm")
    for name in ("TestProperty6", "Gain"):  # a number and a whole number
        with pytest.raises(DeviceError, match="was refused"):
            set_property(core, "Camera", name, text)
