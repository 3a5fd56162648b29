"""The choice of the model for live localization, and its loading."""

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QSizePolicy, QWidget

from ui.latest import Latest

if TYPE_CHECKING:
    from dsacq.networks.model_file import Model
    from hardware.rig import Rig


class ModelPicker(QWidget):
    """Model files by name: those that dsacq knows and those that were opened, each once.

    loading: a path. loaded: path and Model. failed: the exception.
    """

    loading, loaded = pyqtSignal(object), pyqtSignal(object, object)
    failed = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.opened: list[Path] = []
        self.names = QComboBox()
        self.names.setObjectName("live_model")
        self.names.setToolTip(self.tr("The network; it must be made for this mask and optics."))
        self.names.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.names.activated.connect(self._load)
        browse = QPushButton(self.tr("Open..."))
        browse.setToolTip(self.tr("Take a model file (.safetensors)."))
        browse.clicked.connect(self._browse)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.names, 1)
        row.addWidget(browse)
        self._work = Latest("loading a model", self)
        self._work.answered.connect(lambda answer: self.loaded.emit(*answer))
        self._work.failed.connect(self.failed)

    @property
    def path(self) -> Path | None:
        chosen: Path | None = self.names.currentData()
        return chosen

    @property
    def busy(self) -> bool:
        return self._work.busy

    def fill(self, rig: "Rig", wanted: Path | None) -> None:
        """List the models, and load the one that is wanted, or else the rig file's."""
        from ui.commands.models import model_folder, shipped_models

        self.names.clear()
        for folder in (model_folder(), shipped_models()):
            for path in sorted(folder.glob("*.safetensors")):
                self._place(path)
        for path in self.opened:
            self._place(path)
        used = rig.settings.use.model
        if wanted is not None:
            self.choose(wanted)
        elif used is not None:
            named = self.names.findText(used)
            self.choose(Path(used) if named < 0 else self.names.itemData(named))

    def choose(self, path: Path) -> None:
        """Load a file; it stays in the list."""
        if self._find(path) < 0:
            self.opened.append(path)
        self.names.setCurrentIndex(self._place(path))
        self._load()

    def offer(self, path: Path) -> None:
        """Put a file into the list, or let it be loaded anew; nothing is chosen."""
        if self._find(path) < 0:
            self.opened.append(path)
            self._place(path)

    def stop(self) -> None:
        """Wait for the thread."""
        self._work.stop()

    def _find(self, path: Path) -> int:
        same = path.resolve()
        places = range(self.names.count())
        return next((i for i in places if self.names.itemData(i).resolve() == same), -1)

    def _place(self, path: Path) -> int:
        place = self._find(path)
        if place < 0:
            place = self.names.count()
            name = path.name.removesuffix(".safetensors")
            taken = self.names.findText(name) >= 0
            self.names.addItem(f"{name} ({path.parent.name})" if taken else name, path)
            self.names.setItemData(place, str(path), Qt.ItemDataRole.ToolTipRole)
        return place

    def _browse(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, self.tr("Open a model"), "", self.tr("Models (*.safetensors)")
        )
        if name:
            self.choose(Path(name))

    def _load(self) -> None:
        path = self.path
        if path is None:
            return

        def load() -> "tuple[Path, Model]":
            from dsacq.networks.model_file import load_model
            from ui.commands.models import find_model

            return path, load_model(find_model(path))

        self.loading.emit(path)
        self._work.ask(load)
