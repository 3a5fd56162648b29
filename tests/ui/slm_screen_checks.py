"""Run by test_slm_screen.py in a process of its own, whose screens and scaling it makes up."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from contracts import SLMContract
from PyQt6.QtCore import QCoreApplication, QEvent, Qt
from PyQt6.QtGui import QGuiApplication, QImage, QPixmap, QScreen
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

import ui.slm_screen
from hardware.protocols import DeviceError
from hardware.slm_screen import ScreenSLMSettings
from ui.slm_screen import ScreenSLM

SHAPE = tuple(map(int, os.environ.get("PLUTO_SHAPE", "1080x1920").split("x")))
BASIC = ScreenSLMSettings(kind="screen", screen="PLUTO", shape=SHAPE, settle_s=0.0)
PATIENCE_MS = 60_000


@pytest.fixture
def slm(qapp: QApplication) -> Iterator[ScreenSLM]:
    slm = ScreenSLM("slm", BASIC)
    yield slm
    slm.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    assert not [window for window in qapp.topLevelWidgets() if window.isVisible()]


class TestContract(SLMContract):
    pass


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, BASIC.shape, dtype=np.uint8)


def pixels(pixmap: QPixmap) -> np.ndarray:
    image = pixmap.toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    bits = image.constBits()
    assert bits is not None
    bits.setsize(image.sizeInBytes())
    rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width()].copy()


def pluto() -> QScreen:
    (screen,) = (screen for screen in QGuiApplication.screens() if screen.name() == "PLUTO")
    return screen


def in_thread(function) -> list[BaseException | None]:  # type: ignore[no-untyped-def]
    """Starts it; how it ended is in the list once it has."""
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            function()
        except DeviceError as error:
            ended.append(error)
        else:
            ended.append(None)

    threading.Thread(target=run, daemon=True).start()
    return ended


def test_every_pixel_is_the_patterns(slm: ScreenSLM) -> None:
    window = slm._window
    assert window is not None
    for seed in range(2):
        grey = noise(seed)
        slm.show(grey)
        assert np.array_equal(pixels(window.grab())[: grey.shape[0], : grey.shape[1]], grey)
        # What the window system holds; it gives out as many pixels as the screen has points.
        held = pixels(pluto().grabWindow(window.winId()))
        assert min(held.shape) >= min(grey.shape) / 4
        held = held[: grey.shape[0], : grey.shape[1]]
        assert np.array_equal(held, grey[: held.shape[0], : held.shape[1]])


def test_the_window_stays_where_it_is(slm: ScreenSLM) -> None:
    window = slm._window
    assert window is not None
    place, over = window.geometry(), pluto().geometry()
    assert place.contains(over)
    assert (place.width() - over.width()) + (place.height() - over.height()) <= 2
    assert window.cursor().shape() == Qt.CursorShape.BlankCursor
    slm.show(noise())
    window.close()
    QTest.keyClick(window, Qt.Key.Key_Escape)
    QTest.keyClick(window, Qt.Key.Key_F4, Qt.KeyboardModifier.AltModifier)
    QApplication.closeAllWindows()
    assert window.isVisible()
    assert slm.shown is not None


def test_from_another_thread(slm: ScreenSLM, qtbot: QtBot) -> None:
    grey = noise(4)
    ended = in_thread(lambda: slm.show(grey))
    qtbot.waitUntil(lambda: bool(ended), timeout=PATIENCE_MS)
    assert ended == [None]
    assert slm._window is not None
    assert np.array_equal(pixels(slm._window.grab()), grey)


def test_opened_and_closed_by_another_thread(qapp: QApplication, qtbot: QtBot) -> None:
    opened: list[ScreenSLM] = []
    ended = in_thread(lambda: opened.append(ScreenSLM("slm", BASIC)))
    qtbot.waitUntil(lambda: bool(ended), timeout=PATIENCE_MS)
    assert ended == [None]
    window = opened[0]._window
    assert window is not None
    assert window.thread() is qapp.thread()
    opened[0].show(noise())
    ended = in_thread(opened[0].close)
    qtbot.waitUntil(lambda: bool(ended), timeout=PATIENCE_MS)
    assert ended == [None]
    with pytest.raises(DeviceError, match="slm: is closed"):
        opened[0].show(noise())


def test_errors_reach_the_other_thread(qapp: QApplication, qtbot: QtBot) -> None:
    ended = in_thread(lambda: ScreenSLM("slm", replace(BASIC, screen="LETO")))
    qtbot.waitUntil(lambda: bool(ended), timeout=PATIENCE_MS)
    assert "no screen is called LETO" in str(ended[0])


def test_a_busy_window(slm: ScreenSLM, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui.slm_screen, "_PATIENCE_S", 0.2)
    before, after = noise(1), noise(2)
    slm.show(before)
    ended = in_thread(lambda: slm.show(after))
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not ended and time.monotonic() < deadline:
        time.sleep(0.01)  # in the GUI thread, which takes up nothing meanwhile
    assert "busy" in str(ended[0])
    qtbot.wait(50)
    assert slm.shown is not None
    assert np.array_equal(slm.shown, before)  # what came too late is not shown


def test_it_waits_for_the_crystal(qapp: QApplication) -> None:
    slm = ScreenSLM("slm", replace(BASIC, settle_s=0.3))
    begun = time.monotonic()
    slm.show(noise())
    assert time.monotonic() - begun >= 0.3
    slm.close()


def test_a_screen_that_goes_away(slm: ScreenSLM, qapp: QApplication) -> None:
    told: list[str] = []
    slm.alarm.connect(told.append)
    slm.show(noise())
    for screen in QGuiApplication.screens():
        if screen.name() != "PLUTO":
            qapp.screenRemoved.emit(screen)
    assert slm.shown is not None
    qapp.screenRemoved.emit(pluto())
    assert len(told) == 1
    assert "PLUTO went away" in told[0]
    assert slm.shown is None
    assert slm._window is not None
    assert not slm._window.isVisible()  # or Qt would put it on the user's screen
    with pytest.raises(DeviceError, match="slm: the screen PLUTO went away"):
        slm.show(noise())


def test_a_screen_that_changes(slm: ScreenSLM, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    slm.alarm.connect(told.append)
    slm.show(noise())
    pluto().geometryChanged.emit(pluto().geometry())  # moved within the desktop, say
    slm.show(noise())
    assert not told
    now = range(768, 769), range(1024, 1025)
    monkeypatch.setattr(ui.slm_screen, "screen_pixels", lambda screen: now)
    pluto().geometryChanged.emit(pluto().geometry())
    assert "has 1024 x 768 pixels now" in told[0]
    with pytest.raises(DeviceError, match="1024 x 768"):
        slm.show(noise())


def test_a_window_put_elsewhere(slm: ScreenSLM) -> None:
    assert slm._window is not None
    slm._window.hide()
    with pytest.raises(DeviceError, match="does not cover the screen PLUTO"):
        slm.show(noise())
    assert slm.shown is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"screen": "LETO"}, r"no screen is called LETO; the screens are MAIN \(1280 x 1024\), "),
        ({"serial": "0001"}, "no screen is called PLUTO with serial number 0001"),
        ({"screen": "TWINS"}, "2 screens are called TWINS"),
        ({"shape": (1080, 1921)}, "has 1920 x 1080 pixels, not 1921 x 1080"),
        ({"screen": "MAIN", "shape": (1024, 1280)}, "MAIN is the main screen"),
        ({"screen": "MIRROR", "shape": (600, 800)}, "MIRROR duplicates MAIN"),
    ],
)
def test_a_wrong_screen(changes: dict, words: str, qapp: QApplication) -> None:
    with pytest.raises(DeviceError, match=f"^slm: .*{words}"):
        ScreenSLM("slm", replace(BASIC, **changes))
    assert not [window for window in qapp.topLevelWidgets() if window.isVisible()]


def test_any_width(qapp: QApplication) -> None:
    """Rows whose length is no multiple of 4 bytes."""
    slm = ScreenSLM("slm", replace(BASIC, screen="ODD", shape=(301, 403)))
    grey = np.random.default_rng(0).integers(0, 256, (301, 403), dtype=np.uint8)
    slm.show(grey)
    assert slm._window is not None
    assert np.array_equal(pixels(slm._window.grab()), grey)
    slm.close()
