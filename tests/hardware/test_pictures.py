"""Frames that are waited for, and what is said when they do not come."""

import time
from collections.abc import Iterator
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from small_bench import SIDE, bead_bench, camera_of

from hardware import pictures as waiting
from hardware.faults import Faults
from hardware.pictures import picture, pictures
from hardware.protocols import DeviceError, Property
from hardware.simulated_camera import SimulatedCamera


@pytest.fixture
def camera() -> Iterator[SimulatedCamera]:
    made = camera_of(bead_bench())
    picture(made)  # the first through a new pattern takes a while
    yield made
    made.close()


@pytest.fixture
def impatient(camera: SimulatedCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE_S", 0.4)


def fail(camera: SimulatedCamera, **faults: Any) -> None:
    camera._bench.faults = replace(Faults(), **faults)


def test_as_many_as_were_asked_for(camera: SimulatedCamera) -> None:
    taken = list(pictures(camera, 3))
    assert [one.shape for one in taken] == [(SIDE, SIDE)] * 3
    assert not camera.running


@pytest.mark.usefixtures("impatient")
def test_the_time_waited_is_told_and_what_for(camera: SimulatedCamera) -> None:
    fail(camera, stall_at=1)
    with pytest.raises(
        DeviceError, match=r"gave no frame for \d+ s: frame 2 of 3, exposed for 0.002"
    ):
        list(pictures(camera, 3))
    assert not camera.running
    with pytest.raises(DeviceError) as told:
        list(pictures(camera, 3))
    assert "trigger" not in str(told.value)
    assert "cable" in str(told.value)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("settings", "blamed"),
    [
        ({"TriggerMode": "External"}, "TriggerMode = External"),
        ({"TRIGGER SOURCE": "EXTERNAL", "TRIGGER ACTIVE": "EDGE"}, "TRIGGER SOURCE = EXTERNAL"),
        ({"Trigger Mode": "On", "Trigger Source": "Line0"}, "Trigger Source = Line0"),
        ({"TriggerMode": "Edge Trigger"}, "TriggerMode = Edge Trigger"),
        ({"Trigger Mode": "Off", "Trigger Source": "Line0"}, ""),
        ({"TriggerMode": "Internal Trigger"}, ""),
        ({"TRIGGER SOURCE": "INTERNAL", "TRIGGER ACTIVE": "EDGE"}, ""),
        ({"OUTPUT TRIGGER KIND[0]": "EXPOSURE", "Trigger": "Software"}, ""),
        ({}, ""),
    ],
)
def test_a_trigger_is_blamed_where_one_is_set(
    camera: SimulatedCamera, settings: dict[str, str], blamed: str
) -> None:
    listed = [Property(name=name, value=value, kind="text") for name, value in settings.items()]
    camera.properties = lambda: listed  # type: ignore[attr-defined]
    fail(camera, stall_at=0)
    with pytest.raises(DeviceError) as told:
        list(pictures(camera))
    assert (blamed in str(told.value)) if blamed else ("trigger" not in str(told.value))


def test_patience_grows_with_the_exposure() -> None:
    assert waiting._patience_s(0.01, first=False) == 5
    assert waiting._patience_s(0.01, first=True) == 20
    assert waiting._patience_s(30.0, first=False) == 150


@pytest.mark.usefixtures("impatient")
def test_a_camera_that_computes_is_waited_for(
    camera: SimulatedCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    expose = camera._bench.expose

    def slow(exposure_s: float, interval_s: float) -> Any:
        time.sleep(2.5)  # longer than its first frame may take to come
        return expose(exposure_s, interval_s)

    monkeypatch.setattr(camera._bench, "expose", slow)
    assert picture(camera).shape == (SIDE, SIDE)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"drop": (1,)}, "ended its sequence after 2 of 3 frames"),
        ({"duplicate": (1,)}, "sent frame 1 after frame 1"),
        ({"resize_at": 1}, r"sent a frame of \(24, 48\) pixels after one of \(48, 48\)"),
        ({"raise_at": 2}, "failed, as its faults say"),
        ({"overflow_at": 1}, "ended its sequence after 1 of 3 frames"),
    ],
)
def test_frames_that_are_not_what_they_should_be(
    camera: SimulatedCamera, fault: dict[str, Any], says: str
) -> None:
    fail(camera, **fault)
    with pytest.raises(DeviceError, match=says):
        list(pictures(camera, 3))
    assert not camera.running


def test_it_ends_when_it_is_stopped_or_closed(camera: SimulatedCamera) -> None:
    stop = Event()
    coming = pictures(camera, 1_000_000, stop)
    next(coming)
    stop.set()
    assert list(coming) == []
    assert not camera.running
    closed = pictures(camera, 1_000_000)
    next(closed)
    with pytest.raises(KeyboardInterrupt):
        closed.throw(KeyboardInterrupt())
    assert not camera.running
