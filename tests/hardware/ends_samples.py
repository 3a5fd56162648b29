"""Real processes of dsacq that hold a rig with light on, and the ways in which they are ended.

Of simulated devices the state is read from memory that the process shares, of serial ones and of a
running Micro-Manager from what stands in for them here: nothing is judged by what a program says.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Literal

from ends_child import CAMERA, LASER, SHUTTER, STUCK_NOW
from rig_samples import OPTICS, SMALL
from serial_emulators import IchromeEmulator

from dsacq.files.recording import FRAMES, read_facts, read_frame_lines
from dsacq.files.recording_check import check

HERE = Path(__file__).resolve().parent
PATIENCE_S = 120.0
LINE = 4  # of the serial laser
SERIAL_LASER = """
[lasers.640]
kind = "ichrome"
port = "{port}"
line = 4
mw_at_full = 100
limit_mw = 60
"""
MICROMANAGER = """
[camera]
kind = "micromanager"
exposure_s = 0.01
[shutters.illumination]
kind = "micromanager"
[use]
lasers_mw = { 640 = 20.0 }
[micromanager]
"""
DEMO_CONFIG = """\
Property,Core,Initialize,0
Device,Camera,DemoCamera,DCam
Device,Focus,DemoCamera,DStage
Device,Shutter,DemoCamera,DShutter
Property,Core,Initialize,1
Property,Core,Camera,Camera
Property,Core,Focus,Focus
Property,Core,Shutter,Shutter
Property,Camera,PixelType,16bit
Property,Camera,OnCameraCCDXSize,64
Property,Camera,OnCameraCCDYSize,48
"""
FOCUS = '[focus]\nkind = "micromanager"\naxis = "z"\nlimits_um = [-50, 50]\n'

RigKind = Literal["simulated", "serial", "demo", "studio"]
Face = Literal["live", "scan", "settle", "window"]
Opened = Literal["live", "scan", "settle", "window", "check"]


@dataclass
class Running:
    """A dsacq that records, scans or measures with light on.

    emulator: of a serial laser, of all rigs but the simulated one. studio: of the rig of that name.
    dark_s, still_s: from the end's begin until no light was left, and no exposure.
    """

    process: "subprocess.Popen[bytes]"
    folder: Path
    face: Face
    emulator: IchromeEmulator | None
    studio: Any = None
    terminal: int = -1
    dark_s: float = -1.0
    still_s: float = -1.0

    @property
    def recording(self) -> Path:
        return self.folder / "recorded"

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def told(self) -> str:
        return (self.folder / "told.txt").read_text(encoding="utf-8", errors="replace")

    def _bit(self, place: int) -> bool:
        return bool((self.folder / "state").read_bytes()[place])

    @property
    def shines(self) -> bool:
        if self.emulator is None:
            return self._bit(LASER)
        if self.studio is None:  # the shutter of MMCore in the process is gone with it
            shutter = self.alive and self._bit(SHUTTER)
        else:
            shutter = self.studio.core.getShutterOpen()
        return self.emulator.may_shine(LINE) or shutter

    @property
    def exposes(self) -> bool:
        if self.studio is not None:
            return bool(self.studio.core.isSequenceRunning())
        return self.alive and self._bit(CAMERA)

    @property
    def stuck(self) -> bool:
        return self._bit(STUCK_NOW)

    @property
    def frames(self) -> int:
        lines = self.recording / FRAMES
        return len(lines.read_bytes().splitlines()) if lines.exists() else 0

    def wait(self, condition: Callable[[], bool], what: str, *, alive: bool = False) -> None:
        """alive: the process is to be there until then."""
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, f"not within {PATIENCE_S:g} s: {what}; {self.told}"
            assert self.alive or not alive, f"ended before: {what}; {self.told}"
            time.sleep(0.01 if alive else 0.001)  # emulators in this process need their time

    def end(self, how: "End") -> None:
        """Do that, and note how long it takes until no light is left and the camera stands."""
        begun_s = time.perf_counter()
        doing = Thread(target=how, args=(self,))
        doing.start()
        self.wait(lambda: not self.shines, "dark")
        self.dark_s = time.perf_counter() - begun_s
        self.wait(lambda: not self.exposes, "the camera stands still")
        self.still_s = time.perf_counter() - begun_s
        doing.join()

    def trouble(self, name: str) -> None:
        (self.folder / f"{name}.now").touch()

    def wait_closed(self, stays: bool = False) -> int | None:
        """Until the process has ended, for its exit code; or, where the window stays, until the
        recording is closed."""
        if not stays:
            return self.process.wait(PATIENCE_S)
        self.wait(lambda: read_facts(self.recording).state != "recording", "ended", alive=True)
        self.wait(lambda: not check(self.recording).problems, "closed", alive=True)
        return None

    def assert_whole(self, state: str = "stopped") -> None:
        """The recording opens, and its counts are those of its frames."""
        facts = read_facts(self.recording)
        report = check(self.recording)
        assert (facts.state, report.problems) == (state, ())
        assert report.frames == facts.frames.written == facts.frames.received > 5
        lines = list(read_frame_lines(self.recording))
        assert len(lines) == report.frames


End = Callable[[Running], None]


@contextmanager
def running(
    folder: Path,
    rig: RigKind = "simulated",
    face: Face = "live",
    trouble: str = "",
    *,
    on_terminal: bool = False,
    environment: dict[str, str] | None = None,
    rewritten: Callable[[str], str] = str,
) -> Iterator[Running]:
    """A dsacq that has just recorded its first frames, or scans, with light; killed afterwards.

    rewritten: what becomes of the rig file's text.
    """
    with ExitStack() as stack:
        emulator = studio = None
        if rig != "simulated":
            emulator = IchromeEmulator()
            stack.callback(emulator.unplug)
            for line in (1, 2, LINE):
                emulator.values |= {f"laser{line}:cw": False, f"laser{line}:enable": False}
        (folder / "demo.cfg").write_text(DEMO_CONFIG, encoding="utf-8")
        if rig == "studio":
            studio = stack.enter_context(_studio(folder / "demo.cfg"))
        text = rewritten(_rig_text(rig, emulator, studio, face))
        (folder / "rig.toml").write_text(text, encoding="utf-8")
        (folder / "state").write_bytes(bytes(16))
        command = _command(folder, face == "window", trouble) + _arguments(face, folder)
        process, terminal = _begun(command, folder, environment or {}, on_terminal)
        stack.callback(_killed, process)
        run = Running(process, folder, face, emulator, studio, terminal)
        run.wait(lambda: run.shines and run.exposes, "light and exposure", alive=True)
        if face in ("live", "window"):
            run.wait(lambda: run.frames > 5, "frames", alive=True)
        yield run


@contextmanager
def ended_while_opening(folder: Path, face: Opened, end: str, at: bytes) -> Iterator[Running]:
    """A dsacq that gets a signal when its serial lasers, which shine, hear a command with `at`."""
    with ExitStack() as stack:
        emulator = Interrupting(at)
        stack.callback(emulator.unplug)
        first = SERIAL_LASER.replace("640", "405").replace("line = 4", "line = 1")
        both = "".join(one.format(port=emulator.port) for one in (SERIAL_LASER, first))
        kept, _, rest = SMALL.partition("[lasers.561]")
        text = kept + "[shutters." + rest.partition("[shutters.")[2].replace("561", "640")
        text += "[rig]\nwatchdog = false\n" + both
        (folder / "rig.toml").write_text(text, encoding="utf-8")
        (folder / "state").write_bytes(bytes(16))
        command = _command(folder, False, "")
        rig = str(folder / "rig.toml")
        command += ["rig", "check", rig] if face == "check" else _arguments(face, folder)
        process, _ = _begun(command, folder, {}, False)
        stack.callback(_killed, process)
        emulator.interrupt = lambda: process.send_signal(getattr(signal, f"SIG{end}"))
        run = Running(process, folder, "live", emulator)
        run.wait(lambda: emulator.interrupted, "the laser is asked", alive=True)
        yield run


class Interrupting(IchromeEmulator):
    """Does something when it hears a command for the first time, before it answers."""

    def __init__(self, at: bytes) -> None:
        self._at = at
        self.interrupt: Callable[[], object] = lambda: None
        self.interrupted = False
        super().__init__()

    def reply(self, line: bytes) -> bytes:
        if self._at in line and not self.interrupted:
            self.interrupt()
            self.interrupted = True
        return super().reply(line)


def _command(folder: Path, records: bool, trouble: str) -> list[str]:
    child = [sys.executable, str(HERE / "ends_child.py"), str(folder / "state")]
    return [*child, str(folder / "recorded") if records else "", trouble]


def _killed(process: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError):
        process.kill()
    process.wait()


@contextmanager
def _studio(config: Path) -> Iterator[Any]:
    import mm_test_adapters
    from micromanager_studio import Studio, demo_core

    adapters = Path(mm_test_adapters.__file__).parent / "libs"
    studio = Studio(demo_core(str(config), str(adapters)))
    try:
        yield studio
    finally:
        studio.close()
        studio.core.stopSequenceAcquisition()
        studio.core.unloadAllDevices()


def _rig_text(rig: RigKind, emulator: IchromeEmulator | None, studio: Any, face: Face) -> str:
    if emulator is None:
        return SMALL
    laser = SERIAL_LASER.format(port=emulator.port)
    if rig == "serial":  # instead of the simulated lasers
        kept, _, rest = SMALL.partition("[lasers.561]")
        return kept + "[shutters." + rest.partition("[shutters.")[2].replace("561", "640") + laser
    where = f"attach = true\nport = {studio.port}\n" if studio else 'config = "demo.cfg"\n'
    if studio is None:
        where += 'adapters = "demo"\n'
    return OPTICS + MICROMANAGER + where + (FOCUS if face == "scan" else "") + laser


def _arguments(face: Face, folder: Path) -> list[str]:
    rig, output = str(folder / "rig.toml"), str(folder / "recorded")
    match face:
        case "live":
            return ["live", "--rig", rig, "--frames", "1000000", "-o", output]
        case "scan":
            scan = ["calibrate", "scan", "--rig", rig, "-o", output]
            return [*scan, "--around-um=0:5", "--step-um", "0.01"]
        case "settle":
            return ["rig", "settle", rig]
        case "window":
            return ["--rig", rig]


def _begun(
    command: Sequence[str], folder: Path, environment: dict[str, str], on_terminal: bool
) -> "tuple[subprocess.Popen[bytes], int]":
    """The process, and our end of its terminal."""
    import pty

    whole = (
        {"QT_QPA_PLATFORM": "offscreen"}
        | os.environ
        | {
            "PYTHONPATH": str(HERE.parents[1]),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "logs"),
            "OMP_NUM_THREADS": "1",
        }
    )
    master, terminal = pty.openpty() if on_terminal else (-1, -1)
    with (folder / "told.txt").open("wb") as told:
        process = subprocess.Popen(
            command,
            stdin=terminal if on_terminal else subprocess.DEVNULL,
            stdout=terminal if on_terminal else told,
            stderr=terminal if on_terminal else told,
            env=whole | environment,
            cwd=folder,
            preexec_fn=_take_terminal if on_terminal else None,
        )
    if on_terminal:
        os.close(terminal)
    return process, master


def _take_terminal() -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def sent(*names: str, apart_s: float = 0.05) -> End:
    """Signals, by name, one after the other."""

    def send(run: Running) -> None:
        for place, name in enumerate(names):
            if place:
                time.sleep(apart_s)
            with suppress(ProcessLookupError):
                run.process.send_signal(signal.Signals[f"SIG{name}"])

    return send


def hung_up(run: Running) -> None:
    """The terminal is closed, as when a connection is lost."""
    os.close(run.terminal)


def keys(count: int) -> End:
    """Ctrl+C on the terminal, to which the whole group of processes listens."""

    def press(run: Running) -> None:
        for place in range(count):
            if place:
                time.sleep(0.1)
            with suppress(OSError):
                os.write(run.terminal, b"\x03")

    return press


def troubled(name: str) -> End:
    return lambda run: run.trouble(name)


def bridge_gone(run: Running) -> None:
    """The Micro-Manager that holds the devices answers no more."""
    run.studio.close()


CUT_OFF = "cut off (kill -9)"
STUCK = "SIGTERM while stuck in a library"
ENDS: dict[str, End] = {
    "Ctrl+C": sent("INT"),
    "SIGTERM": sent("TERM"),
    "SIGHUP": sent("HUP"),
    "SIGQUIT": sent("QUIT"),
    "Ctrl+C three times": sent("INT", "INT", "INT", apart_s=0.15),
    "SIGTERM, SIGHUP, Ctrl+C": sent("TERM", "HUP", "INT", apart_s=0.01),
    "exception in a thread": troubled("thread"),
    "Ctrl+C at the terminal, three times": keys(3),
    "terminal closed": hung_up,
    "exception in a slot": troubled("slot"),
    "Quit, Cmd+Q": troubled("quit"),
    "session ends": troubled("session"),
    STUCK: sent("TERM"),
    CUT_OFF: sent("KILL"),
}
TROUBLES = {
    "exception in a thread": "thread",
    "exception in a slot": "slot",
    "Quit, Cmd+Q": "quit",
    "session ends": "session",
    STUCK: "stuck",
}
ON_TERMINAL = ("Ctrl+C at the terminal, three times", "terminal closed")
IN_WINDOW = ("exception in a slot", "Quit, Cmd+Q", "session ends")


def possible(rig: RigKind, face: Face, end: str) -> bool:
    """Whether there is such an end of such a run, with a light that goes on by itself."""
    if end in IN_WINDOW:
        return face == "window"
    if face == "settle" and rig not in ("simulated", "serial"):  # these have no SLM
        return False
    if end == CUT_OFF:
        return rig != "simulated"
    if end == STUCK:
        return face in ("live", "window")
    return True


def stays(face: Face, end: str) -> bool:
    """Whether the window stays open: what failed is told there, and all is dark."""
    return face == "window" and end.startswith("exception")


@contextmanager
def ended(folder: Path, rig: RigKind, face: Face, end: str, **how: Any) -> Iterator[Running]:
    """A run after this end, dark; its process perhaps still at closing files."""
    trouble, on_terminal = TROUBLES.get(end, ""), end in ON_TERMINAL
    with running(folder, rig, face, trouble, on_terminal=on_terminal, **how) as run:
        if end == STUCK:
            run.trouble("stuck")
            run.wait(lambda: run.stuck, "stuck", alive=True)
        run.end(ENDS[end])
        yield run
