"""Micro-Manager in this process: opening, properties, presets, several times over."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from micromanager_demo import CONFIG, open_camera, open_demo, write_config
from pydantic import ValidationError

from hardware.micromanager import MicroManager, MicroManagerSettings
from hardware.protocols import DeviceError


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[MicroManager]:
    manager = open_demo(tmp_path)
    yield manager
    manager.close()


def test_devices_and_presets(manager: MicroManager) -> None:
    assert {"Camera", "Focus", "Table", "Shutter", "Wheel"} <= set(manager.devices())
    presets = manager.presets()
    assert set(presets["Speed"]) == {"Fast", "True"}
    assert presets["Filter"] == ("Red",)


def test_a_preset_sets_all_its_properties(manager: MicroManager) -> None:
    manager.apply_preset("Speed", "Fast")
    values = {each.name: each.value for each in manager.properties("Camera")}
    assert (values["FastImage"], values["Gain"]) == (1, 3)
    manager.apply_preset("Filter", "Red")
    assert {each.name: each.value for each in manager.properties("Wheel")}["State"] == 2
    with pytest.raises(DeviceError, match=r"mm: .*'Slow'.*Fast"):
        manager.apply_preset("Speed", "Slow")
    with pytest.raises(DeviceError, match=r"mm: .*'Sped'.*Speed"):
        manager.apply_preset("Sped", "Fast")


def test_properties_have_types_and_limits(manager: MicroManager) -> None:
    found = {each.name: each for each in manager.properties("Camera")}
    assert found["Mode"].kind == "text"
    assert "Noise" in found["Mode"].choices
    assert found["Gain"].kind == "whole number"
    assert found["Gain"].limits == (-5, 8)
    assert found["Photon Flux"].kind == "number"
    assert found["Photon Flux"].value == 50.0
    assert found["CameraID"].read_only


def test_any_property_can_be_set(manager: MicroManager) -> None:
    manager.set_property("Camera", "Gain", 5)
    manager.set_property("Camera", "Photon Flux", 12.5)
    manager.set_property("Camera", "Mode", "Noise")
    manager.set_property("Camera", "FastImage", 1.0)  # one of the choices "0", "1"
    values = {each.name: each.value for each in manager.properties("Camera")}
    assert [values[name] for name in ("Gain", "Photon Flux", "Mode", "FastImage")] == [
        5,
        12.5,
        "Noise",
        1,
    ]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("Gain", 9, "from -5 to 8"),
        ("Gain", 1.5, "a whole number"),
        ("Gain", "much", "a whole number"),
        ("Photon Flux", float("nan"), "from 2 to 5000"),
        ("TestProperty5", float("inf"), "a number"),
        ("Mode", "Waves", "Artificial Waves, Color Test Pattern"),
        ("CameraID", "1", "only be read"),
        ("Gian", 1, "no property 'Gian'; it has .*Gain"),
    ],
)
def test_wrong_values_are_refused(
    manager: MicroManager, name: str, value: str | float, told: str
) -> None:
    before = manager.properties("Camera")
    with pytest.raises(DeviceError, match=f"^mm: .*{told}"):
        manager.set_property("Camera", name, value)
    assert manager.properties("Camera") == before


def test_an_unknown_device_is_named(manager: MicroManager) -> None:
    with pytest.raises(DeviceError, match=r"mm: .*'Camra'.*Camera"):
        manager.set_property("Camra", "Gain", 1)
    with pytest.raises(DeviceError, match=r"'Camra' is not a camera.*there is Camera, Second"):
        open_camera(manager, device="Camra")


def test_one_at_a_time_and_again(tmp_path: Path) -> None:
    for _ in range(3):
        manager = open_demo(tmp_path)
        with pytest.raises(DeviceError, match=r"^mm: .*already"):
            open_demo(tmp_path)
        camera = open_camera(manager)
        camera.start()
        manager.close()  # a running sequence would keep the devices from being unloaded
        manager.close()
        with pytest.raises(DeviceError, match="closed"):
            manager.devices()


def _failure(folder: Path, text: str) -> str:
    with pytest.raises(DeviceError) as raised:
        open_demo(folder, text)
    assert "\n" not in str(raised.value)
    open_demo(folder).close()  # nothing was left open
    return str(raised.value)


def test_what_does_not_open_is_told(tmp_path: Path) -> None:
    told = _failure(tmp_path, "Device,Camera,NoSuchAdapter,Cam\n")
    assert told.startswith("mm: demo.cfg could not be loaded")
    assert "NoSuchAdapter" in told
    assert "NoSuchDevice" in _failure(tmp_path, "Device,Camera,DemoCamera,NoSuchDevice\n")
    broken = CONFIG + "Property,Camera,Gain,100\n"
    assert "Gain" in _failure(tmp_path, broken)


def test_missing_files_are_told(tmp_path: Path) -> None:
    missing = tmp_path / "none.cfg"
    with pytest.raises(DeviceError, match=r"^mm: there is no configuration file .*none\.cfg"):
        MicroManager("mm", MicroManagerSettings(config=missing, adapters="demo"))
    config = write_config(tmp_path)
    with pytest.raises(DeviceError, match=r"^mm: .*nowhere, the folder of device adapters"):
        MicroManager("mm", MicroManagerSettings(config=config, adapters=tmp_path / "nowhere"))


def test_adapters_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRAMFILES", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", "win32")
    config = write_config(tmp_path)
    with pytest.raises(DeviceError, match=r"^mm: Micro-Manager was not found; set adapters"):
        MicroManager("mm", MicroManagerSettings(config=config))
    folder = tmp_path / "Micro-Manager-2.0"
    folder.mkdir()
    (folder / "mmgr_dal_Nothing.dll").touch()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DeviceError, match=r"Micro-Manager-2\.0"):  # found, without its DemoCamera
        MicroManager("mm", MicroManagerSettings(config=config))


def test_either_a_configuration_or_a_running_one(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="either config"):
        MicroManagerSettings()
    with pytest.raises(ValidationError, match="either config"):
        MicroManagerSettings(config=tmp_path, attach=True)


def test_a_crash_in_an_adapter_ends_the_process_and_nothing_hangs(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    script = f"""
        from pathlib import Path
        from hardware.micromanager import MicroManager, MicroManagerSettings
        settings = MicroManagerSettings(config=Path({str(config)!r}), adapters="demo")
        manager = MicroManager("mm", settings)
        print("open", flush=True)
        manager.set_property("Camera", "SimulateCrash", "Dereference Null Pointer")
        manager.core("mm")("snap_image")
        print("alive", flush=True)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stdout.split() == ["open"], ended.stderr
    assert ended.returncode != 0
