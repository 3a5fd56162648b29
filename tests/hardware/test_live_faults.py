"""Whatever a camera does, the recording holds all frames up to there and says what happened."""

import re
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_samples import (
    LINK,
    NOISE,
    SENSITIVE,
    LiveBench,
    SlowLocalizer,
    localized_frames,
    localizer_of,
    movie_sums,
    random_model,
    wait_for,
)
from numpy.typing import NDArray

from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.files.localizations import read_localizations
from dsacq.files.movies import open_movie
from dsacq.files.recording import (
    LOCALIZATIONS,
    STREAMED,
    Counters,
    read_facts,
    read_frame_lines,
)
from dsacq.files.recording_check import check
from dsacq.live_analysis import Analysis
from dsacq.localize.as_they_come import LiveLocalizer
from dsacq.localize.localizer import FrameStack, localize
from dsacq.stream import Frame
from hardware.faults import Faults

COUNT = 12
SHORT_S = 0.5

# the fault, frames received, lost in the core, in the camera, and what is told
FAULTS = [
    pytest.param(*fault, id=next(iter(fault[0])))
    for fault in (
        [
            ({"drop": (7, 8)}, 8, 2, 0, "lost frames before frame 9, 2 on the way and 0"),
            ({"drop": (0,)}, 1, 1, 0, "lost frames before frame 1, 1 on the way and 0"),
            ({"drop": (11,)}, 11, 0, 0, "ended by itself after 11 frames; the 11 frames up to"),
            (
                {"drop_in_camera": (7, 8)},
                8,
                0,
                2,
                "before frame 7, 0 on the way and 2 in the camera",
            ),
            ({"drop": (8,), "drop_in_camera": (7,)}, 8, 1, 1, "frame 8, 1 on the way and 1 in the"),
            ({"duplicate": (7,)}, 8, 0, 0, "sent frame 7 after frame 7"),
            ({"stall_at": 7}, 7, 0, 0, "sent no frame for 0.5 s and was stopped"),
            ({"raise_at": 7}, 7, 0, 0, "failed, as its faults say"),
            ({"resize_at": 7}, 7, 0, 0, r"sent a frame of \(24, 48\) pixels after frames of"),
            ({"overflow_at": 7}, 7, 0, 0, "its buffer overflowed after 7 frames"),
            ({"reset_index_at": 7}, 7, 0, 0, "sent frame 0 after frame 6"),
            ({"stall_at": 0}, 0, 0, 0, "sent no frame for 2 s"),
            ({"raise_at": 0}, 0, 0, 0, "failed, as its faults say"),
        ]
    )
]


@pytest.mark.parametrize("localized", [False, True], ids=["recorded", "localized"])
@pytest.mark.parametrize(("fault", "received", "core", "camera", "told"), FAULTS)
def test_a_fault_ends_it_and_costs_nothing(
    tmp_path: Path,
    fault: dict[str, Any],
    received: int,
    core: int,
    camera: int,
    told: str,
    localized: bool,
) -> None:
    bench = LiveBench(Faults(**fault))
    localizer = localizer_of(LiveLocalizer) if localized else None
    *_, last = bench.run(tmp_path, COUNT, localizer=localizer, patience_s=SHORT_S)
    assert last.state == "failed"
    assert last.reason.startswith("camera: ")
    assert re.search(told, last.reason)
    assert last.counters == Counters(
        asked=COUNT,
        received=received,
        written=received,
        analysed=received if localized else 0,
        lost_in_core=core,
        lost_in_camera=camera,
    )
    assert bench.safe
    facts = read_facts(tmp_path)
    assert (facts.state, facts.reason, facts.frames) == ("failed", last.reason, last.counters)
    report = check(tmp_path)
    assert report.frames == received
    assert f"It failed: {last.reason}" in report.problems
    assert any("between camera and disk" in one for one in report.problems) == bool(core)
    assert any("lost in the camera" in one for one in report.problems) == bool(camera)
    if received:
        assert movie_sums(tmp_path) == bench.stream.sums[:received]
    else:
        with pytest.raises(FileError, match="without any frame"):
            open_movie(tmp_path)
    if localized:
        assert last.analysis_failure == ""
        assert localized_frames(tmp_path) == set(range(received))
    assert (tmp_path / LOCALIZATIONS).exists() == localized
    assert not (tmp_path / STREAMED).exists()


