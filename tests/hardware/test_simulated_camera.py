"""Regions, binning, truth, buffer and faults of the simulated camera."""

import time
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from small_bench import SIDE, bead_bench, camera_of

from dsacq.data import Localizations, Roi
from dsacq.physics.camera import ScmosCamera
from dsacq.stream import Frame
from hardware.bench import Bench, BenchSettings
from hardware.faults import Faults
from hardware.protocols import DeviceError
from hardware.simulated_camera import SimulatedCamera
from hardware.specimens import DenseSettings, SpecimenSettings, TelomereSettings

PIXEL_UM = 0.11


def recorded(camera: SimulatedCamera, count: int) -> list[Frame]:
    camera.start(count)
    return rest(camera)


def rest(camera: SimulatedCamera) -> list[Frame]:
    frames = []
    while (frame := camera.next_frame(20)) is not None:
        frames.append(frame)
    return frames


def ended(camera: SimulatedCamera) -> None:
    deadline = time.monotonic() + 20
    while camera.running and time.monotonic() < deadline:
        time.sleep(0.005)


def light(frames: Iterable[Frame]) -> NDArray[np.float64]:
    """Mean of the frames, less the offset and the dimmest pixel's background."""
    mean = np.mean([frame.pixels for frame in frames], axis=0, dtype=np.float64)
    return np.asarray(mean - mean.min())


def centroid_um(image: NDArray[np.float64], pixel_um: float) -> tuple[float, float]:
    """x, y of what is bright, from the image's upper-left corner."""
    bright = np.where(image > image.max() / 10, image, 0)
    row, column = np.indices(image.shape) + 0.5
    total = bright.sum()
    return (
        float((bright * column).sum() / total * pixel_um),
        float((bright * row).sum() / total * pixel_um),
    )


@pytest.fixture
def bench() -> Bench:
    """Bright enough at short exposures."""
    bench = bead_bench()
    bench.change(power_mw=50 * bench.settings.reference_mw)
    return bench


@pytest.fixture
def camera(bench: Bench) -> SimulatedCamera:
    return camera_of(bench)


def dense_bench(specimen: SpecimenSettings, seed: int = 0) -> Bench:
    return Bench(BenchSettings(specimen=specimen, shape_px=(SIDE, SIDE), seed=seed))


@pytest.mark.parametrize(
    ("roi", "binning"), [(None, 1), (Roi(9, 4, 30, 36), 1), (None, 2), (Roi(6, 5, 14, 16), 2)]
)
def test_the_truth_is_where_the_light_is(
    camera: SimulatedCamera, roi: Roi | None, binning: int
) -> None:
    camera.set_binning(binning)
    read = camera.set_roi(roi)
    frames = recorded(camera, 20)
    (truth,) = {tuple(row) for row in camera.take_truth().positions_um()}
    pixel_um = PIXEL_UM * binning
    x_um, y_um = centroid_um(light(frames), pixel_um)
    assert x_um + read.column * pixel_um == pytest.approx(truth[0], abs=0.015)
    assert y_um + read.row * pixel_um == pytest.approx(truth[1], abs=0.015)


