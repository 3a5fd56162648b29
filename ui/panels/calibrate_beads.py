"""The beads of a z scan, and the one that is used."""

from typing import TYPE_CHECKING

from PyQt6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

if TYPE_CHECKING:
    from calibration.finding import Bead

_HEIGHT_PX = 92


class BeadTable(QTableWidget):
    """One row for each bead; itemSelectionChanged tells that another one is chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 4, parent)
        tr = self.tr
        self._beads: list[Bead] = []
        self.setObjectName("calibrate_beads")
        self.setToolTip(tr("The beads found, the best first. The chosen one is used."))
        self.setHorizontalHeaderLabels([tr("row"), tr("column"), tr("photons"), tr("remark")])
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFixedHeight(_HEIGHT_PX)
        numbers, names = self.verticalHeader(), self.horizontalHeader()
        assert numbers is not None
        assert names is not None
        numbers.hide()
        names.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        names.setStretchLastSection(True)

    @property
    def chosen(self) -> "Bead | None":
        selected = self.selectedIndexes()
        return self._beads[selected[0].row()] if selected else None

    def show_beads(self, beads: "list[Bead]") -> None:
        """Chooses the first, where one of them can be used."""
        self.setRowCount(0)
        self._beads = beads
        for place, bead in enumerate(beads):
            self.insertRow(place)
            remark = bead.problem or bead.doubt
            words = (f"{bead.row:.0f}", f"{bead.column:.0f}", f"{bead.photons:.0f}", remark)
            for column, word in enumerate(words):
                item = QTableWidgetItem(word)
                item.setToolTip(remark)  # longer than the column
                self.setItem(place, column, item)
        if any(not bead.problem for bead in beads):
            self.selectRow(0)
