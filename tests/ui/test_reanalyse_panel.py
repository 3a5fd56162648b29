"""The Reanalyse tab on a recording of a small simulated bench, its table and its plots."""

import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtCore import QMimeData, QPointF, Qt, QUrl
from PyQt6.QtGui import QDropEvent
from PyQt6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from rig_samples import CAMERA, write_rig

from dsacq.data import Localizations
from dsacq.files.localizations import read_localizations, write_localizations
from dsacq.localize.as_they_come import LiveLocalizer
from dsacq.networks.model_file import load_model, save_model
from dsacq.physics.masks import tetrapod
from hardware.acquire import acquire
from hardware.rig import open_rig
from hardware.rig_file import read_rig
from ui.commands.models import shipped_models
from ui.panels.reanalyse import ReanalysePanel
from ui.reanalysis import Run
from ui.reanalysis_tools import Tool
from ui.session import Activity, Session

FRAMES = 5
MODEL = shipped_models() / "bench-nano.safetensors"
NUCLEUS = (
    CAMERA
    + """
[psf]
kind = "vectorial"
blur_px = 0.9
[bench]
shape_px = [64, 72]
slm_shape = [600, 640]
[bench.psf]
kind = "vectorial"
blur_px = 0.9
[bench.noise]
kind = "scmos"
offset_adu = 150.0
gain_adu_per_electron = 1.5
[bench.specimen]
kind = "telomeres"
count = 5
semi_axes_um = [2.2, 2.2, 1.2]
[slm]
kind = "simulated"
[lasers.561]
kind = "simulated"
[use]
lasers_mw = { 561 = 50.0 }
"""
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with live localizations and the truth."""
    place = tmp_path_factory.mktemp("recording")
    settings = read_rig(write_rig(place, NUCLEUS))
    with open_rig(settings) as rig:
        localizer = LiveLocalizer(load_model(MODEL), settings.use.link, camera=rig.noise())
        updates = acquire(
            rig,
            FRAMES,
            folder=place / "nucleus",
            mask=tetrapod(rig.optics),
            localizer=localizer,
        )
        last = list(updates)[-1]
    assert (last.state, last.counters.analysed) == ("complete", FRAMES)
    return place / "nucleus"


@pytest.fixture
def recording(recorded: Path, tmp_path: Path) -> Path:
    """A copy, to be spoilt."""
    return Path(shutil.copytree(recorded, tmp_path / "nucleus"))


@pytest.fixture
def session(qapp: QApplication) -> Session:
    return Session()


@pytest.fixture
def panel(qtbot: QtBot, session: Session) -> Generator[ReanalysePanel]:
    made = ReanalysePanel(session)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.stop()


@pytest.fixture
def opened(qtbot: QtBot, panel: ReanalysePanel, recorded: Path) -> ReanalysePanel:
    with qtbot.waitSignal(panel.frame_shown, timeout=120_000):
        panel.open(recorded)
    settle(qtbot, panel)
    return panel


def settle(qtbot: QtBot, panel: ReanalysePanel) -> None:
    workers = (panel.table._choosing, panel.plots._counting, panel.plots._rendering)
    qtbot.waitUntil(lambda: not any(one.busy for one in workers), timeout=120_000)


def runs(panel: ReanalysePanel) -> list[Run]:
    return [panel.run.itemData(place) for place in range(panel.run.count())]


def run_again(qtbot: QtBot, panel: ReanalysePanel, **wanted: bool | str) -> Run:
    panel.again.frames.setText(str(wanted.get("frames", "")))
    panel.again.refine.setChecked(bool(wanted.get("refine", False)))
    panel.again.link.setChecked(bool(wanted.get("link", True)))
    with qtbot.waitSignal(panel.again.run_made, timeout=120_000):
        panel.again.start()
    qtbot.waitUntil(lambda: not panel.again.running)
    return runs(panel)[-1]


def test_a_recording_opens_with_what_was_found_live(opened: ReanalysePanel) -> None:
    (live,) = runs(opened)
    assert live.name == "live"
    assert live.model == "bench-nano"
    assert len(live.found) > FRAMES
    assert opened.table.model.rowCount() == len(live.found)
    assert opened.again.scores.truth.text().startswith("live against the truth: Jaccard ")
    texts = [label.text() for label in opened.movie.findChildren(type(opened.told))]
    for told in ("nucleus", "72 x 64 pixels, 7.9 x 7.0 µm", "110 nm", "20 ms", "complete"):
        assert told in texts


def test_frames_are_shown_with_their_localizations(
    qtbot: QtBot, opened: ReanalysePanel, recorded: Path
) -> None:
    shown: list[tuple[np.ndarray, int, object]] = []
    opened.frame_shown.connect(lambda *all_three: shown.append(all_three))
    opened.movie.slider.setValue(1)
    opened.movie.slider.setValue(3)
    qtbot.waitUntil(lambda: bool(shown) and shown[-1][1] == 3)
    pixels, _, table = shown[-1]
    assert pixels.shape == (64, 72)
    stored = read_localizations(recorded / "localizations.parquet").table
    expected = stored[stored["frame"] == 3]
    assert len(expected) > 0
    np.testing.assert_array_equal(table["x_um"], expected["x_um"])  # type: ignore[index]
    assert opened.movie.number.value() == 3


def test_a_click_on_a_row_shows_its_frame(qtbot: QtBot, opened: ReanalysePanel) -> None:
    last = opened.table.model.rowCount() - 1
    with qtbot.waitSignal(opened.frame_shown) as shown:
        opened.table.view.clicked.emit(opened.table.model.index(last, 2))
    assert shown.args[1] == FRAMES - 1


def test_the_same_model_finds_the_same_again(qtbot: QtBot, opened: ReanalysePanel) -> None:
    (live,) = runs(opened)
    made = run_again(qtbot, opened)
    assert opened.run.currentData() is made
    assert made.frames == range(FRAMES)
    # only so with the noise that recording.json tells of, which is not the model's
    for column in ("frame", "x_um", "y_um", "z_um", "photons", "track"):
        np.testing.assert_allclose(
            made.found.table[column], live.found.table[column], rtol=1e-3, atol=1e-3
        )
    told = opened.again.scores.compared
    qtbot.waitUntil(lambda: "in both" in told.text(), timeout=120_000)
    assert told.text().startswith(f"{len(live.found)} in both, 0 only in run 1, 0 only in live")


def test_a_refined_run_of_some_frames(qtbot: QtBot, opened: ReanalysePanel) -> None:
    made = run_again(qtbot, opened, frames="1:3", refine=True, link=False)
    assert made.frames == range(1, 3)
    assert set(made.found.table["frame"]) == {1, 2}
    assert "track" not in made.found.table
    assert made.found.origin["method"] == "network and refinement"
    live = runs(opened)[0]
    assert made.scores is not None
    assert live.scores is not None
    assert made.scores.truth < live.scores.truth  # of these frames only
    assert made.scores.rmse_3d_nm < live.scores.rmse_3d_nm  # type: ignore[operator]


def test_a_run_without_a_network(qtbot: QtBot, opened: ReanalysePanel) -> None:
    model = opened.again.model
    assert opened.again.refine.isEnabled()
    model.setCurrentIndex(model.count() - 1)
    assert model.currentText() == "none: matching pursuit"
    assert not opened.again.refine.isEnabled()
    assert opened.again.threshold.text() == "the usual one"
    made = run_again(qtbot, opened, frames="1:2", refine=True)
    assert (made.model, made.found.origin["method"]) == ("matching pursuit", "pursuit")
    assert made.scores is not None
    assert made.scores.jaccard > 0.8
    model.setCurrentIndex(0)
    assert opened.again.refine.isEnabled()


def test_cancelling_keeps_nothing_and_says_so(qtbot: QtBot, opened: ReanalysePanel) -> None:
    opened.again.start()
    opened.again.cancel()
    qtbot.waitUntil(lambda: not opened.again.running, timeout=120_000)
    assert len(runs(opened)) == 1
    assert opened.told.text() == "The run was cancelled; nothing of it is kept."
    assert opened.again.start_button.isEnabled()


def test_only_a_region_is_localized(qtbot: QtBot, opened: ReanalysePanel) -> None:
    whole = run_again(qtbot, opened)
    opened.again.set_region((20, 0, 40, 64))
    part = run_again(qtbot, opened)
    pixel_um = opened.pixel_um
    assert pixel_um is not None
    assert 0 < len(part.found) < len(whole.found)
    assert part.found.table["x_um"].between(20 * pixel_um, 60 * pixel_um).all()
    opened.again.region.setText("left half")
    opened.again.start()
    qtbot.waitUntil(lambda: not opened.again.running, timeout=120_000)
    assert opened.told.text().startswith("roi 'left half' is not X,Y,W,H")


def test_what_was_found_before_a_frame_makes_its_tails(opened: ReanalysePanel) -> None:
    tables = opened.recent(3, 20)
    assert [set(table["frame"]) for table in tables] == [{0}, {1}, {2}, {3}]
    assert [set(table["frame"]) for table in opened.recent(3, 2)] == [{2}, {3}]


def use(qtbot: QtBot, panel: ReanalysePanel, tool: Tool) -> Run:
    with qtbot.waitSignal(panel.tools.run_made, timeout=120_000):
        panel.tools.tools[tool].click()
    qtbot.waitUntil(panel.tools.rings.isEnabled, timeout=120_000)
    return runs(panel)[-1]


def test_tools_make_runs_of_the_run_shown(qtbot: QtBot, opened: ReanalysePanel) -> None:
    live = runs(opened)[0]
    assert "track" in live.found.table.columns
    merged = use(qtbot, opened, Tool.merge)
    assert len(merged.found) < len(live.found)
    assert "became" in opened.told.text()
    assert not opened.tools.tools[Tool.still].isEnabled()  # it has no tracks
    opened.run.setCurrentIndex(0)
    still = use(qtbot, opened, Tool.still)
    assert still.name == "live, still"
    assert "turned by up to" in opened.told.text()
    linked = use(qtbot, opened, Tool.link)
    assert linked.found.table["track"].nunique() > 1
    assert linked.found.table["frame"].is_monotonic_increasing


def test_a_tool_that_cannot_is_told(qtbot: QtBot, opened: ReanalysePanel) -> None:
    opened.tools.tools[Tool.drift].click()
    qtbot.waitUntil(lambda: "too few to tell a drift" in opened.told.text(), timeout=120_000)
    assert len(runs(opened)) == 1


def test_tools_draw_figures(qtbot: QtBot, opened: ReanalysePanel, tmp_path: Path) -> None:
    opened.tools.draw_picture(tmp_path / "picture.png")
    qtbot.waitUntil(lambda: "picture.png" in opened.told.text(), timeout=120_000)
    assert (tmp_path / "picture.png").stat().st_size > 1000
    opened.tools.draw_motion(tmp_path / "motion.png")
    done = ("tracks: D", "No track has")
    qtbot.waitUntil(lambda: any(one in opened.told.text() for one in done), timeout=120_000)


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [("7", "frames '7' is not of the form A:B"), ("9:", "frames 9:: none of them is in the movie")],
)
def test_impossible_frames_are_refused(
    qtbot: QtBot, opened: ReanalysePanel, frames: str, sentence: str
) -> None:
    opened.again.frames.setText(frames)
    opened.again.start()
    qtbot.waitUntil(lambda: not opened.again.running, timeout=120_000)
    assert opened.told.text().startswith(sentence)
    assert len(runs(opened)) == 1


def test_a_model_for_other_optics_is_refused(
    qtbot: QtBot, opened: ReanalysePanel, tmp_path: Path
) -> None:
    other = load_model(MODEL)
    other.card = replace(other.card, optics=replace(other.card.optics, na=1.4))
    save_model(other, tmp_path / "other.safetensors")
    opened.again.add_model(tmp_path / "other.safetensors")
    opened.again.start()
    qtbot.waitUntil(lambda: not opened.again.running, timeout=120_000)
    assert "made for other optics than nucleus: na 1.45 (model 1.4)" in opened.told.text()


def test_nothing_runs_beside_a_recording(opened: ReanalysePanel, session: Session) -> None:
    session.activity = Activity.recording
    opened.again.start()
    assert not opened.again.running
    assert "The rig is recording" in opened.told.text()


def test_a_wrong_file_is_told_and_what_was_open_stays(
    qtbot: QtBot, opened: ReanalysePanel, tmp_path: Path
) -> None:
    opened.open(tmp_path / "none.tif")
    qtbot.waitUntil(lambda: not opened._opening.busy)
    assert opened.told.text() == f"{tmp_path / 'none.tif'}: there is no such file or folder."
    assert len(runs(opened)) == 1
    with qtbot.waitSignal(opened.frame_shown):
        opened.movie.show_frame(2)


def test_damaged_localizations_do_not_hide_the_movie(
    qtbot: QtBot, panel: ReanalysePanel, recording: Path
) -> None:
    (recording / "localizations.parquet").write_bytes(b"not parquet")
    (recording / "truth.parquet").unlink()
    with qtbot.waitSignal(panel.frame_shown, timeout=120_000) as shown:
        panel.open(recording / "recording.json")
    assert shown.args[2] is None
    assert runs(panel) == []
    assert "localizations.parquet" in panel.told.text()
    made = run_again(qtbot, panel, frames="0:1")
    assert made.scores is None
    assert "no truth.parquet" in panel.again.scores.truth.text()


def test_a_movie_is_dropped_and_replaces_the_one_before(
    qtbot: QtBot, opened: ReanalysePanel, recording: Path
) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(recording / "movie_000.tif"))])
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    drop = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, left, none)
    with qtbot.waitSignal(opened.opened, timeout=120_000) as answer:
        opened.dropEvent(drop)
    assert answer.args[0].facts is None  # a single file of it
    assert runs(opened) == []
    assert opened.table.model.rowCount() == 0


def test_the_last_recording_is_at_hand(
    qtbot: QtBot, panel: ReanalysePanel, session: Session, recorded: Path
) -> None:
    assert not panel.last.isEnabled()
    session.ended.emit(None, None)  # a live view
    assert not panel.last.isEnabled()
    session.ended.emit(None, recorded)
    with qtbot.waitSignal(panel.opened, timeout=120_000):
        panel.last.click()


def test_unsorted_live_tables_are_sorted(
    qtbot: QtBot, panel: ReanalysePanel, recording: Path
) -> None:
    path = recording / "localizations.parquet"
    stored = read_localizations(path)
    write_localizations(Localizations(stored.table.iloc[::-1], stored.origin), path)
    with qtbot.waitSignal(panel.frame_shown, timeout=120_000) as shown:
        panel.open(recording)
    assert set(shown.args[2]["frame"]) == {0}
    assert len(shown.args[2]) == (stored.table["frame"] == 0).sum()
