"""What became of the frames, in one line."""

from collections import deque
from typing import TYPE_CHECKING

from PyQt6.QtWidgets import QHBoxLayout, QLabel, QWidget

from ui.session import Activity, Session
from ui.theme import AMBER, GREEN, RED

if TYPE_CHECKING:
    from dsacq.live import Update

_RATE_S = 1.0  # over which frames per second are counted
_FULL, _NEARLY_FULL = 0.9, 0.5


class CountersBar(QWidget):
    """Counters of the acquisition that runs, or ran last."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._received: deque[tuple[float, int]] = deque()  # elapsed s, frames
        self.values: dict[str, QLabel] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 2, 2, 2)
        row.setSpacing(16)
        for name, title, tip in (
            ("received", self.tr("received"), self.tr("Frames that came from the camera.")),
            ("written", self.tr("written"), self.tr("Frames that are on the disk.")),
            ("analysed", self.tr("analysed"), self.tr("Frames that were localized.")),
            (
                "lost_in_core",
                self.tr("lost in core"),
                self.tr("Frames that the camera's software lost on the way to dsacq."),
            ),
            (
                "lost_in_camera",
                self.tr("lost in camera"),
                self.tr("Frames that the camera counted and did not send."),
            ),
            ("rate", self.tr("frames/s"), self.tr("Frames that came in the last second.")),
            (
                "buffer",
                self.tr("camera buffer"),
                self.tr("Used part of the memory for frames not taken yet; full ends a recording."),
            ),
            (
                "queue",
                self.tr("disk queue"),
                self.tr("Used part of the queue of frames that wait for the disk."),
            ),
            ("state", self.tr("state"), self.tr("What the rig does, and how it ended before.")),
        ):
            row.addWidget(self._made(name, title, tip))
        row.addStretch(1)
        session.updated.connect(self._show)
        session.ended.connect(self._on_ended)
        session.activity_changed.connect(self._on_activity)
        self._on_activity(session.activity)

    def _made(self, name: str, title: str, tip: str) -> QWidget:
        pair = QWidget()
        pair.setToolTip(tip)
        label, value = QLabel(title), QLabel("-")
        label.setEnabled(False)
        value.setObjectName(f"counter_{name}")
        inside = QHBoxLayout(pair)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(5)
        inside.addWidget(label)
        inside.addWidget(value)
        self.values[name] = value
        return pair

    def _show(self, update: "Update") -> None:
        counters = update.counters
        for name in ("received", "written"):
            self._set(name, str(getattr(counters, name)))
        self._set("analysed", str(counters.analysed), AMBER if update.analysis_failure else "")
        self.values["analysed"].setToolTip(update.analysis_failure)
        self._set("lost_in_core", str(counters.lost_in_core), RED if counters.lost_in_core else "")
        camera = counters.lost_in_camera
        self._set("lost_in_camera", str(camera), RED if camera else "")
        self._received.append((update.elapsed_s, counters.received))
        self._set("rate", self._rate(update.elapsed_s))
        for name, fill in (("buffer", update.buffer_fill), ("queue", update.queue_fill)):
            self._set(name, f"{fill:.0%}", _of_fill(fill))

    def _rate(self, now_s: float) -> str:
        """Over the last second, or one frame and more where they come more slowly."""
        last = self._received[-1][1]
        while len(self._received) > 2 and (
            self._received[1][0] < now_s - _RATE_S and self._received[1][1] < last
        ):
            self._received.popleft()
        (first_s, first), frames = self._received[0], last
        return f"{(frames - first) / (now_s - first_s):.3g}" if now_s > first_s else "-"

    def _on_activity(self, activity: Activity) -> None:
        colour = {Activity.recording: RED, Activity.looking: GREEN}.get(activity, "")
        self._set("state", activity.value, colour)
        self.values["state"].setToolTip("")
        if activity in (Activity.looking, Activity.recording):
            self._received.clear()
            for name in self.values.keys() - {"state"}:
                self._set(name, "-")

    def _on_ended(self, update: "Update | None", _folder: object) -> None:
        if update is None or update.state != "failed":
            return
        self._show(update)
        self._set("state", self.tr("{}, failed before").format(self._session.activity.value), RED)
        self.values["state"].setToolTip(update.reason)

    def _set(self, name: str, text: str, colour: str = "") -> None:
        value = self.values[name]
        value.setText(text)
        style = f"color: {colour}; font-weight: bold;" if colour else ""
        if value.styleSheet() != style:  # to set one costs more than a text
            value.setStyleSheet(style)


def _of_fill(fill: float) -> str:
    if fill > _FULL:
        return RED
    return AMBER if fill > _NEARLY_FULL else ""
