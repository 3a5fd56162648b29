"""Whether Qt can open a window here, found out before it would end the process over it."""

import os
import re
import subprocess
import sys

_PATIENCE_S = 60.0  # for Qt to start in another process
_WITHOUT = ("offscreen", "minimal", "vnc")  # platforms of Qt that need no screen
_PROBE = """
import resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # where it fails Qt aborts: that leaves no file
import ctypes
from pathlib import Path
from PyQt6.QtCore import QLibraryInfo
from PyQt6.QtGui import QGuiApplication
plugins = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath))
for xcb in plugins.glob("platforms/libqxcb.so"):
    try:
        ctypes.CDLL(str(xcb))
    except OSError as error:
        print("xcb:", error, flush=True)
QGuiApplication([])
"""
_MISSING = re.compile(r"(lib[\w.+-]+\.so[\w.]*): (?:cannot open|file too short|invalid)")
_PACKAGES = {
    "libxcb-cursor.so.0": "libxcb-cursor0 in Debian and Ubuntu, xcb-util-cursor in Fedora and Arch",
    "libEGL.so.1": "libegl1 in Debian and Ubuntu, libglvnd-egl in Fedora",
    "libGL.so.1": "libgl1 in Debian and Ubuntu, libglvnd-glx in Fedora",
}
_ELSE = "or work without a window: `dsacq live` records, `dsacq --help` lists the rest"


def why_no_display() -> str:
    """A sentence on why no window can be opened and what to do, or nothing.

    Elsewhere than on Linux there is always one. It takes as long as Qt takes to start.
    """
    platform = os.environ.get("QT_QPA_PLATFORM", "")
    if not sys.platform.startswith("linux") or platform.split(":")[0] in _WITHOUT:
        return ""
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # nothing is known
    return "" if tried.returncode == 0 else _reason(platform, tried.stdout + tried.stderr)


def _reason(platform: str, said: str) -> str:
    """said: by Qt and the loader."""
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if missing := _MISSING.search(said):
        library = missing[1]
        package = f" ({_PACKAGES[library]})" if library in _PACKAGES else ""
        return f"Qt lacks the library {library} to open a window: install it{package}, {_ELSE}."
    if platform and "Could not find the Qt platform plugin" in said:
        return f"QT_QPA_PLATFORM is {platform!r}, which Qt does not know: unset it, {_ELSE}."
    if not screen:
        return (
            "There is no screen to open a window on, as neither DISPLAY nor WAYLAND_DISPLAY is "
            f"set: start dsacq at a screen, connect by `ssh -X`, {_ELSE}."
        )
    return (
        f"The screen {screen} cannot be reached: check that it runs and lets you in, connect by "
        f"`ssh -X`, {_ELSE}."
    )
