"""HOLOEYE SLMs through the maker's SLM Display SDK 2, 3 or 4, which is looked for at run time.

Patterns go out as image data, which every version shows pixel by pixel without a change; phase,
its wavelength and the wavefront are the business of `slm_pattern`.
"""

import importlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hardware.protocols import DeviceError, check_pattern

# Variables that the installers set, newest first, and the folders below them with Python modules.
_VARIABLES_4: Final = ("HEDS_4_2_PYTHON", "HEDS_4_1_PYTHON", "HEDS_4_0_PYTHON")
_FOLDERS_4: Final = ("api/python", "examples")
_VARIABLES_3: Final = ("HEDS_3_2_PYTHON_MODULES", "HEDS_3_2_PYTHON")
_VARIABLES_2: Final = ("HEDS_2_PYTHON_MODULES",)
_FOLDERS_3: Final = ("python", "")

_SHOW_AUTOMATIC: Final = 0  # pixel by pixel; other flags may scale


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class HoloeyeSLMSettings:
    """An SLM of HOLOEYE.

    sdk: the version to use, by default the newest installed.
    select: which SLM, in the words of SDK 4, such as "name:pluto;serial:0001"; by default, and
        always with SDK 2 and 3, the SDK finds it and asks when there are several.
    settle_s: what the crystal needs after the SDK has shown a pattern.
    """

    kind: Literal["holoeye"]
    sdk: Literal[2, 3, 4] | None = None
    select: str = ""
    settle_s: Annotated[float, Field(ge=0, le=10)] = 0.15


class _Sdk(Protocol):
    """One version of the SDK with its SLM open. Methods raise _SdkError."""

    shape: tuple[int, int]
    pixel_um: float

    def show(self, grey: NDArray[np.uint8]) -> None: ...

    def close(self) -> None: ...


class _SdkError(Exception):
    """In the SDK's words."""


_FAILURES = (_SdkError, OSError, RuntimeError)  # the latter two from the SDK itself


class _AbsentError(Exception):
    """This version of the SDK is not installed; the message says why it is thought so."""


class HoloeyeSLM:
    """The SLM keeps its window as long as this object is open."""

    def __init__(self, name: str, settings: HoloeyeSLMSettings) -> None:
        """Raises DeviceError when no SDK or no SLM is found."""
        self.name = name
        self._settings = settings
        self._lock = threading.Lock()
        self._shown: NDArray[np.uint8] | None = None
        failure = ""
        try:
            self._sdk: _Sdk | None = _open(settings)
        except _AbsentError as absent:
            failure = f"{absent}; install HOLOEYE's SLM Display SDK for Python, then log in again."
        except _FAILURES as error:
            failure = (
                f"the SDK cannot open the SLM ({error}); check its cables and that the SLM "
                "extends the desktop."
            )
        # Raised here, as an error with a context would keep the SDK's object alive, and that
        # closes the window of a later one when it goes.
        if failure:
            raise DeviceError(name, failure)
        assert self._sdk is not None
        self._shape, self._pixel_um = self._sdk.shape, self._sdk.pixel_um
        if min(*self._shape, self._pixel_um) <= 0:
            self.close()
            raise DeviceError(
                name,
                f"the SDK reports {self._shape[1]} x {self._shape[0]} pixels "
                f"of {self._pixel_um:g} um; check that the SLM is on.",
            )

    @property
    def shape(self) -> tuple[int, int]:
        return self._shape

    @property
    def pixel_um(self) -> float:
        return self._pixel_um

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """The pattern shown last; None after the SDK failed to show one."""
        return self._shown

    def show(self, grey: NDArray[np.uint8]) -> None:
        """Raises DeviceError when the SDK reports an error, such as a closed window."""
        check_pattern(self, grey)
        with self._lock:
            if self._sdk is None:
                raise DeviceError(self.name, "is closed; open the rig again.")
            own = np.array(grey, order="C")  # the SDK reads the memory row by row
            self._shown = None
            try:
                self._sdk.show(own)
            except _FAILURES as error:
                raise DeviceError(
                    self.name, f"the SDK did not show the pattern ({error}); open the rig again."
                ) from None
            self._shown = own
            time.sleep(self._settings.settle_s)

    def close(self) -> None:
        """Close the SLM's window. Raises DeviceError when the SDK reports an error."""
        with self._lock:
            sdk, self._sdk = self._sdk, None
            if sdk is None:
                return
            try:
                sdk.close()
            except _FAILURES as error:
                raise DeviceError(self.name, f"the SDK did not close ({error}).") from None


