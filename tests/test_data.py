"""Tables of localizations that come one by one."""

import gc

import numpy as np
import pandas as pd
import pytest

from dsacq.data import Gathered, Localizations


def table_of(frame: int, rows: int, **more: object) -> Localizations:
    x_um = np.arange(rows) / 7 + frame
    places = {"x_um": x_um, "y_um": -x_um, "z_um": 0 * x_um}
    return Localizations.from_columns(frame=np.full(rows, frame), **places, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 64 * 64 + 130])
def test_all_rows_are_there_in_their_order(count: int) -> None:
    gathered = Gathered()
    for frame in range(count):
        gathered.add(table_of(frame, frame % 4))
    found = gathered.joined({"made_by": "a test"})
    expected = [frame for frame in range(count) for _ in range(frame % 4)]
    assert found.table["frame"].tolist() == expected
    assert found.table.index.tolist() == list(range(len(expected)))
    assert found.origin == {"made_by": "a test"}
    again = gathered.joined()
    pd.testing.assert_frame_equal(again.table, found.table)


def test_columns_that_only_some_have() -> None:
    gathered = Gathered()
    for frame in range(100):
        gathered.add(table_of(frame, 1, **({"track": np.full(1, 5)} if frame == 70 else {})))
    track = gathered.joined().table["track"]
    assert track.notna().tolist() == [frame == 70 for frame in range(100)]
    assert track[70] == 5


def test_more_can_follow_what_was_joined() -> None:
    gathered = Gathered()
    gathered.add(table_of(0, 2))
    assert len(gathered.joined()) == 2
    gathered.add(table_of(1, 3))
    assert gathered.joined().table["frame"].tolist() == [0, 0, 1, 1, 1]


def test_few_tables_are_kept_apart() -> None:
    def tables() -> int:
        gc.collect()
        return sum(type(one) is pd.DataFrame for one in gc.get_objects())

    before, gathered = tables(), Gathered()
    for frame in range(3000):
        gathered.add(table_of(frame, 2))
    assert tables() - before < 150
    assert len(gathered.joined()) == 6000
