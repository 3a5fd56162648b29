"""Localizing and linking frames in the order in which they come, a batch at a time."""

from collections.abc import Generator, Sequence
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
    context_frames,
    localize,
    origin,
)
from dsacq.networks.model_file import Model
from dsacq.physics.camera import Camera


class LiveLocalizer:
    """Localizations with tracks, of frames that may have gaps between them.

    A model that looks at neighbouring frames too gives a frame's localizations once those after it
    are there. camera, device: as for `localize`. Raises SettingsError as `localize` does, on the
    first frames.
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
        self._model, self._settings, self._link = model, settings, link
        self._camera, self._device = camera, device
        self._linker = Linker(link)
        self._context = context_frames(model)
        self._numbers: list[int] = []  # of the frames that are kept
        self._frames: list[NDArray[Any]] = []
        self._done = 0  # how many of them are localized and only neighbours by now

    def add(
        self, numbers: Sequence[int], frames: Sequence[NDArray[Any]]
    ) -> Generator[Localizations]:
        """Take frames (rows, columns) of rising numbers; yields a table per frame that is ready."""
        self._numbers.extend(numbers)
        self._frames.extend(frames)
        yield from self._localized(len(self._frames) - self._context)

    def rest(self) -> Generator[Localizations]:
        """The last frames, that waited for neighbours."""
        yield from self._localized(len(self._frames))

    def origin(self, shape: tuple[int, int], frames: int) -> dict[str, Any]:
        """What made the localizations of a movie."""
        source = FrameStack(np.broadcast_to(np.uint16(0), (frames, *shape)))
        card = self._model.card
        made = origin(card.optics, source, self._settings, model=card.name, method="network")
        return made | {"link": asdict(self._link)}

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
        numbers = self._numbers[self._done : stop]
        kept = max(stop - self._context, 0)
        self._numbers, self._frames = self._numbers[kept:], self._frames[kept:]
        self._done = stop - kept
        for number, one in zip(numbers, found, strict=True):
            yield self._linker.add(replace(one, table=one.table.assign(frame=number)))
