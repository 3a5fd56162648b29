"""A client of slmPy shows what it is given, and no late, broken or foreign answer fools it."""

import bz2
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from contracts import SLMContract
from slmpy_server import Server

from hardware.protocols import DeviceError
from hardware.slm_network import NetworkSLM, NetworkSLMSettings

SHAPE = (27, 49)
BASIC = NetworkSLMSettings(kind="slmpy", shape=SHAPE, timeout_s=10.0, settle_s=0.0)

Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers, which are closed after the test."""
    servers: list[Server] = []

    def start_one(**settings: Any) -> Server:
        servers.append(Server(SHAPE, **settings))
        return servers[-1]

    yield start_one
    for server in servers:
        server.close()


def opened(server: Server, **changes: Any) -> NetworkSLM:
    return NetworkSLM("network slm", replace(BASIC, port=server.port, **changes))


def picture(value: int) -> np.ndarray:
    return np.full(SHAPE, value, np.uint8)


def shown_by(server: Server) -> list[int]:
    return [int(image[0, 0]) for image in server.pictures]


class TestContract(SLMContract):
    @pytest.fixture
    def slm(self, start: Start) -> Iterator[NetworkSLM]:
        slm = opened(start())
        yield slm
        slm.close()


@pytest.mark.parametrize(
    ("compression", "decompress"),
    [("gzip", gzip.decompress), ("bz2", bz2.decompress), ("none", bytes)],
)
def test_compressions(start: Start, compression: str, decompress: Any) -> None:
    server = start(decompress=decompress)
    slm = opened(server, compression=compression)
    grey = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    slm.show(grey[:, ::1])
    slm.show(np.asfortranarray(255 - grey))
    assert np.array_equal(server.pictures, [grey, 255 - grey])
    assert server.clients == 1
    slm.close()


def test_it_waits_for_the_crystal(start: Start) -> None:
    slm = opened(start(), settle_s=0.3)
    begun = time.monotonic()
    slm.show(picture(1))
    assert time.monotonic() - begun >= 0.3
    slm.close()


def test_a_refused_picture(start: Start) -> None:
    server = start(answer=lambda verdict: [b"err"])
    slm = opened(server)
    with pytest.raises(DeviceError, match=r"^network slm: .* refused a pattern of 49 x 27"):
        slm.show(picture(1))
    assert slm.shown is None  # nobody knows
    server.answer = lambda verdict: [verdict]
    slm.show(picture(2))
    assert server.clients == 2
    slm.close()


def test_an_answer_in_pieces(start: Start) -> None:
    slm = opened(start(answer=lambda verdict: [verdict[:1], verdict[1:3], verdict[3:]]))
    slm.show(picture(1))
    assert slm.shown is not None
    slm.close()


def test_a_late_answer_is_not_taken_for_the_next(start: Start) -> None:
    server = start(delay_s=0.5)
    server.answer = lambda verdict: [b"done" if len(server.pictures) == 1 else b"err"]
    slm = opened(server, timeout_s=0.2)
    with pytest.raises(DeviceError, match=r"did not confirm a pattern within 0\.2 s"):
        slm.show(picture(1))
    assert slm.shown is None
    patient = opened(server)
    with pytest.raises(DeviceError, match="refused"):
        patient.show(picture(2))
    patient.close()
    slm.close()


def test_an_answer_nobody_waited_for(start: Start) -> None:
    server = start(answer=lambda verdict: [verdict, b"done"])
    slm = opened(server)
    slm.show(picture(1))
    time.sleep(0.2)
    slm.show(picture(2))
    assert server.clients == 2  # the old connection was in doubt
    slm.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request", b"dont", b"\x00"])
def test_a_foreign_answer(start: Start, answer: bytes) -> None:
    slm = opened(start(answer=lambda verdict: [answer]))
    with pytest.raises(DeviceError, match="as no slmPy server does"):
        slm.show(picture(1))
    slm.close()


def test_half_an_answer_and_the_end(start: Start) -> None:
    server = start(answer=lambda verdict: [b"do", b""])
    slm = opened(server)
    with pytest.raises(DeviceError, match="broke the connection"):
        slm.show(picture(1))
    assert shown_by(server) == [1, 1]  # tried once more over a new connection
    server.answer = lambda verdict: [verdict]
    slm.show(picture(2))
    assert shown_by(server) == [1, 1, 2]
    slm.close()


def test_a_server_killed_and_started_again(start: Start) -> None:
    first = start()
    slm = opened(first)
    slm.show(picture(1))
    first.close()
    with pytest.raises(DeviceError, match="start the slmPy server"):
        slm.show(picture(2))
    second = start(port=first.port)
    slm.show(picture(3))
    second.close()
    third = start(port=first.port)
    slm.show(picture(4))  # nobody was told of the second death
    assert (shown_by(second), shown_by(third)) == ([3], [4])
    assert slm.shown is not None
    slm.close()


def test_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(DeviceError, match=f"cannot connect to 127.0.0.1:{port}"):
        NetworkSLM("network slm", replace(BASIC, port=port))


def test_closing_ends_the_wait_of_another_thread(start: Start) -> None:
    server = start(delay_s=1.0)
    slm = opened(server, timeout_s=25.0)
    errors: list[DeviceError] = []

    def show() -> None:
        try:
            slm.show(picture(1))
        except DeviceError as error:
            errors.append(error)

    thread = threading.Thread(target=show)
    thread.start()
    while not server.pictures:
        time.sleep(0.01)
    slm.close()
    thread.join(20)
    assert len(errors) == 1
    with pytest.raises(DeviceError, match="closed"):
        slm.show(picture(2))
