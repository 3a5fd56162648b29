"""Questions and answers over a serial line, which several devices of one program may share.

A reply that comes too late must never pass for the answer to a later command. So after a time-out,
and at first, a harmless query (the marker) is sent: devices answer in turn, hence everything before
the marker's own answer is old.
"""

import os
import re
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from dsacq.patience import Patience
from hardware.protocols import DeviceError

ANSWER_S = 0.5  # these devices take milliseconds
PATIENCE_S = 0.2  # how long one that must be made safe waits for the command of another thread
_SLICE_S = 0.02

_connections: dict[str, "_Connection"] = {}
_registry = threading.Lock()


class Query(NamedTuple):
    """What is written, terminator included, and the pattern of all answers to it, up to their end.

    The pattern is searched for in everything that comes: it must not match a part of an answer.
    """

    command: bytes
    answer: bytes


class SerialPort:
    """One device's access to a port: `COM4`, `/dev/ttyUSB0`, or a URL such as `socket://host:1998`.

    last_words: what makes the device safe; it is written, without waiting, when the port is given
    up after two failures in a row. All methods raise DeviceError, and none waits long.
    """

    def __init__(self, device: str, port: str, baud: int, marker: Query) -> None:
        self.last_words = b""
        self._device, self._closed = device, False
        key = port.upper() if port.upper().startswith("COM") else port
        with _registry:
            connection = _connections.get(key)
            if connection is None:
                connection = _connections[key] = _Connection(key, baud, marker)
            self._connection = connection
            connection.users.append(self)
        try:
            if (connection.baud, connection.marker) != (baud, marker):
                raise _LineError(
                    f"port {port} is in use for another kind of device; check the rig."
                )
            connection.open()
        except _LineError as error:
            self.close()
            raise DeviceError(device, str(error)) from error

    @contextmanager
    def turn(self, *, urgent: bool = False) -> Generator[None]:
        """The port to oneself, for several commands that belong together.

        urgent: to make the device safe. Then others give way, and a fault does not keep one from
        trying.
        """
        with self._connection.turn(urgent):
            if self._closed:
                raise DeviceError(self._device, "is closed.")
            yield

    def ask(self, query: Query) -> re.Match[bytes]:
        """The answer to a query that changes nothing: it is repeated once."""
        return self._answer(query, attempts=2)

    def tell(self, query: Query) -> re.Match[bytes]:
        """The answer to a command, which is never repeated: it may have been carried out."""
        return self._answer(query, attempts=1)

    def send(self, command: bytes) -> None:
        """Write a command whose answer nobody needs, whatever the state of the line."""
        with self.turn():
            try:
                self._connection.send(command)
            except _LineError as error:
                raise DeviceError(self._device, str(error)) from error

    def close(self) -> None:
        """Let go of the port; the last of its devices closes it."""
        with _registry:
            self._closed = True
            users = self._connection.users
            if self not in users:
                return
            users.remove(self)
            if users:
                return
            del _connections[self._connection.port]
        self._connection.close()

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def fault(self) -> str | None:
        """Why the port was given up, in words."""
        return self._connection.fault

    def _answer(self, query: Query, attempts: int) -> re.Match[bytes]:
        for attempt in range(attempts):
            with self.turn():
                try:
                    return self._connection.exchange(query)
                except _LineError as error:
                    if self.fault or attempt == attempts - 1:
                        raise DeviceError(self._device, self.fault or str(error)) from error
        raise AssertionError("attempts are 1 or 2")


class _LineError(Exception):
    """Of the line, not of the device: nothing, or nonsense, came back."""


