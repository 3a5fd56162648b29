"""What a process asks of its system before it works: Fortran's runtime, priority."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ui.commands.watched_training import _yield_to_others

SWITCH = "FOR_DISABLE_CONSOLE_CTRL_HANDLER"
# Tells what the switch is when numpy or scipy is first looked for.
SPY = """
import os, sys

class Spy:
    def find_spec(self, name, path=None, target=None):
        if name in ("numpy", "scipy"):
            print(os.environ.get("FOR_DISABLE_CONSOLE_CTRL_HANDLER"))
            sys.meta_path.remove(self)

sys.meta_path.insert(0, Spy())
import {module}
"""


def told_before_numpy(module: str, given: str | None) -> str:
    around = {name: value for name, value in os.environ.items() if name != SWITCH}
    around["PYTHONPATH"] = str(Path(__file__).parents[2])
    if given is not None:
        around[SWITCH] = given
    command = [sys.executable, "-c", SPY.format(module=module)]
    done = subprocess.run(
        command, env=around, capture_output=True, text=True, check=True, timeout=300
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "module", ["dsacq.data", "hardware.rig", "calibration.z_scan", "ui.reanalysis", "ui.window"]
)
def test_fortran_leaves_ctrl_c_to_us(module: str) -> None:
    assert told_before_numpy(module, None) == "1"


def test_what_the_user_has_set_stays() -> None:
    assert told_before_numpy("hardware.rig", "0") == "0"


def test_children_inherit_it() -> None:
    import ui

    assert ui.__doc__
    assert os.environ[SWITCH]


class Function:
    """One of a library, called as ctypes calls it on a processor of 64 bits."""

    def __init__(self, returned: int) -> None:
        self.returned, self.passed = returned, list[int]()
        self.argtypes: list[Any] | None = None
        self.restype: Any = ctypes.c_int

    def __call__(self, *arguments: int) -> int | None:
        kinds = self.argtypes if self.argtypes is not None else [ctypes.c_int] * len(arguments)
        assert len(kinds) == len(arguments)
        self.passed = [
            _in_a_register(kind, one) for kind, one in zip(kinds, arguments, strict=True)
        ]
        value: int | None = self.restype(self.returned).value
        return value


def _in_a_register(kind: Any, value: int) -> int:
    """Its upper half is empty for a kind of 32 bits."""
    return int.from_bytes(bytes(kind(value)).ljust(8, b"\0"), sys.byteorder)


def test_a_training_lets_others_go_first_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel32 = SimpleNamespace(GetCurrentProcess=Function(-1), SetPriorityClass=Function(1))
    monkeypatch.setattr(ctypes, "WinDLL", lambda name: {"kernel32": kernel32}[name], raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    _yield_to_others()
    this_process, below_normal = 2**64 - 1, 0x4000  # (HANDLE)-1, BELOW_NORMAL_PRIORITY_CLASS
    assert kernel32.SetPriorityClass.passed == [this_process, below_normal]


@pytest.mark.skipif(not hasattr(os, "nice"), reason="not a POSIX system")
def test_a_training_lets_others_go_first() -> None:
    asked = "import os; from ui.commands.watched_training import _yield_to_others as go; "
    asked += "before = os.nice(0); go(); print(os.nice(0) > before)"
    around = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", asked]
    done = subprocess.run(
        command, env=around, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == "True"
