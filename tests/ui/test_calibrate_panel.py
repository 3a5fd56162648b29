"""The Calibrate tab on a small simulated bench: scan, beads, PSF, files."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import QSettings
from pytestqt.qtbot import QtBot
from rig_samples import write_rig
from small_session import PATIENCE_MS, RIG, end, finish_commands, look, small_session

from calibration.finding import Bead
from calibration.retrieve import RetrieveSettings
from calibration.scan_files import read_scan
from dsacq.files.masks import read_mask
from dsacq.physics.masks import zernike_mask
from dsacq.physics.optics import STANDARD_OPTICS
from hardware.protocols import DeviceError
from hardware.rig_file import read_rig
from ui.panels.calibrate import CalibratePanel
from ui.panels.calibrate_beads import BeadTable
from ui.panels.mask import MaskPanel
from ui.panels.train import TrainPanel
from ui.session import Activity, Session

BENCH: dict[str, Any] = {
    "camera": {"kind": "simulated", "exposure_s": 0.002},
    "bench": RIG["bench"]
    | {
        "specimen": {
            "kind": "beads",
            "spacing_um": 9.0,
            "photons": {"kind": "fixed", "photons": 5e6},
        },
        "shape_px": (160, 160),
    },
}


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    with small_session(qtbot, **BENCH) as opened:
        assert opened.rig is not None
        opened.show(zernike_mask(opened.rig.optics, {(2, 2): 1.0, (4, 2): -0.5}))
        finish_commands(qtbot, opened)
        yield opened


@pytest.fixture
def panel(qtbot: QtBot, session: Session, tmp_path: Path) -> Iterator[CalibratePanel]:
    made = CalibratePanel(session)
    qtbot.addWidget(made)
    assert session.rig is not None
    made._on_opened(session.rig)
    made.resize(400, 900)
    made.show()
    made.folder.setText(str(tmp_path / "beads-1"))
    made.side.setValue(31)
    made.first.setValue(-1.0)
    made.last.setValue(1.0)
    made.step.setValue(0.4)
    made.frames.setValue(2)
    yield made
    made.stop()


def scan(qtbot: QtBot, panel: CalibratePanel) -> None:
    panel.scan()
    qtbot.waitUntil(lambda: panel.beads.rowCount() > 0, timeout=PATIENCE_MS)
    qtbot.waitUntil(panel.scan_button.isEnabled, timeout=PATIENCE_MS)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that is short, as what it finds is tested elsewhere."""
    coarse = RetrieveSettings(passes=6, pupil_pixel_um=120.0)
    monkeypatch.setattr("calibration.result.retrieve_settings", lambda optics, passes: coarse)


def test_a_scan_shows_planes_and_beads(qtbot: QtBot, panel: CalibratePanel, tmp_path: Path) -> None:
    shown = []
    panel.plane_shown.connect(lambda pixels: shown.append(pixels.shape))
    scan(qtbot, panel)
    assert shown == [(160, 160)] * 7  # six planes, and the middle one at the end
    assert (tmp_path / "beads-1" / "scan.tif").exists()
    assert panel.folder.text().endswith("beads-002") or panel.folder.text().endswith("beads-2")
    assert panel.retrieve_button.isEnabled()
    assert "6 planes" in panel.told.text()
    rig = panel._session.rig
    assert rig is not None
    assert not any(laser.emitting for laser in rig.lasers.values())
    assert rig.focus is not None
    assert rig.focus.position_um() == STANDARD_OPTICS.focus_um


def test_a_scan_beside_a_live_view(qtbot: QtBot, panel: CalibratePanel) -> None:
    look(qtbot, panel._session)
    scan(qtbot, panel)
    assert panel._session.activity is Activity.idle


def test_a_scan_can_be_cancelled(qtbot: QtBot, panel: CalibratePanel, tmp_path: Path) -> None:
    panel.step.setValue(0.01)
    panel.scan()
    qtbot.waitUntil(lambda: panel.bar.value() > 1, timeout=PATIENCE_MS)
    panel.cancel()
    assert panel.told.text() == "Stopped. Planes that were taken are kept."
    end(qtbot, panel._session)
    taken = len(read_scan(tmp_path / "beads-1").planes)
    assert 1 < taken < 201
    ended = f"The scan ended early: {taken} of 201 planes were taken."
    qtbot.waitUntil(lambda: ended in panel.told.text())
    assert panel.beads.rowCount() > 0
    assert not panel.cancel_button.isEnabled()


