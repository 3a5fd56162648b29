"""Whatever is clicked, typed and turned: no exception, no crash, nothing left behind."""

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import QPoint, QSettings, Qt, QUrl
from PyQt6.QtGui import QDesktopServices
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QFileDialog,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QSlider,
    QSpinBox,
    QTableView,
    QTabWidget,
    QWidget,
)
from pytestqt.qtbot import QtBot
from rig_samples import SMALL, write_rig

from dsacq.files.masks import write_mask
from dsacq.physics.masks import vortex
from dsacq.physics.optics import STANDARD_OPTICS
from ui.app import make_window, open_session
from ui.session import Activity
from ui.window import MainWindow

ACTIONS = 2000
OPEN_MS, CLOSE_S = 120_000, 120.0
KINDS = (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QSlider,
    QTableView,
    QTabWidget,
)
TYPED = ("", "a", "cell-1", "0:3", "photons > 500", "z_um <", "ä/µ", "1e9", "...")
KEYS = (Qt.Key.Key_Escape, Qt.Key.Key_F5, Qt.Key.Key_F8, Qt.Key.Key_Tab, Qt.Key.Key_Return)
WITH_CONTROL = (Qt.Key.Key_L, Qt.Key.Key_R, Qt.Key.Key_K, Qt.Key.Key_U, Qt.Key.Key_G, Qt.Key.Key_H)


class Chooser:
    """Answers file dialogs, at random, as a user might."""

    def __init__(self, random_: random.Random, folder: Path) -> None:
        self._random, self._folder = random_, folder

    def file(self, *_args: Any, **_options: Any) -> tuple[str, str]:
        files = [path for path in self._folder.rglob("*") if path.is_file()]
        chosen = self._random.choice([Path(), *files])
        return ("" if chosen == Path() else str(chosen)), ""

    def new_file(self, *_args: Any, **_options: Any) -> tuple[str, str]:
        name = self._random.choice(["", "written.csv", "written.tif", "no/such/folder.toml"])
        return (str(self._folder / name) if name else ""), ""

    def folder(self, *_args: Any, **_options: Any) -> str:
        folders = [path for path in self._folder.rglob("*") if path.is_dir()]
        return str(self._random.choice([self._folder, *folders]))


def usable(panel: QWidget) -> list[QWidget]:
    found: list[QWidget] = []
    for kind in KINDS:
        found += panel.findChildren(kind)
    return [one for one in found if one.isVisible() and one.isEnabled()]


def panels(window: MainWindow) -> list[QWidget]:
    tasks = [window.live, window.masks, window.calibrate, window.train, window.reanalyse]
    at_hand = [window.camera, window.lights, window.stages, window.record, window.log, window.view]
    return [*tasks, *tasks, *at_hand, window.space, window]


def bring_up(window: MainWindow, panel: QWidget) -> None:
    """Its tab, or its dock."""
    for place in range(window._tasks.count()):
        page = window._tasks.widget(place)
        if page is not None and (page is panel or page.isAncestorOf(panel)):
            window._tasks.setCurrentIndex(place)
    for dock in window.findChildren(QDockWidget):
        if dock.isAncestorOf(panel):
            dock.raise_()
    QApplication.processEvents()


