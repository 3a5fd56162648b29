"""Requests to end, within this process and in small ones: heard at once, and safe first."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from dsacq.ends import ENDS, Ends

PATIENCE_S = 60.0
ROOT = Path(__file__).parents[1]
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    for hold in ends._holds:
        hold.released.set()


def waited(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


def test_nothing_is_made_safe_before_an_end(ends: Ends) -> None:
    done: list[str] = []
    release = ends.hold(lambda: done.append("safe"))
    with ends.watching():
        pass
    release()
    assert (done, ends.asked, ends.reason) == ([], False, "")


def test_what_raises_or_hangs_keeps_no_other_from_being_safe(
    ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    hung, safe, tried = Event(), Event(), []

    def raise_at_first() -> None:
        tried.append(0)
        if len(tried) < 3:
            raise RuntimeError("the line is dead")

    ends.hold(lambda: hung.wait(PATIENCE_S))
    ends.hold(raise_at_first)
    ends.hold(safe.set)
    ends.ask("a test")
    assert safe.wait(PATIENCE_S)
    waited(lambda: len(tried) > 3)  # again and again, until it is released
    assert caplog.text.count("the line is dead") == 1
    hung.set()


def test_it_stays_safe_until_it_is_released(ends: Ends) -> None:
    count: list[int] = []
    release = ends.hold(lambda: count.append(0))
    ends.ask("a test")
    waited(lambda: len(count) > 1)
    release()
    time.sleep(0.05)
    so_far = len(count)
    time.sleep(0.5)
    assert len(count) == so_far


def test_what_is_opened_after_an_end_is_made_safe_too(ends: Ends) -> None:
    ends.ask("a test")
    safe = Event()
    ends.hold(safe.set)
    assert safe.wait(PATIENCE_S)


def test_the_first_reason_stays(ends: Ends) -> None:
    ends.ask("first")
    ends.ask("second")
    assert ends.reason == "first"


def test_listeners_are_told_first_and_at_once(ends: Ends) -> None:
    told: list[str] = []
    ends.hold(lambda: told.append("safe"))
    with ends.telling(lambda: told.append("stop")):
        ends.ask("a test")
        waited(lambda: len(told) > 1)
        assert told[0] == "stop"
    with ends.telling(lambda: told.append("late")):
        assert told[-1] == "late" or "late" in told
    before = told.count("stop")
    ends.ask("again")
    assert told.count("stop") == before  # it does not listen any more


@on_posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_signals_interrupt_the_main_thread_once(ends: Ends, name: str) -> None:
    safe = Event()
    release = ends.hold(safe.set)
    interrupted = 0
    with ends.watching():
        for _ in range(3):
            try:
                signal.raise_signal(getattr(signal, name))
                time.sleep(0.02)
            except KeyboardInterrupt:
                interrupted += 1
        assert safe.wait(PATIENCE_S)
        assert (interrupted, ends.asked) == (1, True)
        release()
        with pytest.raises(KeyboardInterrupt):  # nothing has to be made safe any more
            signal.raise_signal(signal.SIGINT)


@on_posix
def test_what_is_at_its_end_is_finished(ends: Ends) -> None:
    steps: list[str] = []

    def close() -> None:
        with ends.finishing():
            for name in ("movie", "table"):
                signal.raise_signal(signal.SIGTERM)
                with ends.finishing():
                    steps.append(name)
        steps.append("after")

    with ends.watching(), pytest.raises(KeyboardInterrupt):
        close()
    assert steps == ["movie", "table"]


@on_posix
def test_other_threads_finish_without_that(ends: Ends) -> None:
    with ends.watching():
        thread = threading.Thread(target=lambda: ends.finishing().__enter__())
        thread.start()
        thread.join()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@on_posix
def test_handlers_are_put_back(ends: Ends) -> None:
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP]
    before = [signal.getsignal(one) for one in numbers], threading.excepthook
    with ends.watching():
        assert [signal.getsignal(one) for one in numbers] != before[0]
    assert ([signal.getsignal(one) for one in numbers], threading.excepthook) == before


@on_posix
def test_what_was_ignored_from_the_start_stays_so(ends: Ends) -> None:
    """As nohup and a shell's background ask for it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ends.watching():
            signal.raise_signal(signal.SIGHUP)
            time.sleep(0.05)
            assert not ends.asked
    finally:
        signal.signal(signal.SIGHUP, before)


