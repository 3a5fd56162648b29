"""What happens to the devices while frames are recorded: refused, or told with the frames."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from live_samples import DISK, wait_for
from test_live_acquire import LIGHT_MW, OPTICS, dark, settings

from dsacq.analysis.report import recording_report
from dsacq.data import Roi
from dsacq.files.change_remarks import change_remarks
from dsacq.files.movies import open_movie
from dsacq.files.recording import Change, changes_of, read_facts, write_facts
from dsacq.files.recording_check import check, repair
from dsacq.live import Update
from dsacq.microscope import microscope_behind
from dsacq.physics.masks import flat, tetrapod
from hardware import watch
from hardware.acquire import acquire
from hardware.protocols import DeviceError
from hardware.rig import Rig, open_rig
from hardware.simulated import SimulatedLaser, SimulatedLaserSettings, SimulatedStageSettings


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """It is asked often."""
    monkeypatch.setattr(watch, "INTERVAL_S", 0.02)
    chosen = replace(
        settings(),
        stage_x=SimulatedStageSettings(axis="x"),
        lasers={"561": SimulatedLaserSettings(), "405": SimulatedLaserSettings(limit_mw=10.0)},
    )
    with open_rig(chosen) as rig:
        rig.show(flat(OPTICS))
        yield rig


def recorded(
    rig: Rig, folder: Path, act: Callable[[], object], count: int | None = None, at: int = 10
) -> Update:
    """The last update of a recording amid which, after `at` frames, something is done."""
    acted, stop = None, Event()
    options: dict[str, Any] = {"disk": DISK, "interval_s": 0.01, "stop": stop}
    for update in acquire(rig, count, folder=folder, lasers_mw=LIGHT_MW, **options):
        received = update.counters.received
        if acted is None and received >= at:
            act()
            acted = received
        if count is None and acted is not None and received >= acted + 30:
            stop.set()
    return update


def changes(folder: Path, asked: bool) -> list[Change]:
    return [one for one in read_facts(folder).changes if one.asked is asked]


REFUSED: dict[str, Callable[[Rig], object]] = {
    "exposure": lambda rig: rig.camera.set_exposure(0.02),
    "region": lambda rig: rig.camera.set_roi(Roi(0, 0, 16, 16)),
    "binning": lambda rig: rig.camera.set_binning(2),
    "mask": lambda rig: rig.show(tetrapod(OPTICS)),
    "blank": lambda rig: rig.blank(),
    "pattern": lambda rig: rig.slm and rig.slm.show(np.ones(rig.slm.shape, np.uint8)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_make_other_frames_is_refused(rig: Rig, tmp_path: Path, what: str) -> None:
    shown = rig.slm.shown if rig.slm is not None else None
    said: list[str] = []

    def act() -> None:
        with pytest.raises(DeviceError) as failure:
            REFUSED[what](rig)
        said.append(str(failure.value))

    last = recorded(rig, tmp_path / "run", act, 40)
    assert (last.state, last.counters.received) == ("complete", 40)
    assert said[0].endswith("while a recording runs; stop it first.")
    assert read_facts(tmp_path / "run").changes == ()
    assert rig.slm is not None
    assert np.array_equal(rig.slm.shown, shown)  # type: ignore[arg-type]
    assert (rig.camera.exposure_s, rig.camera.binning) == (0.01, 1)
    REFUSED[what](rig)  # afterwards it is free again


def test_a_live_view_is_free(rig: Rig) -> None:
    updates = acquire(rig, lasers_mw=LIGHT_MW, interval_s=0.01)
    next(updates)
    rig.camera.set_exposure(0.005)
    rig.blank()
    next(updates)
    updates.close()
    assert (rig.camera.exposure_s, rig.mask) == (0.005, None)


def test_a_second_recording_is_refused_and_does_not_darken_the_first(
    rig: Rig, tmp_path: Path
) -> None:
    def second() -> None:
        with pytest.raises(DeviceError, match="is recording; stop that recording first"):
            next(acquire(rig, 3, folder=tmp_path / "2", lasers_mw={}, disk=DISK))
        assert rig.lasers["561"].emitting

    last = recorded(rig, tmp_path / "run", second, 40)
    assert last.state == "complete"
    assert read_facts(tmp_path / "run").changes == ()
    assert not (tmp_path / "2").exists()


ALLOWED: dict[str, tuple[Callable[[Rig], object], list[tuple[Any, ...]]]] = {
    "power": (
        lambda rig: rig.lasers["561"].set_power(20.0),
        [("561", "power_mw", 150.0, 20.0)],
    ),
    "off": (lambda rig: rig.lasers["561"].off(), [("561", "emitting", True, False)]),
    "another on": (
        lambda rig: (rig.lasers["405"].set_power(5.0), rig.lasers["405"].on()),
        [("405", "power_mw", 10.0, 5.0), ("405", "emitting", False, True)],
    ),
    "dark": (
        lambda rig: rig.dark(),
        [("561", "emitting", True, False), ("door", "opened", True, False)],
    ),
    "shutter": (
        lambda rig: rig.shutters["door"].set_opened(False),
        [("door", "opened", True, False)],
    ),
    "focus": (
        lambda rig: rig.focus and rig.focus.move_to(1.5),
        [("focus", "position_um", 0.0, 1.5)],
    ),
    "stage": (
        lambda rig: rig.stage_x and rig.stage_x.move_to(-2.0),
        [("stage_x", "position_um", 0.0, -2.0)],
    ),
}


@pytest.mark.parametrize("what", ALLOWED)
def test_what_people_do_while_they_record_marks_the_frames(
    rig: Rig, tmp_path: Path, what: str
) -> None:
    act, expected = ALLOWED[what]
    last = recorded(rig, tmp_path, lambda: act(rig))
    assert last.state == "stopped"
    told = changes(tmp_path, asked=True)
    assert [(one.device, one.what, one.before, one.after) for one in told] == expected
    assert all(10 <= one.frame < last.counters.received for one in told)
    assert changes(tmp_path, asked=False) == []
    assert len(last.changes) == len(expected)
    assert dark(rig)
    assert read_facts(tmp_path).about["devices"]["561"]["power_mw"] == 150.0


def panel(rig: Rig, name: str = "561", **turned: Any) -> Callable[[], None]:
    """Somebody at the laser's own panel."""
    laser = rig.lasers[name]
    assert isinstance(laser, SimulatedLaser)
    return lambda: laser.turn(**turned)


