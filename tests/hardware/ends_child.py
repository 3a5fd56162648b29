"""A dsacq whose simulated devices, and MMCore in its process, can be looked at from outside.

    python ends_child.py STATE RECORDING TROUBLE ARGUMENTS...

STATE: a file of 16 bytes; the first tells whether a simulated laser shines, the second whether the
camera runs, the third whether Micro-Manager's shutter is open, the fourth whether the main thread
is stuck. They stand there as the devices
themselves are, also after the process has gone. TROUBLE: what goes wrong once TROUBLE.now is beside
STATE. RECORDING: a folder that the window records into once its rig is open.
"""

import ctypes
import mmap
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

LASER, CAMERA, SHUTTER, STUCK_NOW = range(4)
STUCK_S = 5
_looking = threading.Lock()


def main() -> None:
    state_file, recording, trouble, *arguments = sys.argv[1:]
    with Path(state_file).open("r+b") as file:
        state = mmap.mmap(file.fileno(), 16)
    _watch_simulated_devices(state)
    _watch_mmcore(state)
    if trouble:
        TROUBLES[trouble](Path(state_file).with_name(f"{trouble}.now"), state)
    if recording:
        _record_in_window(Path(recording))
    sys.argv = ["dsacq", *arguments]
    from ui.cli import program

    program()


def _afterwards(owner: type, name: str, look: Callable[..., None]) -> None:
    """From now on, look at what it was done to, with what was given, each time it was done.

    One look at a time: what an earlier one saw does not come to stand last.
    """
    method = getattr(owner, name)

    @wraps(method)
    def followed(self: Any, *given: Any, **named: Any) -> Any:
        answer = method(self, *given, **named)
        with _looking:
            look(self, *given)
        return answer

    setattr(owner, name, followed)


def _watch_simulated_devices(state: mmap.mmap) -> None:
    from hardware.bench import Bench
    from hardware.simulated_camera import SimulatedCamera

    def look_at_light(bench: Bench, *_: Any) -> None:
        state[LASER] = bench.view.light_mw > 0

    def look_at_camera(camera: SimulatedCamera, *_: Any) -> None:
        state[CAMERA] = camera.running

    for name in ("change", "light"):
        _afterwards(Bench, name, look_at_light)
    for name in ("start", "stop"):
        _afterwards(SimulatedCamera, name, look_at_camera)


def _watch_mmcore(state: mmap.mmap) -> None:
    from hardware.micromanager_core import InProcess

    def look(core: InProcess, method: str, *given: Any) -> None:
        if method == "set_shutter_open":
            state[SHUTTER] = bool(given[-1])
        if "sequence_acquisition" in method:
            state[CAMERA] = bool(core._core.is_sequence_running())

    _afterwards(InProcess, "run", look)


def _when(signal_file: Path, work: Callable[[], object]) -> None:
    def wait() -> None:
        while not signal_file.exists():
            time.sleep(0.002)
        work()

    threading.Thread(target=wait, name="trouble", daemon=True).start()


def _fail() -> None:
    raise RuntimeError("an exception that nobody caught")


def _in_gui_thread(work: Callable[[], object]) -> None:
    from ui.gui_thread import GuiThread

    GuiThread().call(work, 60)


def _fail_in_a_slot() -> None:
    """An exception that leaves a slot of the window's thread."""
    from PyQt6.QtCore import QObject, pyqtSignal

    from ui.gui_thread import GuiThread

    class Signalling(QObject):
        asked = pyqtSignal()

    def emit() -> None:
        signalling = Signalling()
        signalling.asked.connect(_fail)
        signalling.asked.emit()

    gui_thread = GuiThread()
    gui_thread.call(emit, 60)


def _quit() -> None:
    """What Cmd+Q and a desktop's Quit come to."""
    from PyQt6.QtCore import QCoreApplication, QEvent

    QCoreApplication.postEvent(QCoreApplication.instance(), QEvent(QEvent.Type.Quit))


def _end_session() -> None:
    """What a log-off comes to."""
    from PyQt6.QtGui import QGuiApplication

    application: Any = QGuiApplication.instance()
    _in_gui_thread(lambda: application.commitDataRequest.emit(None))


def _stuck(signal_file: Path, state: mmap.mmap) -> None:
    """The main thread is in a library's code, which heeds no signals; at every frame."""

    def stay(*_: Any) -> None:
        if signal_file.exists():
            state[STUCK_NOW] = 1
            end_s = time.monotonic() + STUCK_S
            while (left_s := end_s - time.monotonic()) > 0:  # usleep returns on a signal
                ctypes.CDLL(None).usleep(int(left_s * 1e6))
            signal_file.unlink(missing_ok=True)

    import ui.commands.live
    from ui.image_view import ImageView

    ui.commands.live.serve_screens = stay  # type: ignore[assignment]
    set_frame = ImageView.set_frame

    def set_and_stay(self: ImageView, pixels: Any) -> None:
        set_frame(self, pixels)
        stay()

    ImageView.set_frame = set_and_stay  # type: ignore[method-assign]


def _shutter_raises(signal_file: Path, _state: mmap.mmap) -> None:
    from hardware.protocols import DeviceError
    from hardware.simulated import SimulatedShutter

    set_opened = SimulatedShutter.set_opened

    def refusing(self: SimulatedShutter, opened: bool) -> None:
        if signal_file.exists():
            raise DeviceError("illumination", "does not answer.")
        set_opened(self, opened)

    SimulatedShutter.set_opened = refusing  # type: ignore[method-assign]


TROUBLES: dict[str, Callable[[Path, mmap.mmap], None]] = {
    "thread": lambda file, _: _when(file, _fail),
    "slot": lambda file, _: _when(file, _fail_in_a_slot),
    "quit": lambda file, _: _when(file, _quit),
    "session": lambda file, _: _when(file, _end_session),
    "stuck": _stuck,
    "shutter": _shutter_raises,
}


def _record_in_window(recording: Path) -> None:
    from ui import app

    open_session = app.open_session

    def opening(session: Any, *given: Any) -> None:
        session.opened.connect(lambda _rig: session.record(recording, None, {}))
        open_session(session, *given)

    app.open_session = opening  # type: ignore[assignment]


if __name__ == "__main__":
    main()