def test_without_faults_nothing_is_missing(tmp_path: Path) -> None:
    bench = LiveBench()
    localizer = localizer_of(LiveLocalizer)
    updates = list(bench.run(tmp_path, 40, localizer=localizer))
    last = updates[-1]
    assert (last.state, last.reason, last.analysis_failure) == ("complete", "", "")
    assert last.counters == Counters(asked=40, received=40, written=40, analysed=40)
    assert bench.safe
    assert check(tmp_path).sound
    assert [line["index"] for line in read_frame_lines(tmp_path)] == list(range(40))
    assert movie_sums(tmp_path) == bench.stream.sums

    live_found = read_localizations(tmp_path / LOCALIZATIONS)
    shown = [table.table for update in updates for table in update.found]
    told = pd.concat(shown, ignore_index=True)[list(live_found.table)]
    pd.testing.assert_frame_equal(told, live_found.table, check_dtype=False, rtol=1e-5)
    assert live_found.table["track"].value_counts().max() > 10
    assert live_found.origin["frames"] == 40
    with open_movie(tmp_path) as movie:
        offline = localize(movie, random_model(), range(len(movie)), SENSITIVE, camera=NOISE)
        assert_same(live_found.table, [one.table for one in offline])


def assert_same(found: pd.DataFrame, expected: Sequence[pd.DataFrame]) -> None:
    """But for the tracks, and rounding."""
    joined = pd.concat(expected, ignore_index=True)
    names = ["frame", "x_um", "y_um", "z_um", "photons"]
    np.testing.assert_allclose(found[names], joined[names], rtol=1e-3, atol=1e-3)


