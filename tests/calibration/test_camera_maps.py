from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from rig_samples import LIT, write_rig

from calibration.camera import Stack, camera_maps, stack_statistics
from calibration.camera_result import (
    CameraResult,
    Source,
    measure_camera,
    movie_source,
    noise_table,
    rig_sources,
    write_camera,
)
from dsacq.errors import SettingsError
from dsacq.physics.camera import Camera, EmccdCamera, ScmosCamera, digitised, expose
from hardware.rig import open_rig
from hardware.rig_file import read_rig
from hardware.rig_file_edit import write_noise

SHAPE = (40, 50)


def of(camera: Camera, photons: float, count: int, seed: int, swing: float = 0.0) -> np.ndarray:
    draw = torch.Generator().manual_seed(seed)
    rows = torch.linspace(0.7, 1.3, SHAPE[0])[:, None].expand(SHAPE)  # uneven light will do
    light = photons * (1 + swing * torch.randn(count, 1, 1, generator=draw)) * rows
    frames = digitised(expose(camera, light.clamp_min(0), draw))
    return frames.numpy().astype(np.uint16)


def ended(work) -> object:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def stack(name: str, frames: np.ndarray, offset: np.ndarray | None = None) -> Stack:
    found = ended(stack_statistics(name, frames, offset))
    assert isinstance(found, Stack)
    return found


def source(name: str, frames: np.ndarray) -> Source:
    return Source(name, len(frames), lambda: (one for one in frames))


def measured(dark: Source, flats: list[Source], **options) -> CameraResult:
    result = ended(measure_camera(dark, flats, **{"quantum_efficiency": 0.8} | options))
    assert isinstance(result, CameraResult)
    return result


@pytest.fixture(scope="module")
def sensor() -> ScmosCamera:
    draw = np.random.default_rng(3)
    variance = draw.gamma(8, 1.5, SHAPE).astype(np.float32)
    variance[7, 9] = 4000.0
    return ScmosCamera(
        quantum_efficiency=0.8,
        offset_adu=draw.normal(100, 2, SHAPE).astype(np.float32),
        gain_adu_per_electron=(2.2 * draw.normal(1, 0.1, SHAPE)).astype(np.float32),
        read_variance_adu2=variance,
    )


@pytest.fixture(scope="module")
def result(sensor: ScmosCamera) -> CameraResult:
    flats = [source(f"{p}", of(sensor, p, 300, seed)) for seed, p in enumerate((40, 100, 250, 600))]
    return measured(source("dark", of(sensor, 0, 800, 9)), flats)


def test_maps_are_those_of_the_sensor(sensor: ScmosCamera, result: CameraResult) -> None:
    found = result.maps
    # 800 frames know an offset to 4/sqrt(800), a variance to sqrt(2/800).
    assert np.std(found.offset_adu - sensor.offset_adu, where=~found.hot) < 0.2
    # Rounding to whole counts adds 1/12 of a count squared.
    ratio = (found.read_variance_adu2 - 1 / 12) / sensor.read_variance_adu2
    assert np.median(ratio) == pytest.approx(1, abs=0.01)
    assert np.std(ratio) < 0.08
    error = found.gain / sensor.gain_adu_per_electron - 1
    assert abs(np.median(error)) < 0.01
    assert np.std(error, where=~found.hot) < 1.15 * np.sqrt(2 / (4 * 300)) < 0.05


def test_pixels_unlike_the_others_are_found(result: CameraResult) -> None:
    assert result.maps.hot[7, 9]
    assert result.maps.hot.sum() <= 4
    assert any("unlike the others" in remark for remark in result.maps.remarks)


def test_gain_of_alike_pixels_is_not_made_noisy_by_few_frames() -> None:
    even = ScmosCamera(gain_adu_per_electron=2.0)
    flats = [source("a", of(even, 100, 60, 1)), source("b", of(even, 400, 60, 2))]
    found = measured(source("dark", of(even, 0, 60, 3)), flats).maps
    assert found.gain_error > 0.1  # what single pixels would be known to
    assert np.std(found.gain) < 0.06
    assert np.median(found.gain) == pytest.approx(2.0, rel=0.02)


def test_light_that_swings_does_not_change_the_gain() -> None:
    even = ScmosCamera(gain_adu_per_electron=2.0)
    flats = [source(f"{p}", of(even, p, 300, int(p), swing=0.05)) for p in (200, 1000)]
    found = measured(source("dark", of(even, 0, 300, 3)), flats).maps
    assert np.median(found.gain) == pytest.approx(2.0, rel=0.02)
    assert any("changed by 5" in remark or "changed by 4" in remark for remark in found.remarks)


