"""Localizing a movie again, and how two runs agree."""

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ui.job import Job
from ui.number_box import NumberBox
from ui.panels.reanalyse_scores import ScoresBox
from ui.reanalysis import PURSUIT, Opened, Progress, Run, Wanted, run_again
from ui.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence


class RunTab(QWidget):
    """Settings of a run, its progress, and the comparison with another. run_made: a Run."""

    run_made = pyqtSignal(object)
    failed = pyqtSignal(str)
    said = pyqtSignal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._opened: Opened | None = None
        self._job: Job | None = None
        self._runs = 0
        self._ended = ""  # what a run that ends has to tell

        self._make_controls()
        self.scores = ScoresBox()
        form = QFormLayout()
        form.addRow(self.tr("Model"), _beside(self.model, self._browse_button))
        form.addRow(self.tr("Threshold"), self.threshold)
        form.addRow(self.tr("Frames"), self.frames)
        form.addRow(self.tr("Region"), self.region)
        form.addRow(self.refine)
        form.addRow(self.link)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(form)
        layout.addLayout(_beside(self.start_button, self.cancel_button))
        layout.addWidget(self.bar)
        layout.addWidget(self.scores)
        layout.addStretch(1)
        self._show_state()

    def set_opened(self, opened: Opened) -> None:
        """Localize this movie from now on."""
        self._opened, self._runs = opened, 0
        self.frames.clear()
        self.frames.setPlaceholderText(self.tr("all, 0:{}").format(len(opened.movie)))
        self.bar.hide()
        self._fill_models()
        self._show_state()

    def set_runs(self, runs: "Sequence[Run]", shown: Run | None) -> None:
        """There are these runs, of which one is shown."""
        self.scores.set_runs(runs, shown)

    @property
    def running(self) -> bool:
        return self._job is not None

    def start(self) -> None:
        """Localize the movie as the controls say."""
        if self._opened is None or self.running:
            return
        if self._session.activity.exclusive:
            self.failed.emit(
                self.tr("The rig is {}, which needs the computer; run again after it.").format(
                    self._session.activity.value
                )
            )
            return
        opened, model = self._opened, self._chosen
        wanted = Wanted(
            name=self.tr("run {}").format(self._runs + 1),
            model=model,
            threshold=self.threshold.value() or None,
            refine=self.refine.isEnabled() and self.refine.isChecked(),
            link=self.link.isChecked(),
            frames=self.frames.text().strip() or None,
            roi=self.region.text().strip() or None,
        )
        job = Job(lambda: run_again(opened, wanted), "localizing again", self)
        job.yielded.connect(self._on_yielded)
        job.failed.connect(self._on_failed)
        job.finished.connect(self._on_finished)
        self._job, self._ended = job, self.tr("The run was cancelled; nothing of it is kept.")
        self.bar.setRange(0, 0)
        self.bar.show()  # busy until there is a first frame
        self._show_state()
        self.said.emit("")
        job.start()

    def cancel(self) -> None:
        """End the run; nothing of it is kept."""
        if self._job is not None:
            self.cancel_button.setEnabled(False)
            self.said.emit(self.tr("The run ends with the frame that is being localized."))
            self._job.ask_to_stop()

    def stop(self) -> None:
        """End what goes on beside the window."""
        self.scores.stop()
        if self._job is not None:
            self._job.stop()

    def set_region(self, region_px: tuple[int, int, int, int]) -> None:
        """Localize only this rectangle: column, row, width, height."""
        self.region.setText(",".join(map(str, region_px)))

    def add_model(self, path: Path) -> None:
        """Offer a model file, and choose it."""
        self.model.insertItem(0, path.stem, path)
        self.model.setCurrentIndex(0)

    @property
    def _chosen(self) -> Path | None:
        """The model; None for matching pursuit, which needs none."""
        chosen = self.model.currentData()
        return chosen if isinstance(chosen, Path) else None

    def _make_controls(self) -> None:
        tr = self.tr
        self.model = QComboBox()
        self.model.setObjectName("reanalyse_model")
        self.model.setToolTip(
            tr(
                "The network; it must be made for the optics of the movie. Matching pursuit needs "
                "none: it fits with the PSF of the mask, which takes seconds for a crowded frame."
            )
        )
        self.model.currentIndexChanged.connect(self._show_way)
        self._browse_button = QPushButton(tr("Open file..."))
        self._browse_button.setToolTip(tr("Take another model file (.safetensors)."))
        self._browse_button.clicked.connect(self._browse)
        self.threshold = NumberBox()
        self.threshold.setObjectName("reanalyse_threshold")
        self.threshold.setRange(0, 100_000)
        self.frames = QLineEdit()
        self.frames.setObjectName("reanalyse_frames")
        self.frames.setToolTip(tr("A:B, frames A to B - 1, counted from 0; empty: all."))
        self.region = QLineEdit()
        self.region.setObjectName("reanalyse_region")
        self.region.setPlaceholderText(tr("all; or column,row,width,height"))
        self.region.setToolTip(
            tr("Only this rectangle: corner column and row, width, height, in pixels of the movie.")
        )
        self.refine = QCheckBox(tr("Refine by fitting"))
        self.refine.setObjectName("reanalyse_refine")
        self.refine.setToolTip(
            tr("Fit what the network finds with the PSF: more precise, photons and errors; slower.")
        )
        self.link = QCheckBox(tr("Link to tracks"))
        self.link.setObjectName("reanalyse_link")
        self.link.setChecked(True)
        self.link.setToolTip(tr("Join the positions of an emitter over the frames."))
        self.start_button = QPushButton(tr("Run again"))
        self.start_button.setObjectName("reanalyse_start")
        self.start_button.setToolTip(tr("Localize the movie with these settings."))
        self.start_button.clicked.connect(self.start)
        self.cancel_button = QPushButton(tr("Cancel"))
        self.cancel_button.setObjectName("reanalyse_cancel")
        self.cancel_button.setToolTip(tr("End the run; nothing of it is kept."))
        self.cancel_button.clicked.connect(self.cancel)
        self.bar = QProgressBar()
        self.bar.setObjectName("reanalyse_progress")
        self.bar.setToolTip(tr("Frames done, frames per second, and the time that is left."))
        self.bar.hide()
        self._show_way()

    def _fill_models(self) -> None:
        from ui.commands.models import SUFFIX, model_folder, shipped_models

        if self.model.count():
            return
        for folder in (model_folder(), shipped_models()):
            for path in sorted(folder.glob(f"*{SUFFIX}")):
                self.model.addItem(path.stem, path)
        self.model.addItem(self.tr("none: {}").format(PURSUIT))

    def _browse(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, self.tr("Open a model"), "", self.tr("Models (*.safetensors)")
        )
        if name:
            self.add_model(Path(name))

    def _show_way(self) -> None:
        """What the controls mean for the chosen model, or for none."""
        network = self._chosen is not None
        self.refine.setEnabled(network)  # pursuit fits anyhow
        self.threshold.setValue(0)
        self.threshold.setSingleStep(0.05 if network else 1)
        self.threshold.setSpecialValueText(
            self.tr("of the model") if network else self.tr("the usual one")
        )
        self.threshold.setToolTip(
            self.tr(
                "Least probability, or output of the network; higher: fewer, surer. 0: the model's."
            )
            if network
            else self.tr("Least signal to noise of an emitter; higher: fewer, surer. 0: usual.")
        )

    def _show_state(self) -> None:
        self.start_button.setEnabled(self._opened is not None and not self.running)
        self.cancel_button.setEnabled(self.running)

    def _on_yielded(self, item: Progress | Run) -> None:
        if isinstance(item, Run):
            self._runs += 1
            self._ended = item.remark
            self.run_made.emit(item)
            return
        self.bar.setRange(0, item.total)
        self.bar.setValue(item.done)
        text = self.tr("%v of %m")
        if item.left_s is not None:
            text += self.tr(", {:.3g}/s, {} left").format(item.rate_per_s, _duration(item.left_s))
        self.bar.setFormat(text)

    def _on_failed(self, error: Exception) -> None:
        self._ended = ""
        self.failed.emit(str(error))

    def _on_finished(self) -> None:
        if self._job is not None:
            self._job.deleteLater()
        self._job = None
        self.bar.hide()
        self._show_state()
        if self._ended:
            self.said.emit(self._ended)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60} s"


def _beside(first: QWidget, second: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.addWidget(first, 1)
    row.addWidget(second)
    return row
