"""Axes of the running plots tell of values, and only where there are some."""

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from ui.panels.curves import Curves, CurvesPlot
from ui.panels.live_plot import PLOTS


class Values:
    """Of one curve, a second apart."""

    def __init__(self, *values: float) -> None:
        self._values = np.array([values], float)

    def curves(self, name: str) -> Curves:
        return np.arange(self._values.shape[1], dtype=float), self._values


@pytest.fixture
def plot(qtbot: QtBot) -> CurvesPlot:
    made = CurvesPlot(PLOTS, "correlation", "seconds")
    qtbot.addWidget(made)
    made.resize(350, 120)
    made.show()
    return made


def seen(plot: CurvesPlot) -> tuple[float, float]:
    plot.grab()  # an axis is scaled when it is drawn
    low, high = plot._plot.viewRange()[1]
    return float(low), float(high)


def numbered(plot: CurvesPlot) -> bool:
    return all(plot._plot.getAxis(name).style["showValues"] for name in ("left", "bottom"))


@pytest.mark.parametrize(
    ("value", "ends"),
    [(0.8, (0.72, 0.88)), (-0.2, (-0.22, -0.18)), (0, (-1, 1)), (3e5, (2.7e5, 3.3e5))],
)
def test_a_value_that_is_the_only_one(
    plot: CurvesPlot, value: float, ends: tuple[float, float]
) -> None:
    for values in ([value], [value, value], [np.nan, value]):
        plot.draw(Values(*values))
        assert seen(plot) == pytest.approx(ends)
    assert numbered(plot)


def test_further_values_scale_the_axis_again(plot: CurvesPlot) -> None:
    plot.draw(Values(0.8))
    plot.draw(Values(0.8, 0.4, 0.6))
    low, high = seen(plot)
    assert 0.3 < low <= 0.4
    assert 0.8 <= high < 0.9


def test_no_numbers_before_there_are_values(plot: CurvesPlot) -> None:
    assert not numbered(plot)
    plot.draw(Values(np.nan))
    assert not numbered(plot)
    plot.draw(Values(0.5))
    assert numbered(plot)
    plot.show_plot("count")
    assert not numbered(plot)
