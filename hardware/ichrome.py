"""Toptica iChrome MLE: up to five laser lines behind one serial port, each a Laser.

`enable` arms a line; `cw` makes an armed line shine; with `use-ttl` an armed line shines at every
trigger. Hence dark means: cw off and enable off, read back. The console echoes each command, then
gives the answer and a prompt. Source: vendor manual M-051, as cited by python-microscope.
"""

import math
import re
import threading
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.dataclasses import dataclass

from hardware.protocols import DeviceError, check_within
from hardware.quantities import Milliwatts
from hardware.serial_port import Query, SerialPort

_BAUD = 115200
_BOOLEAN, _NUMBER, _STATUS, _TEXT = rb"#[tf]", rb"-?\d+\.?\d*", rb"-?\d+", rb'"[^"]*"'
_LINES = range(1, 6)

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class IchromeSettings:
    """One line of an iChrome MLE.

    port: such as COM4, or socket://host:port. line: its number, or its label in the iChrome.
    mw_at_full: what reaches the specimen at a level of 100 %. modulation: with "ttl" light comes
    at triggers, for as long as the laser is on.
    """

    kind: Literal["ichrome"] = "ichrome"
    port: Annotated[str, StringConstraints(min_length=1)]
    line: Annotated[int, Field(ge=1, le=5)] | Annotated[str, StringConstraints(min_length=1)]
    mw_at_full: Milliwatts
    limit_mw: Milliwatts
    modulation: Literal["cw", "ttl"] = "cw"

    def __post_init__(self) -> None:
        if self.limit_mw > self.mw_at_full:
            raise ValueError(f"limit_mw={self.limit_mw:g}: at most mw_at_full={self.mw_at_full:g}")


def _query(expression: str, answer: bytes) -> Query:
    command = expression.encode()
    found = re.escape(command) + rb"\r\n(" + answer + rb"|Error: (?s:.*?))\r\n> "
    return Query(command + b"\r\n", found)


# No other query reads the serial number. The empty line ends what another program left unfinished.
_MARKER = Query(
    b"\r\n(param-ref 'serial-number)\r\n", _query("(param-ref 'serial-number)", _TEXT)[1]
)


