"""A server of slmPy's protocol on this computer, which can be made to misbehave."""

import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np

OPEN_S = 30.0  # no test lasts longer


class Server:
    """Shows what clients send, one after the other, until closed.

    answer: of a picture that came in, the pieces to send back, one by one; b"" ends the connection.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        port: int = 0,
        decompress: Callable[[bytes], bytes] = zlib.decompress,
        answer: Callable[[bytes], list[bytes]] = lambda verdict: [verdict],
        delay_s: float = 0.0,
    ) -> None:
        self.shape, self.decompress = shape, decompress
        self.answer, self.delay_s = answer, delay_s
        self.pictures: list[np.ndarray] = []
        self.clients = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._connection: socket.socket | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        for end in (self._listener, self._connection):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._thread.join(OPEN_S)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                self._connection, _ = self._listener.accept()
                self.clients += 1
                self._connection.settimeout(OPEN_S)
                with self._connection:
                    while self._take(self._connection):
                        pass
            except OSError:
                continue  # that client is gone, or the server is closing

    def _take(self, connection: socket.socket) -> bool:
        length = int.from_bytes(self._read(connection, 4), "little")
        payload = self._read(connection, length)
        verdict = b"err"
        try:
            pixels = np.frombuffer(self.decompress(payload), np.uint8)
            if pixels.size == self.shape[0] * self.shape[1]:
                self.pictures.append(pixels.reshape(self.shape))
                verdict = b"done"
        except (zlib.error, OSError, EOFError):
            pass
        time.sleep(self.delay_s)
        for piece in self.answer(verdict):
            if not piece:
                return False
            connection.sendall(piece)
            time.sleep(0.02)
        return True

    def _read(self, connection: socket.socket, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = connection.recv(count - len(parts))
            if not part:
                raise ConnectionError
            parts += part
        return bytes(parts)
