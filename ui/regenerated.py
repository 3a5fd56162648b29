"""The newest analysed frame, regenerated from its localizations beside the live view."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QObject, pyqtSignal

from ui.latest import Latest

if TYPE_CHECKING:
    from dsacq.live_analysis import Analysed
    from dsacq.networks.model_file import Model

SIDE_PX = 256  # of the part that is regenerated of a larger frame: the middle
_INTERVAL_S = 1.0
_LEAST_REST = 3.0  # times the last regeneration, so that it takes a quarter of a core
_MOST_WAIT_S = 5.0  # as the first one takes long


@dataclass(frozen=True)
class Regenerated:
    """Data and regenerated image (H, W) of one frame, in counts, and their Pearson correlation.

    number: of the frame. elapsed_s: of the acquisition, when it was asked for. part: whether this
    is only the middle of the frame.
    """

    number: int
    elapsed_s: float
    data: NDArray[np.float32]
    regenerated: NDArray[np.float32]
    correlation: float
    emitters: int
    part: bool


def regenerated(analysed: "Analysed", model: "Model", elapsed_s: float) -> Regenerated:
    """Image a frame's own localizations through the model's mask and PSF."""
    from dsacq.analysis.overlay import CROP_PX, regenerate
    from dsacq.device import chosen_device

    card, pixels = model.card, analysed.frame.pixels
    corner, part = _middle(pixels)
    xyz_um = analysed.found.positions_um().copy()  # which may be a view of the table
    xyz_um[:, :2] -= np.array(corner[::-1]) * card.optics.pixel_um
    reach_um = CROP_PX / 2 * card.optics.pixel_um
    size_um = np.array(part.shape[::-1]) * card.optics.pixel_um
    near = ((xyz_um[:, :2] > -reach_um) & (xyz_um[:, :2] < size_um + reach_um)).all(1)
    one = regenerate(
        part, xyz_um[near], model.mask, card.optics, card.psf, device=chosen_device("auto")
    )
    return Regenerated(
        analysed.number,
        elapsed_s,
        one.data,
        one.regenerated,
        one.correlation,
        int(near.sum()),
        part.shape != pixels.shape,
    )


def _middle(pixels: NDArray[Any]) -> tuple[tuple[int, int], NDArray[Any]]:
    """(row, column) of the corner, and the pixels, of the middle of a frame."""
    row, column = (max(size - SIDE_PX, 0) // 2 for size in pixels.shape)
    return (row, column), pixels[row : row + SIDE_PX, column : column + SIDE_PX]


class Regenerator(QObject):
    """Regenerates about a frame a second in a thread; frames that come meanwhile are left out.

    made: a Regenerated. failed: the exception.
    """

    made, failed = pyqtSignal(object), pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._work = Latest("regenerating", self)
        self._work.answered.connect(self._on_made)
        self._work.failed.connect(self.failed)
        self._work.idle.connect(self._on_idle)
        self._began_s = self._next_s = 0.0  # of time.perf_counter
        self._last: int | None = None

    def offer(self, analysed: "Analysed", model: "Model", elapsed_s: float) -> None:
        """Regenerate this frame if it is time for one."""
        now_s = time.perf_counter()
        if self._work.busy or now_s < self._next_s or analysed.number == self._last:
            return
        self._began_s, self._last = now_s, analysed.number
        self._work.ask(lambda: regenerated(analysed, model, elapsed_s))

    def restart(self) -> None:
        """Frames are counted from 0 again; what is being regenerated is not told any more."""
        self._work.drop()
        self._last, self._next_s = None, 0.0

    def stop(self) -> None:
        """Wait for the thread."""
        self._work.stop()

    def _on_made(self, one: Regenerated) -> None:
        self.made.emit(one)

    def _on_idle(self) -> None:
        took_s = time.perf_counter() - self._began_s
        wait_s = min((1 + _LEAST_REST) * took_s, took_s + _MOST_WAIT_S)
        self._next_s = self._began_s + max(_INTERVAL_S, wait_s)
