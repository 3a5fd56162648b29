"""A movie and a model in, localizations out."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsacq.data import Localizations, Roi
from dsacq.errors import FileError, SettingsError
from dsacq.localize import mixture, voxel
from dsacq.localize.detections import Detections
from dsacq.networks.architectures import VoxelArchitecture
from dsacq.networks.mixture import stabilised
from dsacq.networks.model_file import Model
from dsacq.physics.camera import Camera, read_variance_electrons, to_electrons
from dsacq.physics.optics import Optics
from dsacq.version import software

# Camera pixels that go through a network at once; on a CPU more gains nothing, on a GPU it takes
# many to keep it busy. A voxel network makes volumes of them.
_BATCH_PX = {"mixture": {"cpu": 1 << 17, "cuda": 1 << 22}, "voxel": {"cpu": 1, "cuda": 1 << 20}}

_MOST_RANGES = 200  # of frames, that a table tells


class FrameSource(Protocol):
    """Frames by number, as an open movie has them."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def __len__(self) -> int: ...

    def frame(self, index: int) -> NDArray[Any]: ...


@dataclass(frozen=True)
class FrameStack:
    """Frames in memory as a source of frames. pixels (F, H, W), counts."""

    pixels: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a frame."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def __len__(self) -> int:
        return len(self.pixels)

    def frame(self, index: int) -> NDArray[Any]:
        """Counts (H, W)."""
        counts: NDArray[Any] = self.pixels[index]
        return counts


@dataclass(frozen=True, kw_only=True)
class LocalizeSettings:
    """threshold: on the network's output, by default the model's. tile_px: largest piece of a
    frame that is in memory as features, by default what suits the network."""

    threshold: float | None = None
    roi: Roi | None = None
    tile_px: int | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < math.inf:
            raise SettingsError(f"threshold {self.threshold} is not a number above 0.")
        if self.tile_px is not None and self.tile_px < 16:
            raise SettingsError(f"tile {self.tile_px} is too small: give at least 16 pixels.")


