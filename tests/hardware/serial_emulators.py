"""An iChrome MLE and an ASI controller on pseudo-terminals, with the faults of serial lines."""

import os
import re
import select
import threading
import time
from array import array
from collections.abc import Callable
from typing import Literal

import pytest

try:
    import fcntl
    import pty
    import termios
    import tty
except ImportError:  # on Windows
    pty = None

Fault = Literal["slow", "garbled", "late", "missing"]
LATE_S = 0.6  # longer than the drivers wait for an answer


class Emulator:
    """A device that answers line by line, in turn, from its own thread.

    port: to be opened. commands: all that were understood. silent: it hears, but never answers.
    """

    terminator: bytes

    def __init__(self) -> None:
        if pty is None:
            pytest.skip("there are no pseudo-terminals here")
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.commands: list[bytes] = []
        self.silent = False
        self._faults: list[tuple[Fault, bytes]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def fail(self, fault: Fault, on: bytes = b"", times: int = 1) -> None:
        """Answer so to the next commands that contain `on`."""
        self._faults += [(fault, on)] * times

    def leave_behind(self, data: bytes) -> None:
        """What an earlier program did not read."""
        os.write(self._master, data)
        waiting = array("i", [0])
        while waiting[0] < len(data):  # it takes a moment to get through
            fcntl.ioctl(self._slave, termios.FIONREAD, waiting)

    def unplug(self) -> None:
        """The port disappears, as that of a USB adapter does; the device itself goes on."""
        self._ended.set()
        self._thread.join()

    def reply(self, line: bytes) -> bytes:
        """All that the device writes in response to a line."""
        raise NotImplementedError

    def _serve(self) -> None:
        held = b""
        while not self._ended.is_set():
            if not select.select([self._master], [], [], 0.02)[0]:
                continue
            for byte in os.read(self._master, 4096):
                held = b"" if byte == 8 else held + bytes([byte])
                if held.endswith(self.terminator):
                    self._answer(held.removesuffix(self.terminator))
                    held = b""
        os.close(self._master)
        os.close(self._slave)

    def _answer(self, line: bytes) -> None:
        reply = self.reply(line)
        self.commands.append(line)
        fault = next((fault for fault in self._faults if fault[1] in line), None)
        if fault and line:
            self._faults.remove(fault)
        kind = fault[0] if fault and line else None
        if self.silent or kind == "missing":
            return
        if kind == "garbled":
            reply = bytes(byte ^ 0x15 for byte in reply)
        if kind == "late":
            self._ended.wait(LATE_S)
        pieces = [reply[i : i + 3] for i in range(0, len(reply), 3)] if kind == "slow" else [reply]
        for piece in pieces:
            os.write(self._master, piece)
            if kind == "slow":
                time.sleep(0.003)


class IchromeEmulator(Emulator):
    """Lines 1, 2 and 4 are there, all shining at 80 % when the program comes."""

    terminator = b"\r\n"

    def __init__(self, system_type: str = "iChrome-MLE") -> None:
        self.values: dict[str, bool | float | str] = {
            "system-type": system_type,
            "serial-number": "iC-1234",
        }
        for line, label in ((1, "405"), (2, "488"), (4, "640")):
            self.values |= {
                f"laser{line}:label": label,
                f"laser{line}:enable": True,
                f"laser{line}:cw": True,
                f"laser{line}:use-ttl": False,
                f"laser{line}:level": 80.0,
            }
        self.stuck: set[str] = set()  # parameters that stay, though a set is acknowledged
        super().__init__()

    def may_shine(self, line: int) -> bool:
        """Armed, and lit by itself or by a trigger."""
        on = self.values[f"laser{line}:cw"] or self.values[f"laser{line}:use-ttl"]
        return bool(self.values[f"laser{line}:enable"] and on)

    def reply(self, line: bytes) -> bytes:
        answer = self._evaluate(line.decode("ascii", "replace"))
        return line + b"\r\n" + (answer.encode() + b"\r\n> " if answer else b"> ")

    def _evaluate(self, text: str) -> str:
        if not text:
            return ""
        if match := re.fullmatch(r"\(param-ref '([\w:-]+)\)", text):
            value = self.values.get(match[1])
            if value is None:
                return "Error: -20 Parameter not found"
            if isinstance(value, bool):
                return "#t" if value else "#f"
            return f"{value:.1f}" if isinstance(value, float) else f'"{value}"'
        if match := re.fullmatch(r"\(param-set! '([\w:-]+) (\S+)\)", text):
            return self._set(match[1], match[2])
        return "Error: -1 Syntax"

    def _set(self, name: str, text: str) -> str:
        old = self.values.get(name)
        if isinstance(old, bool) and text in ("#t", "#f"):
            value: bool | float = text == "#t"
        elif isinstance(old, float) and 0 <= float(text) <= 100:
            value = round(float(text), 1)
        else:
            return "-3"
        if name not in self.stuck:
            self.values[name] = value
        return "0"


class AsiEmulator(Emulator):
    """Axes X, Y and Z, which take time to move and have travel limits of their own."""

    terminator = b"\r"

    def __init__(self, um_per_s: float = 2000.0) -> None:
        self.um_per_s = um_per_s
        self.travel_um = 500.0  # beyond +- this, the controller itself refuses
        self.reach_um = 1e9  # it gets stuck there
        self._motions = dict.fromkeys(b"XYZ", (0.0, 0.0, 0.0))  # from, to, begun
        super().__init__()

    def position_um(self, axis: int) -> float:
        start, end, begun = self._motions[axis]
        way = min(abs(end - start), self.um_per_s * (time.monotonic() - begun))
        return min(start + way * (1 if end > start else -1), self.reach_um)

    def place(self, axis: int, position_um: float) -> None:
        """As somebody at the joystick would."""
        self._motions[axis] = (position_um, position_um, 0.0)

    @property
    def moving(self) -> bool:
        now = time.monotonic()
        return any(
            abs(end - start) > self.um_per_s * (now - begun)
            for start, end, begun in self._motions.values()
        )

    def reply(self, line: bytes) -> bytes:
        answer = self._obey(line.upper().strip())
        return answer + b" \r\n" if answer else b""

    def _obey(self, line: bytes) -> bytes:
        command, _, rest = line.partition(b" ")
        answers: dict[bytes, Callable[[bytes], bytes]] = {
            b"": lambda _: b"",
            b"V": lambda _: b":A Version: USB-9.2p",
            b"BU": lambda _: b"STD_XYZ",
            b"/": lambda _: b"B" if self.moving else b"N",
            b"HALT": lambda _: self._halt(),
            b"W": self._where,
            b"M": self._move,
        }
        return answers[command](rest) if command in answers else b":N-1"

    def _halt(self) -> bytes:
        was_moving = self.moving
        for axis in self._motions:
            self.place(axis, self.position_um(axis))
        return b":N-21" if was_moving else b":A"

    def _where(self, rest: bytes) -> bytes:
        if len(rest) != 1 or rest[0] not in self._motions:
            return b":N-2"
        return b":A %.1f" % (10 * self.position_um(rest[0]))

    def _move(self, rest: bytes) -> bytes:
        axis, _, value = rest.partition(b"=")
        if len(axis) != 1 or axis[0] not in self._motions:
            return b":N-2"
        if not value:
            return b":N-3"
        if abs(float(value)) / 10 > self.travel_um:
            return b":N-4"
        self._motions[axis[0]] = (
            self.position_um(axis[0]),
            float(value) / 10,
            time.monotonic(),
        )
        return b":A"
