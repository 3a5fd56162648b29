"""All devices of Micro-Manager, their settings typed and limited, and its presets."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QStandardItem, QStandardItemModel
from PyQt6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFormLayout,
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

from ui.number_box import ExactBox
from ui.panels.controls import without_wheel
from ui.plain_text import literal
from ui.session import Activity, Session

if TYPE_CHECKING:
    from hardware.micromanager_browser import Browser, DeviceProperties, PresetGroup
    from hardware.protocols import Property
    from hardware.rig import Rig

_UNLIMITED = (-1e12, 1e12)


@dataclass(frozen=True)
class _Listed:
    devices: "list[DeviceProperties]"
    presets: "list[PresetGroup]"


class PropertiesDialog(QDialog):
    """Lists devices and presets; it leaves the rest of the window usable.

    Reading or setting can end a sequence of some cameras, so both happen between sequences. What
    may switch on light or move something is only read here.
    """

    _listed = pyqtSignal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._rows: dict[int, tuple[str, Property | None]] = {}  # a device's own row has None
        self._groups: tuple[PresetGroup, ...] = ()
        self.setWindowTitle(self.tr("Device properties"))
        self.setModal(False)
        self.resize(460, 560)
        self.search = QLineEdit()
        self.search.setObjectName("properties_find")
        self.search.setClearButtonEnabled(True)
        self.search.setPlaceholderText(self.tr("part of a name"))
        self.search.setToolTip(self.tr("Show only properties, or devices, whose name holds this."))
        self.search.textChanged.connect(self._filter)
        self.settable = QCheckBox(self.tr("Only what can be set"))
        self.settable.setObjectName("properties_settable")
        self.settable.setToolTip(self.tr("Leave out what can only be read."))
        self.settable.toggled.connect(self._filter)
        refresh = QPushButton(self.tr("Read again"))
        refresh.setToolTip(self.tr("Ask the devices for all values; a live view pauses for it."))
        refresh.setAutoDefault(False)
        refresh.clicked.connect(self.refresh)
        self._presets = QFormLayout()
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
        top.addWidget(self.settable)
        top.addWidget(refresh)
        layout = QVBoxLayout(self)
        layout.addLayout(self._presets)
        layout.addLayout(top)
        layout.addWidget(self.table)
        self._listed.connect(self._show)
        session.activity_changed.connect(self._on_activity)

    def refresh(self) -> None:
        """Read all devices and presets."""
        self._session.between_sequences(self._list)

    def _list(self, rig: "Rig") -> None:
        browser = _browser(rig)
        self._listed.emit(_Listed(browser.devices(), browser.presets()))

    def _set(self, row: int, value: str | float) -> None:
        label, wanted = self._rows[row]
        assert wanted is not None
        if value == wanted.value:
            return
        del self._rows[row]  # shown anew, also where it is refused
        sent = int(value) if wanted.kind == "whole number" and not wanted.choices else value

        def work(rig: "Rig") -> None:
            try:
                _browser(rig).set_property(label, wanted.name, sent)
            finally:  # one decides what others allow
                self._list(rig)

        self._session.between_sequences(work)

    def _apply(self, group: str, preset: str) -> None:
        def work(rig: "Rig") -> None:
            try:
                _browser(rig).apply_preset(group, preset)
            finally:
                self._list(rig)

        self._groups = ()  # shown anew, also where it is refused
        self._session.between_sequences(work)

    def _show(self, listed: _Listed) -> None:
        self._show_presets(listed.presets)
        rows = [
            (device.label, one) for device in listed.devices for one in (None, *device.properties)
        ]
        about = {device.label: device.description for device in listed.devices}
        self.table.setRowCount(len(rows))
        for row, (label, one) in enumerate(rows):
            if self._rows.get(row) == (label, one):
                continue
            self._rows[row] = label, one
            if one is None:
                self._show_device(row, label, about[label])
            else:
                self._show_property(row, label, one)
        self._rows = {row: self._rows[row] for row in range(len(rows))}
        self._filter()

    def _show_device(self, row: int, label: str, about: str) -> None:
        name = QTableWidgetItem(f"{label}: {about}" if about and about != label else label)
        name.setFlags(Qt.ItemFlag.ItemIsEnabled)
        font = name.font()
        font.setBold(True)
        name.setFont(font)
        self.table.removeCellWidget(row, 1)
        self.table.setItem(row, 0, name)
        self.table.setSpan(row, 0, 1, 2)

    def _show_property(self, row: int, label: str, one: "Property") -> None:
        if self.table.columnSpan(row, 0) > 1:
            self.table.setSpan(row, 0, 1, 1)
        name = QTableWidgetItem(one.name)
        name.setToolTip(_described(one))
        name.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self.table.setItem(row, 0, name)
        editor = self._editor(row, one)
        editor.setObjectName(f"property_{label}_{one.name}")
        editor.setToolTip(_described(one))
        self.table.setCellWidget(row, 1, editor)

    def _show_presets(self, groups: "list[PresetGroup]") -> None:
        if tuple(groups) == self._groups:
            return
        self._groups = tuple(groups)
        while self._presets.rowCount():
            self._presets.removeRow(0)
        for group in groups:
            choice = QComboBox()
            choice.setObjectName(f"preset_{group.name}")
            choice.setToolTip(self.tr("Presets of Micro-Manager's configuration."))
            choice.setPlaceholderText(self.tr("none of them holds"))
            for preset, refusal in group.refused.items():
                choice.addItem(preset)
                model = choice.model()
                if refusal and isinstance(model, QStandardItemModel):
                    item = model.item(choice.count() - 1)
                    assert isinstance(item, QStandardItem)
                    item.setEnabled(False)
                    item.setToolTip(refusal)
            choice.setCurrentIndex(choice.findText(group.current) if group.current else -1)
            choice.textActivated.connect(partial(self._apply, group.name))
            without_wheel(choice)
            self._presets.addRow(literal(group.name), choice)

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
        box = ExactBox()
        box.setDecimals(0 if one.kind == "whole number" else 8)
        box.setRange(*(one.limits or _UNLIMITED))
        box.setValue(float(one.value))
        box.valueChanged.connect(change)
        without_wheel(box)
        return box

    def _filter(self) -> None:
        part, settable = self.search.text().lower(), self.settable.isChecked()
        shown: set[str] = set()
        for row, (label, one) in self._rows.items():
            if one is not None:
                named = part in one.name.lower() or part in label.lower()
                fits = named and not (settable and one.read_only)
                shown |= {label} if fits else set()
                self.table.setRowHidden(row, not fits)
        for row, (label, one) in self._rows.items():
            if one is None:
                self.table.setRowHidden(row, label not in shown)

    def _on_activity(self, activity: Activity) -> None:
        self.setEnabled(activity in (Activity.idle, Activity.looking))


def _browser(rig: "Rig") -> "Browser":
    from hardware.micromanager_browser import browser_of

    browser = browser_of(rig)
    assert browser is not None, "offered only where a device is Micro-Manager's"
    return browser


def _described(one: "Property") -> str:
    if one.note:
        return f"{one.name}: {one.note}"
    if one.read_only:
        return f"{one.name}: can only be read"
    limits = f", {one.limits[0]:g} to {one.limits[1]:g}" if one.limits else ""
    return f"{one.name}: {one.kind}{limits}"
