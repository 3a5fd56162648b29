"""Recording: where to, how many frames, and what became of it."""

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QSettings, QStandardPaths, QTimer
from PyQt6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ui.job import Job
from ui.number_box import WholeBox
from ui.panels.controls import typed_path, without_wheel
from ui.panels.readings import CameraState, RigState, readings_of
from ui.panels.record_place import free_name, room, why_not
from ui.session import Activity, Session
from ui.theme import AMBER, GREEN, RED

if TYPE_CHECKING:
    from dsacq.files.recording import Facts
    from dsacq.live import Update

_ROOM_MS = 2000
_RECORDING = (
    f"background: {RED}; color: white; font-weight: bold; border: none; border-radius: 3px;"
)


class RecordPanel(QWidget):
    """Asks the session to record, and tells how it ended."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._camera: CameraState | None = None
        self._failure = ""
        self._build()
        often = QTimer(self)
        often.timeout.connect(self._show_room)
        often.start(_ROOM_MS)
        readings_of(session).taken.connect(self._on_reading)
        session.activity_changed.connect(self._on_activity)
        session.updated.connect(self._on_update)
        session.ended.connect(self._on_ended)
        session.failed.connect(self._on_failure)
        self._on_activity(session.activity)
        self._show_room()

    def toggle(self) -> None:
        """Record, or end the recording."""
        if self._session.activity is Activity.recording:
            self._session.end()
            return
        if self._session.activity not in (Activity.idle, Activity.looking):
            busy = self._session.activity is Activity.calibrating
            why = self.tr("A calibration runs; stop it first.") if busy else ""
            self._tell(why or self.tr("No rig is open."), AMBER)
            return
        refusal = why_not(self.folder.text(), self.name.text())
        if refusal:
            self._tell(refusal, RED)
            return
        count = None if self.endless.isChecked() else self.count.value()
        self._failure = ""
        self._tell("")
        self._begin(count)
        self._session.record(self._target(), count, about={"notes": self.notes.toPlainText()})

    def save(self, settings: QSettings) -> None:
        """Keep folder, name and number of frames."""
        settings.setValue("record/folder", self.folder.text())
        settings.setValue("record/name", self.name.text())
        settings.setValue("record/count", self.count.value())
        settings.setValue("record/endless", self.endless.isChecked())

    def restore(self, settings: QSettings) -> None:
        self.folder.setText(settings.value("record/folder", self.folder.text(), str))
        self.name.setText(settings.value("record/name", self.name.text(), str))
        self.count.setValue(settings.value("record/count", self.count.value(), int))
        self.endless.setChecked(settings.value("record/endless", False, bool))
        self._show_room()

    def _build(self) -> None:
        documents = QStandardPaths.StandardLocation.DocumentsLocation
        home = Path(QStandardPaths.writableLocation(documents)) / "dsacq"
        self.folder = QLineEdit(str(home))
        self.folder.setObjectName("record_folder")
        self.folder.setToolTip(self.tr("Each recording becomes a folder in this folder."))
        self.folder.editingFinished.connect(self._show_room)
        self.browse = QPushButton("...")
        self.browse.setFixedWidth(28)
        self.browse.setStyleSheet("padding: 3px 0;")
        self.browse.setToolTip(self.tr("Choose the folder."))
        self.browse.clicked.connect(self._choose_folder)
        self.name = QLineEdit("recording-001")
        self.name.setObjectName("record_name")
        self.name.setToolTip(self.tr("Of the recording; a number at its end counts up by itself."))
        self.count = WholeBox()
        self.count.setObjectName("record_count")
        self.count.setRange(1, 100_000_000)
        self.count.setValue(1000)
        self.count.setToolTip(self.tr("How many frames to record."))
        self.count.setMinimumWidth(80)
        without_wheel(self.count)
        self.endless = QCheckBox(self.tr("until stopped"))
        self.endless.setObjectName("record_endless")
        self.endless.setToolTip(self.tr("Record until you stop it."))
        self.endless.toggled.connect(self.count.setDisabled)
        self.notes = QPlainTextEdit()
        self.notes.setObjectName("record_notes")
        self.notes.setToolTip(self.tr("Free text, kept in recording.json."))
        self.notes.setPlaceholderText(self.tr("sample, purpose, what is special"))
        self.notes.setTabChangesFocus(True)
        self.notes.setFixedHeight(48)
        self.room = QLabel()
        self.room.setObjectName("record_room")
        self.room.setToolTip(
            self.tr("Free on that disk, and how long a recording may last with these frames.")
        )
        self.button = QPushButton()
        self.button.setObjectName("record_button")
        self.button.setToolTip(self.tr("Begin or end a recording (Ctrl+R)."))
        self.button.clicked.connect(self.toggle)
        self.progress = QProgressBar()
        self.progress.setObjectName("record_progress")
        self.progress.hide()
        self.told = QLabel()
        self.told.setObjectName("record_told")
        self.told.setWordWrap(True)
        self.told.hide()
        self._lay_out()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow(self.tr("Folder"), _row(self.folder, self.browse))
        form.addRow(self.tr("Name"), self.name)
        form.addRow(self.tr("Frames"), _row(self.count, self.endless))
        form.addRow(self.tr("Notes"), self.notes)
        form.addRow(self.tr("Room"), self.room)
        for widget in (self.button, self.progress, self.told):
            form.addRow(widget)
        group = QGroupBox(self.tr("Record"))
        group.setLayout(form)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(group)

    def _target(self) -> Path:
        return typed_path(self.folder.text()) / self.name.text().strip()

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(
            self, self.tr("Folder for recordings"), self.folder.text()
        )
        if chosen:
            self.folder.setText(chosen)
            self._show_room()

    def _begin(self, count: int | None) -> None:
        self.progress.setRange(0, count or 1)
        self.progress.setValue(0)
        self.progress.setFormat("%v / %m" if count else "")

    def _tell(self, sentence: str, colour: str = "") -> None:
        self.told.setText(sentence)
        self.told.setStyleSheet(f"color: {colour};" if colour else "")
        self.told.setVisible(bool(sentence))

    def _show_room(self) -> None:
        self.room.setText(room(self._target().parent, self._camera))

    def _on_reading(self, state: RigState) -> None:
        if state.camera is not None and state.camera != self._camera:
            self._camera = state.camera
            self._show_room()

    def _on_activity(self, activity: Activity) -> None:
        recording = activity is Activity.recording
        self.button.setText(self.tr("Stop recording") if recording else self.tr("Record"))
        self.button.setStyleSheet(_RECORDING if recording else "")
        self.button.setEnabled(recording or activity in (Activity.idle, Activity.looking))
        self.progress.setVisible(recording)
        for control in (self.folder, self.browse, self.name, self.notes, self.endless):
            control.setEnabled(not recording)
        self.count.setEnabled(not recording and not self.endless.isChecked())

    def _on_update(self, update: "Update") -> None:
        if self._session.activity is Activity.recording:
            written = update.counters.written
            if update.counters.asked is None:  # a bar without end tells no number
                told = self.tr("{} frames, {:.0f} s").format(written, update.elapsed_s)
                self.progress.setFormat(told)
            else:
                self.progress.setValue(written)

    def _on_failure(self, sentence: str) -> None:
        if self._session.activity is Activity.recording:
            self._failure = sentence

    def _on_ended(self, _update: object, folder: Path | None) -> None:
        if folder is None:
            return

        def reading() -> Generator["Facts"]:
            from dsacq.files.recording import read_facts

            yield read_facts(folder)

        job = Job(reading, "reading what was recorded", self)
        job.yielded.connect(lambda facts: self._tell_end(folder, facts))
        job.failed.connect(lambda error: self._tell(self._failure or str(error), RED))
        job.finished.connect(job.deleteLater)
        job.start()

    def _tell_end(self, folder: Path, facts: "Facts") -> None:
        told = self.tr("{} frames in {}: {}.").format(
            facts.frames.written, folder, self.tr(facts.state)
        )
        if facts.reason:
            told += " " + facts.reason
        elif self._failure:
            told += " " + self._failure
        fine = facts.state in ("complete", "stopped") and not self._failure
        self._tell(told, GREEN if fine else RED)
        if folder == self._target():
            self.name.setText(free_name(folder))
        self._show_room()


def _row(first: QWidget, second: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.addWidget(first, 1)
    row.addWidget(second)
    return row
