"""Live localization as the panel shows it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_samples import tiny_mixture
from PyQt6.QtCore import QSettings
from pytestqt.qtbot import QtBot
from small_session import PATIENCE_MS, end, finish_commands, look, small_session

from dsacq.data import Localizations
from dsacq.live_analysis import Analysed
from dsacq.networks.model_file import Model, save_model
from dsacq.physics.masks import flat, tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf
from dsacq.stream import Frame
from ui.panels.live import LivePanel
from ui.panels.live_history import History
from ui.regenerated import SIDE_PX, regenerated
from ui.session import Activity, Session

EAGER = 0.02  # a threshold at which random weights find something


def model() -> Model:
    torch.manual_seed(3)
    made = tiny_mixture(tetrapod(STANDARD_OPTICS), STANDARD_OPTICS)
    with torch.no_grad():
        made.network.get_parameter("head.bias")[:4] = -3.0
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_model(model(), path)
    return path


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    with small_session(qtbot) as opened:
        yield opened


@pytest.fixture
def panel(qtbot: QtBot, session: Session) -> Iterator[LivePanel]:
    made = LivePanel(session)
    qtbot.addWidget(made)
    made.show()
    assert session.rig is not None
    session.opened.emit(session.rig)
    yield made
    made.stop()


def choose(qtbot: QtBot, panel: LivePanel, path: Path) -> None:
    with qtbot.waitSignal(panel.model.loaded, timeout=PATIENCE_MS):
        panel.model.choose(path)


def test_frames_are_found_shown_and_regenerated(
    qtbot: QtBot, session: Session, panel: LivePanel, file: Path
) -> None:
    choose(qtbot, panel, file)
    panel.threshold.setValue(EAGER)
    panel.plots[0].show_plot("latency")
    with qtbot.waitSignals([panel.found_shown, panel.regenerator.made], timeout=PATIENCE_MS):
        look(qtbot, session)
    assert "correlation" in panel.picture.title.text()
    assert panel.picture.images[0].image.shape == (64, 64)
    np.testing.assert_array_equal(*(image.levels for image in panel.picture.images))
    qtbot.waitUntil(lambda: len(panel._history.curves("latency")[0]) > 2, timeout=PATIENCE_MS)
    assert len(panel._history.curves("correlation")[0]) == 1
    end(qtbot, session)
    assert session._last is not None
    newest = session._last.newest_analysed
    assert newest is not None
    assert set(newest.found.table["frame"]) <= {newest.number}
    assert session._last.analysis_latency_s == newest.latency_s >= 0


def test_only_chosen_heights_are_shown(panel: LivePanel) -> None:
    found = Localizations.from_columns(frame=[0] * 3, x_um=[1] * 3, y_um=[1] * 3, z_um=[2, 3, 4])
    panel.lowest.setValue(2.5)
    panel.highest.setValue(3.5)
    assert list(panel.shown(found.table)["z_um"]) == [3]


def test_a_misfit_is_told_before_live(
    qtbot: QtBot, session: Session, panel: LivePanel, tmp_path: Path, file: Path
) -> None:
    choose(qtbot, panel, file)
    qtbot.waitUntil(lambda: "shows no mask" in panel.told.text(), timeout=PATIENCE_MS)
    session.show(flat(STANDARD_OPTICS))
    qtbot.waitUntil(lambda: "shows another one" in panel.told.text(), timeout=PATIENCE_MS)
    session.show(tetrapod(STANDARD_OPTICS))
    qtbot.waitUntil(lambda: panel.told.text().startswith("Mask "), timeout=PATIENCE_MS)
    optics = replace(STANDARD_OPTICS, focus_um=1.0)
    other = tmp_path / "other.safetensors"
    save_model(tiny_mixture(tetrapod(optics), optics), other)
    choose(qtbot, panel, other)
    qtbot.waitUntil(lambda: "does not fit the rig: focus_um" in panel.told.text())
    assert session.activity is Activity.idle


def test_missing_and_repeated_files(
    qtbot: QtBot, session: Session, panel: LivePanel, tmp_path: Path, file: Path
) -> None:
    choose(qtbot, panel, file)
    count = panel.model.names.count()
    choose(qtbot, panel, file.parent / "." / file.name)
    assert panel.model.names.count() == count
    missing = tmp_path / "gone.safetensors"
    with qtbot.waitSignal(panel.model.failed, timeout=PATIENCE_MS):
        panel.model.choose(missing)
    assert panel.told.text().startswith(f"{missing}: there is no such model file")
    assert session.analysis is None
    finish_commands(qtbot, session)


def test_all_is_remembered(
    qtbot: QtBot, session: Session, panel: LivePanel, tmp_path: Path, file: Path
) -> None:
    choose(qtbot, panel, file)
    panel.threshold.setValue(0.3)
    panel.lowest.setValue(2.5)
    panel.plots[1].show_plot("sigma")
    settings = QSettings(str(tmp_path / "kept.ini"), QSettings.Format.IniFormat)
    panel.save(settings)
    again = LivePanel(session)
    qtbot.addWidget(again)
    again.restore(settings)
    with qtbot.waitSignal(again.model.loaded, timeout=PATIENCE_MS):
        session.opened.emit(session.rig)
    assert again.model.path == file
    assert (again.threshold.value(), again.lowest.value()) == (0.3, 2.5)
    assert [plot.name for plot in again.plots] == ["count", "sigma"]
    again.stop()


def test_the_live_view_waits_for_the_model(
    qtbot: QtBot, session: Session, panel: LivePanel, file: Path
) -> None:
    seen: list[Activity] = []
    session.activity_changed.connect(seen.append)
    panel.model.choose(file)
    panel.look_when_ready()
    assert session.activity is Activity.idle
    with qtbot.waitSignal(panel.found_shown, timeout=PATIENCE_MS):
        pass
    assert seen == [Activity.looking]  # and not a second time


def test_the_middle_of_a_large_frame_is_regenerated() -> None:
    made, size = model(), SIDE_PX + 64
    optics, middle_um = STANDARD_OPTICS, (SIDE_PX + 64) / 2 * STANDARD_OPTICS.pixel_um
    place = torch.tensor([[0.5, -1.0, 3.5]])
    light = psf(torch.from_numpy(made.mask.phase_rad), place, optics, (size, size), made.card.psf)
    pixels = np.round(1e5 * light[0].numpy() + 100).astype(np.uint16)
    x_um, y_um = middle_um + 0.5, middle_um - 1.0
    found = Localizations.from_columns(
        frame=[7, 7], x_um=[x_um, 0.1], y_um=[y_um, 0.1], z_um=[3.5] * 2
    )
    one = regenerated(Analysed(7, Frame(pixels, 7, 0.0), found, 0.1), made, 2.0)
    assert (one.number, one.part, one.data.shape) == (7, True, (SIDE_PX, SIDE_PX))
    assert one.correlation > 0.99
    assert found.table["x_um"].iloc[0] == pytest.approx(x_um)  # as it was


@pytest.mark.parametrize("name", ["count", "photons", "z", "sigma", "latency", "correlation"])
def test_no_curves_before_there_are_frames(name: str) -> None:
    times_s, values = History().curves(name)
    assert (times_s.size, values.size) == (0, 0)
