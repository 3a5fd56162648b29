"""Frames worked on at once, each by one core.

What is computed of a frame that is fitted is too little at a time for cores to share, but frames
do not depend on each other.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

import torch

Given = TypeVar("Given")
Made = TypeVar("Made")


class GivenUpError(Exception):
    """Nobody wants the result any more."""


def side_by_side(
    work: Callable[[Given, Callable[[], None]], Made],
    given: Iterable[Given],
    device: torch.device | str,
) -> Generator[Made]:
    """What `work` makes of each, in their order, while the next ones are worked on.

    work: called with one of `given` and a function that it calls often, which raises GivenUpError
        when the caller has closed this generator. On a CPU it runs in as many threads as PyTorch
        would use in the calling one, elsewhere in that one itself.
    given: read in the calling thread, a few ahead.
    """
    cores = torch.get_num_threads() if torch.device(device).type == "cpu" else 1
    if cores == 1:
        for one in given:
            yield work(one, _go_on)
        return
    closed = Event()

    def go_on() -> None:
        if closed.is_set():
            raise GivenUpError

    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(cores, "frame", torch.set_num_threads, (1,)) as pool:
        try:
            for one in given:
                waiting.append(pool.submit(work, one, go_on))
                if len(waiting) > cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            closed.set()
            for future in waiting:
                future.cancel()
            # The workers' number is that of threads begun from now on as well, unless it is reset.
            torch.set_num_threads(cores)


def _go_on() -> None:
    """The calling thread is interrupted without being asked."""
