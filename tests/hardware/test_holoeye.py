"""The SLM Display SDK in its versions, played by modules that have the quirks of each."""

import gc
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
from contracts import SLMContract

from hardware.holoeye import HoloeyeSLM, HoloeyeSLMSettings
from hardware.protocols import DeviceError

BASIC = HoloeyeSLMSettings(kind="holoeye", settle_s=0.0)
NO_ERROR, FORMAT_ERROR, WINDOW_CLOSED, NO_SLM = 0, 9, 14, 1


@dataclass
class Display:
    """What is connected to the computer: one window, whoever opened it."""

    rows: int = 18
    columns: int = 33
    present: bool = True
    window: bool = False
    pictures: list[np.ndarray] = field(default_factory=list)
    calls: list[Any] = field(default_factory=list)

    def open(self) -> int:
        self.window = self.present
        return NO_ERROR if self.present else NO_SLM

    def close(self) -> int:
        self.window = False
        return NO_ERROR

    def show(self, data: np.ndarray, flags: int) -> int:
        assert flags == 0
        if not self.window:
            return WINDOW_CLOSED
        if data.dtype != np.uint8 or not data.flags.c_contiguous:
            return FORMAT_ERROR
        self.pictures.append(data.copy())
        return NO_ERROR


def sdk_4(display: Display) -> dict[str, Any]:
    class Slm:
        def __init__(self, error: int) -> None:
            self.error = error

        def errorCode(self) -> int:  # noqa: N802
            return self.error

        def width_px(self) -> int:
            return display.columns if display.window else 0

        def height_px(self) -> int:
            return display.rows if display.window else 0

        def pixelsize_um(self) -> float:
            return 8.0

        def showImageData(self, data: Any, flags: Any = None) -> int:  # noqa: N802
            return display.show(data, flags)

        def window(self) -> Any:
            return SimpleNamespace(close=display.close)

    def init_slm(preselect: str = "", openPreview: bool = True, previewScale: float = 1.0) -> Slm:
        display.calls.append((preselect, openPreview))
        return Slm(display.open())

    def init_sdk(major: int, minor: int) -> int:
        return NO_ERROR if (major, minor) == (4, 0) else FORMAT_ERROR

    heds, hedslib, types = ModuleType("HEDS"), ModuleType("hedslib"), ModuleType("heds_types")
    heds.SDK = SimpleNamespace(Init=init_sdk, ErrorString=lambda code: f"HEDS error {code}")  # type: ignore[attr-defined]
    heds.SLM = SimpleNamespace(Init=init_slm)  # type: ignore[attr-defined]
    types.HEDSERR_NoError = NO_ERROR  # type: ignore[attr-defined]
    return {"HEDS": heds, "hedslib": hedslib, "hedslib.heds_types": types}


def old_sdk(**contents: Any) -> dict[str, Any]:
    package, module = ModuleType("holoeye"), ModuleType("holoeye.slmdisplaysdk")
    vars(module).update(contents)
    package.slmdisplaysdk = module  # type: ignore[attr-defined]
    return {"holoeye": package, "holoeye.slmdisplaysdk": module}


class OldSlm:
    """What SDK 2 and 3 have in common."""

    display: Display

    def __init__(self) -> None:
        self.width_px = self.height_px = 0
        self.pixelsize_um = 0.0

    def open(self) -> int:
        error = self.display.open()
        if error == NO_ERROR:
            self.width_px, self.height_px = self.display.columns, self.display.rows
            self.pixelsize_um = 8.0
        return error

    def errorString(self, error: int) -> bytes:  # noqa: N802
        return b"HEDS error %d" % error

    def showData(self, data: Any, showFlags: int = 0) -> int:  # noqa: N802
        return self.display.show(data, showFlags)

    def close(self) -> None:
        self.display.close()
        self.width_px = self.height_px = 0

    def __del__(self) -> None:
        self.display.close()


def sdk_3(display: Display) -> dict[str, Any]:
    """Later 2.x and 3.x: opened by a call, closed by the destructor."""
    instance = type("SLMInstance", (OldSlm,), {"display": display})
    return old_sdk(SLMInstance=instance, ErrorCode=SimpleNamespace(NoError=NO_ERROR))


def sdk_2(display: Display) -> dict[str, Any]:
    """Early 2.x: opened by the constructor, which raises."""

    class SLMDisplay(OldSlm):
        ErrorCode = SimpleNamespace(NoError=NO_ERROR)

        def __init__(self) -> None:
            super().__init__()
            if self.open() != NO_ERROR:
                raise RuntimeError("The SLM Graphics Library was not initialized.")

    SLMDisplay.display = display
    return old_sdk(SLMDisplay=SLMDisplay)


