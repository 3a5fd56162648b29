"""What an update tells of the newest localized frame."""

from collections.abc import Generator, Sequence
from typing import Any

import pytest
from live_samples import (
    LINK,
    NOISE,
    SENSITIVE,
    LiveBench,
    SlowLocalizer,
    localizer_of,
    random_model,
)
from numpy.typing import NDArray

from dsacq.data import Localizations
from dsacq.localize.as_they_come import LiveLocalizer


class Marked(LiveLocalizer):
    """Keeps the pixels of each frame number."""

    seen: dict[int, NDArray[Any]]

    def add(
        self, numbers: Sequence[int], frames: Sequence[NDArray[Any]], *counts: Sequence[int]
    ) -> Generator[Localizations]:
        self.seen |= zip(numbers, frames, strict=True)
        yield from super().add(numbers, frames, *counts)


@pytest.mark.parametrize("context", [1, 3])
def test_newest_frame_and_its_table_belong_together(context: int) -> None:
    localizer = Marked(random_model(context), LINK, SENSITIVE, camera=NOISE)
    localizer.seen = {}
    told = 0
    for update in LiveBench().run(None, 30, localizer=localizer):
        newest = update.newest_analysed
        if newest is not None:
            assert newest.frame.pixels is localizer.seen[newest.number]
            assert set(newest.found.table["frame"]) == {newest.number}
            told += 1
    assert told
    assert newest is not None
    assert newest.number == update.counters.received - 1


def test_latency_grows_and_frames_are_skipped_when_localization_is_slow() -> None:
    *_, update = LiveBench().run(None, 400, localizer=localizer_of(SlowLocalizer))
    newest = update.newest_analysed
    assert newest is not None
    assert update.analysis_latency_s == newest.latency_s > SlowLocalizer.frame_s
    assert update.skipped == newest.frame.index + 1 - update.counters.analysed > 0
