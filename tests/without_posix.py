"""A plugin of pytest: from collection on, this system lacks what Windows lacks.

    python -m pytest -p without_posix --collect-only tests

Libraries are imported before, as those for Windows do without.
"""

import importlib
import os
import signal
import sys

import pytest

MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")
SIGNALS = ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR1", "SIGUSR2")
FUNCTIONS = ("fork", "geteuid", "getpgid", "getuid", "killpg", "mkfifo", "nice", "openpty")
LIBRARIES = (
    *("asyncio", "h5py", "http.server", "matplotlib.figure", "multiprocessing.pool", "onnxruntime"),
    *("pandas", "pdb", "pyarrow", "pycromanager", "pydantic", "pyqtgraph", "PyQt6.QtWidgets"),
    *("scipy.optimize", "serial", "tifffile", "torch.distributed", "trackpy"),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for owner, names in ((signal, SIGNALS), (os, FUNCTIONS)):
        for name in names:
            if hasattr(owner, name):
                delattr(owner, name)
