"""However a process that holds a rig is ended: all is dark and the camera stands still within a
second, recordings are whole, and what cannot be caught is made dark by the watchdog.

The whole table is printed by `python tests/hardware/ends_table.py`.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo-terminals and POSIX's signals", allow_module_level=True)

from ends_samples import (
    CUT_OFF,
    ENDS,
    LINE,
    STUCK,
    Face,
    Opened,
    RigKind,
    bridge_gone,
    ended,
    ended_while_opening,
    possible,
    running,
    sent,
    stays,
)

from calibration.scan_files import read_scan
from dsacq.files.recording import read_facts
from dsacq.files.recording_check import check

SOON_S = 3.0  # 1 s is asked for, and seen; test machines are shared


@pytest.mark.parametrize(
    ("rig", "face", "end"),
    [
        *(("simulated", "live", end) for end in ENDS if possible("simulated", "live", end)),
        *(("simulated", "window", end) for end in ENDS if possible("simulated", "window", end)),
        ("serial", "live", STUCK),
        ("serial", "window", STUCK),
        ("serial", "live", "terminal closed"),
        ("serial", "window", "Ctrl+C three times"),
        ("demo", "live", "SIGTERM, SIGHUP, Ctrl+C"),
        ("demo", "live", "exception in a thread"),
        ("demo", "window", "SIGTERM"),
        ("demo", "window", "Quit, Cmd+Q"),
        ("studio", "live", "SIGHUP"),
        ("studio", "window", "session ends"),
    ],
)
def test_a_recording(tmp_path: Path, rig: RigKind, face: Face, end: str) -> None:
    with ended(tmp_path, rig, face, end) as run:
        assert max(run.dark_s, run.still_s) <= SOON_S
        run.wait_closed(stays(face, end))
        assert not run.shines
        run.assert_whole()


@pytest.mark.parametrize(
    ("rig", "end"),
    [
        ("simulated", "Ctrl+C three times"),
        ("simulated", "SIGHUP"),
        ("serial", "exception in a thread"),
        ("demo", "SIGTERM"),
    ],
)
def test_a_z_scan(tmp_path: Path, rig: RigKind, end: str) -> None:
    """The planes that were taken can be used."""
    with running(tmp_path, rig, "scan", "thread" if "thread" in end else "") as run:
        run.wait(lambda: (run.recording / "scan.json").exists(), "a plane", alive=True)
        run.end(ENDS[end])
        assert max(run.dark_s, run.still_s) <= SOON_S
        assert run.wait_closed() in (1, 129, 130, 143)
        assert len(read_scan(run.recording).planes) >= 1


@pytest.mark.parametrize("end", ["Ctrl+C", "terminal closed"])
def test_the_slm_being_measured(tmp_path: Path, end: str) -> None:
    with ended(tmp_path, "simulated", "settle", end) as run:
        assert max(run.dark_s, run.still_s) <= SOON_S
        assert run.wait_closed() in (1, 129, 130, 143)


@pytest.mark.parametrize(
    ("rig", "face"),
    [("serial", "live"), ("serial", "window"), ("demo", "live"), ("studio", "live")],
)
def test_cut_off(tmp_path: Path, rig: RigKind, face: Face) -> None:
    """The watchdog makes it dark; the recording opens as after a power cut."""
    with ended(tmp_path, rig, face, CUT_OFF) as run:
        assert max(run.dark_s, run.still_s) <= 2 * SOON_S
        report = check(run.recording)
        assert read_facts(run.recording).state == "recording"
        assert report.frames > 5
        if run.studio is not None:
            assert not run.studio.core.getShutterOpen()


def test_cut_off_without_a_watchdog(tmp_path: Path) -> None:
    """As the rig file may ask for, where another program watches."""

    def alone(text: str) -> str:
        return text + "[rig]\nwatchdog = false\n"

    with running(tmp_path, "serial", rewritten=alone) as run:
        assert run.emulator is not None
        run.process.kill()
        run.process.wait()
        time.sleep(3.0)
        assert run.shines


def test_the_watchdog_goes_when_the_rig_is_closed(tmp_path: Path) -> None:
    """It commands nothing after that: the lasers may be another program's by then."""
    with running(tmp_path, "serial") as run:
        assert run.emulator is not None
        run.end(sent("TERM"))
        run.wait_closed()
        so_far = len(run.emulator.commands)
        time.sleep(2.0)
        assert len(run.emulator.commands) == so_far


def test_a_shutter_that_does_not_close_keeps_no_laser_alight(tmp_path: Path) -> None:
    with running(tmp_path, "simulated", "live", "shutter") as run:
        run.trouble("shutter")
        run.end(sent("TERM"))
        assert max(run.dark_s, run.still_s) <= SOON_S
        run.wait_closed()
        run.assert_whole()
        assert "illumination: does not answer" in run.told


