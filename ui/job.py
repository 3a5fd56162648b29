"""Long work beside the window: a generator in a thread, its items as signals."""

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from threading import Event, Thread
from typing import Any

from PyQt6.QtCore import QObject, pyqtSignal

log = logging.getLogger(__name__)


class Job(QObject):
    """Runs a generator in a thread of its own; signals arrive in the thread that made the job.

    yielded: each item. failed: the exception that ended it. finished: always, and last.
    """

    yielded, failed, finished = pyqtSignal(object), pyqtSignal(object), pyqtSignal()

    def __init__(
        self, make: Callable[[], Generator[Any]], name: str, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._make, self._stopping = make, Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def ask_to_stop(self) -> None:
        """The generator is closed before its next item; its `finally` runs in the thread."""
        self._stopping.set()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Ask, and wait; True once the work has really ended."""
        self.ask_to_stop()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with closing(self._make()) as items:  # its finally runs here: laser off, camera stopped
                for item in items:
                    if self._stopping.is_set():
                        break
                    self.yielded.emit(item)
        except Exception as error:
            log.info("%s failed", self._thread.name, exc_info=True)
            self.failed.emit(error)
        finally:
            self.finished.emit()