def test_emccd() -> None:
    true = EmccdCamera(em_gain=200.0, read_noise_electrons=60.0, electrons_per_adu=20.0)
    flats = [source(f"{p}", of(true, p, 400, int(p))) for p in (5, 20, 60)]
    dark = source("dark", of(true, 0, 2000, 3))
    found = measured(dark, flats, electrons_per_adu=20.0, quantum_efficiency=0.9).camera
    assert isinstance(found, EmccdCamera)
    assert found.em_gain == pytest.approx(200, rel=0.02)
    assert found.read_noise_electrons == pytest.approx(60, rel=0.05)
    assert found.spurious_electrons == pytest.approx(0.002, rel=0.15)
    assert found.baseline_adu == pytest.approx(100, abs=0.1)
    with pytest.raises(SettingsError, match="register was off"):
        measured(dark, flats, electrons_per_adu=0.01)


@pytest.mark.parametrize(
    ("flat", "told"),
    [
        (1e6, "saturated"),
        (0.5, "too little light"),
    ],
)
def test_light_that_cannot_be_used_is_named(flat: float, told: str) -> None:
    even = ScmosCamera(gain_adu_per_electron=2.0)
    dark = stack("dark", of(even, 0, 60, 1))
    bad = stack("flat-7.tif", of(even, flat, 60, 2), dark.mean)
    with pytest.raises(SettingsError, match=f"flat-7.tif is .*{told}"):
        camera_maps(dark, [bad])


def test_stacks_that_do_not_belong_together_are_named() -> None:
    even = ScmosCamera(gain_adu_per_electron=2.0)
    other = ScmosCamera(gain_adu_per_electron=4.0)
    dark = stack("dark", of(even, 0, 100, 1))
    good = stack("good", of(even, 500, 100, 2), dark.mean)
    bent = stack("bent", of(other, 500, 100, 2), dark.mean)
    with pytest.raises(SettingsError, match="counts per electron, all stacks together"):
        camera_maps(dark, [good, bent])
    with pytest.raises(SettingsError, match="take all of the whole sensor"):
        camera_maps(dark, [stack("small", of(even, 500, 100, 2)[:, 5:], dark.mean[5:])])
    with pytest.raises(SettingsError, match="variance needs at least 50"):
        stack("short", of(even, 0, 20, 1))


def test_what_is_written_is_a_rig_files_noise(
    sensor: ScmosCamera, result: CameraResult, tmp_path: Path
) -> None:
    rig_file = write_rig(tmp_path)
    write_camera(result, tmp_path / "camera-1")
    write_noise(rig_file, noise_table(result, tmp_path / "camera-1", rig_file))
    noise = read_rig(rig_file).noise
    assert isinstance(noise, ScmosCamera)
    assert noise.quantum_efficiency == 0.8
    assert np.array_equal(noise.gain_adu_per_electron, result.maps.gain.astype(np.float32))
    assert (tmp_path / "camera-1/camera.png").stat().st_size > 10_000


def test_recordings_are_sources(sensor: ScmosCamera, tmp_path: Path) -> None:
    frames = of(sensor, 30, 60, 4)
    tifffile.imwrite(tmp_path / "flat.tif", frames)
    taken = movie_source(tmp_path / "flat.tif")
    assert (taken.name, taken.count) == ("flat.tif", 60)
    for _ in range(2):  # from the first, each time
        assert np.array_equal(np.stack(list(taken.frames())), frames)


def test_on_the_rig(tmp_path: Path) -> None:
    # Light: the background of the bench. Its beads are steady too.
    settings = read_rig(write_rig(tmp_path, LIT))
    with open_rig(settings) as rig:
        before = rig.camera.exposure_s
        dark, flats = rig_sources(rig, [0.02, 0.04], 80)
        found = measured(dark, flats)
        assert not rig.lasers["561"].emitting
        assert rig.camera.exposure_s == before
    truth = settings.bench.noise
    assert isinstance(truth, ScmosCamera)
    assert np.median(found.maps.offset_adu) == pytest.approx(100, abs=0.2)
    assert np.median(found.maps.gain) == pytest.approx(2.17, rel=0.05)
    assert np.median(found.maps.read_variance_adu2) == pytest.approx(12, rel=0.1)