class IchromeLaser:
    """One line. Dark after opening, at power 0; lines on one port share it and may use threads.

    When the port fails twice in a row, the off-commands of all its lines are sent once more, and
    every later call raises DeviceError.
    """

    def __init__(self, name: str, settings: IchromeSettings) -> None:
        """Raises DeviceError when it is not that device, or does not become dark."""
        self._name, self._settings = name, settings
        self._closing, self._close_lock = False, threading.Lock()
        self._port = SerialPort(name, settings.port, _BAUD, _MARKER)
        try:
            self._check_type()
            self._line = self._find_line()
            self._port.last_words = b"".join(
                _query(f"(param-set! '{self._line}:{what} #f)", b"").command
                for what in ("cw", "enable")
            )
            self._go_dark()
            self._set_level(0.0)
        except BaseException:
            self._port.close()
            raise

    @property
    def name(self) -> str:
        return self._name

    @property
    def identity(self) -> str:
        return f"{self._line} of the iChrome at {self._settings.port}"

    @property
    def limit_mw(self) -> float:
        return self._settings.limit_mw

    @property
    def power_mw(self) -> float:
        return self._level() / 100 * self._settings.mw_at_full

    @property
    def emitting(self) -> bool:
        """Whether the line is armed: with TTL, or from its front panel, light may then come."""
        return self._is_set("enable")

    def set_power(self, power_mw: float) -> None:
        """In steps of 0.1 % of mw_at_full, rounded down."""
        check_within(self._name, "power", power_mw, (0, self.limit_mw), "mW")
        self._set_level(math.floor(1000 * power_mw / self._settings.mw_at_full + 1e-6) / 10)

    def on(self) -> None:
        """Raises DeviceError, after switching it off, when the device does not confirm."""
        ttl = self._settings.modulation == "ttl"
        wanted = {"use-ttl": ttl, "enable": True, "cw": not ttl}
        with self._port.turn():
            power_mw = self.power_mw  # the front panel may have changed it
            check_within(self._name, "power", power_mw, (0, self.limit_mw), "mW")
            try:
                for what, value in wanted.items():
                    self._set(what, "#t" if value else "#f")
                if {what: self._is_set(what) for what in wanted} != wanted:
                    raise DeviceError(self._name, "did not switch on; look at its panel.")
            except DeviceError:
                if not self._closing:
                    self._go_dark()
                raise

    def off(self) -> None:
        self._go_dark()
        if self._port.fault:
            raise DeviceError(self._name, self._port.fault)

    def close(self) -> None:
        """Raises DeviceError, with the port released, when it may not be dark."""
        self._closing = True
        with self._close_lock:
            if self._port.closed:
                return
            with self._port.turn(urgent=True):  # not to be switched on in between
                try:
                    self._go_dark()
                finally:
                    self._port.close()

    def _go_dark(self) -> None:
        with self._port.turn(urgent=True):
            try:
                if self._port.fault is None and self._switched_off():
                    return
            except DeviceError:
                pass  # what the device says after the second attempt decides
            try:
                self._port.send(self._port.last_words)
                if not self._dark():
                    raise DeviceError(self._name, "still says that it is on.")
            except DeviceError as error:
                raise DeviceError(
                    self._name,
                    "darkness could not be confirmed, switch it off with its key "
                    f"({str(error).removeprefix(f'{self._name}: ')})",
                ) from error

    def _switched_off(self) -> bool:
        self._set("cw", "#f")
        self._set("enable", "#f")
        return self._dark()

    def _dark(self) -> bool:
        return not self._is_set("cw") and not self._is_set("enable")

    def _level(self) -> float:
        return float(self._get(f"{self._line}:level", _NUMBER))

    def _set_level(self, percent: float) -> None:
        with self._port.turn():
            self._set("level", f"{percent:.1f}")
            if abs((said := self._level()) - percent) > 0.05:
                raise DeviceError(self._name, f"level {percent} % was set, but it says {said} %.")

    def _is_set(self, what: str) -> bool:
        return self._get(f"{self._line}:{what}", _BOOLEAN) == "#t"

    def _check_type(self) -> None:
        kind = self._get("system-type", _TEXT).strip('"')
        if kind != "iChrome-MLE":
            raise DeviceError(
                self._name,
                f"port {self._settings.port} has a {kind}, not an iChrome-MLE; check the rig.",
            )

    def _find_line(self) -> str:
        labels = {}
        for number in _LINES:
            try:
                labels[number] = self._get(f"laser{number}:label", _TEXT).strip('"')
            except _RefusedError:
                continue  # the only sign of an absent line
        for number, label in labels.items():
            if self._settings.line in (number, label):
                return f"laser{number}"
        present = ", ".join(f"{number} ({label})" for number, label in labels.items())
        raise DeviceError(
            self._name, f"line {self._settings.line!r} is not in the iChrome; it has {present}."
        )

    def _get(self, parameter: str, kind: bytes) -> str:
        expression = f"(param-ref '{parameter})"
        return self._checked(expression, self._port.ask(_query(expression, kind)))

    def _set(self, what: str, value: str) -> None:
        expression = f"(param-set! '{self._line}:{what} {value})"
        status = self._checked(expression, self._port.tell(_query(expression, _STATUS)))
        if int(status) < 0:  # above 0 is a warning
            raise DeviceError(self._name, f"refused {expression}: status {status}.")

    def _checked(self, expression: str, answer: re.Match[bytes]) -> str:
        said = answer[1].decode("ascii", "replace")
        if said.startswith("Error: "):
            raise _RefusedError(self._name, f"refused {expression}: {said}.")
        return said


class _RefusedError(DeviceError):
    """The device understood, and said no."""