def localize(
    frames: FrameSource,
    model: Model,
    indices: Sequence[int],
    settings: LocalizeSettings = LocalizeSettings(),
    *,
    camera: Camera | None = None,
    device: torch.device | str = "cpu",
) -> Generator[Localizations]:
    """Localize the frames of the given numbers; yields one table per frame, in their order.

    Positions are from the corner of the full frame, with a region of interest too.
    camera: what took the frames, by default what the model was trained for; a voxel network does
    not ask. Raises SettingsError when a mixture network is told of no camera.
    """
    check_settings(model, settings, camera)
    device = torch.device(device)
    model.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows, columns = slice(0, frames.shape[0]), slice(0, frames.shape[1])
    if settings.roi is not None:
        rows, columns = settings.roi.slices(frames.shape)
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    size = max(1, _BATCH_PX[model.card.architecture.kind][device.type] // area)
    threshold = model.card.input.threshold if settings.threshold is None else settings.threshold
    pixel_um = model.card.optics.pixel_um
    corner_um = columns.start * pixel_um, rows.start * pixel_um
    find = _finder(model, camera, frames.shape, (rows, columns), threshold, settings, device)

    for first in range(0, len(indices), size):
        numbers, pixels, failure = indices[first : first + size], [], None
        for number in numbers:
            try:
                pixels.append(_seen(frames, number, context_frames(model), rows, columns))
            except FileError as error:  # what was read before it is localized first
                failure = error
                break
        if pixels:
            found = find(torch.from_numpy(np.stack(pixels)).to(device))
            yield from _tables(found, numbers[: len(pixels)], corner_um)
        if failure is not None:
            raise failure


def check_settings(model: Model, settings: LocalizeSettings, camera: Camera | None) -> None:
    """What can be told before there are frames. Raises SettingsError, as `localize` does."""
    if isinstance(model.card.architecture, VoxelArchitecture):
        return
    if camera is None and model.card.camera is None:
        raise SettingsError(
            f"the model {model.card.name} needs to know the camera: give an optics file with a "
            "[camera] table."
        )
    if settings.threshold is not None and settings.threshold >= 1:
        raise SettingsError(
            f"threshold {settings.threshold:g}: the model {model.card.name} gives probabilities, "
            "so choose one below 1."
        )


def _finder(
    model: Model,
    camera: Camera | None,
    shape: tuple[int, int],
    region: tuple[slice, slice],
    threshold: float,
    settings: LocalizeSettings,
    device: torch.device,
) -> Callable[[Tensor], Detections]:
    """What makes detections of counts (B, frames, H, W)."""
    if isinstance(model.card.architecture, VoxelArchitecture):
        tile_px = settings.tile_px or voxel.CONTEXT_TILE_PX
        return lambda counts: voxel.detect(model, counts[:, 0], threshold, tile_px)
    taken_by = camera or model.card.camera
    assert taken_by is not None  # see `check_settings`
    variance = torch.tensor(read_variance_electrons(taken_by), dtype=torch.float32, device=device)
    read = variance.expand(shape)[region][None, None]

    def find(counts: Tensor) -> Detections:
        frames = stabilised(to_electrons(taken_by, counts), read)
        tile_px = settings.tile_px or mixture.TILE_PX
        return mixture.detect(model, frames, read, taken_by, threshold, tile_px)

    return find


def context_frames(model: Model) -> int:
    """How many frames before and after one are looked at with it."""
    architecture = model.card.architecture
    return 0 if isinstance(architecture, VoxelArchitecture) else architecture.frames // 2


def _seen(
    frames: FrameSource, number: int, context: int, rows: slice, columns: slice
) -> NDArray[np.float32]:
    """A frame amid those around it, (frames, H, W); at the ends of a movie the last one again."""
    around = range(number - context, number + context + 1)
    read = [frames.frame(min(max(one, 0), len(frames) - 1))[rows, columns] for one in around]
    return np.stack(read).astype(np.float32)


def _tables(
    found: Detections, numbers: Sequence[int], corner_um: tuple[float, float]
) -> Generator[Localizations]:
    image = found.image.cpu().numpy()
    columns = {name: values.double().cpu().numpy() for name, values in found.columns.items()}
    columns["x_um"] = columns["x_um"] + corner_um[0]
    columns["y_um"] = columns["y_um"] + corner_um[1]
    for place, number in enumerate(numbers):
        own = image == place
        yield Localizations.from_columns(
            frame=np.full(own.sum(), number),
            **{name: values[own] for name, values in columns.items()},
        )


def origin(
    optics: Optics,
    frames: FrameSource,
    settings: LocalizeSettings,
    metadata: Mapping[str, Any],
    **made_with: Any,
) -> dict[str, Any]:
    """What made the localizations, as their table carries it; `analysed` tells of which frames.

    metadata: of the movie, which tells the times of its frames. made_with: model, method, mask,
    movie.
    """
    times = {
        "frame_interval_s": metadata.get("interval_s"),
        "exposure_s": metadata.get("exposure_s"),
        "gaps": metadata.get("gaps"),
    }
    known = {name: value for name, value in times.items() if value}
    return (
        made_with
        | known
        | {
            "software": software(),
            "pixel_um": optics.pixel_um,
            "shape_px": list(frames.shape),
            "frames": len(frames),
            "optics": asdict(optics),
            "settings": asdict(settings),
        }
    )


def analysed(ranges: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Of which frames a table is, as a part of its origin: those of a movie that were localized.

    ranges: (first, one past the last), in order, such as [(0, 200)]; they are told unless there are
    very many.
    """
    told: dict[str, Any] = {"frames_analysed": sum(stop - first for first, stop in ranges)}
    if len(ranges) <= _MOST_RANGES:
        told["analysed"] = [list(one) for one in ranges]
    return told


def joined_ranges(ranges: list[tuple[int, int]], number: int) -> None:
    """Add a frame, in place, to ranges that lie before it."""
    if ranges and ranges[-1][1] == number:
        ranges[-1] = ranges[-1][0], number + 1
    else:
        ranges.append((number, number + 1))
