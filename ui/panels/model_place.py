"""Where a trained model is to be written, and whether a training was begun there."""

from pathlib import Path

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from dsacq.files.paths import is_there
from ui.commands.models import SUFFIX, model_folder
from ui.panels.controls import typed_path
from ui.panels.record_place import free_name

_CHECKPOINT = ".checkpoint"


class ModelPlace(QWidget):
    """changed: another file was chosen or typed."""

    changed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = QLineEdit()
        self.line.setObjectName("train_model")
        self.line.setToolTip(
            self.tr("The model file to write; checkpoint and table lie beside it.")
        )
        self.line.textChanged.connect(self.changed)
        self.browse = QPushButton("...")
        self.browse.setToolTip(self.tr("Choose where the model is written."))
        self.browse.clicked.connect(self._browse)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel(self.tr("Model")))
        row.addWidget(self.line, 1)
        row.addWidget(self.browse)

    @property
    def text(self) -> str:
        return self.line.text()

    @property
    def file(self) -> Path | None:
        """With the ending of models; None where nothing is chosen."""
        if not self.text.strip():
            return None
        path = typed_path(self.text)
        return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)

    @property
    def begun(self) -> bool:
        """Whether a training for this file can go on."""
        file = self.file
        return (
            file is not None
            and is_there(file.with_suffix(_CHECKPOINT))
            and is_there(file.with_suffix(".toml"))
        )

    def choose(self, text: str) -> None:
        """A file by its name; a new one where that is empty."""
        self.line.setText(text or str(free_model(model_folder() / f"my-model{SUFFIX}")))

    def _browse(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self,
            self.tr("Write the model to"),
            self.text,
            self.tr("Models (*.safetensors)"),
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if name:
            self.line.setText(name)


def free_model(wanted: Path) -> Path:
    """This file, or the next of its name that is not there yet."""
    while is_there(wanted):
        wanted = wanted.with_name(free_name(wanted.with_suffix("")) + SUFFIX)
    return wanted
