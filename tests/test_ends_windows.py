"""What Windows says when it asks a process to go, and what it is answered; run anywhere."""

import ctypes
import sys
import threading
from collections.abc import Callable
from queue import Queue
from threading import Event
from typing import Any

import pytest

from dsacq import ends_windows
from dsacq.ends import Ends
from dsacq.ends_windows import _handled, listening, session_message

QUERY, END, OTHER = 0x11, 0x16, 0xF


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (2, "the console was closed"),
        (5, "the user logged off"),
        (6, "the computer was shut down"),
        (0, None),  # Ctrl+C and Ctrl+Break come as signals
        (1, None),
        (99, None),
    ],
)
def test_what_the_console_tells(event: int, reason: str | None) -> None:
    told: list[str] = []
    assert _handled(event, told.append) == (reason is not None)
    assert told == ([] if reason is None else [reason])


def test_the_end_of_a_session_is_not_objected_to_and_waited_for() -> None:
    told: list[str] = []
    heard = Event()

    def asked(reason: str) -> None:
        told.append(reason)
        heard.set()

    assert session_message(QUERY, 0, asked) == 1
    assert heard.wait(60)  # meanwhile, so that Windows is not kept waiting
    assert session_message(END, 0, asked) == 0  # somebody else objected
    assert told == ["the session ends"]
    assert session_message(END, 1, asked) == 0
    assert told == ["the session ends"] * 2
    assert session_message(OTHER, 1, asked) is None


class FakeKernel:
    """Keeps the handlers that are set, to be called with console events."""

    def __init__(self) -> None:
        self.handlers: list[Callable[[int], int]] = []
        kernel = self

        class SetHandler:
            """A function of ctypes, whose types can be told."""

            argtypes: Any
            restype: Any

            def __call__(self, handler: Callable[[int], int], add: int) -> int:
                (kernel.handlers.append if add else kernel.handlers.remove)(handler)
                return 1

        self.SetConsoleCtrlHandler = SetHandler()


class FakeWindow:
    def __init__(self, _asked: object) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    if sys.platform == "win32":
        pytest.skip("there it is the real one")
    kernel = FakeKernel()
    monkeypatch.setattr(ctypes, "WinDLL", lambda *_, **__: kernel, raising=False)
    monkeypatch.setattr(ctypes, "WINFUNCTYPE", lambda *_: lambda function: function, raising=False)
    monkeypatch.setattr(ends_windows, "_HiddenWindow", FakeWindow)
    return kernel


def test_the_answer_is_given_when_all_is_closed(kernel: FakeKernel) -> None:
    """Windows ends the process with the answer: until then the recording must be whole."""
    over, told, answered = Event(), Event(), Event()

    def closing() -> None:
        kernel.handlers[0](2)
        answered.set()

    with listening(lambda _reason: told.set(), over):
        threading.Thread(target=closing, daemon=True).start()
        assert told.wait(60)
        assert not answered.wait(0.2)
        over.set()
        assert answered.wait(60)
    assert kernel.handlers == []


def test_the_whole_process_listens(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    ends, safe = Ends(), Event()
    release = ends.hold(safe.set)
    monkeypatch.setattr(sys, "platform", "win32")
    woken: Queue[str] = Queue()
    with ends.watching(), ends.waking(woken.put):
        answering = threading.Thread(target=kernel.handlers[0], args=(6,))
        answering.start()
        assert safe.wait(60)
        told = woken.get(timeout=60)  # who leaves before is ended by a signal, as nobody listens
        release()
    answering.join(60)
    assert not answering.is_alive()
    assert told == ends.reason == "the computer was shut down"
    assert woken.empty()
