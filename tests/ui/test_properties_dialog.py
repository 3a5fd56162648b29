"""Devices and presets of Micro-Manager's own simulated devices, as a user sees and sets them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QStandardItemModel
from PyQt6.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QLabel, QWidget
from pytestqt.qtbot import QtBot
from small_session import PATIENCE_MS, look, small_session
from typing_keys import language, takes_what_is_typed, type_into

from ui.number_box import NumberBox
from ui.panels.camera import CameraPanel
from ui.panels.properties import PropertiesDialog
from ui.session import Activity, Session

pytest.importorskip("mmpycorex")
pytest.importorskip("mm_test_adapters")

CONFIG = """\
Property,Core,Initialize,0
Device,Camera,DemoCamera,DCam
Device,Focus,DemoCamera,DStage
Device,Shutter,DemoCamera,DShutter
Device,Wheel,DemoCamera,DWheel
Property,Core,Initialize,1
Property,Core,Camera,Camera
Property,Camera,PixelType,16bit
ConfigGroup,Speed,Fast,Camera,FastImage,1
ConfigGroup,Speed,Fast,Camera,Gain,3
ConfigGroup,Speed,True,Camera,FastImage,0
ConfigGroup,Speed,True,Camera,Gain,0
ConfigGroup,Light,On,Shutter,State,1
"""


@pytest.fixture
def session(qtbot: QtBot, tmp_path: Path) -> Iterator[Session]:
    (tmp_path / "demo.cfg").write_text(CONFIG, encoding="utf-8")
    changed: dict[str, Any] = {
        "micromanager": {"config": tmp_path / "demo.cfg", "adapters": "demo"},
        "camera": {"kind": "micromanager", "exposure_s": 0.01},
        "lasers": {},
        "use": {},
        "noise": None,
    }
    with small_session(qtbot, **changed) as opened:
        yield opened


@pytest.fixture
def dialog(qtbot: QtBot, session: Session) -> PropertiesDialog:
    panel = CameraPanel(session)
    qtbot.addWidget(panel)
    panel.show()
    assert panel.properties.isVisible()
    qtbot.mouseClick(panel.properties, Qt.MouseButton.LeftButton)
    opened = panel._dialog
    assert opened is not None
    qtbot.waitUntil(lambda: opened.table.rowCount() > 10, timeout=PATIENCE_MS)
    return opened


def now(session: Session, name: str) -> Any:
    camera: Any = session.rig.camera if session.rig is not None else None
    return next(one.value for one in camera.properties() if one.name == name)


def child(dialog: PropertiesDialog, kind: type[Any], name: str) -> Any:
    found = dialog.findChild(kind, name)
    assert found is not None, name
    return found


def shown_rows(dialog: PropertiesDialog) -> list[str]:
    table = dialog.table
    return [
        table.item(row, 0).text()  # type: ignore[union-attr]
        for row in range(table.rowCount())
        if not table.isRowHidden(row)
    ]


def test_every_device_with_what_it_allows(dialog: PropertiesDialog) -> None:
    labels = {label for label, one in dialog._rows.values() if one is None}
    assert labels == {"Camera", "Focus", "Shutter", "Wheel", "Core"}
    choice = child(dialog, QComboBox, "property_Camera_BitDepth")
    assert {choice.itemText(i) for i in range(choice.count())} >= {"12", "16"}
    gain = child(dialog, QDoubleSpinBox, "property_Camera_Gain")
    assert (gain.minimum(), gain.maximum()) == (-5, 8)
    assert not child(dialog, QWidget, "property_Camera_CameraName").isEnabled()
    light = child(dialog, QLabel, "property_Shutter_State")
    assert "may switch on light" in light.toolTip()


def test_a_value_is_set(qtbot: QtBot, session: Session, dialog: PropertiesDialog) -> None:
    child(dialog, QDoubleSpinBox, "property_Camera_Gain").setValue(3)
    qtbot.waitUntil(lambda: now(session, "Gain") == 3, timeout=PATIENCE_MS)


@pytest.mark.parametrize("text", ["1.5", "1,5"])
def test_a_number_is_typed_with_either_mark(
    qtbot: QtBot, session: Session, dialog: PropertiesDialog, text: str
) -> None:
    name = "Photon Conversion Factor"
    type_into(child(dialog, NumberBox, f"property_Camera_{name}"), text)
    qtbot.waitUntil(lambda: now(session, name) != 1, timeout=PATIENCE_MS)
    assert now(session, name) == 1.5
    qtbot.waitUntil(
        lambda: child(dialog, NumberBox, f"property_Camera_{name}").text() == "1.5",
        timeout=PATIENCE_MS,
    )


@pytest.mark.parametrize("name", ["C", "de_DE"])
def test_every_number_box_of_the_devices(
    qtbot: QtBot, session: Session, dialog: PropertiesDialog, name: str
) -> None:
    with language(name):
        dialog._rows.clear()
        dialog.table.setRowCount(0)
        dialog.refresh()
        qtbot.waitUntil(lambda: dialog.table.rowCount() > 10, timeout=PATIENCE_MS)
    boxes = dialog.findChildren(QAbstractSpinBox)
    assert len(boxes) > 5
    for box in boxes:
        assert isinstance(box, NumberBox)
        takes_what_is_typed(box)


def test_a_preset_is_applied_beside_a_live_view(
    qtbot: QtBot, session: Session, dialog: PropertiesDialog
) -> None:
    look(qtbot, session)
    choice = child(dialog, QComboBox, "preset_Speed")
    assert choice.currentText() in ("Fast", "True")
    wanted = {"Fast": "True", "True": "Fast"}[choice.currentText()]
    choice.textActivated.emit(wanted)
    qtbot.waitUntil(
        lambda: child(dialog, QComboBox, "preset_Speed").currentText() == wanted,
        timeout=PATIENCE_MS,
    )
    assert now(session, "Gain") == {"Fast": 3, "True": 0}[wanted]
    qtbot.waitUntil(lambda: session.activity is Activity.looking, timeout=PATIENCE_MS)


def test_a_preset_that_switches_on_light_cannot_be_chosen(dialog: PropertiesDialog) -> None:
    model = child(dialog, QComboBox, "preset_Light").model()
    assert isinstance(model, QStandardItemModel)
    item = model.item(0)
    assert item is not None
    assert not item.isEnabled()
    assert "Shutter" in item.toolTip()


def test_found_by_a_part_of_a_name(dialog: PropertiesDialog) -> None:
    dialog.search.setText("gain")
    assert "Gain" in shown_rows(dialog)
    assert len(shown_rows(dialog)) < 5
    dialog.search.setText("wheel")
    assert any(row.startswith("Wheel") for row in shown_rows(dialog))
    assert "Label" in shown_rows(dialog)
    dialog.search.clear()
    dialog.settable.setChecked(True)
    assert "CameraName" not in shown_rows(dialog)
    assert not any(row.startswith("Shutter") for row in shown_rows(dialog))
