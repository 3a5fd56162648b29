"""ASI stage: where it says it is, it is."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from contracts import PATIENCE_S, StageContract
from pydantic import ValidationError
from serial_emulators import AsiEmulator, Fault, IchromeEmulator

from hardware.asi import AsiSettings, AsiStage
from hardware.protocols import DeviceError

Opener = Callable[..., AsiStage]
Z = ord("Z")


@pytest.fixture
def device() -> Iterator[AsiEmulator]:
    device = AsiEmulator()
    yield device
    device.unplug()


@pytest.fixture
def opened(device: AsiEmulator) -> Iterator[Opener]:
    stages = []

    def opened(name: str = "z", **settings: object) -> AsiStage:
        values = {"port": device.port, "limits_um": (-50.0, 50.0)} | settings
        stages.append(AsiStage(name, AsiSettings(**values)))  # type: ignore[arg-type]
        return stages[-1]

    yield opened
    for stage in stages:
        with suppress(DeviceError):
            stage.close()


@pytest.fixture
def stage(opened: Opener) -> AsiStage:
    return opened()


class TestAsi(StageContract):
    pass


class Move(threading.Thread):
    """A motion in another thread, begun when this returns; its DeviceError is kept."""

    def __init__(self, stage: AsiStage, device: AsiEmulator, position_um: float = 40.0) -> None:
        super().__init__()
        self.error: DeviceError | None = None
        self._stage, self._position_um = stage, position_um
        device.um_per_s = 5.0
        self.start()
        deadline = time.monotonic() + 5
        while not device.moving and time.monotonic() < deadline:
            time.sleep(0.005)

    def run(self) -> None:
        try:
            self._stage.move_to(self._position_um)
        except DeviceError as error:
            self.error = error


def test_opening_moves_nothing(device: AsiEmulator, opened: Opener) -> None:
    device.place(Z, 300.0)
    assert opened().position_um() == 300
    assert not any(command.startswith(b"M") for command in device.commands)


def test_it_waits_and_uses_tenths(device: AsiEmulator, stage: AsiStage) -> None:
    device.um_per_s = 100.0
    stage.move_to(-12.345)
    assert not device.moving
    assert b"M Z=-123.5" in device.commands or b"M Z=-123.4" in device.commands
    assert device.commands.count(b"/") > 2
    assert stage.position_um() == pytest.approx(-12.345, abs=0.006)


def test_limits_are_enforced_before_anything_is_sent(device: AsiEmulator, stage: AsiStage) -> None:
    before = len(device.commands)
    with pytest.raises(DeviceError, match="z: position 51 um is outside its limits, -50 to 50"):
        stage.move_to(51)
    assert len(device.commands) == before


def test_what_the_controller_refuses(device: AsiEmulator, opened: Opener) -> None:
    stage = opened(limits_um=(-1000.0, 1000.0))
    with pytest.raises(DeviceError, match=r"z: .*:N-4, the value is out of its range"):
        stage.move_to(600)
    stage.move_to(10)
    with pytest.raises(DeviceError, match=r"f: .*:N-2, it has no such axis"):
        opened("f", axis="F")


def test_it_must_arrive(device: AsiEmulator, stage: AsiStage) -> None:
    device.reach_um = 20.0
    with pytest.raises(DeviceError, match="z: did not arrive: it is at 20 um, not 30 um"):
        stage.move_to(30)


def test_it_must_arrive_in_time(device: AsiEmulator, opened: Opener) -> None:
    stage = opened(timeout_s=0.3)
    device.um_per_s = 20.0
    with pytest.raises(DeviceError, match=r"z: was halted, still moving after 0.3 s"):
        stage.move_to(40)
    assert not device.moving


def test_stop_ends_a_motion(device: AsiEmulator, stage: AsiStage) -> None:
    move = Move(stage, device)
    with pytest.raises(DeviceError, match="z: is still moving"):
        stage.move_to(0)
    stage.stop()
    assert not device.moving
    move.join()
    assert "was stopped on its way to 40 um" in str(move.error)
    device.um_per_s = 2000.0
    stage.move_to(5)


def test_axes_share_the_controller(device: AsiEmulator, opened: Opener) -> None:
    stages = [opened(axis.lower(), axis=axis) for axis in "XYZ"]
    device.um_per_s = 200.0
    targets = (10.0, -20.0, 30.0)
    moves = [
        threading.Thread(target=stage.move_to, args=(target,))
        for stage, target in zip(stages, targets, strict=True)
    ]
    for move in moves:
        move.start()
    for move in moves:
        move.join()
    assert tuple(stage.position_um() for stage in stages) == targets
    stages[0].close()
    stages[2].move_to(0)


def test_another_device_on_the_port(opened: Opener) -> None:
    device = IchromeEmulator()
    with pytest.raises(DeviceError, match=r"z: .* check that the right device is on it"):
        opened(port=device.port)
    device.unplug()


def test_leftovers_of_another_program(device: AsiEmulator, opened: Opener) -> None:
    device.leave_behind(b":A 99999.0 \r\n:A 88")
    stage = opened()
    assert stage.position_um() == 0
    device.leave_behind(b":A 99999.0 \r\n")
    assert stage.position_um() == 0


@pytest.mark.parametrize("fault", ["slow", "garbled", "late", "missing"])
def test_one_bad_answer_to_a_question(device: AsiEmulator, stage: AsiStage, fault: Fault) -> None:
    device.fail(fault, on=b"W Z")
    assert stage.position_um() == 0
    device.place(Z, 7.0)
    assert stage.position_um() == 7
    device.fail(fault, on=b"/")
    stage.move_to(20)
    assert stage.position_um() == 20


def test_a_late_position_is_never_taken_for_the_present_one(
    device: AsiEmulator, stage: AsiStage
) -> None:
    device.fail("late", on=b"W Z")
    asked: list[float] = []
    thread = threading.Thread(target=lambda: asked.append(stage.position_um()))
    thread.start()
    while b"W Z" not in device.commands[-1:]:  # it has answered 0, which is on its way
        time.sleep(0.01)
    device.place(Z, 33.0)
    thread.join()
    assert asked == [33.0]


@pytest.mark.parametrize("fault", ["late", "missing"])
def test_a_motion_that_is_not_acknowledged_is_halted(
    device: AsiEmulator, stage: AsiStage, fault: Fault
) -> None:
    device.um_per_s = 5.0
    device.fail(fault, on=b"M Z")
    with pytest.raises(DeviceError, match="z: the device at port"):
        stage.move_to(40)
    assert not device.moving
    assert [command for command in device.commands if command.startswith(b"M ")] == [b"M Z=400.0"]
    device.um_per_s = 2000.0
    stage.move_to(1)


def test_when_it_falls_silent_it_is_halted(device: AsiEmulator, stage: AsiStage) -> None:
    move = Move(stage, device)
    device.silent = True
    move.join()
    assert "twice in a row" in str(move.error)
    wait_until(lambda: not device.moving)
    for call in (stage.position_um, stage.stop, lambda: stage.move_to(1)):
        with pytest.raises(DeviceError, match="twice in a row"):
            call()
    device.silent = False
    stage.close()  # it says that it stands


def test_unplugged(device: AsiEmulator, stage: AsiStage) -> None:
    move = Move(stage, device)
    device.unplug()
    move.join()
    assert "failed" in str(move.error)
    with pytest.raises(DeviceError, match=r"z: port .* failed"):
        stage.position_um()
    with pytest.raises(DeviceError, match=r"z: port .* failed"):
        stage.close()  # it may still move
    stage.close()
    with pytest.raises(DeviceError, match="z: is closed"):
        stage.position_um()


@pytest.mark.parametrize("state", ["idle", "moving", "asking", "deaf"])
def test_closing_from_any_state(device: AsiEmulator, stage: AsiStage, state: str) -> None:
    """What is heard is obeyed: the stage stands after `close`, which waits for nobody long."""
    move = None if state == "idle" else Move(stage, device)
    if state == "asking":
        device.fail("missing", on=b"/")
        time.sleep(0.05)
    device.silent = state == "deaf"
    begun = time.monotonic()
    if state == "deaf":
        with pytest.raises(DeviceError, match="z: "):
            stage.close()
    else:
        stage.close()
    took_s = time.monotonic() - begun
    wait_until(lambda: not device.moving)
    if move:
        move.join()
        assert move.error
    assert took_s < PATIENCE_S / 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"limits_um": (5.0, 5.0)}, "the lower one first"),
        ({"axis": "ZZ"}, "axis"),
        ({"tolerance": 1.0}, "tolerance"),
        ({"baud": 1200}, "baud"),
    ],
)
def test_impossible_settings(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AsiSettings(**({"port": "COM5", "limits_um": (0.0, 1.0)} | changed))  # type: ignore[arg-type]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
