"""An SLM that a slmPy server shows on, over TCP.

Each picture is sent as a C int, the length of what follows, and the compressed bytes of all its
pixels by rows. The server answers "done" or "err", without an end mark, and says nothing else; in
particular not which size and compression it expects.
"""

import bz2
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.physics.optics import Pitch, Positive
from hardware.protocols import DeviceError, check_pattern

_Count = Annotated[int, Field(ge=1)]
_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "none": bytes,
}
_ANSWERS: Final = (b"done", b"err")


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class NetworkSLMSettings:
    """An SLM behind a slmPy server, which must expect the same size and compression.

    shape: (rows, columns). timeout_s: for one picture, until the server has confirmed it.
    settle_s: what the crystal needs after that.
    """

    kind: Literal["slmpy"]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 9999
    shape: tuple[_Count, _Count] = (1080, 1920)
    pixel_um: Pitch = 8.0
    compression: Literal["zlib", "gzip", "bz2", "none"] = "zlib"
    timeout_s: Positive = 5.0
    settle_s: Annotated[float, Field(ge=0, le=10)] = 0.15


class NetworkSLM:
    """Client of slmPy's protocol; after any doubt the next picture goes over a new connection."""

    def __init__(self, name: str, settings: NetworkSLMSettings) -> None:
        """Raises DeviceError when the server cannot be reached."""
        self.name = name
        self._settings = settings
        self._lock = threading.Lock()
        self._shown: NDArray[np.uint8] | None = None
        self._closed = False
        self._socket: socket.socket | None = self._connect(self._deadline())

    @property
    def shape(self) -> tuple[int, int]:
        return self._settings.shape

    @property
    def pixel_um(self) -> float:
        return self._settings.pixel_um

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """The pattern the server confirmed last; None after it failed to confirm one."""
        return self._shown

    def show(self, grey: NDArray[np.uint8]) -> None:
        """Raises DeviceError when the server refuses the pattern or does not confirm it in time."""
        check_pattern(self, grey)
        payload = _COMPRESSORS[self._settings.compression](grey.tobytes())
        message = len(payload).to_bytes(4, "little") + payload
        with self._lock:
            if self._closed:
                raise DeviceError(self.name, "is closed; open the rig again.")
            self._shown = None
            self._transmit(message)
            self._shown = grey.copy()
            time.sleep(self._settings.settle_s)

    def close(self) -> None:
        """Ends the connection; the server goes on showing the last pattern."""
        self._closed = True
        if (connection := self._socket) is not None:
            _shut(connection)  # ends the wait of a `show` in another thread
        with self._lock:
            self._disconnect()

    def _transmit(self, message: bytes) -> None:
        """Send one picture and wait for its confirmation. Raises DeviceError."""
        deadline = self._deadline()
        reused = self._still_idle()
        confirmed = False
        try:
            try:
                answer = self._exchange(message, deadline)
            except ConnectionError:
                if not reused or self._closed:
                    raise
                self._disconnect()  # it died since the last picture
                answer = self._exchange(message, deadline)
            confirmed = answer == b"done"
        except TimeoutError:
            trouble = (
                f"did not confirm a pattern within {self._settings.timeout_s:g} s; "
                "restart the slmPy server, which serves one client only."
            )
        except OSError as error:
            trouble = f"broke the connection ({error}); see what the slmPy server says."
        else:
            trouble = (
                f"refused a pattern of {self.shape[1]} x {self.shape[0]} pixels; "
                "compare size and compression with the server's."
                if answer == b"err"
                else f"answered {answer[:20]!r}, as no slmPy server does; check host and port."
            )
        finally:
            if not confirmed:
                self._disconnect()
        if not confirmed:
            raise DeviceError(self.name, f"{self._place} {trouble}")

    def _still_idle(self) -> bool:
        """Whether there is a sound connection; a doubtful one is given up."""
        if self._socket is None:
            return False
        self._socket.settimeout(0)
        try:
            self._socket.recv(1)  # the end of the stream, or an answer nobody waited for
        except BlockingIOError:
            return True
        except OSError:
            pass
        self._disconnect()
        return False

    def _exchange(self, message: bytes, deadline: float) -> bytes:
        """The answer to a picture as far as it makes sense.

        Raises OSError, which TimeoutError and ConnectionError are, and DeviceError without server.
        """
        if self._socket is None:
            self._socket = self._connect(deadline)
        connection = self._socket
        connection.settimeout(_left_s(deadline))
        connection.sendall(message)
        answer = b""
        while answer not in _ANSWERS and any(known.startswith(answer) for known in _ANSWERS):
            connection.settimeout(_left_s(deadline))
            received = connection.recv(64)
            if not received:
                raise ConnectionError("it ended")
            answer += received
        return answer

    def _connect(self, deadline: float) -> socket.socket:
        address = (self._settings.host, self._settings.port)
        try:
            connection = socket.create_connection(address, timeout=_left_s(deadline))
        except OSError as error:
            raise DeviceError(
                self.name,
                f"cannot connect to {self._place} ({error}); start the slmPy server there.",
            ) from None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _disconnect(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            _shut(connection)
            connection.close()

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.timeout_s

    @property
    def _place(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it is down already
        connection.shutdown(socket.SHUT_RDWR)
