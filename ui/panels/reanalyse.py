"""Looking at a recording again: its frames, other runs, their tables and plots."""

from pathlib import Path
from threading import Thread
from typing import Any

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PyQt6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from ui.latest import Latest
from ui.panels.reanalyse_movie import MovieTab
from ui.panels.reanalyse_run import RunTab
from ui.panels.reanalyse_tools import ToolsTab
from ui.panels.results_plots import ResultsPlots
from ui.panels.results_table import ResultsTable
from ui.reanalysis import Opened, Run, open_recording
from ui.session import Session
from ui.theme import AMBER


class ReanalysePanel(QWidget):
    """Opens a recording or movie. opened: an Opened, once it is open.

    frame_shown: pixels (rows, columns), number of the frame, and the rows of the run shown that
    are in it, a table as in Localizations, or None without a run.
    """

    opened = pyqtSignal(object)
    frame_shown = pyqtSignal(object, int, object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._movie: Opened | None = None
        self._runs: list[Run] = []
        self._frame: tuple[Any, int] | None = None
        self._last_folder: Path | None = None
        self._opening = Latest("opening a movie", self)
        self._opening.answered.connect(self._on_opened)
        self._opening.failed.connect(lambda error: self._fail(str(error)))
        self._opening.idle.connect(lambda: self.again.setEnabled(True))
        self.setAcceptDrops(True)

        self.run = QComboBox()
        self.run.setObjectName("reanalyse_run")
        self.run.setToolTip(self.tr("The localizations that image, table and plots show."))
        self.run.currentIndexChanged.connect(self._show_run)
        self.told = QLabel()
        self.told.setObjectName("reanalyse_told")
        self.told.setWordWrap(True)
        self.movie, self.again, self.tools = MovieTab(), RunTab(session), ToolsTab()
        self.table, self.plots = ResultsTable(), ResultsPlots()
        self.tabs = QTabWidget()
        self.tabs.setObjectName("reanalyse_tabs")
        for tab, name in (
            (self.movie, self.tr("Movie")),
            (self.again, self.tr("Run")),
            (self.tools, self.tr("Tools")),
            (self.table, self.tr("Table")),
            (self.plots, self.tr("Plots")),
        ):
            self.tabs.addTab(tab, name)
        self._lay_out()

        self.movie.frame_read.connect(self._on_frame)
        self.movie.failed.connect(self._fail)
        self.again.run_made.connect(self._add_run)
        self.again.failed.connect(self._fail)
        self.again.said.connect(self._say)
        self.tools.run_made.connect(self._add_run)
        self.tools.failed.connect(self._fail)
        self.tools.said.connect(self._say)
        self.table.rows_changed.connect(self.plots.set_rows)
        self.table.frame_asked.connect(self.movie.show_frame)
        session.ended.connect(self._on_recorded)

    def open(self, path: Path) -> None:
        """Open a recording's folder, or any movie, in the background."""
        if self.again.running:
            self._fail(self.tr("A run is going on; cancel it, or wait, before opening another."))
            return
        self._say(self.tr("Opening {}...").format(path.name))
        self.again.setEnabled(False)
        self._opening.ask(lambda: open_recording(path))

    @property
    def shows_movie(self) -> bool:
        """Whether there is a frame of a movie to look at."""
        return self._frame is not None

    @property
    def pixel_um(self) -> float | None:
        """Of the movie, in the sample, where it is stated."""
        return None if self._movie is None else self._movie.movie.metadata.get("pixel_um")

    def recent(self, index: int, frames: int) -> list[Any]:
        """Rows of the run shown in so many frames up to this one, oldest first."""
        run = self.run.currentData()
        first = max(0, index - frames + 1)
        return [] if run is None else [run.of_frame(one) for one in range(first, index + 1)]

    def show_again(self) -> None:
        """Tell once more which frame is looked at."""
        self._emit_frame()

    def stop(self) -> None:
        """End all work beside the window, and close the movie; for when the window closes."""
        for part in (self._opening, self.movie, self.again, self.tools, self.table, self.plots):
            part.stop()
        if self._movie is not None:
            self._movie.movie.close()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        self.stop()
        super().closeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        accept_drag(event)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        if (path := dropped(event)) is not None:
            self.open(path)

    def _lay_out(self) -> None:
        folder = self._button("reanalyse_open_folder", self.tr("Open folder..."), self._ask_folder)
        folder.setToolTip(self.tr("Open a recording, or a folder of TIFF files; or drop it here."))
        file = self._button("reanalyse_open_file", self.tr("Open file..."), self._ask_file)
        file.setToolTip(self.tr("Open a movie: TIFF, OME-TIFF, Micro-Manager, .dax."))
        self.last = self._button("reanalyse_last", self.tr("Last recording"), self._open_last)
        self.last.setToolTip(self.tr("Open what was recorded last in this window."))
        self.last.setEnabled(False)
        top, shown = QHBoxLayout(), QHBoxLayout()
        for button in (folder, file, self.last):
            top.addWidget(button)
        label = QLabel(self.tr("Shown"))
        label.setBuddy(self.run)
        shown.addWidget(label)
        shown.addWidget(self.run, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(top)
        layout.addLayout(shown)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.told)

    def _button(self, name: str, text: str, work: Any) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.clicked.connect(lambda: work())
        return button

    def _ask_folder(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, self.tr("Open a recording")):
            self.open(Path(name))

    def _ask_file(self) -> None:
        movies = self.tr("Movies (*.tif *.tiff *.dax NDTiff.index);;All files (*)")
        name, _ = QFileDialog.getOpenFileName(self, self.tr("Open a movie"), "", movies)
        if name:
            self.open(Path(name))

    def _open_last(self) -> None:
        if self._last_folder is not None:
            self.open(self._last_folder)

    def _on_recorded(self, _update: object, folder: Path | None) -> None:
        if folder is not None:
            self._last_folder = folder
            self.last.setEnabled(True)

    def _on_opened(self, opened: Opened) -> None:
        before = self._movie
        self._movie, self._frame, self._runs = opened, None, []
        self._say(" ".join(opened.remarks))
        self.run.clear()
        self.again.set_opened(opened)
        if opened.live is not None:
            self._add_run(opened.live)
        self.opened.emit(opened)
        self.movie.set_opened(opened)
        if before is not None:  # waits for a frame that is being read
            Thread(target=before.movie.close, daemon=True).start()

    def _add_run(self, run: Run) -> None:
        self._runs.append(run)
        text = self.tr("{}: {}, {} rows").format(run.name, run.model, len(run.found))
        self.run.addItem(text, run)
        self.run.setCurrentIndex(self.run.count() - 1)

    def _show_run(self) -> None:
        run = self.run.currentData()
        found = None if run is None else run.found
        self.plots.set_localizations(found)
        self.table.set_localizations(found)
        self.again.set_runs(self._runs, run)
        self.tools.set_run(self._movie, run)
        self._emit_frame()

    def _on_frame(self, pixels: Any, index: int) -> None:
        self._frame = pixels, index
        self._emit_frame()

    def _emit_frame(self) -> None:
        if self._frame is not None:
            pixels, index = self._frame
            run = self.run.currentData()
            self.frame_shown.emit(pixels, index, None if run is None else run.of_frame(index))

    def _say(self, sentence: str) -> None:
        self.told.setStyleSheet("")
        self.told.setText(sentence)

    def _fail(self, sentence: str) -> None:
        self.told.setStyleSheet(f"color: {AMBER};")
        self.told.setText(sentence)


def accept_drag(event: QDragEnterEvent | None) -> None:
    """Where a file or folder may be dropped."""
    if event is not None and dropped(event) is not None:
        event.acceptProposedAction()


def dropped(event: QDropEvent | None) -> Path | None:
    """What a drop carries that can be opened."""
    data = None if event is None else event.mimeData()
    paths = [] if data is None else [url.toLocalFile() for url in data.urls() if url.isLocalFile()]
    return Path(paths[0]) if paths else None