@pytest.mark.parametrize("fault", ["missing", "garbled", "late", "slow"])
def test_a_laser_that_answers_badly_when_it_is_made_dark(tmp_path: Path, fault: str) -> None:
    with running(tmp_path, "serial") as run:
        assert run.emulator is not None
        run.emulator.fail(fault, b"param-set!", times=3)  # type: ignore[arg-type]
        run.end(sent("TERM"))
        assert max(run.dark_s, run.still_s) <= SOON_S
        run.wait_closed()
        run.assert_whole()


@pytest.mark.parametrize(
    ("face", "end", "at"),
    [
        ("live", "TERM", b"serial-number"),
        ("live", "INT", b"system-type"),
        ("scan", "HUP", b"laser1:label"),
        ("settle", "TERM", b"serial-number"),
        ("check", "TERM", b"serial-number"),
        ("check", "INT", b"laser2:label"),
        ("window", "TERM", b"serial-number"),
    ],
)
def test_an_end_while_the_rig_is_opened(tmp_path: Path, face: Opened, end: str, at: bytes) -> None:
    """A line that shone already, as another program left it, is dark; no watchdog helps."""
    with ended_while_opening(tmp_path, face, end, at) as run:
        assert run.emulator is not None
        assert run.wait_closed() not in (1, None)
        lines = (LINE,) if face == "check" else (1, LINE)
        assert not any(run.emulator.may_shine(line) for line in lines)
        assert not run.recording.exists()


def test_a_laser_that_stays_on_is_told(tmp_path: Path) -> None:
    """Its controller acknowledges, and does nothing: the shutter closes, the camera stops."""
    with running(tmp_path, "serial") as run:
        assert run.emulator is not None
        run.emulator.stuck |= {f"laser{LINE}:cw", f"laser{LINE}:enable"}
        begun_s = time.perf_counter()
        run.process.terminate()
        run.wait(lambda: not run.exposes, "the camera stands still")
        assert time.perf_counter() - begun_s <= SOON_S
        assert run.wait_closed() != 0
        assert "640" in run.told
        run.assert_whole()


def test_the_death_of_the_micromanager_that_holds_devices(tmp_path: Path) -> None:
    """What it held cannot be reached any more; all else is made dark, and that is told."""
    with running(tmp_path, "studio") as run:
        assert run.emulator is not None
        begun_s = time.perf_counter()
        bridge_gone(run)
        run.wait(lambda: not run.emulator.may_shine(LINE), "the laser is dark")
        assert time.perf_counter() - begun_s <= 5 * SOON_S  # it is looked for once a second
        assert run.wait_closed() == 1
        assert "icro-Manager" in run.told


@pytest.fixture
def display() -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A screen of its own, and who makes it."""
    if shutil.which("Xvfb") is None:
        pytest.skip("there is no Xvfb")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1366x768x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    yield f":{number}", server
    server.kill()
    server.wait()


def test_the_display_is_lost(
    tmp_path: Path, display: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    """As when its server dies, or the connection to it: Qt then ends the process as it stands."""
    name, server = display
    screen = {"QT_QPA_PLATFORM": "xcb", "DISPLAY": name, "LIBGL_ALWAYS_SOFTWARE": "1"}
    with running(tmp_path, "serial", "window", environment=screen) as run:
        run.end(lambda _run: server.kill())
        assert max(run.dark_s, run.still_s) <= SOON_S
        assert run.wait_closed() == 1
        run.assert_whole()


@pytest.mark.parametrize("end", ["Quit, Cmd+Q", "session ends", "SIGTERM"])
def test_a_screen_slm_is_no_obstacle(tmp_path: Path, end: str) -> None:
    """Its window refuses to be closed by anybody, which by Qt's rules ends a Quit."""
    sizes = {"MAIN": (0, 1280, 1024), "PLUTO": (1280, 640, 600)}
    screens = [
        {"name": name, "x": x, "y": 0, "width": width, "height": height, "dpr": 1}
        | {"logicalDpi": 96, "logicalBaseDpi": 96}
        for name, (x, width, height) in sizes.items()
    ]
    (tmp_path / "screens.json").write_text(json.dumps({"screens": screens}), encoding="utf-8")

    def on_screen(text: str) -> str:
        slm = '[slm]\nkind = "screen"\nscreen = "PLUTO"\nshape = [600, 640]\n'
        return text.replace('[slm]\nkind = "simulated"\n', slm)

    environment = {"QT_QPA_PLATFORM": "offscreen:configfile=screens.json"}
    how = {"environment": environment, "rewritten": on_screen}
    with ended(tmp_path, "serial", "window", end, **how) as run:
        assert max(run.dark_s, run.still_s) <= SOON_S
        assert run.wait_closed() == 0
        run.assert_whole()
