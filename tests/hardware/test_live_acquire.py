"""An acquisition on a simulated rig: light, mask, truth, and the dark afterwards."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_samples import DISK, LINK, NOISE, SENSITIVE, random_model
from small_bench import SIDE, bead_bench

from dsacq.data import Roi
from dsacq.errors import FileError, SettingsError
from dsacq.files.localizations import read_localizations
from dsacq.files.masks import read_mask
from dsacq.files.movies import open_movie
from dsacq.files.recording import MASK, TRUTH, read_facts
from dsacq.files.recording_check import check
from dsacq.localize.as_they_come import LiveLocalizer
from dsacq.microscope import microscope_behind
from dsacq.physics.camera import ScmosCamera
from dsacq.physics.masks import flat
from dsacq.physics.optics import STANDARD_OPTICS
from hardware.acquire import acquire, check_model
from hardware.faults import Faults
from hardware.rig import Rig, open_rig
from hardware.rig_file import RigSettings
from hardware.simulated import (
    SimulatedLaserSettings,
    SimulatedShutterSettings,
    SimulatedSLMSettings,
    SimulatedStageSettings,
)
from hardware.simulated_camera import SimulatedCameraSettings

OPTICS = replace(STANDARD_OPTICS, focus_um=0.0)
LIGHT_MW = {"561": 150.0}


def settings(**bench: Any) -> RigSettings:
    return RigSettings(
        optics=OPTICS,
        camera=SimulatedCameraSettings(exposure_s=0.01, readout_s=0.001),
        slm=SimulatedSLMSettings(),
        focus=SimulatedStageSettings(),
        lasers={"561": SimulatedLaserSettings(), "405": SimulatedLaserSettings()},
        shutters={"door": SimulatedShutterSettings()},
        bench=bead_bench(OPTICS, **bench).settings,
    )


@pytest.fixture
def rig() -> Iterator[Rig]:
    with open_rig(settings()) as rig:
        yield rig


def dark(rig: Rig) -> bool:
    lit = any(laser.emitting for laser in rig.lasers.values())
    return not (lit or rig.shutters["door"].opened or rig.camera.running)


def test_all_that_belongs_to_a_recording_is_there(rig: Rig, tmp_path: Path) -> None:
    folder, mask = tmp_path / "run", flat(OPTICS)
    localizer = LiveLocalizer(random_model(), LINK, SENSITIVE, camera=NOISE)
    rig.camera.set_roi(Roi(5, 3, 38, 42))
    lit = []
    for update in acquire(
        rig, 20, folder=folder, mask=mask, lasers_mw=LIGHT_MW, localizer=localizer, disk=DISK
    ):
        lit.append(update.state == "recording" and not dark(rig))
    assert update.state == "complete"
    assert any(lit)
    assert dark(rig)
    assert check(folder).sound
    np.testing.assert_allclose(read_mask(folder / MASK).phase_rad, mask.phase_rad, atol=1e-3)

    about = read_facts(folder).about
    assert about["lasers_mw"] == LIGHT_MW
    assert about["roi_px"] == [5, 3, 38, 42]
    assert (about["mask"]["name"], about["mask"]["file"]) == (mask.name, MASK)
    assert about["rig"]["bench"]["shape_px"] == [SIDE, SIDE]
    assert len(read_localizations(folder / "localizations.parquet")) > 20

    truth = read_localizations(folder / TRUTH).table
    assert set(truth["frame"]) == set(range(20))
    with open_movie(folder) as movie:
        assert movie.shape == (42, 38)
        mean = np.mean([image for _, image in movie.frames()], axis=0)
    light = np.where(mean - mean.min() > (mean.max() - mean.min()) / 10, mean - mean.min(), 0)
    rows, columns = np.indices(light.shape) + 0.5
    x_um = float((light * columns).sum() / light.sum()) * OPTICS.pixel_um
    y_um = float((light * rows).sum() / light.sum()) * OPTICS.pixel_um
    assert x_um == pytest.approx(truth["x_um"].mean(), abs=0.05)
    assert y_um == pytest.approx(truth["y_um"].mean(), abs=0.05)


def test_the_camera_s_maps_are_kept_as_far_as_they_are_seen(tmp_path: Path) -> None:
    offset = np.arange(SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    with open_rig(replace(settings(), noise=ScmosCamera(offset_adu=offset))) as rig:
        rig.camera.set_roi(Roi(5, 3, 38, 42))
        for _ in acquire(rig, 2, folder=tmp_path, mask=flat(OPTICS), lasers_mw={}, disk=DISK):
            pass
    with open_movie(tmp_path) as movie:
        found, remarks = microscope_behind(movie)
    assert remarks == []
    assert found.optics == OPTICS
    assert isinstance(found.camera, ScmosCamera)
    np.testing.assert_array_equal(found.camera.offset_adu, offset[3:45, 5:43])


def test_maps_that_do_not_hold_for_binned_pixels_forbid_no_recording(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    offset = np.full((SIDE, SIDE), 100, np.float32)
    with open_rig(replace(settings(), noise=ScmosCamera(offset_adu=offset))) as rig:
        rig.camera.set_binning(2)
        *_, last = acquire(rig, 2, folder=tmp_path, lasers_mw={}, disk=DISK)
    assert (last.state, last.counters.written) == ("complete", 2)
    assert read_facts(tmp_path).about["noise"] is None
    assert "does not tell the camera's noise" in caplog.text


@pytest.mark.parametrize("seen", [1, 3])
def test_what_came_before_a_stop_has_its_truth(rig: Rig, tmp_path: Path, seen: int) -> None:
    updates = acquire(rig, folder=tmp_path, lasers_mw=LIGHT_MW, disk=DISK)
    assert len(list(islice(updates, seen))) == seen
    updates.close()
    assert dark(rig)
    report = check(tmp_path)
    assert (report.facts.state, report.problems) == ("stopped", ())
    truth = read_localizations(tmp_path / TRUTH)
    assert set(truth.table["frame"]) == set(range(report.frames))


def test_a_fault_leaves_a_rig_in_the_dark_and_ready(tmp_path: Path) -> None:
    with open_rig(settings(faults=Faults(raise_at=5))) as rig:
        *_, last = acquire(rig, 20, folder=tmp_path / "1", lasers_mw=LIGHT_MW, disk=DISK)
        assert (last.state, last.counters.written) == ("failed", 5)
        assert dark(rig)
        assert rig.bench is not None
        rig.bench.faults = Faults()
        *_, last = acquire(rig, 20, folder=tmp_path / "2", lasers_mw=LIGHT_MW, disk=DISK)
        assert (last.state, last.counters.written) == ("complete", 20)
        assert dark(rig)


def test_what_cannot_begin_ends_in_the_dark(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    with pytest.raises(FileError, match="is not empty"):
        next(acquire(rig, 5, folder=tmp_path, lasers_mw=LIGHT_MW, disk=DISK))
    assert dark(rig)
    with pytest.raises(SettingsError, match="no laser '640'; there is 561, 405"):
        next(acquire(rig, 5, folder=tmp_path / "new", lasers_mw={"561": 1.0, "640": 1.0}))
    assert dark(rig)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_looking_only_writes_nothing(rig: Rig, tmp_path: Path) -> None:
    *_, last = acquire(rig, 5, lasers_mw=LIGHT_MW)
    assert (last.state, last.counters.written, last.free_bytes) == ("complete", 0, None)
    assert dark(rig)


def test_a_model_of_other_optics_is_refused(rig: Rig) -> None:
    with pytest.raises(SettingsError, match="focus_um"):
        check_model(rig, random_model())
