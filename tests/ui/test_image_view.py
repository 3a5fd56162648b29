"""The camera view: what is drawn where, and when."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pyqtgraph as pg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PyQt6.QtCore import QEvent, QPointF, QRectF, Qt
from PyQt6.QtGui import QMouseEvent
from PyQt6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ui.image_view import ImageView
from ui.levels import auto_levels, sample
from ui.overlay import Found, tails
from ui.scale_bar import round_length

PIXEL_UM = 0.1


@pytest.fixture
def view(qtbot: QtBot) -> ImageView:
    view = ImageView()
    qtbot.addWidget(view)
    view.resize(640, 560)
    view.show()
    qtbot.waitExposed(view)
    view.set_pixel_um(PIXEL_UM)
    return view


def frame(rows: int = 40, columns: int = 50) -> np.ndarray:
    return np.random.default_rng(1).integers(100, 200, (rows, columns), dtype=np.uint16)


def table(
    x_um: list[float], y_um: list[float], z_um: list[float], track: list[int] | None = None
) -> pd.DataFrame:
    columns = {"frame": [0] * len(x_um), "x_um": x_um, "y_um": y_um, "z_um": z_um}
    return pd.DataFrame(columns | ({} if track is None else {"track": track}))


def hover(view: ImageView, qtbot: QtBot, x: float, y: float) -> None:
    """Move the mouse to a place of the image, in its pixels."""
    qtbot.wait(30)  # moves that come faster are left out
    place = view.canvas.box.mapViewToScene(QPointF(x, y))
    viewport = view.canvas.viewport()
    position = QPointF(view.canvas.mapFromScene(place))
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        position,
        QPointF(viewport.mapToGlobal(position)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(viewport, event)


def test_a_pixel_is_drawn_where_localizations_put_it(view: ImageView) -> None:
    pixels = np.zeros((40, 50), np.uint16)
    pixels[10, 30] = 1000
    view.markers.setChecked(False)
    view.set_frame(pixels)
    view.redraw()
    canvas = view.canvas
    shown = canvas.grab().toImage()
    for x, y, bright in ((30.1, 10.1, True), (30.9, 10.9, True), (29.9, 10.5, False),
                         (30.5, 11.1, False), (10.5, 30.5, False)):  # fmt: skip
        place = canvas.mapFromScene(canvas.box.mapViewToScene(QPointF(x, y)))
        assert (shown.pixelColor(place).lightness() > 200) == bright


def test_markers_stand_at_um_over_pixel_size(view: ImageView) -> None:
    view.set_frame(frame())
    view.add_found(table([2.05, 3.0], [1.05, 0.5], [0.0, 4.0]))
    view.redraw()
    x, y = view.canvas.overlay.markers.getData()
    assert x == pytest.approx([20.5, 30.0])
    assert y == pytest.approx([10.5, 5.0])
    view.set_pixel_um(2 * PIXEL_UM)  # binned
    view.redraw()
    assert view.canvas.overlay.markers.getData()[0] == pytest.approx([10.25, 15.0])


def test_colours_run_over_the_z_range(view: ImageView) -> None:
    def colours() -> list[str]:
        view.redraw()
        return [pen.color().name() for pen in view.canvas.overlay.markers.data["pen"]]

    view.add_found(table([1.0] * 4, [1.0] * 4, [-9.0, 2.0, 6.0, 99.0]))
    view.set_z_range(2.0, 6.0)
    below, low, high, above = colours()
    assert below == low != high == above
    view.set_z_range(-100.0, 100.0)
    assert len(set(colours())) == 3


def test_only_the_newest_frame_is_drawn_and_only_once(view: ImageView, qtbot: QtBot) -> None:
    drawn = []
    view.canvas.image.sigImageChanged.connect(lambda: drawn.append(view.canvas.image.image))
    older, newer = frame(), frame() + 1
    view.set_frame(older)
    view.set_frame(newer)
    qtbot.waitUntil(lambda: len(drawn) > 0)
    qtbot.wait(200)
    assert len(drawn) == 1
    assert np.array_equal(drawn[0], newer)
    assert view.canvas.overlay.draw(PIXEL_UM) is False


def test_found_can_be_hidden_and_cleared(view: ImageView) -> None:
    overlay = view.canvas.overlay
    for step in range(3):
        view.add_found(table([1.0 + step], [1.0], [2.0], [7]))
    view.redraw()
    assert overlay.tails.boundingRect() == QRectF(9, 9, 22, 2)
    view.tails.setChecked(False)
    view.markers.setChecked(False)
    assert not overlay.tails.isVisible()
    assert not overlay.markers.isVisible()
    view.markers.setChecked(True)
    view.clear_found()
    view.redraw()
    assert len(overlay.markers.getData()[0]) == 0
    view.tails.setChecked(True)
    view.redraw()
    assert overlay.tails.boundingRect() == QRectF(-1, -1, 2, 2)


def test_a_frame_without_emitters_has_no_markers(view: ImageView) -> None:
    view.add_found(table([1.0], [1.0], [2.0], [7]))
    view.add_found(table([], [], [], []))
    view.redraw()
    assert len(view.canvas.overlay.markers.getData()[0]) == 0


def found(*tracks: int) -> Found:
    return Found(
        np.array(tracks, np.int64), np.array([[t, 0.0, 0.0] for t in tracks]).reshape(-1, 3)
    )


def test_tails_fade_and_go() -> None:
    seen = [found(1, -1), found(1, -1)]
    for unseen in range(5):
        _, _, ages = tails([*seen, *[found(2)] * unseen])
        assert unseen in ages
    ends = tails([*seen, *[found(2)] * 5])[1]
    assert set(ends[:, 0]) == {2.0}  # unlinked emitters never had one


@given(st.lists(st.sets(st.integers(-1, 4)), min_size=1, max_size=12))
def test_tails_join_each_position_of_a_track_with_the_one_before(seen: list[set[int]]) -> None:
    frames = [
        Found(np.array(sorted(one), np.int64), np.array([(t, i, 0.0) for t in sorted(one)]))
        if one
        else found()
        for i, one in enumerate(seen)
    ]
    expected = set()
    for track in range(5):
        times = [i for i, one in enumerate(seen) if track in one]
        if times and (unseen := len(seen) - 1 - times[-1]) < 5:
            expected |= {(track, a, b, unseen) for a, b in pairwise(times)}
    start, end, ages = tails(frames)
    assert {(*s[:2], e[1], a) for s, e, a in zip(start, end, ages, strict=True)} == expected
    assert len(ages) == len(expected)


def test_autoscale_leaves_out_hot_pixels() -> None:
    pixels = frame(400, 400)
    pixels[7, 7] = 60000
    low, high = auto_levels(sample(pixels))
    assert 100 <= low < 105
    assert 195 < high <= 200
    assert auto_levels(np.full(9, 5, np.uint16)) == (5, 6)


def test_levels_moved_by_hand_stay(view: ImageView) -> None:
    view.set_frame(frame())
    view.redraw()
    assert view.autoscale.isChecked()
    view.canvas.levels.region.setRegion((50, 150))
    assert not view.autoscale.isChecked()
    view.set_frame(frame() * 3)
    view.redraw()
    assert list(view.canvas.image.getLevels()) == [50, 150]
    view.autoscale.setChecked(True)
    view.redraw()
    assert view.canvas.image.getLevels()[0] > 290


def test_saturated_pixels_are_counted(view: ImageView) -> None:
    pixels = frame()
    pixels[3, 4:6] = 65535
    pixels[5, 5] = 4095
    view.set_frame(pixels)
    view.redraw()
    assert view.warning.text() == "2 pixels saturated"
    view.set_saturation(4095)
    view.redraw()
    assert view.warning.text() == "3 pixels saturated"
    view.set_saturation(None)
    view.redraw()
    assert view.warning.text() == ""


def test_the_pixel_under_the_mouse_is_read_out(view: ImageView, qtbot: QtBot) -> None:
    pixels = frame()
    view.set_frame(pixels)
    view.redraw()
    hover(view, qtbot, 20.5, 10.5)
    text = view.readout.text()
    assert "column 20, row 10" in text
    assert f"{pixels[10, 20]} counts" in text
    x_um, y_um = text.split("x ")[1].split(" µm")[0].split(", y ")
    assert float(x_um) == pytest.approx(2.05, abs=0.03)  # the mouse moves in whole screen pixels
    assert float(y_um) == pytest.approx(1.05, abs=0.03)
    view.set_frame(pixels + 1)
    view.redraw()
    assert f"{pixels[10, 20] + 1} counts" in view.readout.text()
    hover(view, qtbot, -0.5, 10)
    assert view.readout.text() == ""


def test_a_region_is_chosen_in_whole_pixels(view: ImageView, qtbot: QtBot) -> None:
    view.draw_region.trigger()
    assert not view.draw_region.isChecked()  # no image, no region
    view.set_frame(frame())
    view.redraw()
    view.draw_region.trigger()
    region = view.canvas.region
    assert region.isVisible()
    region.setPos(3.4, 4.6)
    region.setSize((12.2, 9.9))
    assert view.use_region.text() == "Use 13 x 9"
    with qtbot.waitSignal(view.region_chosen) as chosen:
        view.use_region.trigger()
    assert chosen.args == [(3, 5, 13, 9)]
    assert not region.isVisible()
    assert not view.use_region.isEnabled()
    with qtbot.waitSignal(view.region_cleared):
        view.whole_sensor.trigger()


def test_a_region_begins_inside_what_is_seen(view: ImageView) -> None:
    view.set_frame(frame(400, 500))
    view.redraw()
    view.canvas.box.setRange(QRectF(300, 200, 40, 40), padding=0)
    view.draw_region.trigger()
    column, row, width, height = view.canvas.region_px()
    seen = view.canvas.box.viewRect()
    assert seen.contains(QRectF(column, row, width, height))


def test_keys(view: ImageView, qtbot: QtBot) -> None:
    view.set_frame(frame())
    view.redraw()
    view.activateWindow()
    qtbot.waitActive(view)
    control, none = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.NoModifier
    shown: list[tuple[Qt.Key, Qt.KeyboardModifier, Callable[[], bool]]] = [
        (Qt.Key.Key_G, control, view.canvas.grid.isVisible),
        (Qt.Key.Key_H, control, view.canvas.crosshair[0].isVisible),
        (Qt.Key.Key_F8, none, view.canvas.region.isVisible),
        (Qt.Key.Key_U, control, lambda: not view.autoscale.isChecked()),
    ]
    for key, modifier, is_shown in shown:
        assert not is_shown()
        qtbot.keyClick(view, key, modifier)
        assert is_shown()


def test_zoom_is_kept_until_frames_have_another_size(view: ImageView, qtbot: QtBot) -> None:
    def seen() -> QRectF:
        rect: QRectF = view.canvas.box.viewRect()
        return rect

    view.set_frame(frame())
    view.redraw()
    assert seen().contains(QRectF(0, 0, 50, 40))
    view.canvas.box.setRange(QRectF(10, 10, 10, 10), padding=0)
    zoomed = seen()
    view.set_frame(frame())
    view.redraw()
    assert seen() == zoomed
    centre = view.canvas.viewport().rect().center()
    qtbot.mouseDClick(view.canvas.viewport(), Qt.MouseButton.LeftButton, pos=centre)
    qtbot.mouseRelease(view.canvas.viewport(), Qt.MouseButton.LeftButton, pos=centre)
    assert seen().contains(QRectF(0, 0, 50, 40))
    view.set_frame(frame(80, 20))
    view.redraw()
    assert seen().contains(QRectF(0, 0, 20, 80))


@pytest.mark.parametrize(
    ("longest", "length"), [(1, 1), (1.99, 1), (2, 2), (4.9, 2), (5, 5), (9.99, 5), (73, 50)]
)
def test_round_lengths(longest: float, length: float) -> None:
    assert round_length(longest) == pytest.approx(length)
    assert round_length(longest / 1000) == pytest.approx(length / 1000)


def test_no_lengths_and_counts_before_there_is_an_image(view: ImageView) -> None:
    levels, bar = view.canvas.levels, view.canvas.scale_bar
    assert not bar.isVisible()
    assert not levels.region.isVisible()
    assert not levels.getAxis("right").isVisible()
    view.set_frame(frame())
    view.redraw()
    assert bar.isVisible()
    assert levels.region.isVisible()
    assert levels.getAxis("right").isVisible()
    low, high = levels.vb.viewRange()[1]
    assert low < 100 < 199 < high < 300


def test_the_scale_bar_is_as_long_as_it_says(view: ImageView) -> None:
    view.set_frame(frame(400, 500))
    view.redraw()
    bar = view.canvas.scale_bar
    texts = []
    for width in (400, 40, 4):
        view.canvas.box.setRange(QRectF(100, 100, width, width), padding=0)
        ends = [view.canvas.box.mapViewToScene(QPointF(x, 0)).x() for x in (0, bar.size / PIXEL_UM)]
        assert bar.bar.rect().width() == pytest.approx(ends[1] - ends[0], rel=1e-6)
        texts.append(bar.text.toPlainText())
    assert texts == ["10 µm", "1 µm", "100 nm"]


def test_colour_maps(view: ImageView) -> None:
    maps = view.findChild(pg.QtWidgets.QComboBox, "colour_map")
    for index in range(maps.count()):
        maps.setCurrentIndex(index)
        assert view.canvas.image.getColorMap().name.lower() == maps.currentData().lower()


def test_wrong_values_are_refused(view: ImageView) -> None:
    with pytest.raises(ValueError, match="shape"):
        view.set_frame(np.zeros((2, 3, 4), np.uint16))
    with pytest.raises(ValueError, match="pixel_um"):
        view.set_pixel_um(0.0)
    with pytest.raises(ValueError, match="low_um"):
        view.set_z_range(2.0, 2.0)
