"""Localizations as Qt's table views want them."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QAbstractTableModel, QModelIndex, Qt, pyqtSignal
from PyQt6.QtWidgets import QWidget

if TYPE_CHECKING:
    from dsacq.data import Localizations

Indices = NDArray[np.intp]


class ResultsModel(QAbstractTableModel):
    """Rows of a table in any choice and order; a cell is made when it is shown.

    sort_asked: a column's name, or "" for the order of the table, and whether ascending. The
    sorting itself is for whoever listens, who gives the rows to `set_rows`.
    """

    sort_asked = pyqtSignal(str, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: list[str] = []
        self._columns: list[NDArray[Any]] = []
        self._rows: Indices | None = None
        self._count = 0

    def set_localizations(self, found: "Localizations | None") -> None:
        """Show all rows of a table."""
        self.beginResetModel()
        table = None if found is None else found.table
        self._names = [] if table is None else [str(name) for name in table.columns]
        self._columns = [] if table is None else [table[name].to_numpy() for name in table.columns]
        self._rows, self._count = None, 0 if table is None else len(table)
        self.endResetModel()

    def set_rows(self, rows: Indices) -> None:
        """Show these rows of the table, in this order."""
        self.beginResetModel()
        self._rows, self._count = rows, len(rows)
        self.endResetModel()

    def value(self, row: int, name: str) -> Any:
        """Of a column, in a row as shown."""
        return self._columns[self._names.index(name)][
            row if self._rows is None else self._rows[row]
        ]

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        return 0 if parent.isValid() else self._count

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        return 0 if parent.isValid() else len(self._names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole:
            name = self._names[index.column()]
            return _text(name, self.value(index.row(), name))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return self._names[section] if orientation == Qt.Orientation.Horizontal else section + 1

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        name = self._names[column] if 0 <= column < len(self._names) else ""
        self.sort_asked.emit(name, order == Qt.SortOrder.AscendingOrder)


def _text(name: str, value: Any) -> str:
    if value != value:
        return "-"
    if not isinstance(value, float | np.floating):
        return str(value)
    number = float(value)
    if name.endswith("_um"):
        return f"{number:.4f}"
    return f"{number:.1f}" if abs(number) >= 100 else f"{number:.4g}"