FOUND: dict[str, tuple[Callable[[Rig], Callable[[], None]], tuple[Any, ...]]] = {
    "dimmed": (lambda rig: panel(rig, power_mw=30.0), ("561", "power_mw", 150.0, 30.0)),
    "interlock": (lambda rig: panel(rig, emitting=False), ("561", "emitting", True, False)),
    "another lit": (
        lambda rig: panel(rig, "405", emitting=True),
        ("405", "emitting", False, True),
    ),
    "joystick": (
        lambda rig: lambda: rig.bench and rig.bench.change(focus_um=2.0),
        ("focus", "position_um", 0.0, 2.0),
    ),
    "door": (
        lambda rig: lambda: rig.bench and rig.bench.change(shutter_opened=False),
        ("door", "opened", True, False),
    ),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_a_device_does_by_itself_is_found(rig: Rig, tmp_path: Path, what: str) -> None:
    act, expected = FOUND[what]
    last = recorded(rig, tmp_path, act(rig))
    (told,) = changes(tmp_path, asked=False)
    assert (told.device, told.what, told.before, told.after) == expected
    assert told.frame < last.counters.received
    assert changes(tmp_path, asked=True) == []
    report = check(tmp_path)
    assert report.remarks
    assert report.lost == ()


def test_what_happens_in_the_last_frames_is_found_before_the_light_goes_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "INTERVAL_S", 1000.0)
    with open_rig(settings()) as rig:
        last = recorded(rig, tmp_path, panel(rig, emitting=False), 40, at=30)
    assert last.state == "complete"
    (told,) = read_facts(tmp_path).changes
    assert (told.device, told.what, told.after, told.frame) == ("561", "emitting", False, 0)


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("often", [True, False], ids=["often", "only at the end"])
def test_light_above_its_limit_is_made_dark_and_told(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recording: bool, often: bool
) -> None:
    if not often:
        monkeypatch.setattr(watch, "INTERVAL_S", 1000.0)
    folder = tmp_path / "run" if recording else None
    updates = acquire(rig, 200 if often else 20, folder=folder, lasers_mw=LIGHT_MW, disk=DISK)
    next(updates)
    panel(rig, power_mw=587.0)()
    *_, last = updates
    assert last.state == "failed"
    assert last.reason == "561: emits 587 mW, above its limit of 200 mW; made dark."
    assert dark(rig)
    if folder is not None:
        facts = read_facts(folder)
        assert (facts.state, facts.reason) == ("failed", last.reason)
        told = [(one.what, one.after) for one in facts.changes]
        # Found soon enough, it is dark before a frame that could show it.
        assert told == [("power_mw", 587.0)] or (often and not told)
        assert facts.frames.written == facts.frames.received


@pytest.mark.parametrize(
    ("turned", "fails"),
    [({"power_mw": 203.9}, False), ({"power_mw": 204.1}, True)],
    ids=["as exact as devices are", "above"],
)
def test_the_limit_has_a_tolerance_of_two_percent(
    rig: Rig, tmp_path: Path, turned: dict[str, float], fails: bool
) -> None:
    last = recorded(rig, tmp_path, panel(rig, **turned))
    assert (last.state == "failed") is fails


