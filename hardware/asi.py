"""ASI MS-2000 and Tiger: an axis of the controller as a Stage.

A command ends with CR, an answer with CR LF; positions are in tenths of a micrometre, and nothing
is echoed. Source: vendor's "Quick start on serial commands" and its Micro-Manager adapter.
"""

import re
import threading
from contextlib import suppress
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.dataclasses import dataclass

from dsacq.patience import Patience
from hardware.protocols import DeviceError, check_within
from hardware.quantities import Position
from hardware.serial_port import ANSWER_S, Query, SerialPort

_POLL_S = 0.02
_MEANINGS = {
    1: "unknown command",
    2: "it has no such axis",
    3: "a value is missing",
    4: "the value is out of its range",
    5: "the operation failed",
    6: "the command is wrong in an unknown way",
    7: "it has no such card",
    21: "it was halted",
}

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class AsiSettings:
    """One axis. limits_um: least and most position that is ever sent to it.

    tolerance_um: how near it must come. baud: 9600 as an MS-2000 is delivered, 115200 for a Tiger.
    """

    kind: Literal["asi"] = "asi"
    port: Annotated[str, StringConstraints(min_length=1)]
    axis: Annotated[str, StringConstraints(pattern="^[A-Z]$")] = "Z"
    limits_um: tuple[Position, Position]
    tolerance_um: Positive = 0.2
    timeout_s: Positive = 10.0
    baud: Literal[9600, 19200, 28800, 115200] = 9600

    def __post_init__(self) -> None:
        low, high = self.limits_um
        if not low < high:
            raise ValueError(f"limits_um = {list(self.limits_um)}: expected the lower one first")


def _query(command: str, answer: bytes) -> Query:
    found = rb"(?:^|\n)(?:" + answer + rb"|:N-(?P<error>\d+)) *\r\n"
    return Query(command.encode() + b"\r", found)


# No other query reads the version. The backspace drops what another program left unfinished.
_MARKER = Query(b"\x08\rV\r", rb"(?:^|\n):A (?:Version: |v)[^\r\n]*\r\n")
_STATUS = _query("/", b"(?P<status>[BN])")
_HALT = _query("HALT", b":A|:N-21")


class AsiStage:
    """One axis. Axes of one controller share its port, and may be used by several threads.

    `stop`, and a fault of the port, halt all axes of the controller. Waiting for one waits for all,
    as the controller tells only whether any moves.
    """

    def __init__(self, name: str, settings: AsiSettings) -> None:
        """Raises DeviceError when no ASI controller with that axis is there. Nothing moves."""
        self._name, self._settings = name, settings
        self._motion, self._stopped = threading.Lock(), threading.Event()
        self._underway = False  # until the controller says that nothing moves
        self._close_lock = threading.Lock()
        self._port = SerialPort(name, settings.port, settings.baud, _MARKER)
        try:
            self.position_um()
        except BaseException:
            self._port.close()
            raise
        self._port.last_words = _HALT.command

    @property
    def name(self) -> str:
        return self._name

    @property
    def limits_um(self) -> tuple[float, float]:
        return self._settings.limits_um

    def position_um(self) -> float:
        where = _query(f"W {self._settings.axis}", rb":A (?P<tenths>-?\d+\.?\d*)")
        return float(self._checked(self._port.ask(where))["tenths"]) / 10

    def move_to(self, position_um: float) -> None:
        check_within(self._name, "position", position_um, self.limits_um, "um")
        if not self._motion.acquire(blocking=False):
            raise DeviceError(self._name, "is still moving; wait for it, or stop it.")
        try:
            self._stopped.clear()
            self._start(position_um)
            self._wait()
            self._check_arrival(position_um)
        finally:
            self._motion.release()

    def stop(self) -> None:
        self._stopped.set()
        self._halt()
        if self._port.fault:
            raise DeviceError(self._name, self._port.fault)

    def close(self) -> None:
        """Stop its motion, if there is one. Raises DeviceError, released, when it may go on."""
        with self._close_lock:
            if self._port.closed:
                return
            with self._port.turn(urgent=True):  # no motion may begin in between
                try:
                    self._stopped.set()
                    if self._underway:
                        self._halt()
                finally:
                    self._port.close()

    def _start(self, position_um: float) -> None:
        move = _query(f"M {self._settings.axis}={10 * position_um:.1f}", b":A")
        with self._port.turn():
            if self._stopped.is_set():
                return
            self._underway = True
            try:
                answer = self._port.tell(move)
            except DeviceError:  # it may have understood
                with suppress(DeviceError):
                    self._halt()
                raise
            self._underway = answer["error"] is None
        self._checked(answer)

    def _wait(self) -> None:
        underway = Patience(ANSWER_S)
        try:
            while not self._stopped.is_set():
                if self._checked(self._port.ask(_STATUS))["status"] == b"N":
                    self._underway = False
                    return
                if underway.look() > self._settings.timeout_s:
                    raise DeviceError(
                        self._name,
                        f"was halted, still moving after {self._settings.timeout_s:g} s.",
                    )
                self._stopped.wait(_POLL_S)
        except DeviceError:
            with suppress(DeviceError):
                self._halt()
            raise

    def _check_arrival(self, position_um: float) -> None:
        if self._stopped.is_set():
            raise DeviceError(self._name, f"was stopped on its way to {position_um:g} um.")
        arrived_um = self.position_um()
        if abs(arrived_um - position_um) > self._settings.tolerance_um:
            raise DeviceError(
                self._name, f"did not arrive: it is at {arrived_um:g} um, not {position_um:g} um."
            )

    def _halt(self) -> None:
        with self._port.turn(urgent=True):
            self._checked(self._port.ask(_HALT))
            self._underway = False

    def _checked(self, answer: re.Match[bytes]) -> re.Match[bytes]:
        if (error := answer["error"]) is not None:
            meaning = _MEANINGS.get(int(error), "an error without a name")
            raise DeviceError(
                self._name, f"the controller answered :N-{error.decode()}, {meaning}."
            )
        return answer
