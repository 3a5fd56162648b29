"""Previews of the newest of many wishes."""

from functools import partial

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from ui.job import Job
from ui.panels.mask_work import Wanted, preview


class Previewer(QObject):
    """Computes what `preview` yields for the newest Wanted, one job at a time.

    computed: a Wanted, perhaps not the newest any more, and an item. failed: what ended a preview
    of the newest.
    """

    computed = pyqtSignal(object, object)
    failed = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.newest: Wanted | None = None
        self._wanted: Wanted | None = None  # what the job computes
        self._job: Job | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._compute)

    def want(self, wanted: Wanted, within_ms: int) -> None:
        """Begin on this within a time, so that a slider that moves on shows what it does too."""
        self.newest = wanted
        if not self._timer.isActive() or within_ms == 0:
            self._timer.start(within_ms)

    def stop(self) -> None:
        """End what is being computed; waits for it."""
        self.newest = None
        self._timer.stop()
        if self._job is not None:
            self._job.stop()

    def _compute(self) -> None:
        if self._job is not None:  # two at once would only slow each other
            self._job.ask_to_stop()
            return
        if (wanted := self.newest) is None:
            return
        self._wanted = wanted
        self._job = Job(partial(preview, wanted), "previewing a mask", self)
        self._job.yielded.connect(self._on_item)
        self._job.failed.connect(self._on_failed)
        self._job.finished.connect(self._on_finished)
        self._job.start()

    def _on_item(self, item: object) -> None:
        self.computed.emit(self._wanted, item)

    def _on_failed(self, error: Exception) -> None:
        if self._wanted is self.newest:
            self.failed.emit(error)

    def _on_finished(self) -> None:
        if self._job is not None:
            self._job.stop()  # its thread is about to end
            self._job.deleteLater()
        self._job = None
        if self._wanted is not self.newest and not self._timer.isActive():
            self._compute()
