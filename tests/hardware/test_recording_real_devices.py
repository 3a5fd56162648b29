"""Recordings with Micro-Manager's own demo devices, and with an iChrome on a pseudo-terminal."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from live_samples import DISK
from micromanager_demo import CONFIG, write_config
from small_bench import bead_bench
from test_live_acquire import OPTICS

from dsacq.files.recording import read_facts, read_frame_lines
from dsacq.live import Update
from hardware import watch
from hardware.acquire import acquire
from hardware.ichrome import IchromeSettings
from hardware.micromanager import MicroManagerSettings
from hardware.micromanager_browser import Browser, browser_of
from hardware.micromanager_camera import MicroManagerCamera, MicroManagerCameraSettings
from hardware.micromanager_light import MicroManagerLaserSettings, MicroManagerShutterSettings
from hardware.micromanager_stage import MicroManagerStageSettings
from hardware.protocols import DeviceError
from hardware.rig import Rig, open_rig
from hardware.rig_file import RigSettings
from hardware.simulated_camera import SimulatedCameraSettings

# The second camera's properties stand in for those of a laser.
LASER = MicroManagerLaserSettings(
    device="Second",
    power_property="TestProperty6",
    mw_per_unit=0.5,
    on_property="RotateImages",
    on_value="1",
    off_value="0",
    limit_mw=50.0,
)
MW = {"561": 20.0}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "INTERVAL_S", 0.02)


def run(rig: Rig, folder: Path, act: Any, *, at: int = 5, more: int = 40, **options: Any) -> Update:
    """A recording amid which something is done; the last update."""
    stop, acted = Event(), None
    options = {"disk": DISK, "interval_s": 0.01, "stop": stop} | options
    for update in acquire(rig, folder=folder, **options):
        received = update.counters.received
        if acted is None and received >= at:
            act()
            acted = received
        if acted is not None and received >= acted + more:
            stop.set()
    return update


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Rig]:
    chosen = RigSettings(
        optics=OPTICS,
        micromanager=MicroManagerSettings(config=write_config(tmp_path, CONFIG), adapters="demo"),
        camera=MicroManagerCameraSettings(exposure_s=0.01),
        focus=MicroManagerStageSettings(limits_um=(-50.0, 50.0)),
        lasers={"561": LASER},
        shutters={"door": MicroManagerShutterSettings()},
    )
    with open_rig(chosen) as rig:
        yield rig


def camera_of(rig: Rig) -> MicroManagerCamera:
    assert isinstance(rig.camera, MicroManagerCamera)
    return rig.camera


def set_behind(rig: Rig, device: str, name: str, value: str) -> None:
    """Past the rig, as from the device's own panel."""
    camera_of(rig).manager.core("elsewhere")("set_property", device, name, value)


def browser(rig: Rig) -> Browser:
    found = browser_of(rig)
    assert found is not None
    return found


