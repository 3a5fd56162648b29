"""What a movie tells of light, density, background and gain."""

from collections.abc import Generator, Sequence

import torch

from dsacq.data import Roi
from dsacq.localize.localizer import FrameSource
from dsacq.microscope import Microscope
from dsacq.physics.camera import IdealCamera
from dsacq.training.estimate import Estimate, estimated
from dsacq.training.examine import (
    Examined,
    Region,
    consecutive_pairs,
    examinations,
    examine,
)
from dsacq.training.photon_transfer import photon_transfer


def parts_of(
    movie: FrameSource, indices: Sequence[int], roi: Roi | None = None
) -> list[tuple[int, Region]]:
    """The frames and their parts that `estimate_movie` looks at. Raises SettingsError."""
    return examinations(indices, movie.shape, roi)


def estimate_movie(
    movie: FrameSource,
    indices: Sequence[int],
    microscope: Microscope,
    device: torch.device | str = "cpu",
    roi: Roi | None = None,
) -> Generator[Examined | Estimate]:
    """Each part as it is examined, and last the Estimate. Raises FileError or SettingsError."""
    examined = []
    for part in examine(movie, parts_of(movie, indices, roi), microscope, device):
        examined.append(part)
        yield part
    region = ... if roi is None else roi.slices(movie.shape)
    transfer = photon_transfer(
        (
            (movie.frame(first)[region], movie.frame(second)[region])
            for first, second in consecutive_pairs(indices)
        ),
        microscope.camera or IdealCamera(),
    )
    yield estimated(examined, transfer, microscope)
