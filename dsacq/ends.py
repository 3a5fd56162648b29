"""How this process ends: who asks it to go is heard at once, whatever the main thread does.

Signals wake a thread through a descriptor (`signal.set_wakeup_fd`), within milliseconds, also while
the main thread is in a library's code, where Python's own handlers would wait. That thread has made
safe what must not be left as it is; the main thread is then interrupted, once, and closes what it
has opened. Asking again hurries nothing: neither darkness nor the closing of files is cut short.

On Windows the console, a log-off and a shutdown ask otherwise: `dsacq.ends_windows`.
"""

import atexit
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, RLock, Thread
from types import FrameType
from typing import Final

log = logging.getLogger(__name__)

_AGAIN_S: Final = 0.2  # somebody may switch on what was just made safe
_NAMES: Final = {
    "SIGINT": "Ctrl+C",
    "SIGTERM": "a request to end",
    "SIGHUP": "the terminal or connection was closed",
    "SIGQUIT": "a request to quit",
    "SIGBREAK": "Ctrl+Break",
}


class Ends:
    """What is to happen when this process is asked to go. One for the process: `ENDS`.

    failure: what ended a thread without being caught, if that was the reason. signal: the number
    of the signal that came first, 0 without one.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.failure: BaseException | None = None
        self.signal = 0
        self._asked, self._over = Event(), Event()
        self._lock = RLock()
        self._holds: list[_Hold] = []
        self._listeners: list[Callable[[], object]] = []
        self._wake: Callable[[str], object] | None = None
        self._signalled = self._interrupted = self._postponed = self._last = False
        self._finishing = 0  # nested calls, of the main thread

    @property
    def asked(self) -> bool:
        """Whether the process has been asked to go."""
        return self._asked.is_set()

    def hold(self, make_safe: Callable[[], object]) -> Callable[[], None]:
        """From now on make_safe is called at an end, in a thread of its own, and again until what
        this returns is called: the release. It may take long, may raise, and must not mind being
        called by several threads.
        """
        hold = _Hold(make_safe)
        with self._lock:
            self._holds.append(hold)
            if self.asked:
                hold.begin()

        def release() -> None:
            hold.released.set()
            with self._lock, suppress(ValueError):
                self._holds.remove(hold)

        return release

    @contextmanager
    def telling(self, listener: Callable[[], object]) -> Iterator[None]:
        """Within, the listener is called at an end, before anything is made safe; by any thread.
        It returns at once."""
        with self._lock:
            self._listeners.append(listener)
            asked = self.asked
        if asked:
            listener()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def ask(self, reason: str) -> None:
        """Begin to end, because of that; from any thread, and as often as one likes."""
        with self._lock:
            if not self.asked:
                self.reason = reason
                self._asked.set()
            holds, listeners = self._holds.copy(), self._listeners.copy()
        for listener in listeners:
            listener()
        for hold in holds:
            hold.begin()

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Within, the main thread is not interrupted: it is at an end already. It is afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._finishing += 1
        try:
            yield
        finally:
            self._finishing -= 1
            if self._postponed and not self._finishing:
                self._postponed = False
                self._interrupt()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within, this process hears every request to go. For the main thread only.

        It gets one KeyboardInterrupt, and each further time another only if nothing has to be made
        safe any more.
        """
        self._begin()
        with ExitStack() as stack:
            stack.callback(self._over.set)
            stack.enter_context(self._signals())
            stack.enter_context(self._thread_failures())
            if sys.platform == "win32":
                from dsacq.ends_windows import listening

                stack.enter_context(listening(self._heard, self._over))
            yield

    def leave_after(self) -> None:
        """The process has nothing else to do after `watching`: being asked once more, on its last
        steps, does not interrupt those."""
        self._last = True

    @contextmanager
    def waking(self, wake: Callable[[str], object]) -> Iterator[None]:
        """Within, no KeyboardInterrupt: wake is told the reason, by another thread, each time."""
        before, self._wake = self._wake, wake
        try:
            yield
        finally:
            self._wake = before

    def at_exit(self) -> None:
        """Make safe what a script left open, in this thread: no others may be begun any more."""
        for hold in self._holds.copy():
            hold.once()

    def _begin(self) -> None:
        self.reason, self.failure, self.signal = "", None, 0
        self._asked.clear()
        self._over.clear()
        self._signalled = self._interrupted = self._postponed = False

    @contextmanager
    def _signals(self) -> Iterator[None]:
        here, there = socket.socketpair()
        there.setblocking(False)

        def watch() -> None:
            while numbers := here.recv(64):
                for number in numbers:
                    if name := _NAMES.get(_name(number)):
                        self.signal = self.signal or number
                        self.ask(name)
                        if self._wake is not None:
                            self._wake(name)

        def handle(_number: int, _frame: FrameType | None) -> None:
            """Python's own, in the main thread, when that comes to it."""
            self._signalled = True
            if self._wake is None:
                self._interrupt()

        # What is ignored from the start stays so: that is how nohup and background jobs ask for it.
        heard = [one for one in _signals() if signal.getsignal(one) is not signal.SIG_IGN]
        before = {number: signal.getsignal(number) for number in heard}
        thread = Thread(target=watch, name="requests to end", daemon=True)
        thread.start()
        descriptor = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        for number in heard:
            signal.signal(number, handle)
        try:
            with _no_suspension(lambda: bool(self._holds)):
                yield
        finally:
            for number, handler in before.items():
                if self._last and (self._signalled or self.asked):
                    handler = signal.SIG_IGN
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
            signal.set_wakeup_fd(descriptor)
            there.close()
            thread.join()
            here.close()

    @contextmanager
    def _thread_failures(self) -> Iterator[None]:
        before = threading.excepthook

        def failed(about: threading.ExceptHookArgs) -> None:
            before(about)
            if about.exc_type is SystemExit:
                return
            self.failure = about.exc_value
            self._heard(f"a part of dsacq failed ({about.exc_type.__name__}: {about.exc_value})")

        threading.excepthook = failed
        try:
            yield
        finally:
            threading.excepthook = before

    def _interrupt(self) -> None:
        if self._finishing:
            self._postponed = True
        elif not (self._interrupted and self._holds):
            self._interrupted = bool(self._holds)
            raise KeyboardInterrupt

    def _heard(self, reason: str) -> None:
        """In another thread, otherwise than by a signal."""
        self.ask(reason)
        if self._wake is not None:
            self._wake(reason)
        elif self._over.is_set():  # nobody listens any more
            return
        elif hasattr(signal, "pthread_kill"):
            ident = threading.main_thread().ident
            assert ident is not None
            signal.pthread_kill(ident, signal.SIGTERM)  # Ctrl+C may be ignored in the background
        else:
            signal.raise_signal(signal.SIGINT)


