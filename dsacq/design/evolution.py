"""How a mask came to be: kept as it goes, shown as an animation."""

from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dsacq.errors import FileError
from dsacq.files.atomic import replacing
from dsacq.files.mask_checks import require_shape
from dsacq.files.reading import reading, small_arrays
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel
from dsacq.physics.tetrapod import crop_shape
from dsacq.physics.zernike import mask_disc

SUFFIX = ".evolution.npz"

_MOST = 120  # moments; of more, every second one goes
_LARGEST_BYTES = 1 << 31
_SIDE_PX = 220  # of each picture
_HEADING_PX = 36  # to be read where the picture is a third as wide, too
_DEPTHS = 4
_FRAME_MS, _LAST_MS = 120, 2000


class Evolution:
    """The phases of a mask at some steps, at most so many; the earliest and the latest stay."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._levels: list[NDArray[np.uint8]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: int, mask: PhaseMask) -> None:
        """The mask as it is at a step; later ones that were there before are dropped."""
        while self._steps and self._steps[-1] >= step:
            self._steps.pop()
            self._levels.pop()
        turns = mask.phase_rad / (2 * np.pi)
        self._steps.append(step)
        self._levels.append(np.round((turns - np.floor(turns)) * 256).astype(np.uint8))
        if len(self._steps) > _MOST:
            del self._steps[1:-1:2], self._levels[1:-1:2]

    def write(self, path: Path) -> None:
        """Keep it, to go on later. Raises FileError."""
        with replacing(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, steps=np.array(self._steps), levels=np.array(self._levels))

    @classmethod
    def read(cls, path: Path) -> "Evolution":
        """What `write` kept; nothing if there is no such file. Raises FileError."""
        made = cls()
        if not path.exists():
            return made
        with reading(path, "the evolution of a mask"):
            kept = small_arrays(path, _LARGEST_BYTES)
            steps, levels = kept["steps"], kept["levels"]
        whole = steps.dtype.kind in "iu" and levels.dtype == np.uint8
        if not whole or levels.ndim != 3 or steps.shape != levels.shape[:1]:
            raise FileError(f"{path}: holds no steps and pictures of them; delete it.")
        if len(steps) > _MOST or (np.diff(steps, prepend=-1) <= 0).any():
            raise FileError(f"{path}: its steps are not in order; delete it.")
        for picture in levels[:1]:
            require_shape(path, picture.shape)
        made._steps, made._levels = steps.tolist(), list(levels)
        return made

    def draw_newest(self, path: Path, optics: Optics, model: PsfModel, pixel_um: float) -> None:
        """A PNG of the mask and its images through depth, as they are now. Raises FileError."""
        heights = np.linspace(*optics.z_range_um, _DEPTHS)
        picture = _picture(self._steps[-1], self._levels[-1], heights, optics, model, pixel_um)
        with replacing(path) as unfinished:
            picture.save(unfinished, format="PNG")

    def animate(self, path: Path, optics: Optics, model: PsfModel, pixel_um: float) -> None:
        """A GIF of the mask and its images through depth. Raises FileError."""
        if not self._steps:
            raise FileError(f"{path}: there is nothing to show yet.")
        heights = np.linspace(*optics.z_range_um, _DEPTHS)
        pictures = [
            _picture(step, levels, heights, optics, model, pixel_um)
            for step, levels in zip(self._steps, self._levels, strict=True)
        ]
        times = [_FRAME_MS] * (len(pictures) - 1) + [_LAST_MS]
        with replacing(path) as unfinished:
            pictures[0].save(
                unfinished,
                format="GIF",
                save_all=True,
                append_images=pictures[1:],
                duration=times,
                loop=0,
            )


def _picture(
    step: int,
    levels: NDArray[np.uint8],
    heights_um: NDArray[np.float64],
    optics: Optics,
    model: PsfModel,
    pixel_um: float,
) -> Image.Image:
    phase = torch.from_numpy(levels.astype(np.float32) * (2 * np.pi / 256))
    xyz_um = torch.zeros(len(heights_um), 3)
    xyz_um[:, 2] = torch.from_numpy(heights_um)
    images = psf(phase, xyz_um, optics, crop_shape(optics), model, mask_pixel_um=pixel_um).numpy()
    radius, _ = mask_disc(optics, (levels.shape[0], levels.shape[1]), pixel_um)
    panels = [_coloured(np.where(radius <= 1, levels / 255.0, np.nan), "twilight")]
    panels += [_coloured(image / image.max(), "inferno") for image in images]
    wide = Image.new("RGB", (_SIDE_PX * len(panels), _SIDE_PX + _HEADING_PX), "black")
    draw, font = ImageDraw.Draw(wide), ImageFont.load_default(_HEADING_PX - 8)
    for number, panel in enumerate(panels):
        wide.paste(panel, (number * _SIDE_PX, _HEADING_PX))
        told = f"step {step}" if number == 0 else f"z {heights_um[number - 1]:.2f} um"
        draw.text((number * _SIDE_PX + 4, 3), told, fill="white", font=font)
    return wide


def _coloured(values: NDArray[np.floating], name: str) -> Image.Image:
    colours = (colormaps[name].with_extremes(bad="black")(values)[..., :3] * 255).astype(np.uint8)
    return Image.fromarray(colours).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.NEAREST)
