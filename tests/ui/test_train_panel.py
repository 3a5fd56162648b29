"""The Train tab: settings, a real training in its process, and what is left of one cut short."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtCore import QSettings
from pytestqt.qtbot import QtBot
from rig_samples import CAMERA, write_rig
from running import SHALLOW_OPTICS
from small_session import PATIENCE_MS, finish_commands, small_session

from dsacq.files.masks import read_mask
from dsacq.networks.model_file import load_model
from dsacq.physics.camera import ScmosCamera
from dsacq.physics.masks import astigmatism, tetrapod
from dsacq.simulation.brightness import Lognormal, LogUniform
from dsacq.training.checkpoint import read_checkpoint
from dsacq.training.settings import read_training
from hardware.acquire import acquire
from hardware.rig import open_rig
from hardware.rig_file import read_rig
from ui.panels.train import TrainPanel
from ui.panels.train_history import TrainingHistory
from ui.session import Session
from ui.training_plan import plan_of_file, with_learned_mask

TRAINED_MS = 240_000

CONFIG = (
    SHALLOW_OPTICS
    + """
[mask]
design = "astigmatism"
[camera]
kind = "scmos"
[network]
kind = "mixture"
preset = "nano"
[priors]
density_per_um2 = 0.5
z_margin_um = 0.1
[priors.photons]
kind = "lognormal"
median = 4000
sigma = 0.5
[priors.background]
kind = "constant"
photons = [5, 20]
[training]
steps = 50
batch = 4
crop_px = 32
"""
)


@pytest.fixture
def panel(qtbot: QtBot, tmp_path: Path) -> Iterator[TrainPanel]:
    made = TrainPanel(Session())
    qtbot.addWidget(made)
    made.resize(400, 700)
    made.show()
    made.model.line.setText(str(tmp_path / "m.safetensors"))
    yield made
    made.stop()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "given.toml"
    path.write_text(CONFIG)
    return path


def take(qtbot: QtBot, panel: TrainPanel, config: Path) -> None:
    panel.take_file(config)
    qtbot.waitUntil(panel.start_button.isEnabled, timeout=PATIENCE_MS)


def begin(qtbot: QtBot, panel: TrainPanel) -> None:
    """Trains, with steps done."""
    panel.start()
    qtbot.waitUntil(
        lambda: panel.course.bar.value() > 0 or not panel.process.running, timeout=TRAINED_MS
    )
    assert panel.process.running, panel.course.told.text()


def test_settings_of_the_rig_follow_the_mask(qtbot: QtBot, tmp_path: Path) -> None:
    with small_session(qtbot) as session:
        panel = TrainPanel(session)
        qtbot.addWidget(panel)
        panel.model.line.setText(str(tmp_path / "m.safetensors"))
        assert session.rig is not None
        session.show(astigmatism(session.rig.optics))
        finish_commands(qtbot, session)
        qtbot.waitUntil(lambda: "astigmatism" in panel.about.text(), timeout=PATIENCE_MS)
        session.show(tetrapod(session.rig.optics))
        qtbot.waitUntil(lambda: "tetrapod" in panel.about.text(), timeout=PATIENCE_MS)
        panel.form.density.setValue(0.2)
        panel.form.photons.low.setValue(3000)
        panel.form.network.setCurrentIndex(panel.form.network.findData("small"))
        panel.save_settings(tmp_path / "saved.toml")
        saved = read_training(tmp_path / "saved.toml")
        assert saved.optics == session.rig.optics
        assert saved.psf == session.rig.settings.psf
        assert saved.priors.density_per_um2 == 0.2
        assert isinstance(saved.priors.photons, LogUniform)
        assert saved.priors.photons.low == 3000
        assert isinstance(saved.camera, ScmosCamera)
        assert (tmp_path / "saved.mask.tif").exists()
        panel.stop()


def test_a_training_makes_a_model(qtbot: QtBot, panel: TrainPanel, config: Path) -> None:
    take(qtbot, panel, config)
    assert "lognormal, median 4000" in panel.form.photons.text.text()
    with qtbot.waitSignal(panel.trained, timeout=TRAINED_MS) as trained:
        panel.start()
        assert not panel.start_button.isEnabled()
    path = trained.args[0]
    assert load_model(path).card.training["steps_done"] == 50
    steps, losses = panel.course.history.curves("loss")
    assert steps.tolist() == [25, 50]
    assert losses.shape == (2, 2)
    qtbot.waitUntil(lambda: not panel.process.running, timeout=PATIENCE_MS)
    assert "Jaccard" in panel.course.told.text()
    assert isinstance(read_training(path.with_suffix(".toml")).priors.photons, Lognormal)


def test_stopped_and_resumed(qtbot: QtBot, panel: TrainPanel, config: Path) -> None:
    config.write_text(CONFIG.replace("steps = 50", "steps = 100000"), encoding="utf-8")
    take(qtbot, panel, config)
    begin(qtbot, panel)
    with qtbot.waitSignal(panel.trained, timeout=TRAINED_MS) as trained:
        panel.end()
        assert not panel.stop_button.isEnabled()
    model = trained.args[0]
    first = load_model(model).card.training["steps_done"]
    assert 0 < first < 100000
    qtbot.waitUntil(lambda: panel.start_button.isEnabled(), timeout=PATIENCE_MS)
    assert panel.start_button.text() == "Resume"
    panel.start()
    qtbot.waitUntil(lambda: panel.course.bar.value() > first, timeout=TRAINED_MS)


def test_a_mask_learned_with_its_network(qtbot: QtBot, panel: TrainPanel, config: Path) -> None:
    """Begun from the settings of a training; the mask is seen as it comes, written and told."""
    take(qtbot, panel, config)
    panel.learn_mask.setChecked(True)
    with qtbot.waitSignal(panel.designed, timeout=TRAINED_MS) as designed:
        panel.start()
    assert panel.course.picture.isVisible()
    assert panel.course.picture.pixmap().width() == panel.course.picture.width()
    mask = read_mask(designed.args[0])
    model = load_model(designed.args[0].with_suffix(".safetensors"))
    assert np.array_equal(mask.phase_rad, model.mask.phase_rad)
    assert mask.origin["steps"] == 50
    qtbot.waitUntil(lambda: not panel.process.running, timeout=PATIENCE_MS)
    assert "Jaccard" in panel.course.told.text()

    again = plan_of_file(designed.args[0].with_suffix(".toml"))
    assert again.learns_mask
    assert not with_learned_mask(again, False).learns_mask
    assert with_learned_mask(again, False).settings.priors == again.settings.priors
    panel.learn_mask.setChecked(False)
    panel.take_file(designed.args[0].with_suffix(".toml"))
    qtbot.waitUntil(panel.learn_mask.isChecked, timeout=PATIENCE_MS)


def test_a_design_without_network_belongs_elsewhere(
    qtbot: QtBot, panel: TrainPanel, config: Path
) -> None:
    config.write_text(CONFIG + '[design]\nkind = "fisher"\n', encoding="utf-8")
    panel.take_file(config)
    qtbot.waitUntil(lambda: "fisher" in panel.course.told.text(), timeout=PATIENCE_MS)
    assert not panel.start_button.isEnabled()


def test_closed_while_it_trains(
    qtbot: QtBot, panel: TrainPanel, config: Path, tmp_path: Path
) -> None:
    config.write_text(CONFIG.replace("steps = 50", "steps = 100000"), encoding="utf-8")
    take(qtbot, panel, config)
    begin(qtbot, panel)
    process = panel.process._process
    assert process is not None
    begun = time.monotonic()
    panel.stop()
    assert process.state() is process.ProcessState.NotRunning
    assert process.exitCode() == 0
    assert time.monotonic() - begun < 60
    _, told = read_checkpoint(tmp_path / "m.checkpoint")
    assert told["step"] > 0
    assert not (tmp_path / "m.safetensors").exists()

    again = TrainPanel(Session())
    qtbot.addWidget(again)
    kept = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    panel.save(kept)
    again.restore(kept)
    qtbot.waitUntil(again.start_button.isEnabled, timeout=PATIENCE_MS)
    assert again.start_button.text() == "Resume"
    again.stop()


def test_what_goes_wrong_is_told(
    qtbot: QtBot, panel: TrainPanel, config: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(CONFIG.replace("density_per_um2", "denseness"))
    panel.take_file(bad)
    qtbot.waitUntil(lambda: "denseness" in panel.course.told.text(), timeout=PATIENCE_MS)
    assert not panel.start_button.isEnabled()
    take(qtbot, panel, config)
    (tmp_path / "m.safetensors").write_bytes(b"")
    panel.start()
    assert "m.safetensors exists already; m-001.safetensors is free." in panel.course.told.text()
    panel.model.line.setText(str(tmp_path / "other"))
    panel.form.background.low.setValue(30)
    panel.start()
    assert "Background: 30 to 20 is no range" in panel.course.told.text()
    assert not panel.process.running
    panel.form.background.low.setValue(3)
    (tmp_path / "other.checkpoint").write_bytes(b"nonsense")
    (tmp_path / "other.toml").write_text(CONFIG)
    panel.start()
    qtbot.waitUntil(lambda: not panel.process.running, timeout=PATIENCE_MS)
    assert "other.checkpoint" in panel.course.told.text()


def test_priors_measured_on_a_recording(qtbot: QtBot, panel: TrainPanel, tmp_path: Path) -> None:
    rig_file = write_rig(
        tmp_path,
        CAMERA
        + """