def _open(settings: HoloeyeSLMSettings) -> _Sdk:
    """The newest version that is installed. Raises _AbsentError and _FAILURES."""
    missing = ""
    if settings.sdk in (None, 4):
        try:
            modules = _import_4()
        except _AbsentError as absent:
            if settings.sdk == 4:
                raise
            missing = f"{absent}, and "
        else:
            return _Sdk4(*modules, settings.select)
    try:
        module = _import_3(settings.sdk)
    except _AbsentError as absent:
        raise _AbsentError(f"{missing}{absent}") from None
    return _Sdk3(module)


class _Sdk4:
    def __init__(self, heds: Any, no_error: int, select: str) -> None:
        self._heds, self._no_error = heds, no_error
        self._check(heds.SDK.Init(4, 0))
        self._slm = heds.SLM.Init(select, False, 1.0)  # without the preview window
        self._check(self._slm.errorCode())
        self.shape = (int(self._slm.height_px()), int(self._slm.width_px()))
        self.pixel_um = float(self._slm.pixelsize_um())

    def show(self, grey: NDArray[np.uint8]) -> None:
        self._check(self._slm.showImageData(grey, _SHOW_AUTOMATIC))

    def close(self) -> None:
        self._check(self._slm.window().close())

    def _check(self, error: int) -> None:
        if error != self._no_error:
            raise _SdkError(_text(self._heds.SDK.ErrorString(error)))


class _Sdk3:
    """SDK 3 and 2, of which the first releases open in the constructor of another class."""

    def __init__(self, module: Any) -> None:
        if hasattr(module, "SLMInstance"):
            self._slm = module.SLMInstance()
            self._no_error = module.ErrorCode.NoError
            self._check(self._slm.open())
        else:
            self._slm = module.SLMDisplay()
            self._no_error = module.SLMDisplay.ErrorCode.NoError
        self.shape = (int(self._slm.height_px), int(self._slm.width_px))
        self.pixel_um = float(self._slm.pixelsize_um)

    def show(self, grey: NDArray[np.uint8]) -> None:
        self._check(self._slm.showData(grey, _SHOW_AUTOMATIC))

    def close(self) -> None:
        self._slm.close()

    def _check(self, error: int) -> None:
        if error != self._no_error:
            raise _SdkError(_text(self._slm.errorString(error)))


def _import_4() -> tuple[Any, int]:
    """Module HEDS, and its code of success. Raises _AbsentError."""
    _add_paths(_VARIABLES_4, _FOLDERS_4)
    try:
        return importlib.import_module("HEDS"), importlib.import_module(
            "hedslib.heds_types"
        ).HEDSERR_NoError
    except ImportError as error:
        raise _AbsentError(f"HOLOEYE's SDK 4 was not found ({error})") from None


def _import_3(version: Literal[2, 3, 4] | None) -> Any:
    """Module slmdisplaysdk of a version, or of the newer. Raises _AbsentError."""
    _add_paths(
        (_VARIABLES_3 if version != 2 else ()) + (_VARIABLES_2 if version != 3 else ()), _FOLDERS_3
    )
    try:
        return importlib.import_module("holoeye.slmdisplaysdk")
    except ImportError as error:
        raise _AbsentError(f"HOLOEYE's SDK {version or '3 or 2'} was not found ({error})") from None


def _add_paths(variables: tuple[str, ...], folders: tuple[str, ...]) -> None:
    """Let the folders that the first variable set leads to be imported from, last of all."""
    for variable in variables:
        if root := os.environ.get(variable):
            for folder in folders:
                path = str(Path(root) / folder)
                if path not in sys.path:
                    sys.path.append(path)
            return


def _text(words: str | bytes | None) -> str:
    return words.decode("ascii", "replace") if isinstance(words, bytes) else str(words)
