"""All settings of a camera's driver, typed and limited, beside the image."""

from functools import partial
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ui.panels.controls import without_wheel
from ui.session import Activity, Session

if TYPE_CHECKING:
    from hardware.protocols import Property
    from hardware.rig import Rig

_UNLIMITED = (-1e12, 1e12)


class PropertiesDialog(QDialog):
    """Lists the properties of a Configurable camera; it leaves the rest of the window usable.

    Reading or setting one can end a sequence of some cameras, so both happen between sequences.
    """

    _listed = pyqtSignal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._shown: dict[int, Property] = {}
        self.setWindowTitle(self.tr("Camera properties"))
        self.setModal(False)
        self.resize(420, 480)
        self.search = QLineEdit()
        self.search.setObjectName("properties_find")
        self.search.setClearButtonEnabled(True)
        self.search.setPlaceholderText(self.tr("part of a name"))
        self.search.setToolTip(self.tr("Show only properties whose name holds this."))
        self.search.textChanged.connect(self._filter)
        refresh = QPushButton(self.tr("Read again"))
        refresh.setToolTip(self.tr("Ask the camera for all values; a live view pauses for it."))
        refresh.setAutoDefault(False)
        refresh.clicked.connect(self.refresh)
        self.table = QTableWidget(0, 2)
        self.table.setObjectName("properties_table")
        self.table.setHorizontalHeaderLabels([self.tr("Property"), self.tr("Value")])
        numbers, header = self.table.verticalHeader(), self.table.horizontalHeader()
        assert numbers is not None
        assert header is not None
        numbers.hide()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        top = QHBoxLayout()
        top.addWidget(QLabel(self.tr("Find")))
        top.addWidget(self.search, 1)
        top.addWidget(refresh)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.table)
        self._listed.connect(self._show)
        session.activity_changed.connect(self._on_activity)

    def refresh(self) -> None:
        """Read all properties."""
        self._session.between_sequences(self._list)

    def _list(self, rig: "Rig") -> None:
        camera: Any = rig.camera
        self._listed.emit(camera.properties())

    def _set(self, row: int, value: str | float) -> None:
        wanted = self._shown[row]
        if value == wanted.value:
            return
        del self._shown[row]  # shown anew, also where it is refused
        sent = int(value) if wanted.kind == "whole number" and not wanted.choices else value

        def work(rig: "Rig") -> None:
            camera: Any = rig.camera
            try:
                camera.set_property(wanted.name, sent)
            finally:  # one decides what others allow
                self._list(rig)

        self._session.between_sequences(work)

    def _show(self, properties: "list[Property]") -> None:
        self.table.setRowCount(len(properties))
        for row, one in enumerate(properties):
            if self._shown.get(row) == one:
                continue
            self._shown[row] = one
            name = QTableWidgetItem(one.name)
            name.setToolTip(_described(one))
            name.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.table.setItem(row, 0, name)
            editor = self._editor(row, one)
            editor.setObjectName(f"property_{one.name}")
            editor.setToolTip(_described(one))
            self.table.setCellWidget(row, 1, editor)
        self._filter(self.search.text())

    def _editor(self, row: int, one: "Property") -> QWidget:
        change = partial(self._set, row)
        if one.read_only:
            told = QLabel(str(one.value))
            told.setMargin(4)
            told.setEnabled(False)
            return told
        if one.choices:
            choice = QComboBox()
            choice.addItems(one.choices)
            choice.setCurrentText(str(one.value))
            choice.textActivated.connect(change)
            without_wheel(choice)
            return choice
        if one.kind == "text":
            text = QLineEdit(str(one.value))
            text.editingFinished.connect(lambda: change(text.text()))
            return text
        box = _Number()
        box.setDecimals(0 if one.kind == "whole number" else 8)
        box.setRange(*(one.limits or _UNLIMITED))
        box.setValue(float(one.value))
        box.setKeyboardTracking(False)
        box.valueChanged.connect(change)
        without_wheel(box)
        return box

    def _filter(self, part: str) -> None:
        for row, one in self._shown.items():
            self.table.setRowHidden(row, part.lower() not in one.name.lower())

    def _on_activity(self, activity: Activity) -> None:
        self.setEnabled(activity in (Activity.idle, Activity.looking))


class _Number(QDoubleSpinBox):
    """Without zeros at the end."""

    def textFromValue(self, value: float) -> str:  # noqa: N802
        return self.locale().toString(value, "g", 10)


def _described(one: "Property") -> str:
    if one.read_only:
        return f"{one.name}: can only be read"
    limits = f", {one.limits[0]:g} to {one.limits[1]:g}" if one.limits else ""
    return f"{one.name}: {one.kind}{limits}"
