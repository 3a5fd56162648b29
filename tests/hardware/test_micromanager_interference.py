"""What else uses Micro-Manager while a sequence runs: frames that are lost so are told."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contracts import PATIENCE_S, taken
from micromanager_demo import open_camera, open_demo

from dsacq.data import Roi
from dsacq.live import RecordingPlan, live
from hardware.micromanager import MicroManager
from hardware.micromanager_camera import MicroManagerCamera
from hardware.micromanager_core import Core
from hardware.protocols import DeviceError

INTERFERED = r"^camera: another program has interfered with Micro-Manager's buffer: "


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[MicroManager]:
    manager = open_demo(tmp_path, buffer_mb=64)
    yield manager
    manager.close()


@pytest.fixture
def camera(manager: MicroManager) -> Iterator[MicroManagerCamera]:
    camera = open_camera(manager)
    yield camera
    camera.close()


def wait_for_frames(core: Core, count: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while core("get_remaining_image_count") < count and time.monotonic() < deadline_s:
        time.sleep(0.005)


def empty(core: Core) -> None:
    core("clear_circular_buffer")


def initialize(core: Core) -> None:
    core("initialize_circular_buffer")


def same_size(core: Core) -> None:
    core("set_circular_buffer_memory_footprint", core("get_circular_buffer_memory_footprint"))


def other_size(core: Core) -> None:
    core("set_circular_buffer_memory_footprint", 32)


def region(core: Core) -> None:
    core("set_roi", 8, 8, 16, 16)


def whole(core: Core) -> None:
    core("clear_roi")


def take_frames(core: Core) -> None:
    for _ in range(3):
        core.pop_image()


def restart(core: Core) -> None:
    core("stop_sequence_acquisition")
    core("start_continuous_sequence_acquisition", 0.0)


@pytest.mark.parametrize(
    "interfere",
    [empty, initialize, same_size, other_size, region, whole, take_frames, restart],
)
def test_waiting_frames_that_others_lose_are_told(
    camera: MicroManagerCamera, manager: MicroManager, interfere: Callable[[Core], None]
) -> None:
    core = manager.core("mm")
    camera.start()
    wait_for_frames(core, 6)
    first = camera.next_frame(PATIENCE_S)
    assert first is not None
    assert first.index == 0
    interfere(core)
    with pytest.raises(DeviceError, match=INTERFERED) as error:
        taken(camera)
    assert "frames were taken; let only one program" in str(error.value)
    camera.stop()
    camera.set_roi(None)
    camera.start(5)
    assert taken(camera) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("interfere", [empty, initialize, other_size, restart])
def test_a_new_count_is_told_where_no_frame_waited(
    camera: MicroManagerCamera, manager: MicroManager, interfere: Callable[[Core], None]
) -> None:
    camera.set_exposure(0.1)
    camera.start()
    for index in range(2):
        frame = camera.next_frame(PATIENCE_S)
        assert frame is not None
        assert frame.index == index
    interfere(manager.core("mm"))
    with pytest.raises(DeviceError, match=INTERFERED + "after frame 1 it counts from 0 again"):
        taken(camera)


def test_a_counted_sequence_that_lost_all_before_the_first_look_is_told(
    camera: MicroManagerCamera, manager: MicroManager
) -> None:
    core = manager.core("mm")
    camera.start(6)
    wait_for_frames(core, 3)
    empty(core)
    with pytest.raises(DeviceError, match=r"^camera: it ended a sequence of 6 frames by itself"):
        taken(camera)


def test_looking_goes_on(camera: MicroManagerCamera, manager: MicroManager) -> None:
    core = manager.core("mm")
    camera.start(newest_only=True)
    indices = []
    for interfere in (empty, initialize, empty, other_size):
        for _ in range(3):
            frame = camera.next_frame(PATIENCE_S)
            assert frame is not None
            indices.append(frame.index)
        interfere(core)
    assert indices == sorted(set(indices))
    assert len(indices) == 12


def test_frames_left_of_an_ended_sequence_go_with_our_own_change(
    camera: MicroManagerCamera, manager: MicroManager
) -> None:
    for change in (
        lambda: camera.set_roi(Roi(8, 8, 16, 16)),
        lambda: camera.set_binning(2),
        lambda: camera.set_roi(None),
        lambda: camera.set_property("Binning", 1),
    ):
        camera.start(5)
        wait_for_frames(manager.core("mm"), 5)
        camera.stop()
        assert camera.next_frame(PATIENCE_S) is not None
        change()
        assert camera.next_frame(0.05) is None


@pytest.mark.parametrize("interfere", [empty, same_size, region])
def test_a_recording_ends_and_says_why(
    camera: MicroManagerCamera,
    manager: MicroManager,
    tmp_path: Path,
    interfere: Callable[[Core], None],
) -> None:
    last = None
    for update in live(camera, 5000, plan=RecordingPlan(folder=tmp_path / "recording")):
        if last is None and update.counters.received > 5:
            interfere(manager.core("mm"))
        last = update if update.counters.received > 5 else last
    assert last is not None
    assert last.state == "failed"
    assert last.counters.written == last.counters.received < 5000
    assert last.reason.startswith("camera: ")


def test_a_region_that_somebody_set_beyond_the_sensor_is_refused(
    camera: MicroManagerCamera, manager: MicroManager
) -> None:
    manager.core("mm")("set_roi", 200, 100, 256, 128)  # which it takes
    with pytest.raises(DeviceError, match=r"^camera: Roi.* does not lie within Roi"):
        camera.start(1)
    assert not camera.running
    camera.set_roi(None)
    camera.start(1)
    assert taken(camera) == [0]
