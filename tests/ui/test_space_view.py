"""Positions in 3D; without OpenGL, as on test machines, as three projections."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyqtgraph as pg
import pytest
from PyQt6.QtGui import QGuiApplication
from PyQt6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from ui.opengl import why_no_opengl
from ui.projections import Projections
from ui.space_view import SpaceView


def table(frame: int, emitters: int = 6) -> pd.DataFrame:
    number = np.arange(emitters)
    return pd.DataFrame(
        {
            "x_um": number + 0.05 * frame,
            "y_um": 2.0 * number,
            "z_um": 2 + 4 * number / (emitters - 1),
            "track": number,
        }
    )


@pytest.fixture
def view(qtbot: QtBot) -> Iterator[SpaceView]:
    view = SpaceView()
    view.resize(390, 500)
    view.set_z_range(2, 6)
    qtbot.addWidget(view)
    view.show()
    yield view
    view.close()


def plotted(view: SpaceView, name: str) -> tuple[pg.ScatterPlotItem, pg.PlotCurveItem]:
    plot = view.findChild(pg.PlotWidget, f"projection_{name}")
    lines, points = plot.getPlotItem().items
    return points, lines


def drawn(qtbot: QtBot, view: SpaceView) -> None:
    qtbot.waitUntil(lambda: not view._stale)


def test_without_opengl_there_are_projections_and_a_sentence(view: SpaceView) -> None:
    if QGuiApplication.platformName() != "offscreen":
        pytest.skip("there is a screen")
    assert isinstance(view.drawing, Projections)
    told = view.findChild(QLabel, "space_told")
    assert told is not None
    assert "no OpenGL: there is no screen." in told.text()
    assert why_no_opengl()


def test_points_of_the_newest_frame_and_tails(qtbot: QtBot, view: SpaceView) -> None:
    for frame in range(4):
        view.add_found(table(frame))
    drawn(qtbot, view)
    for name in ("xy", "xz", "yz"):
        across, up = (f"{axis}_um" for axis in name)
        points, lines = plotted(view, name)
        x, y = points.getData()
        newest = table(3)
        assert x == pytest.approx(newest[across])
        assert y == pytest.approx(newest[up])
        assert len(lines.getData()[0]) == 2 * 6 * 3  # two ends, six tracks, three steps


def test_colours_tell_z(qtbot: QtBot, view: SpaceView) -> None:
    view.add_found(table(0))
    drawn(qtbot, view)
    points, _ = plotted(view, "xy")
    ends = pg.colormap.get("CET-I1").getLookupTable(0.0, 1.0, 256)[[0, -1], :3]
    brushes = [tuple(one["brush"].color().getRgb()[:3]) for one in points.data]
    assert brushes[0] == tuple(ends[0])
    assert brushes[-1] == tuple(ends[1])


def test_tails_are_as_long_as_wanted_and_can_be_cleared(qtbot: QtBot, view: SpaceView) -> None:
    view.frames.setValue(2)
    for frame in range(9):
        view.add_found(table(frame))
    drawn(qtbot, view)
    assert len(plotted(view, "xy")[1].getData()[0]) == 2 * 6
    view.clear()
    drawn(qtbot, view)
    points, lines = plotted(view, "xy")
    assert len(points.data) == 0
    assert not len(lines.getData()[0])


def test_nothing_is_drawn_while_hidden(qtbot: QtBot, view: SpaceView) -> None:
    drawn(qtbot, view)
    view.hide()
    view.add_found(table(0))
    qtbot.wait(300)
    assert view._stale
    view.show()
    drawn(qtbot, view)


def test_frames_without_emitters_and_without_tracks(qtbot: QtBot, view: SpaceView) -> None:
    view.add_found(table(0).iloc[:0])
    view.add_found(table(1).drop(columns="track"))
    drawn(qtbot, view)
    points, lines = plotted(view, "xy")
    assert len(points.data) == 6
    assert not len(lines.getData()[0])
