"""The window with a fast camera: does it stay quick, and is every frame on the disk?

    QT_QPA_PLATFORM=offscreen python -m benchmarks.window [--seconds 20] [--size 512] [--fps 200]

Micro-Manager's DemoCamera (FastImage) is recorded while the window shows it, and, for comparison,
the window does nothing first. A timer that is due every 5 ms tells by how much the event loop is
late: what a hand on the mouse would feel. Told are the median, the 95th percentile and the longest
delay in ms of both, frames lost, and pictures shown per second. --localize runs bench-nano beside.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PyQt6.QtCore import QEventLoop, QSettings, Qt, QTimer
from PyQt6.QtWidgets import QApplication

from dsacq.files.recording import read_facts
from dsacq.files.recording_check import check
from ui.app import make_window, open_session
from ui.garbage import GarbageCollector
from ui.session import Activity, Session
from ui.theme import apply_theme

DUE_MS = 5
CONFIG = """\
Property,Core,Initialize,0
Device,Camera,DemoCamera,DCam
Property,Core,Initialize,1
Property,Core,Camera,Camera
Property,Camera,PixelType,16bit
Property,Camera,OnCameraCCDXSize,{size}
Property,Camera,OnCameraCCDYSize,{size}
Property,Camera,FastImage,1
"""
RIG = """\
[optics]
wavelength_um = 0.58
na = 1.45
index_immersion = 1.518
index_sample = 1.33
magnification = 100
focal_4f_um = 150000
camera_pixel_um = 11
mask_pixel_um = 24
focus_um = 4.5
z_range_um = [2.0, 6.0]
[micromanager]
config = "demo.cfg"
adapters = "demo"
buffer_mb = 1024
[camera]
kind = "micromanager"
exposure_s = {exposure_s}
[noise]
kind = "scmos"
[use]
model = "bench-nano"
"""


@dataclass
class Heartbeat:
    """Delays of a timer, ms."""

    late_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._last = time.perf_counter()
        self._timer.start(DUE_MS)

    def told(self) -> str:
        late = np.array(self.late_ms)
        median, high = np.percentile(late, (50, 95))
        return f"median {median:5.1f}, 95 % {high:5.1f}, longest {late.max():6.1f} ms"

    def _beat(self) -> None:
        now = time.perf_counter()
        self.late_ms.append(max(0.0, 1000 * (now - self._last) - DUE_MS))
        self._last = now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--fps", type=float, default=200.0)
    parser.add_argument("--localize", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), chosen.seconds, chosen.size, chosen.fps, chosen.localize)


def run(folder: Path, seconds: float, size: int, fps: float, localize: bool) -> None:
    application = QApplication([])
    GarbageCollector(application)
    apply_theme(application)
    rig = folder / "rig.toml"
    rig.write_text(RIG.format(exposure_s=1 / fps), encoding="utf-8")
    (folder / "demo.cfg").write_text(CONFIG.format(size=size), encoding="utf-8")
    settings = QSettings(str(folder / "window.ini"), QSettings.Format.IniFormat)
    window, session = make_window(rig, settings)
    session.failed.connect(print)
    window.resize(1366, 768)
    window.show()
    window.live.localize.setChecked(localize)
    open_session(session, rig)
    until(lambda: session.activity is Activity.idle)
    if localize:
        until(lambda: session.analysis is not None)

    idle = Heartbeat()
    wait(seconds / 2)
    print(f"idle      {idle.told()}")

    shown = [0]
    session.updated.connect(lambda update: shown.__setitem__(0, shown[0] + bool(update.newest)))
    count = round(seconds * fps)
    session.record(folder / "run", count, {})
    until(lambda: session.activity is Activity.recording)
    busy = Heartbeat()
    begun = time.perf_counter()
    until(lambda: session.activity is Activity.idle)
    elapsed = time.perf_counter() - begun
    print(f"recording {busy.told()}")
    tell_frames(session, folder / "run", elapsed, shown[0])
    window.close()


def tell_frames(session: Session, folder: Path, elapsed: float, shown: int) -> None:
    facts, report = read_facts(folder), check(folder)
    print(f"{facts.state}: {facts.frames}")
    print(f"{report.frames} frames can be read; {'; '.join(report.problems) or 'sound'}")
    print(f"{facts.frames.written / elapsed:.1f} frames/s written, {shown / elapsed:.1f}/s shown")


def until(done: Callable[[], bool]) -> None:
    while not done():
        wait(0.02)


def wait(seconds: float) -> None:
    """With the event loop running as it does in the app."""
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


if __name__ == "__main__":
    main()
