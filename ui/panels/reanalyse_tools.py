"""Linking, blinks, drift, motion and pictures of the run that is shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QFileDialog, QGridLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from ui.job import Job
from ui.latest import Latest
from ui.panels.controls import button
from ui.reanalysis import Opened, Progress, Run
from ui.reanalysis_tools import Tool, treated

_PICTURES = "Pictures (*.png)"


class ToolsTab(QWidget):
    """Each button works on the run that is shown. run_made: a Run that came out."""

    run_made = pyqtSignal(object)
    failed = pyqtSignal(str)
    said = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._opened: Opened | None = None
        self._run: Run | None = None
        self._job: Job | None = None
        self._ended = ""
        self._figures = Latest("drawing a figure", self)
        self._figures.answered.connect(lambda told: self.said.emit(str(told)))
        self._figures.failed.connect(lambda error: self.failed.emit(str(error)))
        self._figures.idle.connect(self._show_state)
        self.bar = QProgressBar()
        self.bar.hide()
        self.tools = {
            Tool.link: button(
                self.tr("Link into tracks"),
                "tool_link",
                self.tr("Join localizations of consecutive frames, by their errors."),
            ),
            Tool.merge: button(
                self.tr("Merge blinks"),
                "tool_merge",
                self.tr("One localization for a molecule that shines over several frames."),
            ),
            Tool.drift: button(
                self.tr("Correct drift"),
                "tool_drift",
                self.tr("Follow the sample by its own structure, in x, y and z."),
            ),
            Tool.still: button(
                self.tr("Take out common motion"),
                "tool_still",
                self.tr(
                    "Turns and shifts of all emitters together, as of a nucleus; needs tracks."
                ),
            ),
        }
        self.motion = button(
            self.tr("Diffusion ..."), "tool_motion", self.tr("A figure of the motion of tracks.")
        )
        self.rings = button(
            self.tr("Resolution ..."), "tool_rings", self.tr("Fourier ring correlation.")
        )
        self.picture = button(
            self.tr("Picture ..."), "tool_picture", self.tr("Depth in colour, pixels of 10 nm.")
        )
        self._lay_out()
        for tool, one in self.tools.items():
            one.clicked.connect(lambda _=False, tool=tool: self.apply(tool))
        self.motion.clicked.connect(lambda: self._ask(self.draw_motion))
        self.rings.clicked.connect(lambda: self._ask(self.draw_rings))
        self.picture.clicked.connect(lambda: self._ask(self.draw_picture))
        self._show_state()

    def set_run(self, opened: Opened | None, run: Run | None) -> None:
        """Work on this run from now on."""
        self._opened, self._run = opened, run
        self._show_state()

    def apply(self, tool: Tool) -> None:
        """Make another run of the one that is shown."""
        opened, run = self._opened, self._run
        if opened is None or run is None or self._job is not None:
            return
        job = Job(lambda: treated(opened, run, tool), str(tool.value), self)
        job.yielded.connect(self._on_yielded)
        job.failed.connect(self._on_failed)
        job.finished.connect(self._on_finished)
        self._job, self._ended = job, ""
        self.bar.setRange(0, 0)
        self.bar.show()
        self._show_state()
        self.said.emit("")
        job.start()

    def draw_motion(self, path: Path) -> None:
        """Write the figure of the motion."""
        opened, run = self._opened, self._run
        if opened is None or run is None:
            return

        def drawing() -> str:
            from dsacq.analysis.motion_picture import motion_picture, motion_report
            from ui.recorded_linking import recorded_linking

            interval_s = recorded_linking(opened.movie, opened.facts).frame_interval_s
            exposure_s = opened.movie.metadata.get("exposure_s")
            if exposure_s is not None:  # a file may tell what cannot be
                exposure_s = min(exposure_s, interval_s)
            report = motion_report(run.found, interval_s, exposure_s=exposure_s)
            motion_picture(report, path)
            return f"{report.summary} {path.name}"

        self._draw(drawing)

    def draw_rings(self, path: Path) -> None:
        """Write the figure of the ring correlation."""
        run = self._run
        if run is None:
            return

        def drawing() -> str:
            from dsacq.analysis.resolution import PLANES, ring_correlation, rings_picture

            results = [ring_correlation(run.found, plane) for plane in PLANES]
            rings_picture(results, path)
            told = ", ".join(f"{one.plane} {1e3 * one.resolution_um:.0f} nm" for one in results)
            return f"Resolution: {told}. {path.name}"

        self._draw(drawing)

    def draw_picture(self, path: Path) -> None:
        """Write a picture of the localizations."""
        run = self._run
        if run is None:
            return

        def drawing() -> str:
            from dsacq.analysis.rendering import render, write_picture

            write_picture(render(run.found), path)
            return f"Picture written to {path.name}."

        self._draw(drawing)

    def stop(self) -> None:
        """End what goes on beside the window."""
        self._figures.stop()
        if self._job is not None:
            self._job.stop()

    def _draw(self, work: Callable[[], Any]) -> None:
        self.said.emit("")
        self._figures.ask(work)
        self._show_state()

    def _ask(self, draw: Callable[[Path], None]) -> None:
        name, _ = QFileDialog.getSaveFileName(self, self.tr("Figure"), "", _PICTURES)
        if name:
            path = Path(name)
            draw(path if path.suffix else path.with_suffix(".png"))

    def _show_state(self) -> None:
        ready = self._run is not None and self._job is None
        linked = self._run is not None and "track" in self._run.found.table.columns
        for tool, one in self.tools.items():
            one.setEnabled(ready and (linked or tool is not Tool.still))
        self.motion.setEnabled(ready and linked)
        for one in (self.rings, self.picture):
            one.setEnabled(ready)

    def _on_yielded(self, item: Progress | Run) -> None:
        if isinstance(item, Run):
            self._ended = item.remark
            self.run_made.emit(item)
            return
        self.bar.setRange(0, item.total if item.done else 0)
        self.bar.setValue(item.done)

    def _on_failed(self, error: Exception) -> None:
        self.failed.emit(str(error))

    def _on_finished(self) -> None:
        if self._job is not None:
            self._job.deleteLater()
        self._job = None
        self.bar.hide()
        self._show_state()
        if self._ended:
            self.said.emit(self._ended)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        for place, one in enumerate(self.tools.values()):
            grid.addWidget(one, place // 2, place % 2)
        for place, one in enumerate((self.motion, self.rings, self.picture)):
            grid.addWidget(one, 3 + place // 2, place % 2)
        heading = QLabel(self.tr("A new run of the localizations that are shown:"))
        heading.setWordWrap(True)
        figures = QLabel(self.tr("Figures of them:"))
        grid.addWidget(figures, 2, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(heading)
        layout.addLayout(grid)
        layout.addWidget(self.bar)
        layout.addStretch(1)
