"""Work beside the window of which only the newest request matters."""

from collections.abc import Callable, Generator
from typing import Any

from PyQt6.QtCore import QObject, pyqtSignal

from ui.job import Job


class Latest(QObject):
    """One piece of work at a time; of those asked for meanwhile, only the newest follows.

    answered: what the work returned. failed: the exception that ended it. idle: nothing is left to
    do; always last.
    """

    answered, failed, idle = pyqtSignal(object), pyqtSignal(object), pyqtSignal()

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self._job: Job | None = None
        self._waiting: Callable[[], object] | None = None
        self._dropped = False

    @property
    def busy(self) -> bool:
        return self._job is not None

    def ask(self, work: Callable[[], object]) -> None:
        """Do this in a thread, in place of what waits."""
        self._waiting = work
        if self._job is None:
            self._start(work)

    def drop(self) -> None:
        """Nothing that was asked for before is answered any more."""
        self._waiting, self._dropped = None, True

    def stop(self, timeout_s: float = 5.0) -> None:
        """Drop all, and wait for the thread."""
        self.drop()
        if self._job is not None:
            self._job.stop(timeout_s)

    def _start(self, work: Callable[[], object]) -> None:
        def once() -> Generator[Any]:
            yield work()

        self._waiting, self._dropped = None, False
        job = Job(once, self._name, self)
        job.yielded.connect(self._on_answer)
        job.failed.connect(self._on_failure)
        job.finished.connect(self._on_finished)
        self._job = job
        job.start()

    def _on_answer(self, answer: object) -> None:
        if not self._dropped:
            self.answered.emit(answer)

    def _on_failure(self, error: Exception) -> None:
        if not self._dropped:
            self.failed.emit(error)

    def _on_finished(self) -> None:
        if self._job is not None:
            self._job.deleteLater()
        self._job = None
        if self._waiting is not None:
            self._start(self._waiting)
        else:
            self.idle.emit()