[bench]
shape_px = [64, 72]
slm_shape = [600, 640]
[bench.noise]
kind = "scmos"
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
""",
    )
    with open_rig(read_rig(rig_file)) as rig:
        for _ in acquire(rig, 2, folder=tmp_path / "cell", mask=tetrapod(rig.optics)):
            pass
        from ui.training_plan import plan_of_rig

        panel._set_plan(plan_of_rig(rig.settings, rig.noise(), tetrapod(rig.optics)))
    panel.take_recording(tmp_path / "cell")
    assert not panel.start_button.isEnabled()
    qtbot.waitUntil(lambda: "from cell." in panel.about.text(), timeout=TRAINED_MS)
    assert panel._plan is not None
    assert panel._plan.comments["priors"].startswith("measured on 2 frames")
    qtbot.waitUntil(panel.start_button.isEnabled, timeout=PATIENCE_MS)


def test_history_keeps_gaps() -> None:
    history = TrainingHistory()
    history.add({"step": 25, "loss": 3.0})
    history.add({"step": 50, "loss": 2.0, "validation_loss": 2.5, "measured": {"jaccard": 0.5}})
    steps, (training, validation) = history.curves("loss")
    assert steps.tolist() == [25, 50]
    assert training.tolist() == [3.0, 2.0]
    assert str(validation[0]) == "nan"
    assert history.curves("jaccard")[0].tolist() == [50]
    assert history.curves("rmse")[0].size == 0