@on_posix
def test_a_thread_that_fails_ends_the_process(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    safe, told = Event(), []
    monkeypatch.setattr(threading, "excepthook", lambda about: told.append(about.exc_value))
    ends.hold(safe.set)

    def fail() -> None:
        raise LookupError("lost")

    def both() -> None:
        threading.Thread(target=fail).start()
        time.sleep(PATIENCE_S)

    with ends.watching(), pytest.raises(KeyboardInterrupt):
        both()
    assert safe.wait(PATIENCE_S)
    assert isinstance(ends.failure, LookupError)
    assert told == [ends.failure]
    assert "LookupError: lost" in ends.reason


@on_posix
def test_a_thread_that_leaves_on_purpose_does_not(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _about: None)
    with ends.watching():
        thread = threading.Thread(target=sys.exit)
        thread.start()
        thread.join()
        time.sleep(0.05)
        assert not ends.asked


@on_posix
def test_a_window_is_woken_instead(ends: Ends) -> None:
    told: list[str] = []
    with ends.watching(), ends.waking(told.append):
        signal.raise_signal(signal.SIGHUP)
        waited(lambda: bool(told))
    assert told == ["the terminal or connection was closed"]


def test_a_second_watch_begins_anew(ends: Ends) -> None:
    with ends.watching():
        ends.ask("a test")
    with ends.watching():
        assert (ends.asked, ends.reason) == (False, "")


def begun(code: str) -> "subprocess.Popen[bytes]":
    """A small program, which has said something."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,  # so that what it says next is not taken along
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().split() == [b"ready"]
    return process


def rest(process: "subprocess.Popen[bytes]") -> list[str]:
    """What else it says until it ends."""
    told, _ = process.communicate(timeout=PATIENCE_S)
    return told.decode().splitlines()


def test_a_script_that_forgets_to_close() -> None:
    code = "from dsacq.ends import ENDS\nENDS.hold(lambda: print('safe'))\nprint('ready')\n"
    for last in ("", "raise RuntimeError('forgotten')", "raise SystemExit(3)"):
        process = begun(code + last)
        assert rest(process)[-1] == "safe"
        assert process.returncode == (3 if "Exit" in last else bool(last))


HOLDING = """
import time
from dsacq.ends import ENDS
from pathlib import Path
with ENDS.watching():
    release = ENDS.hold(lambda: None) if {held} else None
    print("ready")
    while True:
        time.sleep(0.01)
"""


def state_of(process: "subprocess.Popen[bytes]") -> str:
    text = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
    return text.rpartition(")")[2].split()[0]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_ctrl_z_does_not_leave_a_rig_to_itself() -> None:
    process = begun(HOLDING.format(held=True))
    try:
        for _ in range(3):
            process.send_signal(signal.SIGTSTP)
            time.sleep(0.1)
            assert state_of(process) != "T"
    finally:
        process.send_signal(signal.SIGTERM)
        told = rest(process)
    assert "Ctrl+Z is not obeyed" in told[0]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_ctrl_z_suspends_where_nothing_is_held() -> None:
    process = begun(HOLDING.format(held=False))
    try:
        for _ in range(2):
            # The kernel stops no process whose group nobody could continue: a shell stands in.
            process.send_signal(signal.SIGTSTP)
            time.sleep(0.2)
            process.send_signal(signal.SIGCONT)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def test_the_process_has_one_that_makes_safe_at_its_exit() -> None:
    assert isinstance(ENDS, Ends)
    code = "import atexit\nfrom dsacq.ends import ENDS\nprint('ready', atexit._ncallbacks() > 0)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert out.stdout == "ready True\n"


def test_a_hold_that_is_released_is_not_made_safe_at_exit(ends: Ends) -> None:
    done: list[str] = []
    ends.hold(lambda: done.append("kept"))
    ends.hold(lambda: done.append("closed"))()
    ends.at_exit()
    assert done == ["kept"]


@on_posix
def test_nothing_interrupts_the_last_steps_of_a_process() -> None:
    code = (
        "import os, signal\nfrom dsacq.ends import ENDS\nENDS.leave_after()\ntry:\n"
        "    with ENDS.watching():\n        print('ready')\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n        input()\n"
        "except KeyboardInterrupt:\n    pass\n"
        "os.kill(os.getpid(), signal.SIGINT)\nos.kill(os.getpid(), signal.SIGHUP)\nprint('closed')"
    )
    process = begun(code)
    assert (rest(process), process.returncode) == (["closed"], 0)
