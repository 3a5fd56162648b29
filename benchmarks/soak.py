"""The window for a long time, with a fast camera, beside other work: does it lose, grow or stick?

    python -m benchmarks.soak [--minutes 30] [--load 2] [--size 256] [--fps 100] [--json]

Micro-Manager's DemoCamera (FastImage) is recorded and localized by bench-nano while the window
shows it, offscreen unless QT_QPA_PLATFORM says otherwise, and --load other processes keep a core
busy each. Every 10 s: frames received, written, localized and lost; the memory that this process
holds; how full the buffers are; and by how much the event loop is late, as benchmarks.window tells.
At the end the movie is read and compared with what was counted. A movie of the default size takes
24 GB, in --folder or a temporary one, and is removed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PyQt6.QtCore import QSettings
from PyQt6.QtWidgets import QApplication

from benchmarks.recording import resident_bytes
from benchmarks.window import CONFIG, RIG, Heartbeat, until, wait
from dsacq.files.recording import read_facts
from dsacq.files.recording_check import check
from dsacq.live import Update
from ui.app import make_window, open_session
from ui.garbage import GarbageCollector
from ui.session import Activity, Session
from ui.theme import apply_theme

LOOK_S = 10.0
SETTLED_S = 60.0  # after which memory is not to grow
BUSY = "while True: pass"


@dataclass
class Look:
    """What was seen of ten seconds. late_ms: 50 %, 95 %, longest. load: of the system, or None."""

    elapsed_s: float
    received: int
    written: int
    analysed: int
    lost: int
    memory_mb: float
    buffer_fill: float
    late_ms: tuple[float, float, float]
    load: float | None


@dataclass
class Soak:
    """looks: one after the other. late_ms: of the whole run. state, reason: of the recording.
    readable: frames of the movie. problems: of the recording as it lies on the disk."""

    looks: list[Look] = field(default_factory=list)
    late_ms: tuple[float, float, float] = (0.0, 0.0, 0.0)
    state: str = ""
    reason: str = ""
    readable: int = 0
    problems: tuple[str, ...] = ()

    @property
    def grown_mb(self) -> float:
        """Of memory, from the first minute on."""
        later = [look.memory_mb for look in self.looks if look.elapsed_s >= SETTLED_S]
        return max(later) - later[0] if later else 0.0


class Watch:
    """Looks at a session that records."""

    def __init__(self, session: Session) -> None:
        self._beat = Heartbeat()
        self._late: list[np.ndarray[Any, Any]] = []
        self._begun_s = time.perf_counter()
        self._last: Update | None = None
        self._fullest = 0.0
        session.updated.connect(self._on_update)

    def look(self) -> Look | None:
        """Since the last look; None before there is anything."""
        last = self._last
        late_ms = np.array(self._beat.late_ms, np.float32)
        self._beat.late_ms.clear()
        if last is None or not len(late_ms):
            return None
        self._late.append(late_ms)
        fullest, self._fullest = self._fullest, 0.0
        counted = last.counters
        return Look(
            time.perf_counter() - self._begun_s,
            counted.received,
            counted.written,
            counted.analysed,
            counted.lost_in_core + counted.lost_in_camera,
            resident_bytes() / 1e6,
            fullest,
            told(late_ms),
            os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        )

    @property
    def late_ms(self) -> tuple[float, float, float]:
        """Of all looks."""
        return told(np.concatenate(self._late)) if self._late else (0.0, 0.0, 0.0)

    def _on_update(self, update: Update) -> None:
        self._last = update
        self._fullest = max(self._fullest, update.buffer_fill, update.queue_fill)


def told(late_ms: "np.ndarray[Any, Any]") -> tuple[float, float, float]:
    """50 %, 95 % and longest."""
    median, high = np.percentile(late_ms, (50, 95))
    return float(median), float(high), float(late_ms.max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--load", type=int, default=2, help="other processes, a busy core each")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--fps", type=float, default=100.0)
    parser.add_argument("--folder", type=Path, help="of the movie while it lasts")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(chosen.load)]
    folder = Path(tempfile.mkdtemp(dir=chosen.folder))
    try:
        soak = run(folder, chosen.minutes, chosen.size, chosen.fps, not chosen.json)
    finally:
        for other in others:
            other.kill()
        shutil.rmtree(folder, ignore_errors=True)
    if chosen.json:
        print(json.dumps(asdict(soak) | {"grown_mb": soak.grown_mb}, indent=1))
    else:
        conclude(soak)


def run(folder: Path, minutes: float, size: int, fps: float, aloud: bool) -> Soak:
    application = QApplication([])
    GarbageCollector(application)
    apply_theme(application)
    rig = folder / "rig.toml"
    rig.write_text(RIG.format(exposure_s=1 / fps), encoding="utf-8")
    (folder / "demo.cfg").write_text(CONFIG.format(size=size), encoding="utf-8")
    settings = QSettings(str(folder / "window.ini"), QSettings.Format.IniFormat)
    window, session = make_window(rig, settings)
    session.failed.connect(lambda sentence: print(sentence, file=sys.stderr))
    window.resize(1366, 768)
    window.show()
    open_session(session, rig)
    until(lambda: session.activity is Activity.idle and session.analysis is not None)

    soak = Soak()
    session.record(folder / "run", None, {})
    until(lambda: session.activity is Activity.recording)
    watch, end_s = Watch(session), time.perf_counter() + 60 * minutes
    if aloud:
        print(HEAD, flush=True)
    while time.perf_counter() < end_s and session.activity is Activity.recording:
        wait(min(LOOK_S, max(0.1, end_s - time.perf_counter())))
        look = watch.look()
        if look is not None:
            soak.looks.append(look)
            if aloud:
                print(line(look), flush=True)
    soak.late_ms = watch.late_ms
    session.end()
    until(lambda: session.activity is Activity.idle)
    window.close()
    facts, report = read_facts(folder / "run"), check(folder / "run")
    soak.state, soak.reason = facts.state, facts.reason
    soak.readable, soak.problems = report.frames, report.problems
    return soak


HEAD = (
    "    s  received   written  analysed  lost  buffer      MB   late 50 %   95 %   longest   load"
)


def line(look: Look) -> str:
    median, high, longest = look.late_ms
    load = "" if look.load is None else f"{look.load:7.1f}"
    return (
        f"{look.elapsed_s:5.0f} {look.received:9d} {look.written:9d} {look.analysed:9d} "
        f"{look.lost:5d}  {look.buffer_fill:6.1%} {look.memory_mb:7.0f}      {median:6.1f} "
        f"{high:6.1f} {longest:6.0f} ms {load}"
    )


def conclude(soak: Soak) -> None:
    last = soak.looks[-1]
    print(f"{soak.state}. {soak.reason}".strip())
    print(
        f"{last.received} frames in {last.elapsed_s:.0f} s, {last.lost} told as lost; "
        f"{soak.readable} can be read; {'; '.join(soak.problems) or 'sound'}"
    )
    print(f"memory grew by {soak.grown_mb:.0f} MB after the first minute")
    median, high, longest = soak.late_ms
    print(f"event loop late by: median {median:.1f}, 95 % {high:.1f}, longest {longest:.0f} ms")


if __name__ == "__main__":
    main()
