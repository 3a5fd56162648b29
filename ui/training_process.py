"""A training in a process of its own: it lives and dies beside the window, and leaves its files."""

import json
import sys
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QObject, QProcess, QProcessEnvironment, pyqtSignal

from ui.training_plan import learns_mask

_CLOSING_S = 20.0  # for the step that runs, and the checkpoint


class TrainingProcess(QObject):
    """`dsacq train`, or `dsacq design` where the settings say so, watched.

    told: a dict, as `ui.commands.watched_training` describes them. failed: a sentence.
    finished: always, and last.
    """

    told, failed, finished = pyqtSignal(dict), pyqtSignal(str), pyqtSignal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None
        self._left = False  # the window goes: how the process ends is not told

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self, config: Path, model: Path, *, resume: bool, device: str = "auto") -> None:
        """Train as the config says, into a model file; a mask that is learned gets its name."""
        process = QProcess(self)
        surroundings = QProcessEnvironment.systemEnvironment()
        surroundings.insert("PYTHONUTF8", "1")
        process.setProcessEnvironment(surroundings)
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        self._process, self._left = process, False
        command, output = "train", model
        if learns_mask(config):
            command, output = "design", model.with_suffix(".tif")
        words = ["-m", "ui.cli", command, str(config), "-o", str(output), "--device", device]
        process.start(sys.executable, [*words, "--watched", *(["--resume"] if resume else [])])

    def ask_to_stop(self) -> None:
        """End after the step that runs; the model as it is then is written."""
        if self._process is not None:
            self._process.write(b"stop\n")

    def stop(self) -> None:
        """End now, keep the checkpoint, and wait for it. The process never outlives the window."""
        process = self._process
        if process is None:
            return
        self._left = True
        process.closeWriteChannel()
        if not process.waitForFinished(round(1000 * _CLOSING_S)):
            process.kill()
            process.waitForFinished(1000)

    def _read(self) -> None:
        process = self._process
        while process is not None and process.canReadLine():
            try:
                item: Any = json.loads(bytes(process.readLine().data()))
            except ValueError:  # what some library prints is not for us
                continue
            if isinstance(item, dict) and not self._left:
                self.told.emit(item)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart and self._process is not None:
            told = self.tr("The training could not be started: {}")
            self.failed.emit(told.format(sys.executable))
            self._end()

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read()
        process = self._process
        if process is None:
            return
        if not self._left and (code or status is not QProcess.ExitStatus.NormalExit):
            said = bytes(process.readAllStandardError().data()).decode("utf-8", "replace").strip()
            last = said.splitlines()[-1] if said else f"its process ended with {code}."
            self.failed.emit(self.tr("Training: {}").format(last.removeprefix("Error: ")))
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
        self.finished.emit()
