"""The computer stays awake while something runs that must not be cut short."""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import Event, Thread
from typing import Final, ParamSpec, TypeVar

Given = ParamSpec("Given")
Yielded = TypeVar("Yielded")
Sent = TypeVar("Sent")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

_PATIENCE_S: Final = 1.0
# As Windows names them: until the next such call of the thread; the computer; its screens.
_CONTINUOUS: Final = 0x80000000
_SYSTEM: Final = 0x1
_DISPLAY: Final = 0x2


@contextmanager
def awake(why: str, *, screen: bool = False) -> Iterator[None]:
    """The computer does not go to sleep by itself until the block ends, nor its screens if asked.

    why: what runs, in a few words, where the system shows them. The block may begin and end in
    different threads, and blocks may lie within each other. Where the system has no way to ask for
    it, or refuses, nothing happens.
    """
    let_sleep = _held(why, screen)
    try:
        yield
    finally:
        let_sleep()


def while_awake(
    why: str,
) -> Callable[
    [Callable[Given, Generator[Yielded, Sent, Result]]],
    Callable[Given, Generator[Yielded, Sent, Result]],
]:
    """Makes a generator function keep the computer awake from the first item to its end."""

    def decorated(
        function: Callable[Given, Generator[Yielded, Sent, Result]],
    ) -> Callable[Given, Generator[Yielded, Sent, Result]]:
        @wraps(function)
        def kept(*args: Given.args, **named: Given.kwargs) -> Generator[Yielded, Sent, Result]:
            with awake(why):
                return (yield from function(*args, **named))

        return kept

    return decorated


def _held(why: str, screen: bool) -> Callable[[], None]:
    if sys.platform == "win32":
        return _held_by_thread(_CONTINUOUS | _SYSTEM | _DISPLAY * screen)
    if sys.platform == "darwin":
        display = ["-d"] if screen else []
        return _held_by_process(["caffeinate", "-i", *display, "-w", str(os.getpid())])
    inhibit = ["systemd-inhibit", "--what=idle:sleep", "--who=dsacq", f"--why={why}"]
    return _held_by_process([*inhibit, "cat"])  # which ends with its input, so with this process


def _held_by_thread(flags: int) -> Callable[[], None]:
    """Windows keeps the wish of a thread until the thread takes it back or ends."""
    asked, ended = Event(), Event()

    def hold() -> None:
        import ctypes

        try:
            wish = ctypes.windll.kernel32.SetThreadExecutionState  # type: ignore[attr-defined,unused-ignore]
            wish.argtypes, wish.restype = [ctypes.c_uint32], ctypes.c_uint32
            wish(flags)
            asked.set()
            ended.wait()
            wish(_CONTINUOUS)
        except (AttributeError, OSError):
            log.info("the computer cannot be kept awake", exc_info=True)
            asked.set()

    thread = Thread(target=hold, name="awake", daemon=True)
    thread.start()
    asked.wait(_PATIENCE_S)

    def let_sleep() -> None:
        ended.set()
        thread.join(_PATIENCE_S)

    return let_sleep


def _held_by_process(command: list[str]) -> Callable[[], None]:
    """A process that asks for it as long as it runs; it ends with this one, however that ends."""
    program = shutil.which(command[0])
    if program is None:
        return lambda: None
    try:
        process = subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl+C is for us, and nobody is asked for a password
        )
    except OSError:
        log.info("the computer cannot be kept awake", exc_info=True)
        return lambda: None

    def let_sleep() -> None:
        assert process.stdin is not None
        process.stdin.close()
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    return let_sleep