@given(st.lists(st.integers(1, 5), max_size=12), st.sampled_from([1, 3]))
@settings(max_examples=12)
def test_batches_of_any_size_give_the_same(sizes: list[int], context: int) -> None:
    """With a model that looks at the frames before and after one, too."""
    frames = np.random.default_rng(2).poisson(60, (12, 32, 40)).astype(np.uint16)
    model, camera = random_model(context), NOISE
    localizer = LiveLocalizer(model, LINK, SENSITIVE, camera=camera)
    found: list[Localizations] = []
    start = 0
    for size in [*sizes, len(frames)]:
        numbers = range(start, min(start + size, len(frames)))
        found += localizer.add(numbers, [frames[number] for number in numbers])
        assert len(found) == max(numbers.stop - context // 2, 0)
        start = numbers.stop
    found += localizer.rest()
    whole = localize(FrameStack(frames), model, range(len(frames)), SENSITIVE, camera=camera)
    assert_same(pd.concat([one.table for one in found]), [one.table for one in whole])


def test_frames_keep_their_numbers_across_gaps() -> None:
    frames = np.random.default_rng(2).poisson(60, (6, 32, 40)).astype(np.uint16)
    localizer = LiveLocalizer(random_model(3), LINK, SENSITIVE, camera=NOISE)
    found = [*localizer.add([2, 3, 7], [*frames[:3]]), *localizer.add([20, 21, 30], [*frames[3:]])]
    found += localizer.rest()
    assert [set(one.table["frame"]) for one in found] == [{2}, {3}, {7}, {20}, {21}, {30}]


class NotingLocalizer(SlowLocalizer):
    """Notes what it was given."""

    def __init__(self, *settings: Any, **options: Any) -> None:
        super().__init__(*settings, **options)
        self.batches: list[Sequence[int]] = []

    def add(
        self, numbers: Sequence[int], frames: Sequence[NDArray[Any]], *counts: Sequence[int]
    ) -> Generator[Localizations]:
        self.batches.append(numbers)
        return super().add(numbers, frames, *counts)


def test_a_slow_localizer_leaves_frames_out_and_the_recording_whole(tmp_path: Path) -> None:
    bench = LiveBench()
    localizer = localizer_of(NotingLocalizer)
    *_, last = bench.run(tmp_path, 300, localizer=localizer)
    assert (last.state, last.analysis_failure) == ("complete", "")
    counters = last.counters
    assert (counters.received, counters.written) == (300, 300)
    assert 0 < counters.analysed < 300
    assert check(tmp_path).sound
    assert movie_sums(tmp_path) == bench.stream.sums
    seen = [number for batch in localizer.batches for number in batch]
    assert seen == sorted(set(seen))
    assert seen[-1] == 299  # the newest are not left out
    assert max(map(len, localizer.batches)) <= 64
    assert localized_frames(tmp_path) == set(seen)
    assert len(seen) == counters.analysed


@pytest.mark.parametrize("error", [RuntimeError("no memory"), SettingsError("no memory")])
def test_a_localizer_that_fails_costs_no_frame(tmp_path: Path, error: Exception) -> None:
    class Failing(LiveLocalizer):
        def add(self, *batch: Any) -> Generator[Localizations]:
            for found in super().add(*batch):
                if found.table["frame"].iloc[0] >= 5:
                    raise error
                yield found

    bench = LiveBench()
    *_, last = bench.run(tmp_path, 60, localizer=localizer_of(Failing))
    assert last.state == "complete"
    assert last.analysis_failure == "Localization ended: no memory"
    assert last.counters == Counters(asked=60, received=60, written=60, analysed=5)
    assert localized_frames(tmp_path) == set(range(5))
    assert check(tmp_path).sound
    assert movie_sums(tmp_path) == bench.stream.sums
    assert bench.safe


def test_nobody_needs_to_watch(tmp_path: Path) -> None:
    bench = LiveBench()
    updates = bench.run(tmp_path, 300, localizer=localizer_of(LiveLocalizer))
    next(updates)
    wait_for(lambda: len(bench.stream.sums) == 300 and bench.safe)  # nobody asked for an update
    *_, last = updates
    assert (last.state, last.counters.written) == ("complete", 300)
    assert check(tmp_path).sound
    assert movie_sums(tmp_path) == bench.stream.sums
    assert bench.stream.most_alive < 220


def test_looking_only(tmp_path: Path) -> None:
    """Frames may be left out, so faults that lose some are none."""
    bench = LiveBench(Faults(drop=(3, 5), drop_in_camera=(8,)))
    *updates, last = bench.run(None, 60, localizer=localizer_of(LiveLocalizer))
    assert (last.state, last.reason) == ("complete", "")
    assert 0 < last.counters.received < 60
    assert last.counters.written == 0
    assert last.newest is not None
    assert last.newest.index == 58
    assert sum(len(update.found) for update in [*updates, last]) == last.counters.analysed
    assert bench.safe
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_taken_ends_it_in_the_dark(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    bench = LiveBench()
    with pytest.raises(FileError, match="is not empty"):
        next(bench.run(tmp_path, 10))
    assert bench.safe
    assert bench.stream.sums == []


@pytest.mark.parametrize(
    ("exposure_s", "stall_at", "patience_s", "told_s"),
    [
        (0.1, 3, 0.01, "0.5"),
        (0.2, 3, 0.01, "1"),
        (0.1, 0, 0.01, "2"),
        (0.05, 3, 0.6, "0.6"),
    ],
    ids=["five exposures", "longer ones", "four times as long at first", "what is asked, if more"],
)
def test_patience_goes_by_the_exposure(
    tmp_path: Path, exposure_s: float, stall_at: int, patience_s: float, told_s: str
) -> None:
    bench = LiveBench(Faults(stall_at=stall_at), exposure_s)
    begun_s = time.monotonic()
    *_, last = bench.run(tmp_path, 10, patience_s=patience_s)
    assert f"sent no frame for {told_s} s and was stopped" in last.reason
    assert time.monotonic() - begun_s > float(told_s)
    assert last.counters.received == stall_at


@pytest.mark.parametrize("exposure_s", [0.1, 0.3])
def test_a_driver_is_given_up_after_five_exposures(tmp_path: Path, exposure_s: float) -> None:
    bench = LiveBench(exposure_s=exposure_s, hang_at=1)
    *_, last = bench.run(tmp_path, 5, patience_s=0.01)
    assert f"did not answer for {5 * exposure_s:g} s and was given up" in last.reason
    bench.stream.released.set()


@pytest.mark.parametrize(("exposure_s", "kept"), [(0.001, 64), (0.1, 10), (0.05, 20), (5.0, 4)])
def test_as_many_frames_wait_as_a_second_has(exposure_s: float, kept: int) -> None:
    """Between 4 and 64."""
    analysis = Analysis(localizer_of(LiveLocalizer), None, (48, 48), exposure_s)
    for number in range(100):
        pixels = np.full((48, 48), 100, np.uint16)
        analysis.put(number, number, Frame(pixels, number, exposure_s * number))
    analysis.close()
    analysis.start()
    analysis.finish(60.0)
    assert analysis.count == kept
    assert analysis.news().newest.number == 99  # type: ignore[union-attr]