def test_binning_sums_photons(camera: SimulatedCamera) -> None:
    fine = light(recorded(camera, 10)).reshape(SIDE // 2, 2, SIDE // 2, 2).sum((1, 3))
    background = camera.take_truth().table["background"].iloc[0]
    camera.set_binning(2)
    coarse = light(recorded(camera, 10))
    assert np.corrcoef(fine.ravel(), coarse.ravel())[0, 1] > 0.999
    assert coarse.max() / fine.max() == pytest.approx(1, abs=0.05)
    assert camera.take_truth().table["background"].iloc[0] == pytest.approx(4 * background)
    with pytest.raises(DeviceError, match="camera: binning 3"):
        camera.set_binning(3)


def test_a_region_of_a_map_is_that_of_its_pixels() -> None:
    offset = np.arange(SIDE**2, dtype=np.float32).reshape(SIDE, SIDE)
    bench = bead_bench(noise=ScmosCamera(offset_adu=offset, read_variance_adu2=0.01))
    bench.change(emitting=False)
    camera = camera_of(bench)
    camera.set_binning(2)
    camera.set_roi(Roi(3, 5, 7, 9))
    (frame,) = recorded(camera, 1)
    joined = offset.reshape(SIDE // 2, 2, SIDE // 2, 2).mean((1, 3))
    assert np.abs(frame.pixels - joined[5:14, 3:10]).max() <= 1


def test_truth_is_of_the_frames_given(bench: Bench) -> None:
    camera = camera_of(dense_bench(DenseSettings(density_per_um2=1.0)))
    frames = recorded(camera, 12)
    early = camera.take_truth()
    assert sorted(set(early.table["frame"])) == [frame.index for frame in frames]
    assert len(camera.take_truth()) == 0
    x_um = early.table["x_um"]
    assert 0 <= x_um.min() < x_um.max() < SIDE * PIXEL_UM
    recorded(camera, 3)
    assert camera.take_truth().table["frame"].max() == 2


def test_truth_can_be_taken_while_frames_come(camera: SimulatedCamera) -> None:
    camera.start(30)
    parts: list[Localizations] = []
    while camera.next_frame(20) is not None:
        parts.append(camera.take_truth())
    parts.append(camera.take_truth())
    assert Localizations.joined(parts).table["frame"].tolist() == list(range(30))


def test_truth_of_dark_and_bright_frames(bench: Bench, camera: SimulatedCamera) -> None:
    bench.change(emitting=False)
    camera.start()
    assert camera.next_frame(20) is not None
    bench.change(emitting=True)
    while len(truth := camera.take_truth()) == 0:
        assert camera.next_frame(20) is not None
    assert "track" in truth.table.columns
    camera.stop()


def test_truth_nobody_takes_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardware.frame_buffer.TRUTH_ROWS", 7)
    camera = camera_of(bead_bench())
    recorded(camera, 20)
    assert camera.take_truth().table["frame"].tolist() == list(range(13, 20))


def test_frames_say_how_they_were_made(bench: Bench) -> None:
    camera = camera_of(bench)
    bench.change(focus_um=0.25)
    before = time.time()
    frames = recorded(camera, 5)
    assert frames[0].metadata == {"exposure_s": 0.002, "focus_um": 0.25, "power_mw": 2500.0}
    times = [frame.time_s for frame in frames]
    assert before < times[0] <= times[-1] <= time.time()
    assert [frame.camera_index for frame in frames] == [0, 1, 2, 3, 4]


def test_frames_come_no_faster_than_the_exposure(camera: SimulatedCamera) -> None:
    camera.set_exposure(0.05)
    begun = time.monotonic()
    recorded(camera, 6)
    assert time.monotonic() - begun >= 0.29


def test_a_full_buffer_ends_the_sequence(bench: Bench) -> None:
    camera = camera_of(bench, buffer_mb=5.5 * SIDE**2 * 2 / 1e6)
    camera.start()
    ended(camera)
    assert camera.overflowed
    assert 0.8 < camera.buffer_fill <= 1
    assert [frame.index for frame in rest(camera)] == list(range(5))
    assert camera.buffer_fill == 0
    assert camera.overflowed
    camera.start(2)
    assert not camera.overflowed


def test_looking_needs_no_buffer(bench: Bench) -> None:
    camera = camera_of(bench, buffer_mb=1e-3)
    camera.start(40, newest_only=True)
    ended(camera)
    assert not camera.overflowed
    assert [frame.index for frame in rest(camera)] == [39]


@pytest.mark.parametrize("specimen", [TelomereSettings(), DenseSettings()], ids=lambda s: s.kind)
def test_seeds_repeat_everything(specimen: SpecimenSettings) -> None:
    def movie(seed: int) -> tuple[NDArray[np.uint16], pd.DataFrame]:
        camera = camera_of(dense_bench(specimen, seed), exposure_s=0.02)
        return np.stack([f.pixels for f in recorded(camera, 3)]), camera.take_truth().table

    (first, truth), (again, same), (other, _) = movie(1), movie(1), movie(2)
    assert np.array_equal(first, again)
    pd.testing.assert_frame_equal(truth, same)
    assert (first != other).mean() > 0.5


def faulty(bench: Bench, **faults: object) -> SimulatedCamera:
    bench.faults = Faults(**faults)  # type: ignore[arg-type]
    return camera_of(bench)


def test_lost_frames_jump_the_index(bench: Bench) -> None:
    camera = faulty(bench, drop=(2, 3))
    frames = recorded(camera, 6)
    assert [frame.index for frame in frames] == [0, 1, 4, 5]
    assert [frame.camera_index for frame in frames] == [0, 1, 4, 5]
    assert not camera.overflowed


def test_frames_lost_in_the_camera_jump_its_index(bench: Bench) -> None:
    camera = faulty(bench, drop_in_camera=(1, 4))
    frames = recorded(camera, 6)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.camera_index for frame in frames] == [0, 2, 3, 5]
    assert camera.take_truth().table["frame"].tolist() == [0, 1, 2, 3]


def test_duplicates_are_the_same_frame(bench: Bench) -> None:
    camera = faulty(bench, duplicate=(1,))
    frames = recorded(camera, 3)
    assert [frame.index for frame in frames] == [0, 1, 1, 2]
    assert np.array_equal(frames[1].pixels, frames[2].pixels)
    assert not np.shares_memory(frames[1].pixels, frames[2].pixels)


def test_a_stalled_camera_runs_without_frames(bench: Bench) -> None:
    camera = faulty(bench, stall_at=2)
    camera.start(5)
    assert camera.next_frame(20) is not None
    assert camera.next_frame(20) is not None
    assert camera.next_frame(0.1) is None
    assert camera.running
    camera.stop()
    assert not camera.running


def test_a_failing_camera_gives_out_what_it_has(bench: Bench) -> None:
    camera = faulty(bench, raise_at=2)
    camera.start(5)
    assert [camera.next_frame(20).index for _ in range(2)] == [0, 1]  # type: ignore[union-attr]
    with pytest.raises(DeviceError, match="camera: failed"):
        camera.next_frame(20)
    assert not camera.running


def test_a_frame_of_another_shape(bench: Bench) -> None:
    frames = recorded(faulty(bench, resize_at=1), 3)
    assert [len(frame.pixels) for frame in frames] == [SIDE, SIDE // 2, SIDE]


def test_an_overflow_on_demand(bench: Bench) -> None:
    camera = faulty(bench, overflow_at=3)
    assert [frame.index for frame in recorded(camera, 6)] == [0, 1, 2]
    assert camera.overflowed


def test_an_index_that_begins_again(bench: Bench) -> None:
    frames = recorded(faulty(bench, reset_index_at=3), 5)
    assert [frame.index for frame in frames] == [0, 1, 2, 0, 1]


def test_faults_are_set_for_the_next_sequence(bench: Bench) -> None:
    camera = faulty(bench, overflow_at=1)
    assert len(recorded(camera, 3)) == 1
    bench.faults = Faults()
    assert len(recorded(camera, 3)) == 3


def test_what_cannot_be_simulated_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    camera = camera_of(bench)
    monkeypatch.setattr(bench, "optics", None)
    camera.start(3)
    with pytest.raises(DeviceError, match="camera: could not simulate a frame"):
        camera.next_frame(20)
    assert not camera.running
    assert "could not be simulated" in caplog.text
