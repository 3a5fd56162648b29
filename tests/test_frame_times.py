"""The time from one frame to the next, and the true numbers of frames, whatever clocks do."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from dsacq.frame_times import FrameTimes, counted, frame_interval_s

TRUE_S = 0.0126
COUNT = 400
Floats = NDArray[np.float64]


def even(count: int = COUNT) -> Floats:
    """With a jitter of 1 ms."""
    times_s: Floats = 1.7e9 + TRUE_S * np.arange(count)
    return times_s + np.random.default_rng(1).normal(0, 1e-3, count)


def put_on(times_s: Floats) -> Floats:
    times_s[150:] += 3600.0
    return times_s


def put_back(times_s: Floats) -> Floats:
    times_s[150:] -= 3600.0
    return times_s


def corrected_often(times_s: Floats) -> Floats:
    for first in range(40, COUNT, 80):
        times_s[first:] -= 0.5
    return times_s


def coarse(times_s: Floats) -> Floats:
    """As a clock of Windows."""
    return np.floor(times_s / 0.015625) * 0.015625


def bundled(times_s: Floats) -> Floats:
    """Four frames come at once."""
    return times_s[3::4].repeat(4)


def paused(times_s: Floats) -> Floats:
    times_s[50:] += 1.0
    times_s[200:] += 7.0
    return times_s


@pytest.mark.parametrize("happened", [put_on, put_back, corrected_often, coarse, bundled, paused])
def test_the_interval_whatever_the_clock_does(happened: Callable[[Floats], Floats]) -> None:
    found = frame_interval_s(np.arange(COUNT), happened(even()))
    assert found == pytest.approx(TRUE_S, rel=0.03)


def test_few_frames_tell_it_too() -> None:
    assert frame_interval_s(np.arange(3), 5.0 + TRUE_S * np.arange(3)) == pytest.approx(TRUE_S)


@pytest.mark.parametrize("times_s", [[], [1.0], [1.0, 2.0], [3.0] * 9, [9.0, 8.0, 7.0, 6.0]])
def test_what_tells_nothing(times_s: list[float]) -> None:
    assert frame_interval_s(np.arange(len(times_s)), np.array(times_s)) is None


def test_frames_that_were_lost_count() -> None:
    """Every third is lost, in turn in the camera and on the way."""
    times = FrameTimes()
    taken = [number for number in range(300) if number % 3 != 1]
    lost_in_camera = [number for number in range(300) if number % 6 == 1]
    counts = []
    for number in taken:
        index = number - sum(lost < number for lost in lost_in_camera)
        counts.append(times.add(index, 1000 + number, TRUE_S * number))
    assert counts == taken
    assert times.interval_s == pytest.approx(TRUE_S)
    assert times.gaps == [(place, 1) for place in range(1, 200, 2)]
    np.testing.assert_array_equal(counted(np.arange(200), times.gaps), taken)


@pytest.mark.parametrize(
    "camera_indices",
    [[7, 8, 9, 10], [65534, 65535, 0, 1], [0, 0, 0, 0], [5, 6, 0, 1], [None] * 4, [3, None, 5, 6]],
    ids=["counts", "counts to 65535", "does not count", "begins anew", "none", "not all"],
)
def test_a_camera_s_count_is_taken_as_far_as_it_goes_on(camera_indices: list[int | None]) -> None:
    times = FrameTimes()
    counts = [times.add(i, camera, TRUE_S * i) for i, camera in enumerate(camera_indices)]
    assert counts == [0, 1, 2, 3]
    assert times.gaps == []


def test_an_index_that_is_given_again_is_the_next_frame() -> None:
    """As in a live view whose buffer was emptied."""
    times = FrameTimes()
    assert [times.add(index, None, float(index)) for index in (3, 4, 9, 0, 1)] == [0, 1, 6, 7, 8]


def test_without_gaps_frames_are_what_they_are() -> None:
    np.testing.assert_array_equal(counted([0, 5, 5, 9], []), [0, 5, 5, 9])
    np.testing.assert_array_equal(counted([0, 1, 2, 7], [[5, 10], [2, 3]]), [0, 1, 5, 20])
