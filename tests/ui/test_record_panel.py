"""Recordings as the panel makes them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PyQt6.QtCore import QSettings, Qt
from pytestqt.qtbot import QtBot
from small_session import PATIENCE_MS, look, small_session

from dsacq.files.movies import open_movie
from dsacq.files.recording import read_facts
from ui.panels.readings import CameraState
from ui.panels.record import RecordPanel
from ui.panels.record_place import free_name, room, why_not
from ui.session import Activity, Session


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    with small_session(qtbot) as opened:
        yield opened


@pytest.fixture
def panel(qtbot: QtBot, session: Session, tmp_path: Path) -> RecordPanel:
    made = RecordPanel(session)
    qtbot.addWidget(made)
    made.show()
    made.folder.setText(str(tmp_path / "today"))
    made.name.setText("beads-001")
    made.count.setValue(5)
    return made


def click(qtbot: QtBot, panel: RecordPanel) -> None:
    qtbot.mouseClick(panel.button, Qt.MouseButton.LeftButton)


def test_records_and_tells_where_it_is(
    qtbot: QtBot, session: Session, panel: RecordPanel, tmp_path: Path
) -> None:
    panel.notes.setPlainText("fixed cells\nsecond try")
    click(qtbot, panel)
    assert session.activity is Activity.recording
    assert panel.button.text() == "Stop recording"
    assert panel.progress.isVisible()
    qtbot.waitUntil(lambda: panel.told.isVisible(), timeout=PATIENCE_MS)
    folder = tmp_path / "today" / "beads-001"
    assert panel.told.text() == f"5 frames in {folder}: complete."
    with open_movie(folder) as movie:
        assert len(movie) == 5
    assert read_facts(folder).about["notes"] == "fixed cells\nsecond try"
    assert panel.name.text() == "beads-002"
    assert panel.button.text() == "Record"


def test_until_stopped_from_a_live_view(
    qtbot: QtBot, session: Session, panel: RecordPanel, tmp_path: Path
) -> None:
    panel.endless.setChecked(True)
    assert not panel.count.isEnabled()
    look(qtbot, session)
    click(qtbot, panel)
    qtbot.waitUntil(lambda: "frames" in panel.progress.text(), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: int(panel.progress.text().split()[0]) > 3, timeout=PATIENCE_MS)
    click(qtbot, panel)
    qtbot.waitUntil(lambda: panel.told.isVisible(), timeout=PATIENCE_MS)
    facts = read_facts(tmp_path / "today" / "beads-001")
    assert facts.state == "stopped"
    assert panel.told.text().startswith(f"{facts.frames.written} frames in ")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "Give the recording a name."),
        ("..", "Give the recording a name."),
        ("a/b", "The name must not contain /."),
        ("old-009", "old-009 exists already; old-010 is free."),
    ],
)
def test_refuses_in_a_sentence(
    qtbot: QtBot, session: Session, panel: RecordPanel, tmp_path: Path, name: str, told: str
) -> None:
    (tmp_path / "today" / "old-009").mkdir(parents=True)
    panel.name.setText(name)
    click(qtbot, panel)
    assert panel.told.text() == told
    assert session.activity is Activity.idle


def test_tells_why_nothing_could_be_recorded(
    qtbot: QtBot, session: Session, panel: RecordPanel, tmp_path: Path
) -> None:
    (tmp_path / "today").write_text("a file")
    click(qtbot, panel)
    qtbot.waitUntil(lambda: panel.told.isVisible(), timeout=PATIENCE_MS)
    assert "cannot be made" in panel.told.text()
    assert session.activity is Activity.idle


def test_a_failed_recording_is_told_with_its_reason(qtbot: QtBot, tmp_path: Path) -> None:
    bench = {"shape_px": (64, 64), "psf": {"kind": "scalar"}, "faults": {"drop": (3,)}}
    with small_session(qtbot, bench=bench) as session:
        panel = RecordPanel(session)
        qtbot.addWidget(panel)
        panel.folder.setText(str(tmp_path))
        panel.toggle()
        qtbot.waitUntil(lambda: "failed" in panel.told.text(), timeout=PATIENCE_MS)
        assert "lost frames" in panel.told.text()


def test_settings_survive(
    qtbot: QtBot, session: Session, panel: RecordPanel, tmp_path: Path
) -> None:
    settings = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    panel.endless.setChecked(True)
    panel.save(settings)
    settings.sync()
    again = RecordPanel(session)
    qtbot.addWidget(again)
    again.restore(QSettings(settings.fileName(), QSettings.Format.IniFormat))
    assert again.folder.text() == panel.folder.text()
    assert again.name.text() == "beads-001"
    assert again.count.value() == 5
    assert again.endless.isChecked()


def test_free_name_counts_on(tmp_path: Path) -> None:
    (tmp_path / "a-100").mkdir()
    assert free_name(tmp_path / "a-099") == "a-101"
    assert free_name(tmp_path / "bead") == "bead-001"
    assert free_name(tmp_path / "2024") == "2025"


def test_room_is_that_of_the_disk(tmp_path: Path) -> None:
    camera = CameraState(0.1, (0, 0, 1, 1), (1, 1), 1, (1,), 65535, None)  # 20 bytes a second
    told = room(tmp_path / "not" / "there" / "yet", camera)
    assert "GB free, " in told
    assert told.endswith(" h")


def test_the_home_of_an_unknown_user_is_a_name_like_others() -> None:
    assert why_not("~nobody-of-this-name/x", "beads") == ""
