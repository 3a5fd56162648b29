"""What every device of a kind must do, asked of the devices of `pytest --bench my.toml`.

Each test opens the whole rig, with all light off, and works on one device of it.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from contracts import CameraContract, LaserContract, ShutterContract, SLMContract, StageContract

from hardware.protocols import SLM, DeviceError
from hardware.rig import Rig
from hardware.rig_file import RigSettings, read_rig
from hardware.slm_screen import ScreenSLMSettings

STAGES = ("focus", "stage_x", "stage_y")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each of the rig's devices of its kind; without any, pytest skips it."""
    path: Path | None = metafunc.config.getoption("--bench")
    settings = None if path is None else read_rig(path)
    kinds = {
        "camera": () if settings is None else ("camera",),
        "stage": _there(settings, STAGES),
        "slm": _there(settings, ("slm",)),
        "laser": () if settings is None else tuple(settings.lasers),
        "shutter": () if settings is None else tuple(settings.shutters),
    }
    for fixture in kinds.keys() & set(metafunc.fixturenames):
        devices = [(settings, name) for name in kinds[fixture]]
        names = [name for _, name in devices]
        metafunc.parametrize("device", devices, indirect=True, ids=names)


def _there(settings: RigSettings | None, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if getattr(settings, name, None) is not None)


def open_screen(name: str, settings: ScreenSLMSettings) -> SLM:
    from ui.slm_screen import ScreenSLM

    return ScreenSLM(name, settings)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[Any]:
    settings, name = request.param
    if isinstance(settings.slm, ScreenSLMSettings):
        request.getfixturevalue("qapp")
    rig = Rig(settings, open_screen)
    devices = {**rig.lasers, **rig.shutters}
    yield devices[name] if name in devices else getattr(rig, name)
    with suppress(DeviceError):  # of the device that the test has closed; all others are closed
        rig.close()


@pytest.fixture
def camera(device: Any) -> Any:
    return device


@pytest.fixture
def stage(device: Any) -> Any:
    return device


@pytest.fixture
def slm(device: Any) -> Any:
    return device


@pytest.fixture
def laser(device: Any) -> Any:
    return device


@pytest.fixture
def shutter(device: Any) -> Any:
    return device


class TestCamera(CameraContract):
    pass


class TestStage(StageContract):
    pass


class TestSLM(SLMContract):
    pass


class TestLaser(LaserContract):
    pass


class TestShutter(ShutterContract):
    pass
