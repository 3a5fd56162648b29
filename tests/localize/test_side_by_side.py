"""Frames worked on at once."""

import time
from collections.abc import Callable, Iterator
from threading import Event, current_thread, main_thread

import pytest
import torch

from dsacq.localize.side_by_side import GivenUpError, side_by_side


@pytest.fixture(autouse=True)
def _three_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_from_several_threads() -> None:
    together = [Event() for _ in range(3)]

    def work(number: int, go_on: Callable[[], None]) -> tuple[int, int]:
        if number < len(together):  # passes only where three are worked on at once
            together[number].set()
            assert all(one.wait(10) for one in together)
        time.sleep(0.01 * (3 - number % 3))
        return number, torch.get_num_threads()

    assert list(side_by_side(work, range(9), "cpu")) == [(number, 1) for number in range(9)]
    assert torch.get_num_threads() == 3


def test_frames_are_read_in_the_calling_thread_and_not_far_ahead() -> None:
    read: list[int] = []

    def frames() -> Iterator[int]:
        for number in range(100):
            assert current_thread() is main_thread()
            read.append(number)
            yield number

    found = side_by_side(lambda number, go_on: number, frames(), "cpu")
    assert next(found) == 0
    assert len(read) == 4
    found.close()


def test_one_core_works_in_the_calling_thread() -> None:
    torch.set_num_threads(1)
    places = side_by_side(lambda number, go_on: current_thread(), range(3), "cpu")
    assert set(places) == {main_thread()}


def test_closing_ends_what_is_being_worked_on() -> None:
    ended = Event()

    def work(number: int, go_on: Callable[[], None]) -> int:
        if number == 0:
            return number
        try:
            while True:
                go_on()
                time.sleep(0.001)
        except GivenUpError:
            ended.set()
            raise

    found = side_by_side(work, range(9), "cpu")
    assert next(found) == 0
    found.close()
    assert ended.is_set()
    assert torch.get_num_threads() == 3


def test_an_error_comes_out_where_its_result_would() -> None:
    def work(number: int, go_on: Callable[[], None]) -> int:
        if number == 2:
            raise ValueError("frame 2")
        return number

    found = side_by_side(work, range(9), "cpu")
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ValueError, match="frame 2"):
        next(found)


def test_new_threads_have_as_many_cores_as_before() -> None:
    seen: list[int] = []
    list(side_by_side(lambda number, go_on: number, range(5), "cpu"))
    from threading import Thread

    later = Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [3]
