"""The computer is kept awake by what the system offers, and let go when the work ends."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rig_samples import write_rig

from dsacq.awake import awake, while_awake
from hardware.acquire import acquire
from hardware.rig import open_rig
from hardware.rig_file import read_rig

PATIENCE_S = 20.0
CONTINUOUS, SYSTEM, DISPLAY = 0x80000000, 1, 2
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="programs as POSIX starts them")


def wait_for(condition) -> None:  # type: ignore[no-untyped-def]
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


class FakeWindows:
    """The last wish of each thread, of those that live, as Windows keeps them."""

    def __init__(self) -> None:
        self.wishes: dict[threading.Thread, int] = {}

    def wish(self, flags: int) -> int:
        self.wishes[threading.current_thread()] = flags
        return CONTINUOUS

    def now(self) -> int:
        return max([flags for thread, flags in self.wishes.items() if thread.is_alive()] or [0])


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> FakeWindows:
    fake = FakeWindows()
    wish = lambda flags: fake.wish(flags)  # noqa: E731 - it is given argtypes
    kernel = SimpleNamespace(SetThreadExecutionState=wish)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    return fake


def test_on_windows(windows: FakeWindows) -> None:
    with awake("records"):
        assert windows.now() == CONTINUOUS | SYSTEM
        with awake("shows a pattern", screen=True):
            assert windows.now() == CONTINUOUS | SYSTEM | DISPLAY
        assert windows.now() == CONTINUOUS | SYSTEM  # the inner end took nothing from the outer
    assert windows.now() == 0


def test_on_windows_from_one_thread_to_another(windows: FakeWindows) -> None:
    held = awake("records")
    beginning = threading.Thread(target=held.__enter__)
    beginning.start()
    beginning.join()  # Windows would forget what this thread had wished for
    assert windows.now() == CONTINUOUS | SYSTEM
    held.__exit__(None, None, None)
    assert windows.now() == 0


def test_where_windows_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(), raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    with awake("records"):
        pass


def fake_program(folder: Path, name: str) -> Path:
    """It tells its arguments and its process, then waits for its input to end."""
    told = folder / "told"
    program = folder / name
    program.write_text(f'#!/bin/sh\necho "$$ $@" >> {told}\nexec cat\n', encoding="utf-8")
    program.chmod(0o755)
    return told


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not (status.exists() and status.read_text(encoding="utf-8").split()[2] == "Z")


@on_posix
@pytest.mark.parametrize(
    ("platform", "program", "words"),
    [
        ("linux", "systemd-inhibit", "--what=idle:sleep --who=dsacq --why=records cat"),
        ("darwin", "caffeinate", "-i -w PID"),
    ],
)
def test_by_a_program(
    platform: str, program: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = fake_program(tmp_path, program)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(sys, "platform", platform)
    with awake("records"):
        wait_for(told.exists)
        wait_for(lambda: told.read_text(encoding="utf-8").endswith("\n"))
        number, _, arguments = told.read_text(encoding="utf-8").strip().partition(" ")
        assert arguments == words.replace("PID", str(os.getpid()))
        assert alive(int(number))
    assert not alive(int(number))


@on_posix
def test_a_killed_program_lets_the_computer_sleep(tmp_path: Path) -> None:
    told = fake_program(tmp_path, "systemd-inhibit")
    code = (
        "import sys, time; sys.platform = 'linux'\n"
        "from dsacq.awake import awake\n"
        "with awake('records'): time.sleep(60)"
    )
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PATH": path}) as killed:
        wait_for(lambda: told.exists() and told.read_text(encoding="utf-8").endswith("\n"))
        killed.send_signal(signal.SIGKILL)
    number = int(told.read_text(encoding="utf-8").split()[0])
    wait_for(lambda: not alive(number))


@on_posix
@pytest.mark.parametrize("program", [None, "#!/bin/sh\nexit 1\n", "no program at all"])
def test_where_there_is_no_way(
    program: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if program is not None:
        path = tmp_path / "systemd-inhibit"
        path.write_text(program, encoding="utf-8")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    with awake("records"):
        pass


def fail_awake(windows: FakeWindows) -> None:
    with awake("records"):
        assert windows.now() == CONTINUOUS | SYSTEM
        raise ValueError("failed")


def test_a_failure_ends_it_too(windows: FakeWindows) -> None:
    with pytest.raises(ValueError, match="failed"):
        fail_awake(windows)
    assert windows.now() == 0


def numbers(count: int) -> Generator[int, None, str]:
    try:
        yield from range(count)
    finally:
        ends.append(threading.current_thread())
    return "done"


ends: list[threading.Thread] = []


def test_a_generator_keeps_it_awake_as_long_as_it_lasts(windows: FakeWindows) -> None:
    kept = while_awake("counts")(numbers)
    work = kept(2)
    assert not windows.wishes  # it has not begun
    assert next(work) == 0
    assert windows.now() == CONTINUOUS | SYSTEM
    assert next(work) == 1
    with pytest.raises(StopIteration) as ended:
        next(work)
    assert ended.value.value == "done"
    assert windows.now() == 0
    before = len(ends)
    work = kept(5)
    next(work)
    work.close()  # reaches the generator itself
    assert len(ends) == before + 1
    assert windows.now() == 0


def test_a_recording_keeps_it_awake(tmp_path: Path, windows: FakeWindows) -> None:
    with open_rig(read_rig(write_rig(tmp_path))) as rig:
        for folder in (tmp_path / "run", None):
            held = [windows.now() for _ in acquire(rig, 3, folder=folder, interval_s=0.01)]
            assert bool(max(held)) == (folder is not None)  # who only looks may fall asleep
    assert windows.now() == 0
