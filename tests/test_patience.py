"""Waiting that counts looks, not the clock."""

import pytest

from dsacq.patience import Patience


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, as the only item."""
    now = [100.0]
    monkeypatch.setattr("dsacq.patience.time.perf_counter", lambda: now[0])
    return now


def test_looks_in_time_count_as_the_clock_does(clock: list[float]) -> None:
    patience = Patience(0.05)
    for _ in range(100):
        clock[0] += 0.06
        waited_s = patience.look()
    assert waited_s == pytest.approx(6.0)


@pytest.mark.parametrize("gap_s", [0.2, 30.0, 36_000.0])
def test_time_in_which_nobody_looked_does_not_count(clock: list[float], gap_s: float) -> None:
    patience = Patience(0.05)
    clock[0] += gap_s
    assert patience.look() == pytest.approx(0.1)
    clock[0] += 0.05
    assert patience.look() == pytest.approx(0.15)


def test_it_begins_anew(clock: list[float]) -> None:
    patience = Patience(1.0)
    clock[0] += 1.5
    assert patience.look() == 1.5
    clock[0] += 10
    patience.begin()
    clock[0] += 0.5
    assert patience.look() == 0.5