REFUSED: dict[str, Callable[[Rig], object]] = {
    "exposure": lambda rig: rig.camera.set_exposure(0.02),
    "binning": lambda rig: rig.camera.set_binning(2),
    "region": lambda rig: rig.camera.set_roi(None),
    "camera property": lambda rig: camera_of(rig).set_property("Gain", 3),
    "property": lambda rig: camera_of(rig).manager.set_property("Wheel", "State", 2),
    "panel's property": lambda rig: browser(rig).set_property("Camera", "Gain", 3),
    "preset": lambda rig: browser(rig).apply_preset("Speed", "Fast"),
    "wheel": lambda rig: browser(rig).apply_preset("Filter", "Red"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_micromanager_is_not_changed_amid_a_recording(demo: Rig, tmp_path: Path, what: str) -> None:
    def act() -> None:
        with pytest.raises(DeviceError, match=r"while a recording runs; stop it first\.$"):
            REFUSED[what](demo)

    last = run(demo, tmp_path / "run", act, lasers_mw=MW)
    assert last.state == "stopped"
    assert read_facts(tmp_path / "run").changes == ()
    REFUSED[what](demo)


def test_micromanager_s_light_and_focus_mark_the_frames(demo: Rig, tmp_path: Path) -> None:
    def act() -> None:
        assert demo.focus is not None
        demo.focus.move_to(3.0)
        demo.lasers["561"].set_power(30.0)
        demo.shutters["door"].set_opened(False)

    last = run(demo, tmp_path / "run", act, lasers_mw=MW)
    told = read_facts(tmp_path / "run").changes
    assert [(one.device, one.what, one.before, one.after, one.asked) for one in told] == [
        ("focus", "position_um", 0.0, 3.0, True),
        ("561", "power_mw", 20.0, 30.0, True),
        ("door", "opened", True, False, True),
    ]
    assert all(5 <= one.frame < last.counters.received for one in told)


@pytest.mark.parametrize(
    ("device", "name", "value", "expected"),
    [
        ("Second", "TestProperty6", "24", ("561", "power_mw", 20.0, 12.0)),
        ("Second", "RotateImages", "0", ("561", "emitting", True, False)),
        ("Camera", "Exposure", "20", ("camera", "exposure_s", 0.01, 0.02)),
        ("Focus", "Position", "4", ("focus", "position_um", 0.0, 4.0)),
        ("Shutter", "State", "0", ("door", "opened", True, False)),
    ],
)
def test_what_micromanager_s_devices_do_by_themselves_is_found(
    demo: Rig, tmp_path: Path, device: str, name: str, value: str, expected: tuple[Any, ...]
) -> None:
    run(demo, tmp_path / "run", lambda: set_behind(demo, device, name, value), lasers_mw=MW)
    (told,) = read_facts(tmp_path / "run").changes
    assert (told.device, told.what, told.before, told.after) == expected
    assert not told.asked


def test_micromanager_s_laser_above_its_limit_is_made_dark(demo: Rig, tmp_path: Path) -> None:
    def act() -> None:
        set_behind(demo, "Second", "TestProperty6", "374")

    last = run(demo, tmp_path / "run", act, more=10_000, lasers_mw=MW)
    assert last.state == "failed"
    assert last.reason == "561: emits 187 mW, above its limit of 50 mW; made dark."
    assert not demo.lasers["561"].emitting
    assert not demo.camera.running


def test_the_interval_is_that_of_the_frames(demo: Rig, tmp_path: Path) -> None:
    """DemoCamera needs many times as long for a large frame as a short exposure lasts."""
    for side in ("OnCameraCCDXSize", "OnCameraCCDYSize"):
        camera_of(demo).set_property(side, 1024)
    demo.camera.set_roi(None)
    demo.camera.set_exposure(0.001)
    run(demo, tmp_path / "run", lambda: None, more=60, lasers_mw={})
    facts, lines = read_facts(tmp_path / "run"), list(read_frame_lines(tmp_path / "run"))
    mean_s = (lines[-1]["time_s"] - lines[0]["time_s"]) / (len(lines) - 1)
    assert facts.exposure_s == pytest.approx(0.001)
    assert facts.frame_interval_s is not None
    assert facts.frame_interval_s > 3 * facts.exposure_s
    assert facts.frame_interval_s == pytest.approx(mean_s, rel=0.3)
    elapsed_ms = [float(line["ElapsedTime-ms"]) for line in lines]
    assert mean_s == pytest.approx((elapsed_ms[-1] - elapsed_ms[0]) / 1e3 / (len(lines) - 1), 0.1)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
class TestIchrome:
    """Its panel is turned while frames are recorded."""

    @pytest.fixture
    def device(self) -> Iterator[Any]:
        from serial_emulators import IchromeEmulator

        device = IchromeEmulator()
        yield device
        device.unplug()

    @pytest.fixture
    def rig(self, device: Any) -> Iterator[Rig]:
        line = IchromeSettings(port=device.port, line=2, mw_at_full=187.0, limit_mw=50.0)
        bench = bead_bench(OPTICS).settings
        chosen = RigSettings(
            optics=OPTICS,
            camera=SimulatedCameraSettings(exposure_s=0.01, readout_s=0.001),
            bench=bench,
            lasers={"488": line},
        )
        with open_rig(chosen) as rig:
            yield rig

    def test_turned_up(self, rig: Rig, device: Any, tmp_path: Path) -> None:
        def act() -> None:
            device.values["laser2:level"] = 100.0

        last = run(rig, tmp_path, act, more=10_000, lasers_mw={"488": 40.0})
        assert last.state == "failed"
        assert last.reason == "488: emits 187 mW, above its limit of 50 mW; made dark."
        assert not device.may_shine(2)
        (told,) = read_facts(tmp_path).changes
        assert (told.what, told.after, told.asked) == ("power_mw", 187.0, False)

    def test_turned_down(self, rig: Rig, device: Any, tmp_path: Path) -> None:
        def act() -> None:
            device.values["laser2:level"] = 10.0

        last = run(rig, tmp_path, act, lasers_mw={"488": 40.0})
        assert last.state == "stopped"
        (told,) = read_facts(tmp_path).changes
        assert (told.what, told.after) == ("power_mw", pytest.approx(18.7))

    def test_its_interlock_opened(self, rig: Rig, device: Any, tmp_path: Path) -> None:
        def act() -> None:
            device.values["laser2:enable"] = False

        last = run(rig, tmp_path, act, lasers_mw={"488": 40.0})
        assert last.state == "stopped"
        (told,) = read_facts(tmp_path).changes
        assert (told.what, told.before, told.after, told.asked) == ("emitting", True, False, False)
        assert told.frame < last.counters.received

    def test_set_from_a_script(self, rig: Rig, device: Any, tmp_path: Path) -> None:
        run(rig, tmp_path, lambda: rig.lasers["488"].set_power(18.7), lasers_mw={"488": 37.4})
        (told,) = read_facts(tmp_path).changes
        assert (told.what, told.before, told.after, told.asked) == (
            "power_mw",
            pytest.approx(37.4),
            pytest.approx(18.7),
            True,
        )

    @pytest.mark.parametrize("fault", ["slow", "garbled", "late"])
    def test_a_bad_answer_is_no_change(
        self, rig: Rig, device: Any, tmp_path: Path, fault: Any
    ) -> None:
        last = run(rig, tmp_path, lambda: device.fail(fault, b"level"), lasers_mw={"488": 40.0})
        assert last.state == "stopped"
        assert read_facts(tmp_path).changes == ()
        assert not device.may_shine(2)

    def test_unplugged(self, rig: Rig, device: Any, tmp_path: Path) -> None:
        with pytest.raises(DeviceError, match="488"):
            run(rig, tmp_path, device.unplug, more=100, lasers_mw={"488": 40.0})
        (told,) = read_facts(tmp_path).changes
        assert (told.device, told.what, told.after) == ("488", "answering", False)
        with pytest.raises(DeviceError, match="488"):
            rig.close()
