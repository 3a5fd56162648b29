"""The bead of a scan that is used, how its PSF is searched, and what was found."""

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from dsacq.errors import UserError
from ui.calibrating import Scanned
from ui.panels.calibrate_beads import BeadTable
from ui.panels.calibrate_result import ResultView
from ui.panels.controls import button, number_box, row, whole_box, without_wheel

if TYPE_CHECKING:
    from calibration.result import Calibrated


class PsfBox(QGroupBox):
    """Shows a Scanned and the Calibrated of one of its beads, once it is there.

    bead_chosen: another bead, which has no result. save_wanted: the file (Path) for the result.
    """

    bead_chosen = pyqtSignal()
    save_wanted = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTitle(self.tr("PSF"))
        self.scanned: Scanned | None = None
        self.result: Calibrated | None = None
        self.beads = BeadTable()
        self._make_choices()
        self._make_buttons()
        self.view = ResultView()
        self._lay_out()
        self.beads.itemSelectionChanged.connect(self._on_bead)
        self.save_button.clicked.connect(self._browse)

    def _make_choices(self) -> None:
        tr = self.tr
        self.side = whole_box(
            "calibrate_side",
            (15, 301),
            61,
            tr("Side of the square around a bead: its image at every focus fits in, no other's."),
        )
        self.radius = number_box(
            "calibrate_radius", (0.0, 1000.0), 0, "nm", tr("Radius of the beads.")
        )
        self.radius.setValue(50)
        self.zero = number_box(
            "calibrate_zero",
            (-1e6, 1e6),
            2,
            "µm",
            tr("Focus stage where the coverslip is in focus."),
        )
        self.search = QComboBox()
        self.search.setObjectName("calibrate_search")
        self.search.addItem(tr("Pupil on the SLM, aberrations"), True)
        self.search.addItem(tr("Phase of every sample"), False)
        self.search.setToolTip(
            tr(
                "With a known mask of some structure on the SLM: where the pupil lies on it, and "
                "aberrations; surer, as few numbers are searched. Or the whole phase, from none."
            )
        )
        without_wheel(self.search)

    def _make_buttons(self) -> None:
        tr = self.tr
        self.retrieve_button = button(
            tr("Retrieve PSF"),
            "calibrate_retrieve",
            tr("What explains the chosen bead; takes half a minute to two."),
        )
        self.cancel_button = button(
            tr("Cancel"), "calibrate_cancel", tr("End what runs; a scan is dark at once.")
        )
        self.save_button = button(
            tr("Save..."),
            "calibrate_save",
            tr("The phase as a mask file, its quality (.json) and a page to judge it by (.png)."),
        )
        self.keep_button = button(
            tr("Keep alignment"),
            "calibrate_keep",
            tr("Where the pupil lies on the SLM: into the rig file, and used for the next mask."),
        )
        self.train_button = button(
            tr("Train with it"), "calibrate_train", tr("Fill the Train tab with this PSF.")
        )

    def _lay_out(self) -> None:
        tr = self.tr
        column = QVBoxLayout(self)
        column.setSpacing(4)
        column.addWidget(self.beads)
        numbers = QFormLayout()
        numbers.setVerticalSpacing(4)
        numbers.addRow(tr("Square, px"), row(self.side, QLabel(tr("radius")), self.radius))
        numbers.addRow(tr("Coverslip at"), self.zero)
        numbers.addRow(tr("Search"), self.search)
        column.addLayout(numbers)
        column.addLayout(row(self.retrieve_button, self.cancel_button))
        column.addWidget(self.view)
        column.addLayout(row(self.save_button, self.keep_button, self.train_button))

    def show_scanned(self, scanned: Scanned) -> None:
        self.scanned, self.result = scanned, None
        self.view.clear()
        self.beads.show_beads(scanned.beads)

    def show_result(self, result: "Calibrated") -> None:
        self.result = result
        self.view.show_result(result)

    def show_state(self, *, scanning: bool, searching: bool) -> None:
        """Enable what can be used while this goes on."""
        bead, result = self.beads.chosen, self.result
        for control in (self.beads, self.side, self.search):
            control.setEnabled(not searching)
        self.retrieve_button.setEnabled(bead is not None and not bead.problem and not searching)
        self.cancel_button.setEnabled(scanning or searching)
        for one in (self.save_button, self.train_button):
            one.setEnabled(result is not None and not searching)
        aligned = result is not None and result.aligned is not None
        self.keep_button.setEnabled(aligned and not searching)

    def _on_bead(self) -> None:
        from calibration.finding import bead_scan

        scanned, bead = self.scanned, self.beads.chosen
        if scanned is not None and bead is not None:
            try:
                self.view.show_bead(bead_scan(scanned.scan, bead, scanned.side_px, 0.0).planes)
            except UserError:
                self.view.clear()
            self.result = None
        self.bead_chosen.emit()

    def _browse(self) -> None:
        if self.scanned is None:
            return
        name, _ = QFileDialog.getSaveFileName(
            self,
            self.tr("Save the PSF"),
            str(self.scanned.folder / "psf.tif"),
            self.tr("Masks (*.tif)"),
        )
        if name:
            self.save_wanted.emit(Path(name))