def act(random_: random.Random, window: MainWindow) -> str:
    """One thing that a hand can do; tells what."""
    roll = random_.random()
    if roll < 0.03:
        QTest.keyClick(window, random_.choice(KEYS))
        return "key"
    if roll < 0.06:
        QTest.keyClick(window, random_.choice(WITH_CONTROL), Qt.KeyboardModifier.ControlModifier)
        return "control key"
    if roll < 0.12:
        targets = [one for one in window.view.findChildren(QWidget) if one.isVisible()]
        target = random_.choice(targets or [window])
        wide, high = max(target.width(), 1), max(target.height(), 1)
        first, last = (QPoint(random_.randrange(wide), random_.randrange(high)) for _ in range(2))
        QTest.mousePress(target, Qt.MouseButton.LeftButton, pos=first)
        QTest.mouseMove(target, last)
        QTest.mouseRelease(target, Qt.MouseButton.LeftButton, pos=last)
        return "drag"
    panel = random_.choice(panels(window))
    bring_up(window, panel)
    control = random_.choice(usable(panel) or usable(window))
    match control:
        case QAbstractButton():
            QTest.mouseClick(control, Qt.MouseButton.LeftButton)
        case QComboBox() if control.count():
            control.setCurrentIndex(random_.randrange(control.count()))
            control.activated.emit(control.currentIndex())
        case QSpinBox():
            control.setValue(random_.randint(control.minimum(), min(control.maximum(), 10_000)))
        case QAbstractSpinBox():
            control.stepBy(random_.choice([-100, -1, 1, 10, 1000]))
        case QSlider():
            control.setValue(random_.randint(control.minimum(), control.maximum()))
        case QLineEdit() if not isinstance(control.parent(), QAbstractSpinBox):
            control.setText(random_.choice(TYPED))
            QTest.keyClick(control, Qt.Key.Key_Return)
        case QPlainTextEdit():
            QTest.keyClicks(control, "x")
        case QListWidget() if control.count():
            control.setCurrentRow(random_.randrange(control.count()))
        case QTableView():
            model = control.model()
            if model is not None and model.rowCount():
                control.selectRow(random_.randrange(model.rowCount()))
        case QTabWidget():
            control.setCurrentIndex(random_.randrange(control.count()))
    return f"{type(control).__name__} {control.objectName()}"


def test_two_thousand_actions(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_ = random.Random(5)
    work = tmp_path / "work"
    work.mkdir()
    chooser = Chooser(random_, work)
    monkeypatch.chdir(work)
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_DOCUMENTS_DIR"):
        monkeypatch.setenv(name, str(work))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", chooser.file)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", chooser.new_file)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", chooser.folder)
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda _url: isinstance(_url, QUrl))
    write_mask(vortex(STANDARD_OPTICS), work / "vortex.tif")
    (work / "notes.txt").write_text("no mask, no movie, no model")

    before = set(threading.enumerate())
    rig = write_rig(tmp_path, SMALL)
    settings = QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat)
    window, session = make_window(rig, settings)
    qtbot.addWidget(window)
    window.show()
    window.record.folder.setText(str(work))
    window.train.model.line.setText(str(work / "m.safetensors"))
    window.calibrate.folder.setText(str(work / "beads-1"))
    told: list[str] = []
    session.failed.connect(told.append)
    with qtbot.waitSignal(session.opened, timeout=OPEN_MS):
        open_session(session, rig)
    done: list[str] = []
    doing: set[Activity] = set()
    session.activity_changed.connect(doing.add)
    for number in range(ACTIONS):
        if number % 250 == 100:  # somebody knows what to do
            window.record.folder.setText(str(work))
            window.record.name.setText(f"run-{number}")
            window.record.toggle()
        done.append(act(random_, window))
        QApplication.processEvents()
        if number % 20 == 0:
            qtbot.wait(20)  # frames come
        own = [sentence for sentence in told if "dsacq itself failed" in sentence]
        assert not own, (own, done[-10:])
        assert window.isVisible(), done[-10:]
    assert {Activity.looking, Activity.recording} <= doing
    assert len(set(done)) > 80  # it has been all over the window; how far, depends on what was open

    begun = time.monotonic()
    window.close()
    assert time.monotonic() - begun < CLOSE_S
    assert not window.train.process.running
    assert session.rig is None
    qtbot.waitUntil(lambda: not left(before), timeout=OPEN_MS)


def left(before: set[threading.Thread]) -> list[str]:
    """Threads that should be gone; those of torch's pool are its own."""
    return [one.name for one in set(threading.enumerate()) - before if one.is_alive()]