class _Connection:
    """An open port and its state, shared by SerialPorts."""

    def __init__(self, port: str, baud: int, marker: Query) -> None:
        self.port, self.baud, self.marker = port, baud, marker
        self.users: list[SerialPort] = []
        self.fault: str | None = None
        self._lock = threading.RLock()
        self._owner: int | None = None  # the thread whose turn it is
        self._urgent: set[int] = set()  # threads that make something safe, or wait for it
        self._serial: Any = None
        self._behind = True  # old answers may still come
        self._failures = 0

    def open(self) -> None:
        with self._lock:
            if self._serial is not None:
                return
            try:
                import serial

                self._serial = serial.serial_for_url(
                    self.port,
                    self.baud,
                    timeout=_SLICE_S,
                    write_timeout=ANSWER_S,
                    exclusive=True,  # no other program
                )
            except ImportError as error:
                raise _LineError("needs pyserial; install it: pip install pyserial") from error
            except (OSError, ValueError) as error:
                # pyserial's own words hold the number and the port twice
                number = getattr(error, "errno", None)
                told = os.strerror(number) if number else str(error)
                raise _LineError(
                    f"port {self.port} cannot be opened ({told}); check its name, the cable, and "
                    "that no other program uses it."
                ) from error

    def close(self) -> None:
        with self.turn(urgent=True), suppress(OSError):
            if self._serial is not None:
                self._serial.close()

    @contextmanager
    def turn(self, urgent: bool) -> Generator[None]:
        thread = threading.get_ident()
        first = urgent and thread not in self._urgent
        if first:
            self._urgent.add(thread)
        while self._owner != thread and not urgent and self._others_are_urgent():
            time.sleep(0.001)  # a lock alone could go to a busy thread again and again
        try:
            with self._lock:
                outer, self._owner = self._owner, thread
                try:
                    yield
                finally:
                    self._owner = outer
        finally:
            if first:
                self._urgent.discard(thread)

    def _others_are_urgent(self) -> bool:
        return bool(self._urgent - {threading.get_ident()})

    def exchange(self, query: Query) -> re.Match[bytes]:
        urgent = threading.get_ident() in self._urgent
        if self.fault and not urgent:
            raise _LineError(self.fault)
        if self._behind:
            if urgent:  # obeyed now, by a device that hears but does not answer
                self.send(query.command)
            self._transfer(self.marker)
        match = self._transfer(query)
        self._failures = 0
        return match

    def send(self, command: bytes) -> None:
        self._behind = True
        try:
            self._serial.write(command)
        except OSError as error:
            raise self._failed(f"port {self.port} failed ({error})") from error
        time.sleep(0.05)  # a device may lose what comes before it has answered

    def _transfer(self, query: Query) -> re.Match[bytes]:
        self._behind = True
        try:
            self._discard()
            self._serial.write(query.command)
            match = self._read(query)
        except OSError as error:  # pyserial's own are of this kind
            raise self._failed(f"port {self.port} failed ({error})") from error
        self._behind = False
        return match

    def _discard(self) -> None:
        """What came unasked, or was left by another program."""
        begun = time.perf_counter()
        while (waiting := self._serial.in_waiting) and time.perf_counter() - begun < ANSWER_S:
            self._serial.read(waiting)

    def _read(self, query: Query) -> re.Match[bytes]:
        came, silence = b"", Patience(_SLICE_S)
        while True:
            came += self._serial.read(max(1, self._serial.in_waiting))
            if match := re.search(query.answer, came):
                return match
            waited_s = silence.look()
            if waited_s > PATIENCE_S and self._others_are_urgent():
                raise _LineError("was interrupted, as a device on its port is being made safe.")
            if waited_s > ANSWER_S:
                answer = f"answered {came[-60:]!r}" if came else "did not answer"
                raise self._failed(f"the device at port {self.port} {answer} to {query.command!r}")

    def _failed(self, what: str) -> _LineError:
        self._failures += 1
        if self._failures >= 2 and self.fault is None:
            self.fault = (
                f"{what}, twice in a row; check that the right device is on it, its power, cable "
                "and baud rate, then close all devices of this port and open them again."
            )
            with suppress(OSError):
                for user in self.users.copy():
                    self._serial.write(user.last_words)
        return _LineError(f"{what}.")