VERSIONS = {4: sdk_4, 3: sdk_3, 2: sdk_2}


@pytest.fixture
def display() -> Display:
    return Display()


@pytest.fixture(autouse=True)
def clean_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for variable in os.environ:
        if variable.startswith("HEDS_"):
            monkeypatch.delenv(variable)


@pytest.fixture(params=VERSIONS)
def installed(
    request: pytest.FixtureRequest, display: Display, monkeypatch: pytest.MonkeyPatch
) -> int:
    """Each version in turn, as the only one."""
    for name, module in VERSIONS[request.param](display).items():
        monkeypatch.setitem(sys.modules, name, module)
    return int(request.param)


class TestContract(SLMContract):
    @pytest.fixture
    def slm(self, installed: int) -> Iterator[HoloeyeSLM]:
        slm = HoloeyeSLM("pluto", BASIC)
        yield slm
        slm.close()


def test_pixels_arrive_unchanged(installed: int, display: Display) -> None:
    slm = HoloeyeSLM("pluto", BASIC)
    assert (slm.shape, slm.pixel_um) == ((18, 33), 8.0)
    grey = np.random.default_rng(0).integers(0, 256, (18, 33), dtype=np.uint8)
    slm.show(grey)
    slm.show(np.asfortranarray(grey))  # the SDK reads memory as it lies
    assert np.array_equal(display.pictures, [grey, grey])
    assert display.window
    slm.close()
    assert not display.window
    with pytest.raises(DeviceError, match="pluto: is closed"):
        slm.show(grey)


def test_no_slm_is_connected(installed: int, display: Display) -> None:
    display.present = False
    with pytest.raises(DeviceError, match="pluto: the SDK cannot open the SLM") as caught:
        HoloeyeSLM("pluto", BASIC)
    # An instance left behind would close the next one's window when it goes.
    display.present = True
    slm = HoloeyeSLM("pluto", BASIC)
    del caught
    gc.collect()
    assert display.window
    slm.close()


def test_the_window_was_closed(installed: int, display: Display) -> None:
    slm = HoloeyeSLM("pluto", BASIC)
    slm.show(np.zeros(slm.shape, np.uint8))
    display.close()
    with pytest.raises(DeviceError, match=r"did not show the pattern \(HEDS error 14\)"):
        slm.show(np.ones(slm.shape, np.uint8))
    assert slm.shown is None
    slm.close()


def test_a_display_without_pixels(installed: int, display: Display) -> None:
    display.rows = 0
    with pytest.raises(DeviceError, match="33 x 0 pixels"):
        HoloeyeSLM("pluto", BASIC)
    assert not display.window


def test_which_slm(display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in sdk_4(display).items():
        monkeypatch.setitem(sys.modules, name, module)
    slm = HoloeyeSLM("pluto", HoloeyeSLMSettings(kind="holoeye", select="name:pluto", settle_s=0))
    assert display.calls == [("name:pluto", False)]
    slm.close()


def test_nothing_is_installed() -> None:
    with pytest.raises(DeviceError, match=r"^pluto: .*'HEDS'.*'holoeye'.*; install"):
        HoloeyeSLM("pluto", BASIC)
    four = HoloeyeSLMSettings(kind="holoeye", sdk=4)
    with pytest.raises(DeviceError, match=r"SDK 4 was not found \(No module named 'HEDS'\)"):
        HoloeyeSLM("pluto", four)


@pytest.mark.parametrize(
    ("version", "variable", "module"),
    [
        (4, "HEDS_4_1_PYTHON", "examples/HEDS/__init__.py"),
        (3, "HEDS_3_2_PYTHON", "python/holoeye/slmdisplaysdk/__init__.py"),
        (2, "HEDS_2_PYTHON_MODULES", "holoeye/slmdisplaysdk/__init__.py"),
    ],
)
def test_it_is_found_where_the_installer_says(
    version: Literal[2, 3, 4],
    variable: str,
    module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / module
    file.parent.mkdir(parents=True)
    file.write_text("raise ImportError('this one')\n", encoding="utf-8")
    monkeypatch.setenv(variable, str(tmp_path))
    for sdk in (version, None):
        with pytest.raises(DeviceError, match="this one"):
            HoloeyeSLM("pluto", HoloeyeSLMSettings(kind="holoeye", sdk=sdk))
    for name in [name for name in sys.modules if name.startswith("holoeye")]:
        del sys.modules[name]  # the package beside the module did import
