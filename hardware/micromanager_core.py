"""MMCore of Micro-Manager through pycromanager: in this process, or in a Micro-Manager that runs.

The two differ in lists, rectangles, enumerations, images and errors; here they are alike.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from dsacq.files.paths import is_there
from hardware.protocols import DeviceError

Tags = dict[str, str]


class Backend(Protocol):
    """Where MMCore runs. Any exception is a failure, its text MMCore's."""

    attached: bool

    def run(self, method: str, *args: str | float | bool) -> Any:
        """A method of MMCore by its snake-case name; lists come as tuples, rectangles as 4 ints,
        presets as tuples of (device, property, value)."""

    def pop_image(self) -> tuple[NDArray[Any], Tags]:
        """The oldest picture (rows, columns) in the buffer, which gives it away."""

    def last_image(self) -> tuple[NDArray[Any], Tags]:
        """The newest picture (rows, columns) in the buffer, which keeps it."""

    def close(self) -> None: ...


class Core:
    """MMCore as one device sees it: what fails becomes a DeviceError in that device's name."""

    def __init__(self, device: str, backend: Backend) -> None:
        self.device = device
        self.attached = backend.attached
        self._backend = backend

    def __call__(self, method: str, *args: str | float | bool) -> Any:
        return self._told(self._backend.run, method, *args)

    def pop_image(self) -> tuple[NDArray[Any], Tags]:
        image: tuple[NDArray[Any], Tags] = self._told(self._backend.pop_image)
        return image

    def last_image(self) -> tuple[NDArray[Any], Tags]:
        image: tuple[NDArray[Any], Tags] = self._told(self._backend.last_image)
        return image

    def _told(self, work: Any, *args: Any) -> Any:
        try:
            return work(*args)
        except Exception as error:
            raise DeviceError(self.device, sentence(error)) from error


class InProcess:
    """MMCore in this process, with the devices of a configuration file."""

    attached = False

    def __init__(self, config: Path, adapters: Path, buffer_mb: int) -> None:
        from mmpycorex import Core as TheCore
        from mmpycorex import create_core_instance

        if sys.platform == "win32" and str(adapters) not in os.environ["PATH"]:
            os.environ["PATH"] += os.pathsep + str(adapters)  # the adapters' own libraries
        create_core_instance(
            str(adapters), config_file=None, python_backend=True, buffer_size_mb=buffer_mb
        )
        self._core = TheCore()
        try:
            self._core.enable_stderr_log(False)
            self._core.load_system_configuration(str(config.resolve()))
        except BaseException:
            self.close()
            raise

    def run(self, method: str, *args: str | float | bool) -> Any:
        value = getattr(self._open(), method)(*args)
        if hasattr(value, "getSetting"):
            settings = (value.getSetting(index) for index in range(value.size()))
            return tuple(
                (one.getDeviceLabel(), one.getPropertyName(), one.getPropertyValue())
                for one in settings
            )
        return tuple(value) if isinstance(value, list) else value

    def pop_image(self) -> tuple[NDArray[Any], Tags]:
        image = self._open().pop_next_tagged_image()
        return image.pix, image.tags

    def last_image(self) -> tuple[NDArray[Any], Tags]:
        import pymmcore

        found = pymmcore.Metadata()
        pixels = self._open().get_last_image_md(found)
        return pixels, {key: found.GetSingleTag(key).GetValue() for key in found.GetKeys()}

    def _open(self) -> Any:
        if self._core is None:
            raise ConnectionError("Micro-Manager has been closed")
        return self._core

    def close(self) -> None:
        from mmpycorex.launcher import terminate_pymmcore_instances

        core, self._core = self._core, None
        if core is None:
            return
        try:
            if core.is_sequence_running():  # unloading would be refused
                core.stop_sequence_acquisition()
        finally:
            terminate_pymmcore_instances()


def sentence(error: Exception) -> str:
    """The message of MMCore or of Java as one line, without a trace."""
    lines = (line.strip() for line in str(error).splitlines())
    text = " ".join(line for line in lines if line and not line.startswith("at "))
    text = text.removeprefix("java.lang.Exception: ") or type(error).__name__
    return text if text.endswith(".") else text + "."


opening = Lock()  # one Micro-Manager at a time


def open_in_process(
    name: str, config: Path, adapters: Path | Literal["demo"] | None, buffer_mb: int
) -> InProcess:
    """Raises DeviceError when Micro-Manager, its adapters or one of the devices fail to open."""
    require_pycromanager(name)
    folder = _demo_adapters(name) if adapters == "demo" else adapters or _installed_adapters(name)
    if not is_there(folder, Path.is_dir):
        raise DeviceError(name, f"{folder}, the folder of device adapters, does not exist.")
    if not is_there(config, Path.is_file):
        raise DeviceError(name, f"there is no configuration file {config}.")
    with opening:
        refuse_second(name)
        try:
            return InProcess(config, folder, buffer_mb)
        except Exception as error:
            raise DeviceError(
                name, f"{config.name} could not be loaded with {folder}: {sentence(error)}"
            ) from error


def require_pycromanager(name: str) -> None:
    """Raises DeviceError when it is not installed."""
    if find_spec("mmpycorex") is None:
        raise DeviceError(name, "pycromanager is not installed: pip install pycromanager.")


def refuse_second(name: str) -> None:
    """Raises DeviceError when a Micro-Manager is open in this process."""
    from mmpycorex import is_pymmcore_active

    if is_pymmcore_active():  # pycromanager would hand out the first one
        raise DeviceError(name, "a Micro-Manager is open in this program already; close it first.")


def _demo_adapters(name: str) -> Path:
    found = find_spec("mm_test_adapters")
    if found is None or found.origin is None:
        raise DeviceError(name, "for adapters = 'demo', pip install mm-test-adapters.")
    return Path(found.origin).parent / "libs"


def _installed_adapters(name: str) -> Path:
    """The newest Micro-Manager in the places where its installers put it."""
    roots = [Path(os.environ.get("PROGRAMFILES", "C:/Program Files")), Path("C:/"), Path.home()]
    if sys.platform == "darwin":
        roots = [Path("/Applications"), Path.home()]
    folders = [
        folder
        for root in roots
        for folder in root.glob("Micro-Manager*")
        if any(folder.glob("*mmgr_dal_*"))
    ]
    if not folders:
        raise DeviceError(
            name, "Micro-Manager was not found; set adapters to the folder it is installed in."
        )
    return max(folders, key=lambda folder: folder.stat().st_mtime)
