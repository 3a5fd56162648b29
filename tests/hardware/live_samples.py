"""Live runs on a small bench whose camera and laser tell what they did."""

import time
from collections.abc import Callable, Generator
from pathlib import Path
from threading import Event
from typing import Any, TypeVar
from weakref import WeakSet
from zlib import crc32

import torch
from model_samples import model_of
from small_bench import bead_bench, camera_of

from dsacq.analysis.link import LinkSettings
from dsacq.data import Localizations
from dsacq.files.localizations import read_localizations
from dsacq.files.movies import open_movie
from dsacq.files.recording import LOCALIZATIONS
from dsacq.files.recording_writer import DiskSettings
from dsacq.live import RecordingPlan, Update, live
from dsacq.localize.as_they_come import LiveLocalizer
from dsacq.localize.localizer import LocalizeSettings
from dsacq.networks.architectures import MixtureArchitecture
from dsacq.networks.model_file import Model
from dsacq.physics.camera import Camera
from dsacq.physics.masks import tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.stream import Frame, FrameStream
from hardware.bench import Bench, BenchSettings
from hardware.faults import Faults
from hardware.simulated import SimulatedLaser, SimulatedLaserSettings
from hardware.simulated_camera import SimulatedCamera

NOISE: Camera = BenchSettings().noise
DISK = DiskSettings(reserve_bytes=0, reserve_s=0, queue_bytes=100_000)  # 21 frames
LINK = LinkSettings(frame_interval_s=0.002)
SENSITIVE = LocalizeSettings(threshold=0.3)  # something is found in every frame
PATIENCE_S = 30.0
Kind = TypeVar("Kind", bound=LiveLocalizer)


class Witness:
    """A camera's stream as it is; keeps checksums of what went through, and when it was stopped.

    hang_at: the frame for which the driver does not come back until `released`. slow_stop_s: how
    long stopping takes.
    """

    def __init__(
        self, stream: FrameStream, hang_at: int | None = None, slow_stop_s: float = 0.0
    ) -> None:
        self.sums: list[int] = []
        self.alive: WeakSet[Frame] = WeakSet()
        self.most_alive = 0
        self.stopped_s: list[float] = []
        self.released = Event()
        self._stream, self._hang_at, self._slow_stop_s = stream, hang_at, slow_stop_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def next_frame(self, timeout_s: float) -> Frame | None:
        if len(self.sums) == self._hang_at:
            self.released.wait(PATIENCE_S)
        frame = self._stream.next_frame(timeout_s)
        if frame is not None:
            self.sums.append(crc32(frame.pixels))
            self.alive.add(frame)
            self.most_alive = max(self.most_alive, len(self.alive))
        return frame

    def stop(self) -> None:
        time.sleep(self._slow_stop_s)
        self._stream.stop()
        self.stopped_s.append(time.monotonic())


class NotingLaser(SimulatedLaser):
    """Notes when it went off."""

    def __init__(self, bench: Bench) -> None:
        super().__init__("561", SimulatedLaserSettings(), bench)
        self.off_s: list[float] = []

    def off(self) -> None:
        super().off()
        self.off_s.append(time.monotonic())


class LiveBench:
    """A bench ready to run: its first frame, which takes long, has been rendered."""

    def __init__(
        self, faults: Faults | None = None, exposure_s: float = 0.002, **witness: Any
    ) -> None:
        bench = bead_bench(faults=faults or Faults())
        bench.change(power_mw=0.1 / exposure_s * bench.settings.reference_mw)
        bench.expose(exposure_s, exposure_s)
        self.laser = NotingLaser(bench)
        self.camera: SimulatedCamera = camera_of(bench, exposure_s=exposure_s)
        self.stream = Witness(self.camera, **witness)

    def run(
        self,
        folder: Path | None,
        count: int | None = None,
        *,
        disk: DiskSettings = DISK,
        on_end: Callable[[], None] | None = None,
        **options: Any,
    ) -> Generator[Update]:
        """As `live`, with the laser on."""
        self.laser.on()
        plan = None if folder is None else RecordingPlan(folder=folder, pixel_um=0.11, disk=disk)
        options = {"interval_s": 0.01} | options
        return live(self.stream, count, plan=plan, on_end=on_end or self.laser.off, **options)

    @property
    def safe(self) -> bool:
        return not (self.laser.emitting or self.camera.running)


class SlowLocalizer(LiveLocalizer):
    """Takes its time for every frame."""

    frame_s = 0.01

    def add(self, *batch: Any) -> Generator[Localizations]:
        for found in super().add(*batch):
            time.sleep(self.frame_s)
            yield found


def localizer_of(kind: type[Kind]) -> Kind:
    return kind(random_model(), LINK, SENSITIVE, camera=NOISE)


def random_model(frames: int = 1) -> Model:
    """The same weights each time; it sees many emitters in any frame."""
    torch.manual_seed(5)
    optics = STANDARD_OPTICS
    architecture = MixtureArchitecture(
        frames=frames,  # type: ignore[arg-type]
        fine_channels=8,
        fine_blocks=(1, 1),
        coarse_channels=8,
        dilations=(1,),
        z_range_um=optics.z_range_um,
        input_offset=10.0,
        input_scale=2.0,
    )
    network = architecture.build().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
        network.head.bias[:4] = 0.0  # of the chance, which is small at first
    return model_of(network, architecture, tetrapod(optics), optics)


def movie_sums(folder: Path) -> list[int]:
    """Checksums of all frames of a recording."""
    with open_movie(folder) as movie:
        return [crc32(image) for _, image in movie.frames()]


def localized_frames(folder: Path) -> set[int]:
    return set(read_localizations(folder / LOCALIZATIONS).table["frame"])


def wait_for(happened: Callable[[], bool]) -> None:
    for _ in range(int(PATIENCE_S / 0.005)):
        if happened():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen")
