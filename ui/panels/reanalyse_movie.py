"""What an opened movie is, and its frames one by one."""

from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from ui.latest import Latest
from ui.number_box import WholeBox

if TYPE_CHECKING:
    from dsacq.files.recording import Facts
    from ui.reanalysis import Opened


class MovieTab(QWidget):
    """Tells of a movie, and reads the frame that is wanted.

    frame_read: pixels (rows, columns) and the frame's number. failed: a sentence.
    """

    frame_read = pyqtSignal(object, int)
    failed = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._opened: Opened | None = None
        self._reading = Latest("reading a frame", self)
        self._reading.answered.connect(lambda read: self.frame_read.emit(*read))
        self._reading.failed.connect(lambda error: self.failed.emit(str(error)))

        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setObjectName("reanalyse_slider")
        self.slider.setToolTip(self.tr("The frame that the image shows."))
        self.number = WholeBox()
        self.number.setObjectName("reanalyse_frame")
        self.number.setToolTip(
            self.tr("Number of the frame that the image shows, from 0 to the last.")
        )
        self.slider.valueChanged.connect(self.number.setValue)
        self.number.valueChanged.connect(self.slider.setValue)
        self.number.valueChanged.connect(self._read)
        frame, label = QHBoxLayout(), QLabel(self.tr("Frame"))
        label.setBuddy(self.number)
        frame.addWidget(label)
        frame.addWidget(self.slider, 1)
        frame.addWidget(self.number)
        self._facts = QFormLayout()
        self._facts.addRow(QLabel(self.tr("Open a recording or a movie, or drop it here.")))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(frame)
        layout.addLayout(self._facts)
        layout.addStretch(1)
        self.setEnabled(False)

    def set_opened(self, opened: "Opened") -> None:
        """Tell of this movie from now on, and show its first frame."""
        self._reading.drop()
        self._opened = opened
        while self._facts.rowCount():
            self._facts.removeRow(0)
        for name, value in self._told(opened):
            text = QLabel(value)
            text.setWordWrap(True)
            text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._facts.addRow(f"{name}:", text)
        last = len(opened.movie) - 1
        for control in (self.slider, self.number):
            control.blockSignals(True)
            control.setRange(0, last)
            control.setValue(0)
            control.blockSignals(False)
        self.number.setSuffix(f" / {last}")
        self.setEnabled(True)
        self._read(0)

    def show_frame(self, index: int) -> None:
        """Read this frame, if the movie has it."""
        self.number.setValue(index)

    def stop(self) -> None:
        """End what goes on beside the window."""
        self._reading.stop()

    def _read(self, index: int) -> None:
        if self._opened is None:
            return
        movie = self._opened.movie

        def reading() -> tuple[Any, int]:
            return movie.frame(index), index

        self._reading.ask(reading)

    def _told(self, opened: "Opened") -> list[tuple[str, str]]:
        movie, tr = opened.movie, self.tr
        rows, columns = movie.shape
        pixel_um, exposure_s = movie.metadata.get("pixel_um"), movie.metadata.get("exposure_s")
        size = tr("{} x {} pixels").format(columns, rows)
        if pixel_um:
            size += f", {columns * pixel_um:.1f} x {rows * pixel_um:.1f} µm"
        told = [
            (tr("Name"), opened.path.name),
            (tr("Frames"), str(len(movie))),
            (tr("Width x height"), size),
            (tr("Pixel"), f"{1000 * pixel_um:.4g} nm" if pixel_um else tr("not stated")),
            (tr("Exposure"), f"{1000 * exposure_s:.4g} ms" if exposure_s else tr("not stated")),
        ]
        return told + (self._of_recording(opened.facts) if opened.facts is not None else [])

    def _of_recording(self, facts: "Facts") -> list[tuple[str, str]]:
        tr, frames = self.tr, facts.frames
        asked = tr("until stopped") if frames.asked is None else str(frames.asked)
        mask = facts.about.get("mask") or {}
        told = [
            (tr("State"), f"{facts.state}: {facts.reason}" if facts.reason else facts.state),
            (tr("Begun"), facts.started.replace("T", "  ")[:20]),
            (tr("Asked for"), asked),
            (tr("Received"), str(frames.received)),
            (tr("Written"), str(frames.written)),
            (
                tr("Lost"),
                tr("{} on the way, {} in the camera").format(
                    frames.lost_in_core, frames.lost_in_camera
                ),
            ),
            (tr("Localized live"), str(frames.analysed)),
        ]
        return told + ([(tr("Mask"), str(mask["name"]))] if mask.get("name") else [])
