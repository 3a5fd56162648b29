"""How fast models localize: frames in memory to a table, several models by turns."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dsacq.data import Localizations
from dsacq.localize.localizer import FrameStack, localize
from dsacq.networks.model_file import Model, ModelCard
from dsacq.physics.camera import Camera, IdealCamera
from dsacq.physics.masks import PhaseMask
from dsacq.simulation.background import Constant
from dsacq.simulation.brightness import Fixed
from dsacq.simulation.emitters import EmitterSettings
from dsacq.simulation.settings import FrameSettings, MaskChoice, SimulationSettings
from dsacq.simulation.simulate import simulate

_DENSITY_PER_UM2, _PHOTONS, _BACKGROUND = 0.1, 10_000.0, 50.0
_DIFFERENT = 32  # frames; longer movies repeat them
_FRAMES = {"cpu": 32, "cuda": 1024}


@dataclass(frozen=True)
class Lap:
    """One model through all frames. round 0 warms up and does not count."""

    name: str
    round: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Frames per second of a model: best and median round; ratio: to the slowest model's median."""

    name: str
    frames_per_second: float
    frames_per_second_median: float
    ratio: float


@dataclass(frozen=True)
class LoopedFrames(FrameStack):
    """A movie of a given length that repeats its frames."""

    length: int

    def __len__(self) -> int:
        return self.length

    def frame(self, index: int) -> NDArray[Any]:
        """Counts (H, W)."""
        return super().frame(index % len(self.pixels))


def usual_frames(device: torch.device) -> int:
    """How many frames keep a device busy for long enough to be timed."""
    return _FRAMES[device.type]


def laps(
    models: Mapping[str, Model],
    shape: tuple[int, int],
    *,
    frames: int,
    rounds: int,
    device: torch.device,
) -> Generator[Lap]:
    """Time the models by turns, so that what else the machine does slows all alike.

    Each localizes frames simulated for its own mask, optics, PSF and camera, 0.1 emitters per
    square micrometre. Yields rounds + 1 laps of each.
    """
    movies = {
        name: LoopedFrames(_pixels(model.card, model.mask, shape, min(frames, _DIFFERENT)), frames)
        for name, model in models.items()
    }
    for number in range(rounds + 1):
        for name, model in models.items():
            seconds = _timed(movies[name], model, _camera(model.card), device)
            yield Lap(name, number, seconds)


def speeds(driven: Sequence[Lap], frames: int) -> list[Speed]:
    """What laps over this many frames say of each model, in the order of their names' first."""
    times: dict[str, list[float]] = {}
    for lap in driven:
        if lap.round:
            times.setdefault(lap.name, []).append(lap.seconds)
    slowest = max(median(own) for own in times.values())
    return [
        Speed(
            name=name,
            frames_per_second=frames / min(own),
            frames_per_second_median=frames / median(own),
            ratio=slowest / median(own),
        )
        for name, own in times.items()
    ]


def _timed(movie: LoopedFrames, model: Model, camera: Camera, device: torch.device) -> float:
    _wait_for(device)
    begun = perf_counter()
    Localizations.joined(localize(movie, model, range(len(movie)), camera=camera, device=device))
    _wait_for(device)
    return perf_counter() - begun


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _camera(card: ModelCard) -> Camera:
    return card.camera or IdealCamera()


def _pixels(
    card: ModelCard, mask: PhaseMask, shape: tuple[int, int], count: int
) -> NDArray[np.uint16]:
    settings = SimulationSettings(
        optics=card.optics,
        mask=MaskChoice(design="flat"),  # simulate takes the model's own instead
        frames=FrameSettings(count=count, shape_px=shape),
        emitters=EmitterSettings(density_per_um2=_DENSITY_PER_UM2),
        photons=Fixed(photons=_PHOTONS),
        background=Constant(photons=_BACKGROUND),
        camera=_camera(card),
        psf=card.psf,
    )
    return np.concatenate([part.pixels for part in simulate(settings, mask)])
