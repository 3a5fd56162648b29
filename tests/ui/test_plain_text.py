"""Names and errors with markup are read as they were written, everywhere in the window."""

import ast
import html
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyqtgraph as pg
import pytest
import tifffile
from PyQt6.QtCore import QPoint, QSettings, Qt
from PyQt6.QtGui import QTextDocument
from PyQt6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGraphicsTextItem,
    QLabel,
    QMessageBox,
    QToolTip,
    QWidget,
)
from pytestqt.qtbot import QtBot
from rig_samples import SMALL, write_rig
from small_session import PATIENCE_MS, finish_commands

from dsacq.data import Localizations
from dsacq.files.masks import write_mask
from dsacq.physics.masks import vortex
from dsacq.physics.optics import STANDARD_OPTICS
from ui.app import make_window, open_session
from ui.plain_text import literal, show_coloured
from ui.reanalysis import Run
from ui.session import Session
from ui.theme import apply_theme
from ui.window import MainWindow

UI = Path(__file__).parents[2] / "ui"
COLOURED = {"curves.py", "controls.py"}  # lamps and legends
MARK = "&lt;b&gt;{}  &amp;" if os.name == "nt" else "<b>{}  &amp;"  # in names of files


def marked(what: str) -> str:
    return f'<img src="{what}.png"><b>{what}</b>  &amp; &'


@pytest.fixture(scope="module", autouse=True)
def theme(qapp: QApplication) -> None:
    apply_theme(qapp)


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path) -> Iterator[MainWindow]:
    """Whose rig has lasers and shutters with such names."""
    text = SMALL.replace("lasers.561", f"lasers.'{marked('laser')}'")
    text = text.replace("561 = 20.0", f"'{marked('laser')}' = 20.0")
    text = text.replace("shutters.illumination", f"shutters.'{marked('shutter')}'")
    folder = tmp_path / MARK.format("folder")
    folder.mkdir()
    rig = write_rig(folder, text)
    rig = rig.rename(rig.with_name(f"{MARK.format('rig')}[*].toml"))
    settings = QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat)
    window, session = make_window(rig, settings)
    qtbot.addWidget(window)
    window.show()
    with qtbot.waitSignal(session.opened, timeout=PATIENCE_MS):
        open_session(session, rig)
    yield window
    window.close()


@pytest.fixture
def session(window: MainWindow) -> Session:
    return window._session


def read(label: QLabel) -> str:
    """What a person sees, once the label is about to be shown."""
    label.ensurePolished()
    if label.textFormat() is Qt.TextFormat.PlainText:
        return label.text()
    document = QTextDocument()
    document.setHtml(label.text())
    return document.toPlainText().replace("\N{NO-BREAK SPACE}", " ")


def written(window: QWidget) -> list[str]:
    """All that stands in labels, tool tips and plots of a window, as a person sees it."""
    texts = [read(label) for label in window.findChildren(QLabel)]
    texts += [shown_tip(part) for part in window.findChildren(QWidget) if "<" in part.toolTip()]
    for view in window.findChildren(pg.GraphicsView):
        items = () if view.scene() is None else view.scene().items()
        texts += [one.toPlainText() for one in items if isinstance(one, QGraphicsTextItem)]
    return texts


def shown_tip(part: QWidget) -> str:
    QToolTip.showText(QPoint(5, 5), part.toolTip(), part)
    tips = [
        one
        for one in QApplication.topLevelWidgets()
        if isinstance(one, QLabel) and one.metaObject().className() == "QTipLabel"  # type: ignore[union-attr]
    ]
    assert tips
    return read(tips[-1])


def on_screen(label: QLabel) -> bytes:
    picture = label.grab().toImage().convertToFormat(label.grab().toImage().Format.Format_RGB32)
    bits = picture.bits()
    assert bits is not None
    return bytes(bits.asarray(picture.sizeInBytes()))


def test_every_label_is_plain_but_lamps_and_legends(window: MainWindow) -> None:
    labels = window.findChildren(QLabel)
    assert len(labels) > 60
    for label in labels:
        label.ensurePolished()
    rich = {one for one in labels if one.textFormat() is not Qt.TextFormat.PlainText}
    lamps = {row.lamp for row in window.lights.lasers.values()}
    legends = {plot._legend for plot in (*window.live.plots, *window.train.course.plots)}
    assert rich <= lamps | set(window.lights.shutters.values()) | legends


def test_names_of_devices(qtbot: QtBot, window: MainWindow, session: Session) -> None:
    finish_commands(qtbot, session)
    lamp = window.lights.shutters[marked("shutter")]
    told = f"Shutter {marked('shutter')}: closed"
    qtbot.waitUntil(lambda: read(lamp).endswith(told), timeout=PATIENCE_MS)
    tick = window.lights.lasers[marked("laser")].use
    assert tick.text() == marked("laser").replace("&", "&&")  # read as one each
    name = MARK.format("rig") + "[*]"
    assert window.windowTitle() == f"dsacq - {MARK.format('rig')}[*][*]"  # read as one
    assert name in written(window)


def test_errors_and_what_is_said(qtbot: QtBot, window: MainWindow, session: Session) -> None:
    session.failed.emit(marked("failed"))
    session.said.emit(marked("said") + "\nand more\u2028 of it")
    lines = window.log.text.toPlainText().splitlines()
    assert lines[-2].endswith(f"  {marked('failed')}")
    assert lines[-1].endswith(f"  {marked('said')} and more  of it")
    assert window._banner.isVisible()
    assert marked("failed") in written(window)
    plain = QLabel(marked("failed"))
    plain.setTextFormat(Qt.TextFormat.PlainText)
    seen = QLabel(marked("failed"))
    for label in (plain, seen):
        qtbot.addWidget(label)
        label.show()
    assert on_screen(seen) == on_screen(plain)
    plain.setTextFormat(Qt.TextFormat.RichText)
    plain.resize(seen.size())
    assert on_screen(seen) != on_screen(plain)


