"""Recordings that the program was not there to end: offered at the next start."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QSettings, pyqtSignal
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from ui.job import Job
from ui.session import Activity, Session, told
from ui.theme import AMBER

if TYPE_CHECKING:
    from dsacq.files.recording_check import Report

_KEY = "recording/running"


class UnfinishedBar(QFrame):
    """Keeps note of the recording that runs; `look` tells of those whose end was never noted.

    opened: the folder of a recording that has been repaired.
    """

    opened = pyqtSignal(object)

    def __init__(
        self, session: Session, settings: QSettings, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._settings = session, settings
        self._found: list[Path] = []
        self._jobs: list[Job] = []
        self.setObjectName("unfinished")
        self.setStyleSheet(f"#unfinished {{ border: 1px solid {AMBER}; border-radius: 3px; }}")
        self.told = QLabel()
        self.told.setObjectName("unfinished_told")
        self.told.setWordWrap(True)
        self.repair = QPushButton(self.tr("Repair and open"))
        self.repair.setObjectName("unfinished_repair")
        self.repair.setToolTip(
            self.tr("Keep every whole frame and localization of it, and show it in Reanalyse.")
        )
        self.repair.clicked.connect(self._repair)
        self.leave = QPushButton(self.tr("Leave it"))
        self.leave.setObjectName("unfinished_leave")
        self.leave.setToolTip(
            self.tr("It stays as it is; `dsacq recording repair` can mend it later.")
        )
        self.leave.clicked.connect(self._next)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 4, 6, 4)
        row.addWidget(self.told, 1)
        row.addWidget(self.repair)
        row.addWidget(self.leave)
        self.hide()
        session.acquisition_began.connect(self._note)
        session.ended.connect(lambda _update, folder: self._forget(folder))

    def look(self) -> None:
        """Look for noted recordings that are still unfinished, and offer them."""
        noted = self._noted()

        def looking() -> Generator[list[Path]]:
            yield [folder for folder in noted if _cut_short(folder)]

        self._run(looking, "looking for unfinished recordings", self._offer)

    def stop(self) -> None:
        """Waits for a repair that runs."""
        for job in self._jobs:
            job.stop(timeout_s=60.0)

    def _offer(self, found: list[Path]) -> None:
        for folder in set(self._noted()) - set(found) - {self._session.recording}:
            self._forget(folder)
        self._found = found
        self._show()

    def _show(self) -> None:
        self.setVisible(bool(self._found))
        if self._found:
            told = self.tr("{} was being recorded when the program ended. Its frames are on disk.")
            self.told.setText(told.format(self._found[0]))

    def _repair(self) -> None:
        folder = self._found[0]
        self.setEnabled(False)

        def repairing() -> Generator[tuple[Path, "Report"]]:
            from dsacq.files.recording_check import repair

            yield folder, repair(folder)

        self._run(repairing, "repairing a recording", self._on_repaired)

    def _on_repaired(self, repaired: tuple[Path, "Report"]) -> None:
        folder, report = repaired
        said = self.tr("{} is repaired.").format(folder)
        if report.lost:
            said = self.tr("{} Not all of it could be read: {}").format(said, " ".join(report.lost))
        self._session.said.emit(said)
        self._next()
        self.opened.emit(folder)

    def _next(self) -> None:
        self._forget(self._found.pop(0))
        self._show()

    def _run(
        self, work: Callable[[], Generator[Any]], name: str, on_item: Callable[[Any], None]
    ) -> None:
        job = Job(work, name, self)
        job.yielded.connect(on_item)
        job.failed.connect(lambda error: self._session.failed.emit(told(error)))
        job.finished.connect(lambda: self._on_finished(job))
        self._jobs.append(job)
        job.start()

    def _on_finished(self, job: Job) -> None:
        self._jobs.remove(job)
        self.setEnabled(True)

    def _noted(self) -> list[Path]:
        noted = self._settings.value(_KEY) or []  # one alone comes back as a string
        return [Path(one) for one in ([noted] if isinstance(noted, str) else noted)]

    def _note(self, activity: Activity, folder: Path | None) -> None:
        if activity is Activity.recording and folder is not None:
            self._write([*self._noted(), folder.absolute()])

    def _forget(self, folder: Path | None) -> None:
        if folder is not None:
            self._write([one for one in self._noted() if one != folder.absolute()])

    def _write(self, folders: list[Path]) -> None:
        self._settings.setValue(_KEY, [str(folder) for folder in folders])
        self._settings.sync()  # before anything can go wrong


def _cut_short(folder: Path) -> bool:
    """Whether it holds a recording that was not ended. One that is gone is nobody's to open."""
    from dsacq.errors import FileError
    from dsacq.files.recording import is_recording, read_facts

    try:
        return is_recording(folder) and read_facts(folder).state == "recording"
    except FileError:
        return False
