"""What makes lasers dark when the program that holds them is cut off."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo-terminals", allow_module_level=True)

from micromanager_demo import CONFIG, open_demo, write_config
from micromanager_studio import Studio, demo_core
from serial_emulators import IchromeEmulator

from hardware import watchdog
from hardware.ichrome import IchromeSettings
from hardware.micromanager import MicroManagerSettings
from hardware.micromanager_config import with_devices
from hardware.micromanager_light import MicroManagerLaserSettings, MicroManagerShutterSettings
from hardware.protocols import DeviceError
from hardware.watchdog import Lights, Watchdog, make_dark

# The bridge leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed socket:ResourceWarning")

LASER = MicroManagerLaserSettings(
    device="Camera",
    power_property="TestProperty6",
    mw_per_unit=0.5,
    on_property="RotateImages",
    on_value="1",
    off_value="0",
    limit_mw=50,
)


@pytest.fixture
def ichrome() -> Iterator[IchromeEmulator]:
    """Its lines 1, 2 and 4 shine."""
    device = IchromeEmulator()
    yield device
    device.unplug()


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    import mm_test_adapters

    adapters = Path(mm_test_adapters.__file__).parent / "libs"
    studio = Studio(demo_core(str(write_config(tmp_path)), str(adapters)))
    yield studio
    studio.close()
    studio.core.stopSequenceAcquisition()
    studio.core.unloadAllDevices()


def line(port: str, number: int) -> IchromeSettings:
    return IchromeSettings(port=port, line=number, mw_at_full=100, limit_mw=50)


def waited(device: IchromeEmulator, number: int) -> bool:
    end_s = time.monotonic() + 60
    while device.may_shine(number) and time.monotonic() < end_s:
        time.sleep(0.01)
    return not device.may_shine(number)


def test_only_the_lights_of_the_rig_are_made_dark(ichrome: IchromeEmulator) -> None:
    assert make_dark(Lights(lasers={"405": line(ichrome.port, 1), "640": line(ichrome.port, 4)}))
    assert [ichrome.may_shine(one) for one in (1, 2, 4)] == [False, True, False]


def test_it_insists(ichrome: IchromeEmulator) -> None:
    ichrome.fail("missing", times=3)
    assert make_dark(Lights(lasers={"640": line(ichrome.port, 4)}))
    assert not ichrome.may_shine(4)


def test_what_cannot_be_made_dark_keeps_nothing_else_alight(
    ichrome: IchromeEmulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watchdog, "_TRYING_S", 1.0)
    gone = line(str(tmp_path / "no such port"), 1)
    assert not make_dark(Lights(lasers={"405": gone, "640": line(ichrome.port, 4)}))
    assert not ichrome.may_shine(4)
    assert "405 may still shine" in caplog.text
    ichrome.values["laser4:cw"] = ichrome.values["laser4:enable"] = True
    ichrome.stuck |= {"laser4:cw", "laser4:enable"}
    assert not make_dark(Lights(lasers={"640": line(ichrome.port, 4)}))
    assert "640 may still shine" in caplog.text


def test_lights_of_a_micromanager_that_runs(studio: Studio) -> None:
    core = studio.core
    core.setShutterOpen(True)
    core.setProperty("Camera", "RotateImages", "1")
    core.startSequenceAcquisition(1000, 0, True)
    lights = Lights(
        lasers={"561": LASER},
        shutters={"door": MicroManagerShutterSettings()},
        micromanager=MicroManagerSettings(attach=True, port=studio.port),
    )
    assert make_dark(lights)
    assert not core.getShutterOpen()
    assert core.getProperty("Camera", "RotateImages") == "0"
    assert core.isSequenceRunning()  # not of this rig
    assert make_dark(replace(lights, camera=True))
    assert not core.isSequenceRunning()


def test_a_micromanager_in_the_program_is_set_up_again_without_what_moves(tmp_path: Path) -> None:
    """Nor is a device that cannot be had now."""
    absent = "Device,Away,NoSuchAdapter,Nothing\nProperty,Core,Initialize,1\n"
    moving = CONFIG.replace("Property,Core,Initialize,1\n", absent)
    with pytest.raises(DeviceError, match="could not be loaded"):
        open_demo(tmp_path, moving)
    settings = MicroManagerSettings(config=write_config(tmp_path, moving), adapters="demo")
    lights = Lights(
        lasers={"561": LASER},
        shutters={"door": MicroManagerShutterSettings()},
        micromanager=settings,
    )
    assert make_dark(lights)


def test_a_rig_without_such_lights_has_no_watchdog() -> None:
    assert Watchdog.of(Lights()) is None


def test_it_acts_when_its_pipe_ends_and_not_when_it_is_dismissed(ichrome: IchromeEmulator) -> None:
    lights = Lights(lasers={"488": line(ichrome.port, 2)})
    dog = Watchdog.of(lights)
    assert dog is not None
    time.sleep(1.0)
    assert ichrome.commands == []
    dog.dismiss()
    time.sleep(1.0)
    assert (ichrome.commands, ichrome.may_shine(2)) == ([], True)

    other = Watchdog(lights)
    process = other._process
    assert process.stdin is not None
    process.stdin.close()
    assert waited(ichrome, 2)
    assert process.wait(60) == 0


def test_one_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(watchdog, "_begun", refuse)
    assert Watchdog.of(Lights(lasers={"488": line("COM7", 2)})) is None
    assert "did not start: no more processes" in caplog.text


WITH_HUB = """\
# comment, with, commas
Property,Core,Initialize,0
Device,COM5,SerialManager,COM5
Device,Hub,LaserBox,Hub
Device,Laser,LaserBox,Laser
Device,Stage,ASIStage,XYStage
Device,Turret,ASIStage,Turret
Property,COM5,BaudRate,115200
Property,Hub,Port,COM5
Parent,Laser,Hub
Parent,Stage,COM5
Property,Core,Initialize,1
Property,Core,Shutter,Laser
Property,Core,Camera,
Property,Laser,Power,80
Property,Stage,Speed,3
Label,Turret,0,Red
"""


def test_what_a_light_needs_is_kept_and_nothing_else() -> None:
    assert with_devices(WITH_HUB, ["Laser"]).splitlines() == [
        "Property,Core,Initialize,0",
        "Device,COM5,SerialManager,COM5",
        "Device,Hub,LaserBox,Hub",
        "Device,Laser,LaserBox,Laser",
        "Property,COM5,BaudRate,115200",
        "Property,Hub,Port,COM5",
        "Parent,Laser,Hub",
        "Property,Core,Initialize,1",
        "Property,Core,Shutter,Laser",
    ]


@pytest.mark.parametrize("labels", [[None], [None, "Laser"], ["Laser", "no such device"]])
def test_the_cores_shutter_needs_no_name(labels: list[str | None]) -> None:
    assert with_devices(WITH_HUB, labels) == with_devices(WITH_HUB, ["Laser"])


def test_without_a_hub_little_is_left() -> None:
    assert with_devices(CONFIG, ["Wheel"]).splitlines() == [
        "Property,Core,Initialize,0",
        "Device,Wheel,DemoCamera,DWheel",
        "Property,Core,Initialize,1",
    ]
    kept = with_devices(WITH_HUB, ["Stage"])
    assert "Device,Stage" in kept
    assert "Device,COM5" in kept  # its parent
    assert "Laser" not in kept


def test_a_shutter_that_switches_others() -> None:
    """One of Micro-Manager's utilities names them in its properties, after setting up."""
    text = CONFIG.replace(
        "Property,Core,Initialize,1",
        "Device,Both,Utilities,Multi Shutter\nProperty,Core,Initialize,1\n"
        "Property,Both,Physical Shutter 1,Shutter\nProperty,Both,Physical Shutter 2,Undefined",
    )
    kept = with_devices(text, ["Both"]).splitlines()
    assert "Device,Shutter,DemoCamera,DShutter" in kept
    assert "Property,Both,Physical Shutter 1,Shutter" in kept
    assert not any("Camera,DemoCamera" in one for one in kept)
