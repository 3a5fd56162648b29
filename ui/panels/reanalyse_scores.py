"""How a run agrees with the truth, and with another run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PyQt6.QtWidgets import QComboBox, QFormLayout, QGroupBox, QLabel, QWidget

from ui.latest import Latest
from ui.reanalysis import RADIUS_UM, Run, compare

if TYPE_CHECKING:
    from dsacq.analysis.metrics import Scores


class ScoresBox(QGroupBox):
    """Lines on the run that is shown: against the truth, and against another that is chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTitle(self.tr("Agreement within {:.0f} nm").format(1000 * RADIUS_UM))
        self._shown: Run | None = None
        self._comparing = Latest("comparing runs", self)
        self._comparing.answered.connect(self._on_compared)
        self._comparing.failed.connect(lambda error: self.compared.setText(str(error)))
        self.truth, self.compared = QLabel(), QLabel()
        self.truth.setObjectName("reanalyse_truth")
        self.compared.setObjectName("reanalyse_compared")
        for label in (self.truth, self.compared):
            label.setWordWrap(True)
        self.other = QComboBox()
        self.other.setObjectName("reanalyse_other")
        self.other.setToolTip(self.tr("Another run, to be compared with the one that is shown."))
        self.other.currentIndexChanged.connect(self._compare)
        form = QFormLayout(self)
        form.addRow(self.truth)
        form.addRow(self.tr("Compare with"), self.other)
        form.addRow(self.compared)
        self.set_runs([], None)

    def set_runs(self, runs: Sequence[Run], shown: Run | None) -> None:
        """Tell of the run shown; the others can be compared with it."""
        self._comparing.drop()
        self._shown, before = shown, self.other.currentData()
        self.other.blockSignals(True)
        self.other.clear()
        for run in runs:
            if run is not shown:
                self.other.addItem(run.name, run)
        self.other.setCurrentIndex(max(self.other.findData(before), 0))
        self.other.blockSignals(False)
        self.other.setEnabled(self.other.count() > 0)
        self.truth.setText(self._against_truth(shown))
        self._compare()

    def stop(self) -> None:
        """End what goes on beside the window."""
        self._comparing.stop()

    def _compare(self) -> None:
        one, other = self._shown, self.other.currentData()
        if one is None or other is None:
            self.compared.setText(self.tr("Make a second run to compare it.") if one else "")
            return
        self.compared.setText(self.tr("Comparing..."))
        self._comparing.ask(lambda: (one, other, compare(one, other)))

    def _on_compared(self, answer: "tuple[Run, Run, Scores]") -> None:
        one, other, scores = answer
        both = scores.true_positives
        text = self.tr("{} in both, {} only in {}, {} only in {}").format(
            both, scores.found - both, one.name, scores.truth - both, other.name
        )
        if scores.rmse_lateral_nm is not None:
            text += self.tr("; apart by {:.0f} nm in xy, {:.0f} nm in z (RMS)").format(
                scores.rmse_lateral_nm, scores.rmse_axial_nm
            )
        self.compared.setText(text)

    def _against_truth(self, run: Run | None) -> str:
        if run is None:
            return self.tr("There are no localizations yet.")
        scores = run.scores
        if scores is None:
            return self.tr("There is no truth.parquet beside the movie to compare with.")
        text = self.tr(
            "{} against the truth: Jaccard {:.3f}, recall {:.3f}, precision {:.3f}"
        ).format(run.name, scores.jaccard, scores.recall, scores.precision)
        if scores.rmse_lateral_nm is not None:
            text += self.tr("; RMSE {:.0f} nm in xy, {:.0f} nm in z").format(
                scores.rmse_lateral_nm, scores.rmse_axial_nm
            )
        return text
