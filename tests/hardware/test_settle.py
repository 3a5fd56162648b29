"""A crystal of known response, seen by a camera with shot noise, in time that is only counted."""

from types import SimpleNamespace

import numpy as np
import pytest

from dsacq.errors import SettingsError
from dsacq.stream import Frame
from hardware.protocols import DeviceError
from hardware.settle import Response, fitted_settle_time, measure_settle_time

FIRST, SECOND = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)


class Bench:
    """Clock, SLM and camera: light moves from one place to another after a pattern has changed."""

    name, running = "bench", False
    exposure_s = 0.004

    def __init__(self, dead_s: float, constant_s: float, photons: float = 3000) -> None:
        self.dead_s, self.constant_s, self.photons = dead_s, constant_s, photons
        self.now_s, self.shown_s, self.exposed_s = 0.0, 0.0, 0.0
        self.part = self.part_at_show = self.target = 0.0
        self.random = np.random.default_rng(3)

    def perf_counter(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        """As on Windows: it goes on in steps of 15.6 ms."""
        return self.now_s // 0.0156 * 0.0156

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s + 0.0003  # never on time

    def show(self, grey: np.ndarray) -> None:
        self.part_at_show = self.part_now()
        self.shown_s, self.target = self.now_s, float(grey[0, 0])

    def part_now(self) -> float:
        since_s = max(0.0, self.now_s + self.exposure_s / 2 - self.shown_s - self.dead_s)
        left = np.exp(-since_s / self.constant_s)
        return float(self.target + (self.part_at_show - self.target) * left)

    def start(self, count: int) -> None:
        assert count == 1
        self.part = self.part_now()
        self.now_s += self.exposure_s

    def next_frame(self, timeout_s: float) -> Frame:
        light = np.full((32, 32), 50.0)
        light[8, 8] += self.photons * (1 - self.part)
        light[20, 20] += self.photons * self.part
        return Frame(self.random.poisson(light).astype(np.uint16), 0, self.now_s)

    def stop(self) -> None:
        pass


def measured(bench: Bench, monkeypatch: pytest.MonkeyPatch, longest_s: float) -> list[Response]:
    clock = SimpleNamespace(
        monotonic=bench.monotonic, perf_counter=bench.perf_counter, sleep=bench.sleep
    )
    monkeypatch.setattr("hardware.settle.time", clock)
    return list(measure_settle_time(bench, bench, FIRST, SECOND, longest_s=longest_s))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dead_s", "constant_s"), [(0.0, 0.02), (0.03, 0.025), (0.012, 0.15), (0, 0.004)]
)
def test_a_known_response(
    dead_s: float, constant_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(dead_s, constant_s)
    responses = measured(bench, monkeypatch, 1.0)
    assert len(responses) == 21
    found = fitted_settle_time(responses)
    assert found.settle_s == pytest.approx(dead_s + constant_s * np.log(100), rel=0.1)
    assert found.dead_s == pytest.approx(dead_s, abs=0.006)
    assert found.constant_s == pytest.approx(constant_s, rel=0.15)


def test_too_short_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    responses = measured(Bench(0.0, 0.1), monkeypatch, 0.2)
    with pytest.raises(SettingsError, match="watch it for longer"):
        fitted_settle_time(responses)


def test_patterns_that_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="does not see which pattern"):
        measured(Bench(0.0, 0.02, photons=0), monkeypatch, 1.0)


def test_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(0.0, 0.02)
    monkeypatch.setattr(bench, "next_frame", lambda timeout_s: None)
    with pytest.raises(DeviceError, match="after 0 of 1 frames"):
        measured(bench, monkeypatch, 1.0)