def test_masks_models_movies_and_folders(
    qtbot: QtBot, window: MainWindow, session: Session, tmp_path: Path
) -> None:
    folder = tmp_path / MARK.format("folder")
    mask, movie = (folder / f"{MARK.format(name)}.tif" for name in ("mask", "movie"))
    folder.mkdir(exist_ok=True)
    write_mask(vortex(STANDARD_OPTICS), tmp_path / "mask.tif")
    (tmp_path / "mask.tif").rename(mask)  # dsacq itself writes no such name
    tifffile.imwrite(movie, np.zeros((5, 16, 20), np.uint16))
    window.masks.library.open_file(mask)
    names = window.masks.library.list
    qtbot.waitUntil(lambda: bool(names.findItems(mask.name, Qt.MatchFlag.MatchExactly)))
    window.open_recording(movie)
    qtbot.waitUntil(lambda: window.reanalyse.shows_movie, timeout=PATIENCE_MS)
    found = Localizations.from_columns(
        frame=np.arange(3), x_um=np.ones(3), y_um=np.ones(3), z_um=np.ones(3)
    )
    table = found.table.assign(**{marked("column"): np.ones(3)})
    run = Run(marked("run"), marked("model"), range(3), Localizations(table, {}), None)
    window.reanalyse._add_run(run)
    window.reanalyse._fail(marked("no movie"))
    window.reanalyse.tabs.setCurrentWidget(window.reanalyse.plots)
    window.unfinished._offer([folder])
    missing = folder / f"{MARK.format('network')}.safetensors"
    window.live.model.choose(missing)
    qtbot.waitUntil(lambda: MARK.format("network") in window.live.told.text(), timeout=PATIENCE_MS)
    window.record.folder.setText(str(folder))
    window.record.name.setText("one")
    window.record.count.setValue(3)
    with qtbot.waitSignal(session.ended, timeout=PATIENCE_MS):
        window.record.toggle()
    qtbot.waitUntil(lambda: "3 frames in" in window.record.told.text(), timeout=PATIENCE_MS)
    window.counters.values["state"].setToolTip(marked("reason"))
    texts = written(window)
    for name in (movie.name, str(folder / "one"), f"{folder} was being", marked("no movie")):
        assert any(name in text for text in texts), name
    assert marked("reason") in texts
    for word in ("folder", "mask", "movie", "network", "run", "column", "no movie", "reason"):
        for text in texts:  # nowhere without its markup
            if f">{word}<" in text or f"{word}  &" in text:
                assert marked(word) in text or MARK.format(word) in text, text
    assert window.reanalyse.run.currentText().startswith(f"{marked('run')}: {marked('model')}")


def test_message_boxes_and_rows_of_forms(qtbot: QtBot, window: MainWindow) -> None:
    box = QMessageBox(window)
    box.setText(marked("text"))
    box.setInformativeText(marked("more"))
    form = QWidget()
    choice = QComboBox()
    QFormLayout(form).addRow(literal(marked("preset")), choice)
    for one in (box, form):
        qtbot.addWidget(one)
        one.show()
        assert all(
            part.textFormat() is Qt.TextFormat.PlainText for part in one.findChildren(QLabel)
        )
    assert {marked("text"), marked("more")} <= set(written(box))


@pytest.mark.parametrize("name", ["a & b", "<b>x</b>", "&amp;", "a  b", "&&", "ü < 2 µm"])
def test_coloured_texts(qtbot: QtBot, name: str) -> None:
    label = QLabel()
    qtbot.addWidget(label)
    show_coloured(label, ("o", "#ff0000"), (name, ""), (name, "#00ff00"))
    assert read(label) == f"o {name} {name}"
    assert html.escape(name) in label.text().replace("&nbsp;", " ")


def test_micrometres_are_written_in_one_way() -> None:
    """In texts of the window; commands write um, for any console."""
    found = []
    for path in UI.rglob("*.py"):
        if path.parent.name == "commands":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr | ast.Call):
                texts = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
                found += [one for one in texts if re.search(r"\bum\b", str(one))]
    assert not found


def test_a_name_in_a_control_marks_no_key(qtbot: QtBot) -> None:
    tick = QCheckBox(literal("cy3 & cy5"))
    qtbot.addWidget(tick)
    assert tick.shortcut().isEmpty()
    assert not QCheckBox("cy3 &cy5").shortcut().isEmpty()


def test_markup_is_made_in_one_place() -> None:
    """What takes HTML is named nowhere else in the sources."""
    html_only = {
        "RichText", "MarkdownText", "AutoText", "setHtml", "insertHtml", "appendHtml", "QTextEdit",
        "QTextBrowser", "QErrorMessage", "setTextFormat", "setWhatsThis",
    }  # fmt: skip
    found = set()
    for path in UI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "id", getattr(node, "attr", getattr(node, "name", None)))
            if name in html_only:
                found.add((path.name, name))
            if name == "show_coloured" and path.name != "plain_text.py":
                assert path.name in COLOURED
    assert {place for place, _ in found} == {"plain_text.py", "log.py"}
    assert {name for place, name in found if place == "log.py"} == {"appendHtml"}
