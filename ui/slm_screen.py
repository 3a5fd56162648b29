"""An SLM that the computer sees as a screen: a window over all of it, one pixel for one pixel."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QCoreApplication, QEventLoop, Qt, pyqtSignal
from PyQt6.QtGui import QCloseEvent, QGuiApplication, QImage, QPainter, QPaintEvent, QScreen
from PyQt6.QtWidgets import QApplication, QWidget

from dsacq.awake import awake
from hardware.protocols import DeviceError, check_pattern
from hardware.slm_screen import ScreenSLMSettings
from ui.gui_thread import GuiThread
from ui.screen_pixels import covering, screen_pixels

T = TypeVar("T")

_PATIENCE_S: Final = 5.0  # for the window system, and for the GUI thread to take up a call


class ScreenSLM:
    """An SLM behind a window on the screen that has its name and size.

    Methods may be called from any thread while the application runs its event loop: what touches
    the window is done in the GUI thread, where `alarm` is emitted too, with a sentence, when the
    screen goes away or changes; `show` raises DeviceError from then on. Close it before the
    application quits, as its window ignores everything else that would close it.
    """

    def __init__(self, name: str, settings: ScreenSLMSettings) -> None:
        """Raises DeviceError when there is no such screen, or when it is the user's own."""
        self.name = name
        self._settings = settings
        self._shown: NDArray[np.uint8] | None = None
        self._window: _Window | None = None
        if not isinstance(QCoreApplication.instance(), QApplication):
            raise DeviceError(name, "shows a window, so it works in the app only.")
        self._gui = GuiThread()
        self.alarm = self._in_gui(self._open).alarm

    @property
    def shape(self) -> tuple[int, int]:
        return self._settings.shape

    @property
    def pixel_um(self) -> float:
        return self._settings.pixel_um

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """The pattern on the screen; None when the screen failed."""
        return None if self._window is None or self._window.trouble else self._shown

    def show(self, grey: NDArray[np.uint8]) -> None:
        """Raises DeviceError when the screen went away or changed, or the GUI thread is busy."""
        check_pattern(self, grey)
        own = np.array(grey, order="C")
        self._in_gui(lambda: self._draw(own))
        time.sleep(self._settings.settle_s)

    def close(self) -> None:
        """Take the window from the screen."""
        if QCoreApplication.instance() is not None:
            self._in_gui(self._release)

    def _open(self) -> "_Window":
        try:
            screen = _found_screen(self._settings)
            self._window = _Window(screen, self._settings.shape)
        except _ScreenError as error:
            raise DeviceError(self.name, str(error)) from None
        return self._window

    def _draw(self, grey: NDArray[np.uint8]) -> None:
        if self._window is None:
            raise DeviceError(self.name, "is closed; open the rig again.")
        self._shown = None
        try:
            self._window.draw(grey)
        except _ScreenError as error:
            raise DeviceError(self.name, str(error)) from None
        self._shown = grey

    def _release(self) -> None:
        if self._window is not None:
            self._window.release()
        self._window = None

    def _in_gui(self, function: Callable[[], T]) -> T:
        try:
            return self._gui.call(function, _PATIENCE_S)
        except TimeoutError:
            raise DeviceError(
                self.name, f"the window was busy for {_PATIENCE_S:g} s; try again."
            ) from None


class _ScreenError(Exception):
    """What is wrong with the screen, to follow the name of the SLM."""


