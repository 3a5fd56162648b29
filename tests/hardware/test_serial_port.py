"""The shared line: what is asked gets its own answer, or a DeviceError."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from hardware.asi import AsiSettings, AsiStage
from hardware.ichrome import IchromeLaser, IchromeSettings
from hardware.protocols import DeviceError
from hardware.serial_port import Query, SerialPort

MARKER = Query(b"marker\n", rb"marker\n")
COUNT = Query(b"count\n", rb"count (\d+)\n")


def serve(listener: socket.socket, delays_s: list[float]) -> None:
    """Answers count with 1, 2, ...; each answer after its delay, in turn."""
    with suppress(OSError):
        connection, _ = listener.accept()
        count, held = 0, b""
        with connection:
            while data := connection.recv(100):
                *lines, held = (held + data).split(b"\n")
                for line in lines:
                    if line == b"count":
                        time.sleep(delays_s.pop(0) if delays_s else 0)
                        count += 1
                        connection.sendall(b"count %d\n" % count)
                    elif line == b"marker":
                        connection.sendall(b"marker\n")


@pytest.fixture
def delays_s() -> list[float]:
    return []


@pytest.fixture
def url(delays_s: list[float]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, delays_s), daemon=True)
        thread.start()
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"


def test_a_late_answer_is_not_taken_for_the_next(url: str, delays_s: list[float]) -> None:
    with closing(SerialPort("counter", url, 9600, MARKER)) as port:
        assert port.ask(COUNT)[1] == b"1"
        delays_s.append(0.6)
        with pytest.raises(DeviceError, match=r"counter: .* did not answer"):
            port.tell(COUNT)  # its answer, 2, is still to come
        assert port.tell(COUNT)[1] == b"3"
        delays_s.append(0.6)
        assert port.ask(COUNT)[1] == b"5"  # 4 came too late; asked again
        assert port.fault is None


def test_an_echo_line_answers() -> None:
    with closing(SerialPort("echo", "loop://", 9600, MARKER)) as port:
        assert port.ask(Query(b"hello\n", rb"(hello)\n"))[1] == b"hello"


def test_two_failures_in_a_row_end_it() -> None:
    port = SerialPort("echo", "loop://", 9600, MARKER)
    port.last_words = b"lights off\n"
    with pytest.raises(DeviceError, match=r"echo: .* answered b'what.*twice in a row; check"):
        port.ask(Query(b"what?\n", rb"42\n"))
    assert port.fault
    with pytest.raises(DeviceError, match="twice in a row"):
        port.ask(MARKER)
    with port.turn(urgent=True):  # but what makes it safe is always tried
        assert port.ask(MARKER)
    port.close()
    port.close()
    with pytest.raises(DeviceError, match="echo: is closed"):
        port.ask(MARKER)


def test_the_last_words_are_sent() -> None:
    port = SerialPort("echo", "loop://", 9600, MARKER)
    port.last_words = b"lights off\n"
    never = Query(b"what?\n", rb"42\n")
    with suppress(DeviceError):
        port.tell(never)
    with suppress(DeviceError):
        port.tell(never)
    with port.turn(urgent=True):
        port._connection._serial.timeout = 0.2
        assert port._connection._serial.read(100) == b"lights off\n"
    port.close()


def test_a_port_is_shared_and_closed_with_the_last() -> None:
    one = SerialPort("one", "loop://", 9600, MARKER)
    two = SerialPort("two", "loop://", 9600, MARKER)
    assert one._connection is two._connection
    with pytest.raises(DeviceError, match="three: port loop:// is in use for another kind"):
        SerialPort("three", "loop://", 115200, MARKER)
    one.close()
    assert two.ask(MARKER)
    two.close()
    with closing(SerialPort("four", "loop://", 115200, MARKER)) as four:
        assert four._connection is not one._connection


def test_threads_get_their_own_answers() -> None:
    ports = [SerialPort(f"port {i}", "loop://", 9600, MARKER) for i in range(4)]
    wrong = []

    def ask_often(port: SerialPort, number: int) -> None:
        for i in range(30):
            text = b"%d-%d" % (number, i)
            if port.ask(Query(text + b"\n", rb"(\d+-\d+)\n"))[1] != text:
                wrong.append(text)

    threads = [threading.Thread(target=ask_often, args=(port, i)) for i, port in enumerate(ports)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for port in ports:
        port.close()
    assert not wrong


@pytest.mark.parametrize("port", ["COM999", "socket://127.0.0.1:9", "nonsense://x"])
def test_a_port_that_is_not_there(port: str) -> None:
    with pytest.raises(DeviceError, match=f"red: port {port} cannot be opened .*check its name"):
        SerialPort("red", port, 9600, MARKER)


def test_pyserial_is_needed_to_open_only(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys, hardware.ichrome, hardware.asi; sys.exit('serial' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
    monkeypatch.setitem(sys.modules, "serial", None)
    red = IchromeSettings(port="loop://", line=1, mw_at_full=1, limit_mw=1)
    with pytest.raises(DeviceError, match="red: needs pyserial; install it"):
        IchromeLaser("red", red)
    with pytest.raises(DeviceError, match="z: needs pyserial; install it"):
        AsiStage("z", AsiSettings(port="loop://", limits_um=(0, 1)))
