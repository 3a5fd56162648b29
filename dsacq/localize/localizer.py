"""A movie and a model in, localizations out."""

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.localize.voxel import CONTEXT_TILE_PX, Detections, detect
from dsacq.networks.model_file import Model
from dsacq.physics.optics import Optics
from dsacq.version import software

_BATCH_PX = 1 << 20  # camera pixels sent to a GPU at once


class FrameSource(Protocol):
    """Frames by number, as an open movie has them."""

    shape: tuple[int, int]

    def __len__(self) -> int: ...

    def frame(self, index: int) -> NDArray[Any]: ...


@dataclass(frozen=True)
class Roi:
    """A rectangle of camera pixels, named as Fiji does: corner and size."""

    column: int
    row: int
    width: int
    height: int

    def slices(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns. Raises SettingsError when it is not inside a frame of `shape`."""
        rows, columns = shape
        if (
            min(self.column, self.row) < 0
            or min(self.width, self.height) < 1
            or self.column + self.width > columns
            or self.row + self.height > rows
        ):
            raise SettingsError(
                f"roi {self.column},{self.row},{self.width},{self.height} does not lie inside the "
                f"frames, which are {columns} wide and {rows} high."
            )
        return (
            slice(self.row, self.row + self.height),
            slice(self.column, self.column + self.width),
        )


@dataclass(frozen=True, kw_only=True)
class LocalizeSettings:
    """threshold: on the network's output, by default the model's. tile_px: largest piece of a
    frame that is in memory as features."""

    threshold: float | None = None
    roi: Roi | None = None
    tile_px: int = CONTEXT_TILE_PX

    def __post_init__(self) -> None:
        if self.threshold is not None and self.threshold <= 0:
            raise SettingsError(f"threshold {self.threshold} is not above 0.")
        if self.tile_px < 16:
            raise SettingsError(f"tile {self.tile_px} is too small: give at least 16 pixels.")


def localize(
    frames: FrameSource,
    model: Model,
    indices: Sequence[int],
    settings: LocalizeSettings = LocalizeSettings(),
    *,
    device: torch.device | str = "cpu",
) -> Generator[Localizations]:
    """Localize the frames of the given numbers; yields one table per frame, in their order.

    Positions are from the corner of the full frame, with a region of interest too.
    """
    device = torch.device(device)
    model.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows, columns = slice(0, frames.shape[0]), slice(0, frames.shape[1])
    if settings.roi is not None:
        rows, columns = settings.roi.slices(frames.shape)
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    size = 1 if device.type == "cpu" else max(1, _BATCH_PX // area)
    threshold = model.card.input.threshold if settings.threshold is None else settings.threshold
    corner_um = np.array([columns.start, rows.start, 0]) * model.card.optics.pixel_um

    for first in range(0, len(indices), size):
        numbers, pixels, failure = indices[first : first + size], [], None
        for number in numbers:
            try:
                pixels.append(frames.frame(number)[rows, columns].astype(np.float32))
            except FileError as error:  # what was read before it is localized first
                failure = error
                break
        if pixels:
            batch = torch.from_numpy(np.stack(pixels)).to(device)
            found = detect(model, batch, threshold, settings.tile_px)
            yield from _tables(found, numbers[: len(pixels)], corner_um)
        if failure is not None:
            raise failure


def _tables(
    found: Detections, numbers: Sequence[int], corner_um: NDArray[np.float64]
) -> Generator[Localizations]:
    image = found.image.cpu().numpy()
    xyz_um = found.xyz_um.double().cpu().numpy() + corner_um
    confidence = found.confidence.cpu().numpy()
    for place, number in enumerate(numbers):
        own = image == place
        x_um, y_um, z_um = xyz_um[own].T
        yield Localizations.from_columns(
            frame=np.full(len(x_um), number),
            x_um=x_um,
            y_um=y_um,
            z_um=z_um,
            probability=confidence[own],
        )


def origin(
    optics: Optics, frames: FrameSource, settings: LocalizeSettings, **made_with: Any
) -> dict[str, Any]:
    """What made the localizations, as their table carries it."""
    return made_with | {
        "software": software(),
        "pixel_um": optics.pixel_um,
        "shape_px": list(frames.shape),
        "frames": len(frames),
        "optics": asdict(optics),
        "settings": asdict(settings),
    }
