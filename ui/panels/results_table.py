"""A table of localizations: sorted, filtered, exported; ten million rows are no burden."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from dsacq.analysis.row_filter import EXAMPLE, ordered, parsed, passing
from dsacq.errors import SettingsError
from ui.latest import Latest
from ui.panels.results_model import Indices, ResultsModel
from ui.theme import AMBER

if TYPE_CHECKING:
    from dsacq.data import Localizations

_FORMATS = (
    "Parquet (*.parquet);;CSV (*.csv);;ThunderSTORM CSV (*.thunderstorm.csv);;Picasso (*.hdf5)"
)


class ResultsTable(QWidget):
    """Shows localizations. rows_changed: those that pass the filter, rising; None for all.

    frame_asked: that of a row that was clicked.
    """

    rows_changed = pyqtSignal(object)
    frame_asked = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found: Localizations | None = None
        self._passing: Indices | None = None
        self._sorting = "", True
        self._asked: tuple[str, tuple[str, bool]] | None = None  # filter and sorting
        self._applied = ""
        self._choosing = Latest("sorting and filtering", self)
        self._choosing.answered.connect(self._on_chosen)
        self._choosing.failed.connect(self._tell)
        self._writing = Latest("exporting", self)
        self._writing.answered.connect(self._tell)
        self._writing.failed.connect(self._tell)

        self.filter = QLineEdit()
        self.filter.setObjectName("results_filter")
        self.filter.setPlaceholderText(EXAMPLE)
        self.filter.setClearButtonEnabled(True)
        self.filter.setToolTip(
            self.tr("Shows only rows that fulfil this: columns, numbers, < <= > >= == !=, and, or,")
            + self.tr(" not, parentheses. Enter applies it; empty shows all.")
        )
        self.filter.editingFinished.connect(self._choose)
        self.filter.textChanged.connect(lambda text: None if text else self._choose())
        self.model = ResultsModel(self)
        self.model.sort_asked.connect(self._sort)
        self.view = QTableView()
        self.view.setObjectName("results_view")
        self.view.setModel(self.model)
        self.view.setToolTip(self.tr("Click a row to see its frame, a header to sort by it."))
        self.view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.view.setAlternatingRowColors(True)
        self.view.clicked.connect(
            lambda index: self.frame_asked.emit(int(self.model.value(index.row(), "frame")))
        )
        self._set_up_headers()
        self.export_button = QPushButton(self.tr("Export..."))
        self.export_button.setObjectName("results_export")
        self.export_button.setToolTip(
            self.tr("Write the rows that pass the filter: Parquet, CSV, ThunderSTORM or Picasso.")
        )
        self.export_button.clicked.connect(self._ask_export)
        self.counted = QLabel()
        self.counted.setObjectName("results_counted")
        self.told = QLabel()
        self.told.setObjectName("results_told")
        self.told.setWordWrap(True)
        self.told.hide()

        top, bottom = QHBoxLayout(), QHBoxLayout()
        label = QLabel(self.tr("Filter"))
        label.setBuddy(self.filter)
        top.addWidget(label)
        top.addWidget(self.filter, 1)
        bottom.addWidget(self.counted, 1)
        bottom.addWidget(self.export_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(top)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.told)
        layout.addLayout(bottom)
        self.set_localizations(None)

    def set_localizations(self, found: "Localizations | None") -> None:
        """Show a table; filter and sorting stay as they are."""
        self._choosing.drop()
        self._found, self._passing, self._asked, self._applied = found, None, None, ""
        self.model.set_localizations(found)
        self.export_button.setEnabled(found is not None)
        self._count()
        self.rows_changed.emit(None)
        self._choose()

    def export(self, path: Path) -> None:
        """Write what passes the filter, in the table's order; the ending chooses the format."""
        found, rows, text = self._found, self._passing, self._applied
        if found is None:
            return

        def writing() -> str:
            from dsacq.data import Localizations
            from dsacq.files.localizations import table_files, write_localizations
            from dsacq.files.outputs import check_outputs

            check_outputs(*table_files(path))
            chosen = found
            if rows is not None:
                origin = found.origin | {"filter": text}
                chosen = Localizations(found.table.iloc[rows], origin)
            write_localizations(chosen, path)
            return self.tr("{} rows written to {}.").format(len(chosen), path.name)

        self._tell(self.tr("Writing {}...").format(path.name))
        self._writing.ask(writing)

    @property
    def busy(self) -> bool:
        """Whether something is still being worked out."""
        return self._choosing.busy or self._writing.busy

    def stop(self) -> None:
        """End what goes on beside the window; what is being written is completed."""
        self._choosing.stop()
        self._writing.stop()

    def _set_up_headers(self) -> None:
        header, numbers = self.view.horizontalHeader(), self.view.verticalHeader()
        assert header is not None
        assert numbers is not None
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setSortIndicatorClearable(True)
        header.setDefaultSectionSize(72)
        numbers.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        numbers.setDefaultSectionSize(20)
        self.view.setSortingEnabled(True)

    def _sort(self, column: str, ascending: bool) -> None:
        self._sorting = column, ascending
        self._choose()

    def _choose(self) -> None:
        if self._found is None:
            return
        table, text, (column, ascending) = self._found.table, self.filter.text(), self._sorting
        text = text.strip()
        try:
            condition = parsed(text, list(table.columns)) if text else None
        except SettingsError as error:
            self._tell(error)
            return
        self._tell("")
        if self._asked == (text, self._sorting):
            return
        self._asked = text, self._sorting

        def choosing() -> tuple[str, Indices | None, Indices]:
            rows = None if condition is None else passing(table, condition)
            shown = np.arange(len(table)) if rows is None else rows
            if column in table:
                values = table[column].to_numpy()
                order = ordered(values if rows is None else values[rows], ascending=ascending)
                shown = shown[order]
            return text, rows, shown

        self._choosing.ask(choosing)

    def _on_chosen(self, chosen: tuple[str, Indices | None, Indices]) -> None:
        self._applied, self._passing, shown = chosen
        self.model.set_rows(shown)
        self._count()
        self.rows_changed.emit(self._passing)

    def _count(self) -> None:
        total = 0 if self._found is None else len(self._found)
        shown = self.model.rowCount()
        text = self.tr("{} rows") if shown == total else self.tr("{} of {} rows")
        self.counted.setText(text.format(shown, total))

    def _ask_export(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, self.tr("Export"), "", _FORMATS)
        if name:
            self.export(Path(name))

    def _tell(self, what: object) -> None:
        self.told.setText(str(what))
        self.told.setStyleSheet(f"color: {AMBER};" if isinstance(what, Exception) else "")
        self.told.setVisible(bool(str(what)))
