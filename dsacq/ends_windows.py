"""How Windows asks a process to go: a closed console, a log-off, a shutdown, a restart for updates.

Console programs hear of the console by a handler. Once a library such as numpy has loaded user32,
they hear of log-off and shutdown only through a window, so a hidden one is made. In both, Windows
ends the process as soon as the answer is given, or after some 5 s: it is given when all is closed.
Source: SetConsoleCtrlHandler and WM_QUERYENDSESSION in Microsoft's documentation.
"""

import ctypes
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Final

log = logging.getLogger(__name__)

_MOST_S: Final = 4.5  # of the 5 s that Windows waits
_EVENTS: Final = {
    2: "the console was closed",
    5: "the user logged off",
    6: "the computer was shut down",
}
_WM_DESTROY, _WM_CLOSE, _WM_QUERYENDSESSION, _WM_ENDSESSION = 0x2, 0x10, 0x11, 0x16
_CLASS: Final = "dsacq.ends"

Asking = Callable[[str], object]


@contextmanager
def listening(heard: Asking, over: Event) -> Iterator[None]:
    """Within, the console and the session are heard, and heard is told why the process is to go.
    over: set when it has closed all, for which the answers wait."""

    def asked(reason: str) -> None:
        heard(reason)
        over.wait(_MOST_S)

    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    handler_type = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint32)  # type: ignore[attr-defined,unused-ignore]
    handler = handler_type(lambda event: _handled(event, asked))
    kernel32.SetConsoleCtrlHandler.argtypes = [handler_type, ctypes.c_int]
    kernel32.SetConsoleCtrlHandler.restype = ctypes.c_int
    kernel32.SetConsoleCtrlHandler(handler, 1)
    window = _HiddenWindow(asked)
    try:
        yield
    finally:
        over.set()
        kernel32.SetConsoleCtrlHandler(handler, 0)
        window.close()


def _handled(event: int, asked: Asking) -> int:
    """Ctrl+C and Ctrl+Break, 0 and 1, stay signals."""
    if event not in _EVENTS:
        return 0
    asked(_EVENTS[event])
    return 1


def session_message(message: int, chosen: int, asked: Asking) -> int | None:
    """What a window answers to a message about the session's end; None for all others.

    chosen: its first parameter. All is made safe when the session may end, without objecting to
    it, and waited for when it does.
    """
    if message == _WM_QUERYENDSESSION:
        Thread(target=asked, args=("the session ends",), daemon=True).start()
        return 1
    if message == _WM_ENDSESSION:
        if chosen:
            asked("the session ends")
        return 0
    return None


class _HiddenWindow:
    """A window nobody sees, with a thread of its own that takes its messages."""

    def __init__(self, asked: Asking) -> None:
        self._asked, self._handle = asked, 0
        self._made = Event()
        self._thread = Thread(target=self._run, name="session", daemon=True)
        self._thread.start()
        self._made.wait(_MOST_S)

    def close(self) -> None:
        if self._handle:
            _user32().PostMessageW(self._handle, _WM_CLOSE, 0, 0)
            self._thread.join(_MOST_S)

    def _run(self) -> None:
        try:
            self._serve(_user32())
        except Exception:  # the console's handler and the watchdog are left
            log.exception("log-off and shutdown are not heard")
        finally:
            self._made.set()

    def _serve(self, user32: Any) -> None:
        procedure_type = _procedure_type()

        def procedure(window: int, message: int, wide: int, long: int) -> int:
            told = session_message(message, wide, self._asked)
            if told is not None:
                return told
            if message == _WM_DESTROY:
                user32.PostQuitMessage(0)
                return 0
            result: int = user32.DefWindowProcW(window, message, wide, long)
            return result

        kept = procedure_type(procedure)
        of_class = _window_class(kept)
        user32.RegisterClassW(ctypes.byref(of_class))
        self._handle = user32.CreateWindowExW(0, _CLASS, "dsacq", 0, 0, 0, 0, 0, 0, 0, 0, 0) or 0
        self._made.set()
        message = ctypes.create_string_buffer(64)  # a MSG has 48 bytes
        while self._handle and user32.GetMessageW(message, 0, 0, 0) > 0:
            user32.DispatchMessageW(message)
        user32.UnregisterClassW(_CLASS, 0)


def _procedure_type() -> Any:
    return ctypes.WINFUNCTYPE(  # type: ignore[attr-defined,unused-ignore]
        ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_uint, ctypes.c_size_t, ctypes.c_ssize_t
    )


def _window_class(procedure: Any) -> ctypes.Structure:
    class WindowClass(ctypes.Structure):
        _fields_ = (
            ("style", ctypes.c_uint),
            ("procedure", type(procedure)),
            ("class_bytes", ctypes.c_int),
            ("window_bytes", ctypes.c_int),
            ("instance", ctypes.c_void_p),
            ("icon", ctypes.c_void_p),
            ("cursor", ctypes.c_void_p),
            ("background", ctypes.c_void_p),
            ("menu", ctypes.c_wchar_p),
            ("name", ctypes.c_wchar_p),
        )

    return WindowClass(procedure=procedure, name=_CLASS)


def _user32() -> Any:
    """With the types that 64 bits need."""
    user32 = ctypes.WinDLL("user32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    handle, whole = ctypes.c_void_p, ctypes.c_int
    user32.DefWindowProcW.argtypes = [handle, ctypes.c_uint, ctypes.c_size_t, ctypes.c_ssize_t]
    user32.DefWindowProcW.restype = ctypes.c_ssize_t
    user32.PostMessageW.argtypes = user32.DefWindowProcW.argtypes
    user32.GetMessageW.argtypes = [handle, handle, ctypes.c_uint, ctypes.c_uint]
    user32.DispatchMessageW.argtypes = [handle]
    user32.DispatchMessageW.restype = ctypes.c_ssize_t
    user32.CreateWindowExW.argtypes = [
        *(ctypes.c_uint32, ctypes.c_wchar_p, ctypes.c_wchar_p, ctypes.c_uint32),
        *(whole, whole, whole, whole, handle, handle, handle, handle),
    ]
    user32.CreateWindowExW.restype = handle
    user32.UnregisterClassW.argtypes = [ctypes.c_wchar_p, handle]
    return user32
