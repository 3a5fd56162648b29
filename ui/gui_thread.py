"""Work of other threads that only the GUI thread may do."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from PyQt6.QtCore import QCoreApplication, QObject, QThread, pyqtSignal, pyqtSlot

T = TypeVar("T")


class GuiThread(QObject):
    """Runs functions in the GUI thread for any thread, while the application runs its event loop.

    The GUI thread must not wait meanwhile for a thread that calls.
    """

    _asked = pyqtSignal(object, object)

    def __init__(self) -> None:
        super().__init__()
        application = QCoreApplication.instance()
        assert application is not None
        self.moveToThread(application.thread())
        self._asked.connect(self._run)  # queued, as other threads emit it

    def call(self, function: Callable[[], T], timeout_s: float) -> T:
        """What the function returns or raises. TimeoutError when it was not begun in time."""
        if QThread.currentThread() == self.thread():
            return function()
        future: Future[T] = Future()
        self._asked.emit(future, function)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            if future.cancel():
                raise
            return future.result(timeout_s)  # it has begun, and is about to end

    @pyqtSlot(object, object)
    def _run(self, future: Future[Any], function: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)