class _Hold:
    """Something that must be made safe. released: it need not be any more."""

    def __init__(self, make_safe: Callable[[], object]) -> None:
        self.released = Event()
        self._make_safe = make_safe
        self._begun, self._told = False, ""
        self._thread = Thread(target=self._keep_safe, name="making safe", daemon=True)

    def begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._thread.start()

    def once(self) -> None:
        try:
            self._make_safe()
        except Exception as error:
            if str(error) != self._told and not self.released.is_set():
                self._told = str(error)
                log.error("%s", error)

    def _keep_safe(self) -> None:
        while not self.released.is_set():
            self.once()
            self.released.wait(_AGAIN_S)


def _signals() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


@contextmanager
def _no_suspension(holding: Callable[[], bool]) -> Iterator[None]:
    """Ctrl+Z would leave a process that can do nothing any more: not while it holds something."""
    if not hasattr(signal, "SIGTSTP") or signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN:
        yield
        return

    def suspend(number: int, _frame: FrameType | None) -> None:
        if holding():
            log.warning("Ctrl+Z is not obeyed while a rig is open; Ctrl+C ends.")
            return
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, suspend)  # here again

    before = signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)


ENDS: Final = Ends()
# A script's last line, or an exception that nothing caught: what it left open is made safe.
atexit.register(ENDS.at_exit)