def test_a_dark_laser_may_be_set_as_high_as_its_panel_goes(rig: Rig, tmp_path: Path) -> None:
    last = recorded(rig, tmp_path, panel(rig, "405", power_mw=90.0))
    assert last.state == "stopped"
    assert [(one.device, one.after) for one in last.changes] == [("405", 90.0)]


def test_a_laser_that_cannot_be_made_dark_is_told_so(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stays_on(laser: SimulatedLaser) -> None:
        raise DeviceError(laser.name, "does not confirm that it is off.")

    updates = acquire(rig, 500, folder=tmp_path, lasers_mw=LIGHT_MW, disk=DISK, interval_s=0.01)
    next(updates)
    monkeypatch.setattr(SimulatedLaser, "off", stays_on)
    panel(rig, power_mw=587.0)()
    with pytest.raises(DeviceError, match="does not confirm"):
        list(updates)
    monkeypatch.undo()
    reason = read_facts(tmp_path).reason
    assert reason.startswith("561: emits 587 mW, above its limit of 200 mW; it could not be made")
    assert reason.endswith("switch it off.")


def test_darkness_does_not_wait_for_a_device_that_is_being_asked(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage whose controller hangs is asked, and meanwhile the recording is stopped."""
    asked: list[float] = []

    def slow(stage: Any) -> float:
        asked.append(time.monotonic())
        time.sleep(0.0 if len(asked) < 3 else 1.0)
        return 0.0

    assert rig.focus is not None
    monkeypatch.setattr(type(rig.focus), "position_um", slow)
    updates = acquire(rig, folder=tmp_path, lasers_mw=LIGHT_MW, disk=DISK, interval_s=0.01)
    next(updates)
    wait_for(lambda: len(asked) >= 3)
    begun_s = time.monotonic()
    rig.dark()
    took_s = time.monotonic() - begun_s
    updates.close()
    assert dark(rig)
    assert took_s < 0.5


def test_a_device_that_answers_no_more_is_told_once(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(stage: Any) -> float:
        raise DeviceError(stage.name, "does not answer.")

    assert rig.focus is not None
    kind = type(rig.focus)
    last = recorded(rig, tmp_path, lambda: monkeypatch.setattr(kind, "position_um", silent))
    told = {(one.device, one.what, one.before, one.after) for one in last.changes}
    expected = {(name, "answering", True, False) for name in ("focus", "stage_x")}
    assert told == expected
    assert len(last.changes) == 2


def test_changes_are_told_wherever_the_recording_is_used(rig: Rig, tmp_path: Path) -> None:
    """By a check, by what localizes, and on its page; a crash does not lose them."""
    folder = tmp_path / "run"
    assert rig.focus is not None
    recorded(rig, folder, partial(rig.focus.move_to, 1.5))
    (change,) = read_facts(folder).changes
    told = f"focus went from 0 to 1.5 um at frame {change.frame}: later frames have another focus."
    assert check(folder).remarks == (told,)
    assert check(folder).problems == ()
    with open_movie(folder) as movie:
        _, remarks = microscope_behind(movie)
    assert told in remarks
    list(recording_report(folder, None, tmp_path / "page.html"))
    assert told in (tmp_path / "page.html").read_text(encoding="utf-8")

    facts = read_facts(folder)
    write_facts(folder, replace(facts, state="recording", changes=(), frame_interval_s=None))
    assert changes_of(folder, read_facts(folder)) == (change,)
    for path in folder.iterdir():  # as if it had been a while ago
        os.utime(path, (0, 0))
    repaired = repair(folder)
    assert repaired.facts.changes == (change,)
    assert repaired.facts.frame_interval_s == pytest.approx(facts.frame_interval_s)
    assert repaired.remarks == (told,)
    assert repaired.facts.state == "repaired"
    assert repaired.frames == facts.frames.written


def test_several_changes_of_a_kind_are_one_sentence() -> None:
    def change(frame: int, what: str, after: float | bool, asked: bool = True) -> Change:
        return Change(
            frame=frame,
            time_s=1.0,
            device="561",
            what=what,
            before=50.0 if what == "power_mw" else not after,
            after=after,
            asked=asked,
        )

    told = change_remarks(
        [change(3, "power_mw", 20.0), change(9, "emitting", False, False), change(8, "power_mw", 5)]
    )
    assert told == [
        "561 went from 50 to 20 mW at frame 3, the first of 2 such changes: later frames have "
        "another brightness.",
        "561 was off from frame 9 on, not set by dsacq: later frames have another light.",
    ]
