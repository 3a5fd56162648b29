"""Localizing and linking frames in the order in which they come, a batch at a time."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dsacq.analysis.link import Linker, LinkSettings
from dsacq.data import Localizations
from dsacq.localize.localizer import (
    FrameStack,
    LocalizeSettings,
    check_settings,
    context_frames,
    localize,
    origin,
)
from dsacq.networks.model_file import Model
from dsacq.physics.camera import Camera


class LiveLocalizer:
    """Localizations with tracks, of frames that may have gaps between them.

    A model that looks at neighbouring frames too gives a frame's localizations once those after it
    are there. camera, device: as for `localize`. Raises SettingsError as `localize` does.
    """

    def __init__(
        self,
        model: Model,
        link: LinkSettings,
        settings: LocalizeSettings = LocalizeSettings(),  # noqa: B008 - frozen
        *,
        camera: Camera | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        check_settings(model, settings, camera)
        self._model, self._settings = model, settings
        self._camera, self._device = camera, device
        self._linker = Linker(link)
        self._context = context_frames(model)
        self._numbers: list[int] = []  # of the frames that are kept
        self._counts: list[int] = []  # the same with lost ones counted
        self._frames: list[NDArray[Any]] = []
        self._done = 0  # how many of them are localized and only neighbours by now

    @property
    def frame_interval_s(self) -> float:
        """The time between frames that linking goes by; it may be set while they come."""
        return self._linker.settings.frame_interval_s

    @frame_interval_s.setter
    def frame_interval_s(self, interval_s: float) -> None:
        self._linker.settings = replace(self._linker.settings, frame_interval_s=interval_s)

    def add(
        self,
        numbers: Sequence[int],
        frames: Sequence[NDArray[Any]],
        counts: Sequence[int] | None = None,
    ) -> Generator[Localizations]:
        """Take frames (rows, columns) of rising numbers; yields a table per frame that is ready.

        counts: the same with frames counted that were lost between them, by which time goes.
        """
        self._numbers.extend(numbers)
        self._counts.extend(numbers if counts is None else counts)
        self._frames.extend(frames)
        yield from self._localized(len(self._frames) - self._context)

    def rest(self) -> Generator[Localizations]:
        """The last frames, that waited for neighbours."""
        yield from self._localized(len(self._frames))

    def origin(
        self, shape: tuple[int, int], frames: int, movie: str, metadata: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What made the localizations of a movie. metadata: as a Movie has it."""
        made = origin(
            self._model.card.optics,
            FrameStack(np.broadcast_to(np.uint16(0), (frames, *shape))),
            self._settings,
            metadata,
            model=self._model.card.name,
            method="network",
            mask=self._model.mask.name,
            movie=movie,
        )
        return made | {"link": asdict(self._linker.settings)}

    def _localized(self, stop: int) -> Generator[Localizations]:
        if stop <= self._done:
            return
        found = localize(
            FrameStack(np.stack(self._frames)),
            self._model,
            range(self._done, stop),
            self._settings,
            camera=self._camera,
            device=self._device,
        )
        numbers, counts = self._numbers[self._done : stop], self._counts[self._done : stop]
        kept = max(stop - self._context, 0)
        self._numbers, self._frames = self._numbers[kept:], self._frames[kept:]
        self._counts = self._counts[kept:]
        self._done = stop - kept
        for number, count, one in zip(numbers, counts, found, strict=True):
            yield self._linker.add(replace(one, table=one.table.assign(frame=number)), count)
