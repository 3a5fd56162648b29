"""A small process that makes the lasers dark when the program that holds the rig is cut off.

What can be caught is handled where it happens (`dsacq.ends`); a kill, a crash of a driver or a
launcher that is ended cannot. The watchdog reads from a pipe whose other end is the program's: the
system closes that whatever ends the program. Then it opens the rig's lasers and shutters anew,
which makes them dark, confirms it, and ends. It knows serial and Micro-Manager lights; simulated
ones are gone with the program.
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, Final, Self

from platformdirs import user_log_path
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from dsacq.errors import UserError
from dsacq.files.atomic import discard
from hardware.ichrome import IchromeLaser, IchromeSettings
from hardware.micromanager import MicroManager, MicroManagerSettings
from hardware.micromanager_config import with_devices
from hardware.micromanager_light import (
    MicroManagerLaser,
    MicroManagerLaserSettings,
    MicroManagerShutter,
    MicroManagerShutterSettings,
)

log = logging.getLogger(__name__)

_TRYING_S: Final = 15.0  # a port may be free only after a while, or belong to the next program
_AGAIN_S: Final = 0.1
_LOGGED_BYTES: Final = 1_000_000

LaserSettings = Annotated[IchromeSettings | MicroManagerLaserSettings, Field(discriminator="kind")]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Lights:
    """What shines on a rig and goes on shining without the program.

    camera: whether a camera goes on exposing, of a Micro-Manager that runs by itself.
    """

    lasers: dict[str, LaserSettings] = Field(default_factory=dict)
    shutters: dict[str, MicroManagerShutterSettings] = Field(default_factory=dict)
    micromanager: MicroManagerSettings | None = None
    camera: bool = False


_LIGHTS: Final = TypeAdapter(Lights)


class Watchdog:
    """The program's side: the process, and the end of the pipe that must not close."""

    def __init__(self, lights: Lights) -> None:
        """Raises OSError when it cannot be started."""
        self._process = _begun()
        assert self._process.stdin is not None
        self._process.stdin.write(_LIGHTS.dump_json(lights) + b"\n")
        self._process.stdin.flush()

    @classmethod
    def of(cls, lights: Lights) -> Self | None:
        """None for a rig without such lights. One that does not start is told in the log."""
        if not lights.lasers and not lights.shutters:
            return None
        try:
            return cls(lights)
        except OSError as error:
            log.warning(
                "The watchdog, which makes lasers dark when dsacq is cut off, did not start: %s",
                error,
            )
            return None

    def dismiss(self) -> None:
        """Nothing is left to watch: the rig is closed, and what did not go dark has been told."""
        self._process.kill()
        self._process.communicate()


def make_dark(lights: Lights) -> bool:
    """Make all of them dark, side by side; whether that is confirmed. What fails is tried again
    for a while, and logged."""
    work: list[tuple[str, Callable[[], None]]] = [
        (name, _opened_and_closed(IchromeLaser, name, settings))
        for name, settings in lights.lasers.items()
        if isinstance(settings, IchromeSettings)
    ]
    if lights.micromanager is not None:
        work.append(("Micro-Manager", lambda: _micromanager_dark(lights)))
    done: list[str] = []

    def insist(name: str, attempt: Callable[[], None]) -> None:
        if _insisted(name, attempt):
            done.append(name)

    threads = [Thread(target=insist, args=one, daemon=True) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done) == len(work)


def main() -> None:
    """Wait for the program's end."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # meant for the program: it is what decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    lights = _LIGHTS.validate_json(sys.stdin.buffer.readline())
    _import_micromanager(lights)
    sys.stdin.buffer.read()
    _begin_log()
    told = ", ".join([*lights.lasers, *lights.shutters])
    log.warning("dsacq was cut off; making dark: %s", told)
    if make_dark(lights):
        log.warning("dark: %s", told)


def _insisted(name: str, attempt: Callable[[], None]) -> bool:
    end_s = time.monotonic() + _TRYING_S
    while True:
        try:
            attempt()
        except UserError as error:
            if time.monotonic() > end_s:
                log.error("%s may still shine: %s", name, error)
                return False
            time.sleep(_AGAIN_S)
        else:
            return True


def _opened_and_closed(kind: Any, *arguments: Any) -> Callable[[], None]:
    return lambda: kind(*arguments).close()


def _micromanager_dark(lights: Lights) -> None:
    """Raises DeviceError."""
    assert lights.micromanager is not None
    lasers = {
        name: one
        for name, one in lights.lasers.items()
        if isinstance(one, MicroManagerLaserSettings)
    }
    with tempfile.TemporaryDirectory() as folder:
        settings = _with_lights_only(lights, [one.device for one in lasers.values()], Path(folder))
        manager = MicroManager("Micro-Manager", settings)
        try:
            for name, laser in lasers.items():
                MicroManagerLaser(name, laser, manager).close()
            for name, shutter in lights.shutters.items():
                MicroManagerShutter(name, shutter, manager).close()
            core = manager.core("camera")
            if lights.camera and core("is_sequence_running"):
                core("stop_sequence_acquisition")
        finally:
            manager.close()


def _with_lights_only(lights: Lights, devices: list[str], folder: Path) -> MicroManagerSettings:
    """Without stages and cameras: they would be set up anew, and some move at that."""
    settings = lights.micromanager
    assert settings is not None
    if settings.config is None:  # a Micro-Manager that runs, and holds its devices
        return settings
    shutters = [one.device for one in lights.shutters.values()]
    text = settings.config.read_text(encoding="utf-8", errors="surrogateescape")
    config = folder / "lights.cfg"
    wanted = with_devices(text, [*devices, *shutters])
    config.write_text(wanted, encoding="utf-8", errors="surrogateescape")
    return replace(settings, config=config, buffer_mb=1)


def _import_micromanager(lights: Lights) -> None:
    """Now, while there is time."""
    if lights.micromanager is not None:
        try:
            import mmpycorex  # noqa: F401
        except ImportError:
            log.debug("no pycromanager", exc_info=True)


def _begun() -> subprocess.Popen[bytes]:
    """A process that goes on when the terminal, or the program's job, is closed."""
    try:
        return _begun_so(**_apart(0x01000000))
    except PermissionError:  # of the job, which lets nobody leave it
        return _begun_so(**_apart(0))


def _begun_so(**how: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "hardware.watchdog"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),  # else the folder the program was started in stays in use
        env=_environment(),
        **how,
    )


def _apart(breakaway: int) -> dict[str, Any]:
    if sys.platform == "win32":
        detached, group = 0x8, 0x200
        return {"creationflags": detached | group | breakaway}
    return {"start_new_session": True}


def _environment() -> dict[str, str]:
    """In which the watchdog finds this package, however the program was started."""
    here = str(Path(__file__).resolve().parents[1])
    paths = [here, os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _begin_log() -> None:
    path = user_log_path("dsacq", appauthor=False, ensure_exists=True) / "watchdog.log"
    if path.exists() and path.stat().st_size > _LOGGED_BYTES:
        discard(path)
    logging.basicConfig(
        filename=path, format="%(asctime)s %(levelname)s %(message)s", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
