"""iChrome MLE: dark when it must be, whatever the line does."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from contracts import PATIENCE_S, LaserContract
from pydantic import ValidationError
from serial_emulators import AsiEmulator, Fault, IchromeEmulator

from hardware.ichrome import IchromeLaser, IchromeSettings
from hardware.protocols import DeviceError

Opener = Callable[..., IchromeLaser]


@pytest.fixture
def device() -> Iterator[IchromeEmulator]:
    device = IchromeEmulator()
    yield device
    device.unplug()


@pytest.fixture
def opened(device: IchromeEmulator) -> Iterator[Opener]:
    lasers = []

    def opened(line: int | str = 2, name: str = "blue", **settings: object) -> IchromeLaser:
        values = {"port": device.port, "mw_at_full": 200.0, "limit_mw": 100.0} | settings
        lasers.append(IchromeLaser(name, IchromeSettings(line=line, **values)))  # type: ignore[arg-type]
        return lasers[-1]

    yield opened
    for laser in lasers:
        with suppress(DeviceError):
            laser.close()


@pytest.fixture
def laser(opened: Opener) -> IchromeLaser:
    return opened()


class TestIchromeContinuous(LaserContract):
    pass


class TestIchromeTriggered(LaserContract):
    @pytest.fixture
    def laser(self, opened: Opener) -> IchromeLaser:
        return opened(modulation="ttl")


def test_opening_darkens_its_line_only(device: IchromeEmulator, opened: Opener) -> None:
    assert device.may_shine(2)
    laser = opened()
    assert not device.may_shine(2)
    assert device.may_shine(1)
    assert laser.power_mw == 0


def test_power_is_a_level(device: IchromeEmulator, laser: IchromeLaser) -> None:
    laser.set_power(33.39)
    assert device.values["laser2:level"] == 16.6  # rounded down from 16.695 %
    assert laser.power_mw == pytest.approx(33.2)
    laser.set_power(100)
    assert device.values["laser2:level"] == 50
    assert device.values["laser1:level"] == 80


def test_on_in_both_modulations(device: IchromeEmulator, opened: Opener) -> None:
    continuous, triggered = opened(2), opened("640", "red", modulation="ttl")
    for laser, line, how in ((continuous, 2, "cw"), (triggered, 4, "use-ttl")):
        laser.on()
        assert device.may_shine(line)
        assert device.values[f"laser{line}:{how}"]
        laser.off()
        assert not device.may_shine(line)
    assert not device.values["laser4:cw"]


def test_a_level_above_the_limit_is_not_switched_on(
    device: IchromeEmulator, laser: IchromeLaser
) -> None:
    device.values["laser2:level"] = 60.0  # at the panel
    with pytest.raises(DeviceError, match="blue: power 120 mW is outside its limits"):
        laser.on()
    assert not device.may_shine(2)


def test_lines_share_the_port(device: IchromeEmulator, opened: Opener) -> None:
    lasers = [opened(line, f"line {line}") for line in (1, 2, 4)]
    for power_mw, laser in enumerate(lasers, start=1):
        laser.set_power(power_mw)
    threads = [threading.Thread(target=laser.on) for laser in lasers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [laser.power_mw for laser in lasers] == [1, 2, 3]
    lasers[0].close()
    assert not device.may_shine(1)
    assert lasers[1].emitting
    lasers[1].close()
    lasers[2].close()
    assert not any(device.may_shine(line) for line in (1, 2, 4))


def test_lines_that_are_not_there(device: IchromeEmulator, opened: Opener) -> None:
    for line in (3, "561"):
        with pytest.raises(DeviceError, match=r"blue: line .* it has 1 \(405\), 2 \(488\), 4"):
            opened(line)
    assert opened(2)  # the port was let go of


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"line": 6}, "line"),
        ({"limit_mw": 300.0}, "limit_mw=300"),
        ({"limt_mw": 1.0}, "limt_mw"),
        ({"mw_at_full": float("nan")}, "mw_at_full"),
    ],
)
def test_impossible_settings(changed: dict[str, object], message: str) -> None:
    values = {"port": "COM4", "line": 1, "mw_at_full": 200.0, "limit_mw": 100.0} | changed
    with pytest.raises(ValidationError, match=message):
        IchromeSettings(**values)  # type: ignore[arg-type]


def test_another_toptica() -> None:
    device = IchromeEmulator("iChrome-CLE")
    settings = IchromeSettings(port=device.port, line=1, mw_at_full=1, limit_mw=1)
    with pytest.raises(DeviceError, match=r"red: port .* has a iChrome-CLE, not an iChrome-MLE"):
        IchromeLaser("red", settings)
    device.unplug()


def test_another_device_on_the_port() -> None:
    device = AsiEmulator()
    settings = IchromeSettings(port=device.port, line=1, mw_at_full=1, limit_mw=1)
    with pytest.raises(
        DeviceError, match=r"red: the device at port .* check that the right device"
    ):
        IchromeLaser("red", settings)
    device.unplug()


def test_leftovers_of_another_program(device: IchromeEmulator, opened: Opener) -> None:
    device.leave_behind(b"(param-ref 'laser2:enable)\r\n#f\r\n> (param-ref 'laser")
    laser = opened()
    device.leave_behind(b"(param-ref 'laser2:level)\r\n99.0\r\n> ")
    laser.set_power(20)
    assert laser.power_mw == 20


@pytest.mark.parametrize("fault", ["slow", "garbled", "late"])
def test_one_bad_answer_to_a_question(
    device: IchromeEmulator, laser: IchromeLaser, fault: Fault
) -> None:
    laser.set_power(20)
    device.fail(fault, on=b"(param-ref 'laser2:level")
    device.fail(fault, on=b"(param-ref 'laser2:enable")
    device.values["laser2:enable"] = True
    assert laser.power_mw == 20
    assert laser.emitting
    device.values["laser2:enable"] = False
    device.values["laser2:level"] = 30.0
    assert laser.power_mw == 60
    assert not laser.emitting


@pytest.mark.parametrize("fault", ["late", "missing"])
def test_one_bad_answer_to_a_command(
    device: IchromeEmulator, laser: IchromeLaser, fault: Fault
) -> None:
    """It is not repeated; `on` leaves the laser dark, and `off` looks whether it is."""
    laser.set_power(20)
    device.commands.clear()
    device.fail(fault, on=b"(param-set! 'laser2:level")
    with pytest.raises(DeviceError, match="blue: "):
        laser.set_power(30)
    assert device.commands.count(b"(param-set! 'laser2:level 15.0)") == 1
    device.fail(fault, on=b"(param-set! 'laser2:cw #t")
    with pytest.raises(DeviceError, match="blue: "):
        laser.on()
    assert not device.may_shine(2)
    laser.on()
    device.fail(fault, on=b"(param-set! 'laser2:cw #f")
    laser.off()
    assert not device.may_shine(2)
    assert not laser.emitting


def test_a_set_that_has_no_effect(device: IchromeEmulator, laser: IchromeLaser) -> None:
    device.stuck = {"laser2:level"}
    with pytest.raises(DeviceError, match=r"blue: level 5.0 % was set, but it says 0.0 %"):
        laser.set_power(10)
    device.stuck = {"laser2:cw"}
    with pytest.raises(DeviceError, match="blue: did not switch on"):
        laser.on()
    assert not device.values["laser2:enable"]
    device.stuck = {"laser2:enable"}
    device.values |= {"laser2:enable": True, "laser2:cw": True}
    with pytest.raises(DeviceError, match=r"darkness could not be confirmed.*still says"):
        laser.off()
    with pytest.raises(DeviceError, match="darkness could not be confirmed"):
        laser.close()
    laser.close()


def test_a_line_that_cannot_be_darkened_does_not_open(
    device: IchromeEmulator, opened: Opener
) -> None:
    device.stuck = {"laser2:enable"}
    with pytest.raises(DeviceError, match="blue: darkness could not be confirmed"):
        opened()


def test_when_it_falls_silent_all_lines_are_darkened(
    device: IchromeEmulator, opened: Opener
) -> None:
    blue, red = opened(2), opened(4, "red")
    blue.on()
    red.on()
    device.silent = True
    with pytest.raises(DeviceError, match=r"blue: .*did not answer.*twice in a row"):
        assert blue.emitting
    wait_until(lambda: not device.may_shine(2) and not device.may_shine(4))
    for call in (blue.on, red.on, red.off, lambda: red.set_power(1), lambda: red.emitting):
        with pytest.raises(DeviceError, match="twice in a row"):
            call()
    device.silent = False
    with pytest.raises(DeviceError, match=r"red: .*twice in a row"):
        red.off()  # dark, but no longer to be relied on
    blue.close()
    red.close()
    assert not opened().emitting  # opened again


def test_unplugged(device: IchromeEmulator, laser: IchromeLaser) -> None:
    laser.on()
    device.unplug()
    with pytest.raises(DeviceError, match=r"blue: port .* failed"):
        assert laser.emitting
    with pytest.raises(DeviceError, match="blue: darkness could not be confirmed"):
        laser.close()
    laser.close()
    with pytest.raises(DeviceError, match="blue: is closed"):
        laser.on()


def test_an_urgent_thread_does_not_wait_for_busy_ones(laser: IchromeLaser) -> None:
    """A lock is not fair: the thread that lets go of it mostly gets it again."""
    ended, asked, waited = threading.Event(), [0], []

    def ask_on() -> None:
        while not ended.is_set():
            assert laser.power_mw == 0
            asked[0] += 1

    threads = [threading.Thread(target=ask_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        before = asked[0]
        with laser._port.turn(urgent=True):
            waited.append(asked[0] - before)
        time.sleep(0.002)
    ended.set()
    for thread in threads:
        thread.join()
    assert max(waited) <= 30  # about 3; hundreds with the lock alone


STATES = ("idle", "emitting", "asking", "switching on", "deaf")


@pytest.mark.parametrize("state", STATES)
def test_closing_from_any_state(device: IchromeEmulator, laser: IchromeLaser, state: str) -> None:
    """What is heard is obeyed: the laser is dark after `close`, which waits for nobody long."""
    failed: list[Exception] = []

    def attempt(call: Callable[[], object]) -> None:
        try:
            call()
        except DeviceError as error:
            failed.append(error)

    laser.set_power(10)
    if state in ("emitting", "asking", "deaf"):
        laser.on()
    calls = {"switching on": laser.on} | dict.fromkeys(("asking", "deaf"), lambda: laser.power_mw)
    device.commands.clear()
    device.silent = state == "deaf"
    if state == "asking":
        device.fail("missing", on=b"level")
    if state == "switching on":
        device.fail("missing", on=b"enable #t")
    thread = threading.Thread(target=attempt, args=(calls.get(state, lambda: None),))
    thread.start()
    time.sleep(0.05)
    begun = time.monotonic()
    attempt(laser.close)
    took_s = time.monotonic() - begun
    thread.join()
    wait_until(lambda: not device.may_shine(2))
    if state == "deaf":  # no time is lost with waiting for answers
        assert device.commands[1] == b"(param-set! 'laser2:cw #f)"
    assert any("darkness could not" in str(error) for error in failed) == (state == "deaf")
    assert took_s < PATIENCE_S / 2


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