def test_planes_before_a_failure_are_kept_and_their_beads_shown(
    qtbot: QtBot, panel: CalibratePanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = panel._session.rig
    assert rig is not None
    assert rig.focus is not None
    move, stood_um = rig.focus.move_to, rig.focus.position_um()

    def stuck(um: float) -> None:
        if um == pytest.approx(stood_um + 0.6):
            raise DeviceError("focus", "did not arrive.")
        move(um)

    monkeypatch.setattr(rig.focus, "move_to", stuck)
    with qtbot.waitSignal(panel._session.failed) as failed:
        scan(qtbot, panel)
    assert "did not arrive" in str(failed.args[0])
    assert "The scan ended early: 4 of 6 planes were taken." in panel.told.text()
    assert read_scan(tmp_path / "beads-1").planes.shape == (4, 160, 160)
    assert panel.retrieve_button.isEnabled()
    assert rig.focus.position_um() == stood_um


@pytest.mark.parametrize("relative", [True, False])
def test_a_long_way_is_asked_before(
    qtbot: QtBot, panel: CalibratePanel, tmp_path: Path, relative: bool
) -> None:
    rig, box = panel._session.rig, panel._scan_box
    assert rig is not None
    assert rig.focus is not None
    stood_um = rig.focus.position_um()
    box.origin.setCurrentIndex(box.origin.findData(relative))
    middle_um = -22.0 + (0.0 if relative else stood_um)
    panel.first.setValue(middle_um - 1.0)
    panel.last.setValue(middle_um + 1.0)
    panel.step.setValue(1.0)
    assert box.agree_button.isHidden()
    panel.scan()
    qtbot.waitUntil(box.agree_button.isVisible)
    assert panel.told.text() == "The focus stands at 4.50 µm; this scan takes it 23.0 µm away."
    assert rig.focus.position_um() == stood_um
    assert not (tmp_path / "beads-1").exists()
    panel.step.setValue(0.9)
    panel.first.setValue(middle_um - 0.9)
    assert box.agree_button.isHidden()  # as what was asked is no longer what is wanted
    panel.scan()
    qtbot.waitUntil(box.agree_button.isVisible)
    box.agree_button.click()
    qtbot.waitUntil(lambda: (tmp_path / "beads-1" / "scan.json").exists())
    qtbot.waitUntil(panel.scan_button.isEnabled)
    found_um = read_scan(tmp_path / "beads-1").focus_um
    assert found_um == pytest.approx(stood_um - 22.9 + np.array([0.0, 0.9, 1.8]))
    assert rig.focus.position_um() == stood_um


def test_what_speaks_against_a_bead_is_beside_it(qtbot: QtBot) -> None:
    table = BeadTable()
    qtbot.addWidget(table)
    table.show_beads(
        [Bead(1, 2, 3e4), Bead(3, 4, 5e4, doubt="it bleached"), Bead(5, 6, 7, "too dim")]
    )
    remarks = [table.item(place, 3) for place in range(3)]
    assert [item and item.text() for item in remarks] == ["", "it bleached", "too dim"]
    assert table.chosen == Bead(1, 2, 3e4)


def test_what_cannot_be_scanned_is_said(panel: CalibratePanel, tmp_path: Path) -> None:
    panel.first.setValue(2.0)
    panel.scan()
    assert "give the lower end first" in panel.told.text()
    panel.first.setValue(0.9)
    panel.scan()
    assert "fewer than 3 planes" in panel.told.text()
    panel.first.setValue(-1.0)
    panel.folder.setText(str(tmp_path))
    panel.scan()
    assert "exists already" in panel.told.text()
    assert panel._session.activity is Activity.idle


@pytest.mark.usefixtures("quick")
def test_the_psf_of_a_bead_is_written(qtbot: QtBot, panel: CalibratePanel, tmp_path: Path) -> None:
    scan(qtbot, panel)
    panel.search.setCurrentIndex(panel.search.findData(False))
    panel.retrieve()
    assert not panel.retrieve_button.isEnabled()
    qtbot.waitUntil(panel.save_button.isEnabled, timeout=PATIENCE_MS)
    assert "Median correlation" in panel.told.text()
    panel.save_result(tmp_path / "psf.tif")
    mask = read_mask(tmp_path / "psf.tif", optics=STANDARD_OPTICS)
    assert mask.phase_rad.any()
    told = json.loads((tmp_path / "psf.json").read_text())
    assert told["optics"]["na"] == STANDARD_OPTICS.na
    assert 0 < told["quality"]["median_correlation"] <= 1
    assert (tmp_path / "psf.png").stat().st_size > 10_000
    with qtbot.waitSignal(panel.wanted_for_training) as wanted:
        panel.train_button.click()
    result = wanted.args[0]
    train = TrainPanel(panel._session)
    qtbot.addWidget(train)
    train.take_psf(result.found.mask, result.psf, result.found.blur_px)
    qtbot.waitUntil(lambda: train._plan is not None, timeout=PATIENCE_MS)
    assert train._plan is not None
    assert train._plan.mask is result.found.mask
    assert train._plan.settings.psf.blur_px == pytest.approx(result.found.blur_px, abs=1e-3)
    assert asdict(train._plan.settings.optics) == told["optics"] | {
        "z_range_um": STANDARD_OPTICS.z_range_um
    }
    train.stop()


def test_a_search_can_be_cancelled(qtbot: QtBot, panel: CalibratePanel) -> None:
    scan(qtbot, panel)
    panel.retrieve()
    panel.cancel()
    qtbot.waitUntil(panel.retrieve_button.isEnabled, timeout=PATIENCE_MS)
    assert not panel.save_button.isEnabled()


def test_a_scan_is_opened_again(qtbot: QtBot, panel: CalibratePanel, tmp_path: Path) -> None:
    scan(qtbot, panel)
    found = panel.beads.rowCount()
    again = CalibratePanel(Session())
    qtbot.addWidget(again)
    again.side.setValue(31)
    again.open(tmp_path / "beads-1")
    qtbot.waitUntil(lambda: again.beads.rowCount() == found, timeout=PATIENCE_MS)
    again.open(tmp_path)
    qtbot.waitUntil(lambda: "is no z scan" in again.told.text(), timeout=PATIENCE_MS)
    again.stop()


def test_numbers_are_remembered(qtbot: QtBot, panel: CalibratePanel, tmp_path: Path) -> None:
    kept = QSettings(str(tmp_path / "kept.ini"), QSettings.Format.IniFormat)
    panel.radius.setValue(90)
    panel.save(kept)
    again = CalibratePanel(Session())
    qtbot.addWidget(again)
    again.restore(kept)
    assert (again.radius.value(), again.side.value(), again.frames.value()) == (90, 31, 2)
    assert again.step.value() == pytest.approx(0.4)
    again.stop()


def test_where_the_pupil_lies_is_kept_in_the_rig_file(
    qtbot: QtBot, panel: CalibratePanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse = RetrieveSettings(passes=5, pupil_pixel_um=120.0)
    monkeypatch.setattr("calibration.result.retrieve_settings", lambda optics, passes: coarse)
    session = panel._session
    assert session.rig is not None
    session.rig_file = write_rig(tmp_path)
    masks = MaskPanel(session)
    qtbot.addWidget(masks)
    panel.alignment_wanted.connect(masks.take_alignment)
    scan(qtbot, panel)
    panel.search.setCurrentIndex(panel.search.findData(True))
    panel.retrieve()
    qtbot.waitUntil(panel.keep_button.isEnabled, timeout=PATIENCE_MS)
    assert "Pupil at row" in panel.told.text()
    found = panel._aligned()
    panel.keep_button.click()
    finish_commands(qtbot, session)
    assert read_rig(session.rig_file).pattern.alignment == found
    assert session.rig.settings.pattern.alignment == found
    masks.stop()


def test_without_a_mask_there_is_no_pupil_to_search(
    qtbot: QtBot, panel: CalibratePanel, tmp_path: Path
) -> None:
    scan(qtbot, panel)
    (tmp_path / "beads-1" / "mask.tif").unlink()
    panel.search.setCurrentIndex(panel.search.findData(True))
    panel.retrieve()
    qtbot.waitUntil(lambda: "No mask was on the SLM" in panel.told.text(), timeout=PATIENCE_MS)
