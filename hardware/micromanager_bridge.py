"""MMCore of a Micro-Manager that runs, over the bridge of pycromanager."""

import time
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from hardware.micromanager_core import (
    Tags,
    opening,
    refuse_second,
    require_pycromanager,
    sentence,
)
from hardware.protocols import DeviceError

_GREETING_S = 3.0
_ANSWER_S = 30.0  # MMCore itself gives up waiting for a device after 5 s
_LOOK_S = 1.0  # whether it is still there
_CONNECTING_S = 0.5


class Attached:
    """MMCore of a Micro-Manager that runs, over its bridge. Nothing there is unloaded."""

    attached = True

    def __init__(self, port: int) -> None:
        from mmpycorex import Core as TheCore

        _greet(port)
        self._lost, self._port = "", port
        self._core = TheCore(port=port, timeout=int(_GREETING_S * 1000))
        # The bridge waits for an answer for ever. A Micro-Manager that has gone, or hangs, must
        # not take this program along.
        self._bridge = self._core._bridge
        self._send = self._bridge.send_and_receive
        self._bridge.send_and_receive = self._send_and_wait

    def _send_and_wait(self, message: dict[str, Any], **_: Any) -> Any:
        if not self._lost:
            try:
                return self._send(message, timeout=_LOOK_S, give_up_condition=self._waiting())
            except TimeoutError as error:
                # An answer that comes later would be taken for the next one's.
                self._lost = str(error)
        if message["command"] == "destructor":
            return None
        raise ConnectionError(self._lost)

    def _waiting(self) -> Callable[[], bool]:
        """Called again and again while an answer is waited for; raises TimeoutError to give up:
        the bridge would ask once more where the function says so."""
        begun_s = time.perf_counter()

        def patient() -> bool:
            waited_s = time.perf_counter() - begun_s
            if waited_s > _ANSWER_S:
                told = f"Micro-Manager has not answered for {_ANSWER_S:g} s; start it again"
                raise TimeoutError(told)
            if waited_s > _LOOK_S / 2 and not _is_there(self._port):
                raise TimeoutError("Micro-Manager has gone; start it again")
            return False

        return patient

    def run(self, method: str, *args: str | float | bool) -> Any:
        if self._core is None:
            raise ConnectionError("the connection to Micro-Manager has been closed")
        return _plain(getattr(self._core, method)(*args))

    def pop_image(self) -> tuple[NDArray[Any], Tags]:
        return _image(self.run("pop_next_tagged_image"))

    def last_image(self) -> tuple[NDArray[Any], Tags]:
        return _image(self.run("get_last_tagged_image"))

    def close(self) -> None:
        core, self._core = self._core, None
        if core is not None:
            core._close()
            del core, self._bridge.send_and_receive
            self._bridge = None


def attach(name: str, port: int) -> Attached:
    """Raises DeviceError, within seconds, when no Micro-Manager answers."""
    require_pycromanager(name)
    with opening:
        refuse_second(name)
        try:
            return Attached(port)
        except Exception as error:
            raise DeviceError(name, sentence(error)) from error


def _greet(port: int) -> None:
    """Raises ConnectionError unless a Micro-Manager answers; the bridge itself might hang."""
    import zmq

    context: Any = zmq.Context.instance()
    with context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(f"tcp://127.0.0.1:{port}")
        socket.send_json({"command": "connect", "debug": False})
        if not socket.poll(_GREETING_S * 1000):
            raise ConnectionError(
                f"no Micro-Manager answers at port {port}; start it, and switch on Tools > Options "
                "> Run server on port"
            )
        socket.recv_multipart()


def _is_there(port: int) -> bool:
    """Whether anything takes connections there, be it as busy as it likes."""
    import zmq

    context: Any = zmq.Context.instance()
    with context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        monitor = socket.get_monitor_socket(zmq.EVENT_CONNECTED)
        try:
            socket.connect(f"tcp://127.0.0.1:{port}")
            return bool(monitor.poll(_CONNECTING_S * 1000))
        finally:
            socket.disable_monitor()


def _plain(value: Any) -> Any:
    """Objects that live in Java, as what they mean."""
    if hasattr(value, "swig_value"):  # an enumeration
        return value.swig_value()
    if hasattr(value, "width"):  # a rectangle
        return value.x, value.y, value.width, value.height
    if hasattr(value, "get_setting"):  # a preset
        settings = (value.get_setting(index) for index in range(value.size()))
        return tuple(
            (one.get_device_label(), one.get_property_name(), one.get_property_value())
            for one in settings
        )
    if hasattr(value, "get") and hasattr(value, "size") and not isinstance(value, dict):
        return tuple(value.get(index) for index in range(value.size()))
    return tuple(value) if isinstance(value, list) else value


def _image(image: Any) -> tuple[NDArray[Any], Tags]:
    tags = {key: str(value) for key, value in image.tags.items()}
    pixels: NDArray[Any] = image.pix
    shape = int(tags["Height"]), int(tags["Width"])
    if pixels.size != shape[0] * shape[1]:
        raise ValueError(f"a picture of {pixels.size} values came instead of {shape}")
    return pixels.reshape(shape), tags
