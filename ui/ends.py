"""The window's part in the end of the process: it closes, as by its own button, whoever asks.

Lasers are dark and the camera has stopped before that (`dsacq.ends`): the window's thread may be
busy. Requests come as signals, from the session manager (log-off, shutdown, update), from the
desktop or the menu bar (Quit, Cmd+Q), and as the loss of the display.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QEvent, QObject, QtMsgType, pyqtSignal, qInstallMessageHandler
from PyQt6.QtWidgets import QApplication

from dsacq.ends import ENDS

if TYPE_CHECKING:
    from ui.session import Session
    from ui.window import MainWindow

log = logging.getLogger("window")

# Of Qt 6.8 to 6.11, for X11 and for Wayland.
_LOST: Final = ("The X11 connection broke", "The Wayland connection")
_LAST_S: Final = 10.0  # for a recording to be closed when the display has gone


class Application(QApplication):
    """Tells when it is to quit, before Qt asks its windows: an SLM's refuses to be closed.

    quitting: emitted each time.
    """

    quitting = pyqtSignal()

    def event(self, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.Quit:
            self.quitting.emit()
        return super().event(event)


class _Closing(QObject):
    """Closes the window for whoever asks, in the window's thread. asked: from any thread."""

    asked = pyqtSignal(str)

    def __init__(self, application: QApplication, window: "MainWindow", session: "Session") -> None:
        super().__init__(application)
        self._application, self._window, self._session = application, window, session
        self.asked.connect(self._close)
        application.commitDataRequest.connect(lambda _manager: self._close("the session ends"))
        if isinstance(application, Application):
            application.quitting.connect(self._window.close)

    def _close(self, reason: str) -> None:
        ENDS.ask(reason)
        self._session.said.emit(f"dsacq ends: {reason}.")
        self._window.close()
        self._application.quit()


@contextmanager
def ending(application: QApplication, window: "MainWindow", session: "Session") -> Iterator[None]:
    """Within, every request to end the process closes the window."""
    closing = _Closing(application, window, session)
    with ExitStack() as stack:
        stack.enter_context(ENDS.telling(session.end))
        stack.enter_context(ENDS.waking(closing.asked.emit))
        stack.enter_context(_messages_of_qt(lambda: _leave(session)))
        yield


def _leave(session: "Session") -> None:
    """No window can be used any more, and Qt is about to end the process as it stands."""
    ENDS.ask("the connection to the display was lost")
    session.wait_stopped(_LAST_S)
    os._exit(1)


@contextmanager
def _messages_of_qt(on_lost: Callable[[], object]) -> Iterator[None]:
    """Within, they are logged; and when one says that the display is lost, on_lost is called: it is
    the only sign, given just before Qt calls `exit` or `_exit`."""

    def take(_kind: QtMsgType, _where: object, message: str | None) -> None:
        log.info("Qt: %s", message)
        if message is not None and message.startswith(_LOST):
            on_lost()

    before = qInstallMessageHandler(take)
    try:
        yield
    finally:
        qInstallMessageHandler(before)