class _Window(QWidget):
    """Covers a screen with grey levels that reach it unchanged under any display scaling."""

    alarm = pyqtSignal(str)

    def __init__(self, screen: QScreen, shape: tuple[int, int]) -> None:
        """Raises _ScreenError when the window does not come to cover the screen."""
        super().__init__(
            None,
            Qt.WindowType.Window
            | Qt.WindowType.FramelessWindowHint
            | Qt.WindowType.WindowStaysOnTopHint
            | Qt.WindowType.WindowDoesNotAcceptFocus,
        )
        self.trouble = ""
        self._screen, self._place, self._shape = screen, screen.name(), shape
        self._image = QImage(shape[1], shape[0], QImage.Format.Format_Grayscale8)
        self._image.fill(0)
        self._painted: QImage | None = None
        self._released = False
        self._awake = ExitStack()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self.setAttribute(Qt.WidgetAttribute.WA_QuitOnClose, False)
        self.setCursor(Qt.CursorShape.BlankCursor)
        self._cover()
        self.show()
        application = QCoreApplication.instance()
        assert isinstance(application, QGuiApplication)
        application.screenRemoved.connect(self._on_screen_removed)
        screen.geometryChanged.connect(self._on_screen_changed)
        screen.logicalDotsPerInchChanged.connect(self._on_screen_changed)
        self._awake.enter_context(awake("shows a pattern on the SLM", screen=True))
        deadline = time.perf_counter() + _PATIENCE_S
        while self._misplaced():  # window managers take their time
            if time.perf_counter() > deadline:
                self.release()
                raise _ScreenError(
                    f"no window could be put over the screen {self._place}; check the display."
                )
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents, 20)

    def draw(self, grey: NDArray[np.uint8]) -> None:
        """Put a pattern on the screen, now. Raises _ScreenError."""
        if self.trouble:
            raise _ScreenError(self.trouble)
        rows, columns = self._shape
        # The stride is given, as Qt's default is padded; copied, so that Qt owns what it reads.
        image = QImage(
            grey.tobytes(), columns, rows, columns, QImage.Format.Format_Grayscale8
        ).copy()
        image.setDevicePixelRatio(self.devicePixelRatioF())  # else it is drawn scaled
        self._image, self._painted = image, None
        self.repaint()
        if self._painted is not image or self._misplaced():
            raise _ScreenError(
                f"its window does not cover the screen {self._place}; open the rig again."
            )

    def release(self) -> None:
        """Take the window from the screen."""
        self._released = True
        self._awake.close()
        self.close()
        self.deleteLater()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.drawImage(0, 0, self._image)
        painter.end()
        self._painted = self._image

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        if event is not None:
            event.setAccepted(self._released)

    def _cover(self) -> None:
        """Over every pixel: a full-screen window has as many points as the screen, which under
        some scalings are less than all of its pixels."""
        self._over = covering(self._screen, self._shape)
        full = self._over == self._screen.geometry()
        if not full and QGuiApplication.platformName() == "xcb":  # its place is not the manager's
            self.setWindowFlag(Qt.WindowType.BypassWindowManagerHint)
        self.setScreen(self._screen)
        self.setGeometry(self._over)
        self.setWindowState(
            Qt.WindowState.WindowFullScreen if full else Qt.WindowState.WindowNoState
        )

    def _misplaced(self) -> bool:
        handle = self.windowHandle()
        return (
            handle is None
            or not handle.isExposed()
            or self.screen() is not self._screen
            or self.geometry() != self._over
            or self.devicePixelRatioF() != self._screen.devicePixelRatio()
        )

    def _on_screen_removed(self, screen: QScreen) -> None:
        if screen is self._screen and not self.trouble:
            self._give_up(f"the screen {self._place} went away; connect it, open the rig again.")

    def _on_screen_changed(self) -> None:
        if self.trouble:
            return
        if _has(self._screen, self._shape):
            self._cover()
            self.show()  # a window that changes its kind is hidden
        else:
            self._give_up(
                f"the screen {self._place} has {_told_pixels(self._screen)} pixels now; "
                f"set it back to {_size(self._shape)} and open the rig again."
            )

    def _give_up(self, trouble: str) -> None:
        self.trouble = trouble
        self.hide()  # Qt moves windows of a lost screen onto the user's
        self.alarm.emit(trouble)


def _found_screen(settings: ScreenSLMSettings) -> QScreen:
    """Raises _ScreenError."""
    screens = QGuiApplication.screens()
    found = [
        screen
        for screen in screens
        if settings.screen in (screen.name(), screen.model())
        and settings.serial in ("", screen.serialNumber())
    ]
    if len(found) != 1:
        there = ", ".join(_described(screen) for screen in screens)
        count = "no screen is" if not found else f"{len(found)} screens are"
        wanted = settings.screen + (
            f" with serial number {settings.serial}" * bool(settings.serial)
        )
        raise _ScreenError(f"{count} called {wanted}; the screens are {there}.")
    (screen,) = found
    if not _has(screen, settings.shape):
        raise _ScreenError(
            f"the screen {settings.screen} has {_told_pixels(screen)} pixels, "
            f"not {_size(settings.shape)}; set its resolution, or shape in the rig file."
        )
    if screen is QGuiApplication.primaryScreen():
        raise _ScreenError(
            f"{settings.screen} is the main screen; make another one the main screen, and let the "
            "SLM extend it."
        )
    for other in screens:
        if other is not screen and other.geometry().intersects(screen.geometry()):
            raise _ScreenError(
                f"{settings.screen} duplicates {other.name()}; let it extend the desktop."
            )
    return screen


def _has(screen: QScreen, shape: tuple[int, int]) -> bool:
    """Whether the screen itself may have so many (rows, columns) of pixels under its scaling."""
    rows, columns = screen_pixels(screen)
    return shape[0] in rows and shape[1] in columns


def _told_pixels(screen: QScreen) -> str:
    rows, columns = screen_pixels(screen)
    return " x ".join(
        str(side[0]) if len(side) == 1 else f"{side[0]} to {side[-1]}" for side in (columns, rows)
    )


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[1]} x {shape[0]}"


def _described(screen: QScreen) -> str:
    known = (screen.model(), screen.serialNumber(), _told_pixels(screen))
    return f"{screen.name()} ({', '.join(part for part in known if part)})"
