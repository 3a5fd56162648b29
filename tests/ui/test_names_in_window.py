"""Names typed in the window that no file can have are told there, and nothing is begun."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PyQt6.QtCore import QSettings
from pytestqt.qtbot import QtBot
from small_session import finish_commands, small_session

from ui.panels.calibrate import CalibratePanel
from ui.panels.model_place import ModelPlace, free_model
from ui.panels.record_place import room, why_not
from ui.panels.train import TrainPanel
from ui.session import Activity, Session

LONG = "x" * 300
DEEP = "/".join(["y" * 150] * 40)  # longer than a path may be
BAD = {"con": "device", "a:b": "must not contain", LONG: "longer than", "\ud83d": "no letters"}


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path) -> None:
    QSettings.setPath(
        QSettings.Format.NativeFormat, QSettings.Scope.UserScope, str(tmp_path / "settings")
    )


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    with small_session(qtbot) as opened:
        yield opened


@pytest.mark.parametrize(("name", "said"), BAD.items())
def test_a_recording(tmp_path: Path, name: str, said: str) -> None:
    assert said in why_not(str(tmp_path), name)


def test_the_room_of_a_folder_that_cannot_be(tmp_path: Path) -> None:
    assert "GB free" in room(tmp_path / LONG / "a", None)
    assert "GB free" in room(tmp_path / DEEP, None)
    assert "longer than" in why_not(str(tmp_path / LONG), "run-1")
    assert why_not(str(tmp_path / DEEP), "run-1") == ""  # nothing wrong with each of the names


@pytest.mark.parametrize("name", [*BAD, DEEP])
def test_the_place_of_a_model(qtbot: QtBot, tmp_path: Path, name: str) -> None:
    place = ModelPlace()
    qtbot.addWidget(place)
    place.line.setText(str(tmp_path / name))
    assert not place.begun
    assert free_model(tmp_path / name) == tmp_path / name


@pytest.mark.parametrize(("name", "said"), BAD.items())
def test_a_scan(qtbot: QtBot, session: Session, tmp_path: Path, name: str, said: str) -> None:
    panel = CalibratePanel(session)
    qtbot.addWidget(panel)
    assert session.rig is not None
    panel._on_opened(session.rig)
    panel.folder.setText(str(tmp_path / name))
    panel.scan()
    finish_commands(qtbot, session)
    assert said in panel.told.text()
    assert session.activity is Activity.idle
    assert not [one for one in tmp_path.iterdir() if one.name != "settings"]


@pytest.mark.parametrize(("name", "said"), BAD.items())
def test_a_training(qtbot: QtBot, session: Session, tmp_path: Path, name: str, said: str) -> None:
    panel = TrainPanel(session)
    qtbot.addWidget(panel)
    panel.model.line.setText(str(tmp_path / name))
    panel.start()
    assert said in panel.course.told.text()
    assert not panel.process.running
    assert not [one for one in tmp_path.iterdir() if one.name != "settings"]
