"""An hour at the simulated bench in a minute: what a person does from the start to the table.

It runs without a screen, and with one (.ci/run does both). DSACQ_PICTURES=FOLDER keeps pictures of
the window.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PyQt6.QtCore import QSettings, Qt
from PyQt6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from dsacq.files.recording import read_facts
from ui.app import make_window, open_session
from ui.session import Activity, Session
from ui.theme import apply_theme
from ui.window import MainWindow

PATIENCE_MS = 120_000
FRAMES = 100

Picture = Callable[[str], None]


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path) -> Iterator[MainWindow]:
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    apply_theme(application)
    settings = QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat)
    made, session = make_window(None, settings)
    qtbot.addWidget(made)
    made.resize(1366, 768)
    made.show()
    with qtbot.waitSignal(session.opened, timeout=PATIENCE_MS):
        open_session(session, None, made.live.look_when_ready)
    yield made
    made.close()


@pytest.fixture
def picture(window: MainWindow, qtbot: QtBot) -> Picture:
    folder = os.environ.get("DSACQ_PICTURES")

    def keep(name: str) -> None:
        qtbot.wait(300)
        if folder is not None:
            assert window.grab().save(str(Path(folder) / f"app-{name}.png"))

    return keep


def tab(window: MainWindow, title: str) -> None:
    places = range(window._tasks.count())
    window._tasks.setCurrentIndex(next(i for i in places if window._tasks.tabText(i) == title))


def click(qtbot: QtBot, window: MainWindow, name: str) -> None:
    button = window.findChild(QPushButton, name)
    assert button is not None
    qtbot.waitUntil(button.isEnabled, timeout=PATIENCE_MS)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def seen(qtbot: QtBot, session: Session, frames: int = 5) -> np.ndarray[Any, Any]:
    """The mean of the next frames; not of the first two, which may have been exposed before."""
    taken: dict[int, Any] = {}

    def take(update: Any) -> None:
        if update.newest is not None:
            taken[update.newest.index] = update.newest.pixels.astype(float)

    session.updated.connect(take)
    qtbot.waitUntil(lambda: len(taken) >= frames + 2, timeout=PATIENCE_MS)
    session.updated.disconnect(take)
    return np.mean(list(taken.values())[2:], axis=0)


def show_mask(qtbot: QtBot, window: MainWindow, name: str) -> None:
    tab(window, "Mask")
    window.masks.library.choose(name)
    with qtbot.waitSignal(
        window._session.mask_shown,
        timeout=PATIENCE_MS,
        check_params_cb=lambda mask: mask.name == name,
    ):
        click(qtbot, window, "mask_show")


def test_from_the_start_to_the_table(
    qtbot: QtBot, window: MainWindow, picture: Picture, tmp_path: Path
) -> None:
    session = window._session
    failures: list[str] = []
    session.failed.connect(failures.append)
    home = tmp_path if "DSACQ_PICTURES" not in os.environ else Path("/data/telomeres")
    assert "SIMULATED BENCH" in window.windowTitle()

    # Live by itself, localized, and it can be trusted.
    qtbot.waitUntil(lambda: session.activity is Activity.looking, timeout=PATIENCE_MS)
    found: list[Any] = []
    window.live.found_shown.connect(found.append)
    qtbot.waitUntil(lambda: len(found) > 30, timeout=PATIENCE_MS)
    assert np.median([len(table) for table in found]) > 30
    qtbot.waitUntil(lambda: "correlation" in window.live.picture.title.text(), timeout=PATIENCE_MS)
    picture("live")

    # Another mask makes another image; the old one brings the old image back.
    tetrapod = seen(qtbot, session)
    show_mask(qtbot, window, "flat")
    flat = seen(qtbot, session)
    show_mask(qtbot, window, "tetrapod")
    again = seen(qtbot, session)
    alike = np.corrcoef(tetrapod.ravel(), again.ravel())[0, 1]
    unlike = np.corrcoef(tetrapod.ravel(), flat.ravel())[0, 1]
    assert alike > unlike + 0.1
    picture("mask")

    # A recording, localized and linked while it runs.
    tab(window, "Live")
    window.record.folder.setText(str(home))
    window.record.name.setText("cell-1")
    window.record.count.setValue(FRAMES)
    found.clear()
    with qtbot.waitSignal(
        session.ended,
        timeout=PATIENCE_MS,
        check_params_cb=lambda _update, folder: folder == home / "cell-1",
    ):
        click(qtbot, window, "record_button")
        qtbot.waitUntil(lambda: session.activity is Activity.recording, timeout=PATIENCE_MS)
        qtbot.waitUntil(lambda: len(found) > FRAMES // 2, timeout=PATIENCE_MS)
        picture("recording")
    facts = read_facts(home / "cell-1")
    assert (facts.state, facts.frames.written) == ("complete", FRAMES)
    assert facts.frames.lost_in_core == facts.frames.lost_in_camera == 0

    # Looked at again: the table holds tracks, and is exported.
    tab(window, "Reanalyse")
    with qtbot.waitSignal(window.reanalyse.opened, timeout=PATIENCE_MS):
        window.reanalyse.open(home / "cell-1")
    qtbot.waitUntil(lambda: window.reanalyse.run.count() == 1, timeout=PATIENCE_MS)
    window.reanalyse.movie.slider.setValue(FRAMES // 2)
    picture("reanalyse")
    window.reanalyse.table.export(tmp_path / "found.csv")
    qtbot.waitUntil((tmp_path / "found.csv").exists, timeout=PATIENCE_MS)
    table = pd.read_csv(tmp_path / "found.csv")
    assert table["frame"].nunique() == facts.frames.analysed
    assert table.groupby("track").size().max() > 20
    assert not failures, failures
