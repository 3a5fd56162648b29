"""Python's collection of cycles, in the GUI thread only.

A widget that is part of a cycle is destroyed by whichever thread the collection happens to run in;
Qt crashes when that is another than the GUI thread.
"""

import gc

from PyQt6.QtCore import QObject, QTimer

_INTERVAL_MS = 1000


class GarbageCollector(QObject):
    """Collects from a timer while it lives, in place of Python's own collection."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.timeout.connect(collect)
        gc.disable()
        self._timer.start(_INTERVAL_MS)


def collect() -> None:
    """The generations that are due by Python's own thresholds."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    for generation in (2, 1, 0):
        if counts[generation] > thresholds[generation]:
            gc.collect(generation)
            return
