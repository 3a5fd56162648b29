"""Simulated devices keep the contracts of the real ones, and fail as those do."""

from threading import Timer

import numpy as np
import pytest
from contracts import CameraContract, LaserContract, ShutterContract, SLMContract, StageContract
from small_bench import bead_bench, camera_of

from dsacq.config import validated
from dsacq.errors import SettingsError
from hardware.bench import Bench, BenchSettings
from hardware.protocols import Camera, DeviceError, Laser, Shutter, Stage
from hardware.simulated import (
    SimulatedLaser,
    SimulatedLaserSettings,
    SimulatedShutter,
    SimulatedShutterSettings,
    SimulatedSLM,
    SimulatedSLMSettings,
    SimulatedStage,
    SimulatedStageSettings,
)
from hardware.specimens import BeadSettings


@pytest.fixture
def bench() -> Bench:
    return bead_bench()


class TestCamera(CameraContract):
    @pytest.fixture
    def camera(self, bench: Bench) -> Camera:
        return camera_of(bench)


class TestFocus(StageContract):
    @pytest.fixture
    def stage(self, bench: Bench) -> Stage:
        return SimulatedStage("focus", SimulatedStageSettings(), bench)


class TestStageAcross(StageContract):
    @pytest.fixture
    def stage(self, bench: Bench) -> Stage:
        settings = SimulatedStageSettings(axis="x", limits_um=(-100.0, 100.0))
        return SimulatedStage("x", settings, bench)


class TestSLM(SLMContract):
    @pytest.fixture
    def slm(self, bench: Bench) -> SimulatedSLM:
        return SimulatedSLM("slm", SimulatedSLMSettings(), bench)


class TestLaser(LaserContract):
    @pytest.fixture
    def laser(self, bench: Bench) -> Laser:
        return SimulatedLaser("laser", SimulatedLaserSettings(), bench)


class TestShutter(ShutterContract):
    @pytest.fixture
    def shutter(self, bench: Bench) -> Shutter:
        return SimulatedShutter("shutter", SimulatedShutterSettings(), bench)


def test_a_stopped_stage_has_not_arrived(bench: Bench) -> None:
    settings = SimulatedStageSettings(limits_um=(-20_000.0, 20_000.0))
    stage = SimulatedStage("focus", settings, bench)
    stopper = Timer(0.2, stage.stop)
    stopper.start()
    with pytest.raises(DeviceError, match="focus: was stopped"):
        stage.move_to(15_000.0)
    stopper.join()
    assert stage.position_um() == 0


def test_stages_begin_where_the_bench_is() -> None:
    bench = Bench(BenchSettings())
    for axis, at_um in (("x", 0.0), ("y", 0.0), ("z", 4.5)):
        stage = SimulatedStage(axis, SimulatedStageSettings(axis=axis), bench)
        assert stage.position_um() == at_um


def test_closed_devices_do_nothing_more(bench: Bench) -> None:
    camera = camera_of(bench)
    slm = SimulatedSLM("slm", SimulatedSLMSettings(), bench)
    stage = SimulatedStage("focus", SimulatedStageSettings(), bench)
    laser = SimulatedLaser("laser", SimulatedLaserSettings(), bench)
    shutter = SimulatedShutter("shutter", SimulatedShutterSettings(), bench)
    laser.on()
    shutter.set_opened(True)
    for device in (camera, slm, stage, laser, shutter):
        device.close()
    assert not laser.emitting
    assert not shutter.opened
    with pytest.raises(DeviceError, match="camera: has been closed"):
        camera.start()
    with pytest.raises(DeviceError, match="slm: has been closed"):
        slm.show(np.zeros(slm.shape, np.uint8))
    with pytest.raises(DeviceError, match="focus: has been closed"):
        stage.move_to(1.0)
    with pytest.raises(DeviceError, match="laser: has been closed"):
        laser.on()
    with pytest.raises(DeviceError, match="shutter: has been closed"):
        shutter.set_opened(True)


def test_an_empty_table_is_a_bench() -> None:
    settings = validated(BenchSettings, {}, "rig.toml")
    assert settings.shape_px == (256, 256)
    assert settings.specimen.kind == "telomeres"


def test_a_table_tells_everything() -> None:
    settings = validated(
        BenchSettings,
        {
            "specimen": {"kind": "beads", "spacing_um": 5.0},
            "noise": {"kind": "emccd"},
            "true_alignment": {"centre_px": [500.0, 900.0], "flip_x": True},
            "true_levels": {"levels_per_2pi": 210.0},
            "aberration_rad": {"5": 0.2},
            "faults": {"drop": [3, 4], "stall_at": 9},
        },
        "rig.toml",
    )
    assert settings.specimen == BeadSettings(spacing_um=5.0)
    assert settings.aberration_rad == {5: 0.2}
    assert settings.faults.drop == (3, 4)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"specimen": {"kind": "yeast"}}, "specimen"),
        ({"specimen": {"kind": "beads", "count": 3}}, "specimen.count"),
        ({"specimen": {"kind": "dense", "z_range_um": [3.0, 2.0]}}, "the lower one first"),
        ({"specimen": {"kind": "mitochondria", "z_range_um": [2.0, 2.1]}}, "0.5 um or more"),
        ({"aberration_rad": {"0": 0.2}}, "aberration_rad"),
        ({"psf": {"kind": "deepstorm3d"}}, "scalar or vectorial"),
        ({"faults": {"drop": [-1]}}, "faults.drop"),
        ({"half_life_s": 0}, "half_life_s"),
    ],
)
def test_impossible_tables_are_told(table: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=rf"rig.toml: .*{told}"):
        validated(BenchSettings, table, "rig.toml")
