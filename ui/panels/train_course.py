"""The course of a training: how far it is, what is said of it, its curves, its mask."""

from pathlib import Path
from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QPixmap, QResizeEvent
from PyQt6.QtWidgets import QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from ui.panels.curves import CurvesPlot
from ui.panels.train_history import PLOTS, TrainingHistory
from ui.theme import AMBER

_SHOWN = ("loss", "jaccard")
_ACCURACY = ("jaccard", "rmse_lateral_nm", "rmse_axial_nm")


class TrainCourse(QWidget):
    """Shows what it is told."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.history = TrainingHistory()
        self._begun: tuple[int, float] | None = None  # step and seconds of the first report
        self.bar = QProgressBar()
        self.bar.setObjectName("train_bar")
        self.bar.hide()
        self.told = QLabel()
        self.told.setObjectName("train_told")
        self.told.setWordWrap(True)
        self.picture = _Picture()
        self.picture.setObjectName("train_picture")
        self.picture.setToolTip(
            self.tr("The mask as it is now, and images of a point through it at four heights.")
        )
        self.plots = [CurvesPlot(PLOTS, name, self.tr("steps of the training")) for name in _SHOWN]
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.bar)
        layout.addWidget(self.told)
        layout.addWidget(self.picture)
        for plot, name in zip(self.plots, ("train_plot_1", "train_plot_2"), strict=True):
            plot.choice.setObjectName(name)
            plot.changed.connect(self._draw)
            layout.addWidget(plot, 1)

    def begin(self, sentence: str) -> None:
        """Something begins whose length is not known yet."""
        self.bar.setRange(0, 0)
        self.bar.setFormat(sentence)
        self.bar.show()
        self.tell("")

    def begin_training(self) -> None:
        """Forget the training before."""
        self.history.clear()
        self._begun = None
        self.picture.show_file(None)
        self.begin(self.tr("preparing frames"))
        self._draw()

    def follow(self, item: dict[str, Any]) -> None:
        """What a watched training has told."""
        if "step" in item:
            self.history.add(item)
            self._show_progress(item)
            self._draw()
        elif "steps" in item:
            self.bar.setRange(0, item["steps"])
            self.bar.setValue(item["begun_at"])
            self.bar.setFormat(self.tr("step %v of %m"))
        elif "picture" in item:
            self.picture.show_file(Path(item["picture"]))
        elif "finishing" in item:
            self.tell(self.tr("Measuring and writing the model..."))
        elif "model" in item:
            accuracy = item["accuracy"]
            self.tell(
                self.tr("{}: Jaccard {}, error {} nm lateral, {} nm axial.").format(
                    Path(item["model"]).name,
                    *(_told_number(accuracy.get(key)) for key in _ACCURACY),
                )
            )

    def end(self) -> None:
        self.bar.hide()

    def tell(self, sentence: str) -> None:
        self.told.setStyleSheet("")
        self.told.setText(sentence)

    def warn(self, sentence: str) -> None:
        self.tell(sentence)
        self.told.setStyleSheet(f"color: {AMBER};")

    def _show_progress(self, item: dict[str, Any]) -> None:
        step, seconds = item["step"], item["seconds"]
        self.bar.setValue(step)
        if self._begun is None:
            self._begun = step, seconds
        first, at = self._begun
        text = self.tr("step %v of %m")
        if step > first and seconds > at:
            rate = (step - first) / (seconds - at)
            left_s = (self.bar.maximum() - step) / rate
            text += self.tr(", {:.2g}/s, {} left").format(rate, _duration(left_s))
        self.bar.setFormat(text)

    def _draw(self) -> None:
        for plot in self.plots:
            plot.draw(self.history)


class _Picture(QLabel):
    """A picture from a file, as wide as there is room; hidden without one."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = QPixmap()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.hide()

    def show_file(self, path: Path | None) -> None:
        self._whole = QPixmap() if path is None else QPixmap(str(path))
        self.setVisible(not self._whole.isNull())
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self._whole.isNull():
            return
        smooth = Qt.TransformationMode.SmoothTransformation
        fitted = self._whole.scaledToWidth(max(self.width(), 1), smooth)
        self.setFixedHeight(fitted.height())
        self.setPixmap(fitted)


def _told_number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"
