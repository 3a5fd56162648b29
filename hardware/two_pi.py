"""How many grey levels of an SLM make 2 pi, as a camera sees it."""

import time
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from dsacq.errors import SettingsError
from hardware.pictures import pictures
from hardware.protocols import SLM, Camera, DeviceError

_STRIPE_PX = 8  # half a period: throws light aside by more than the image of a bead
_WINDOW_PX = 6  # around the brightest place
_LEAST_FALL = 0.3  # of the light there, at half a wave
_GOOD_RESIDUAL = 0.1  # rms, of the light there
_MOST_LEVELS = 1024.0


@dataclass(frozen=True)
class LevelSeen:
    """Light, counts above the surroundings, at stripes of no grey and of this level."""

    level: int
    light: float


@dataclass(frozen=True)
class TwoPi:
    """levels_per_2pi: for a rig file's [pattern.levels]. residual: rms, relative to the light.
    linear: whether the phase is in proportion to the level, as it has to be for this number."""

    levels_per_2pi: float
    residual: float
    linear: bool


def measure_levels(
    slm: SLM, camera: Camera, *, frames: int = 5, step: int = 8
) -> Generator[LevelSeen]:
    """Show stripes of 0 and of each grey level, and look at the light of the brightest bead.

    Half of the pupil is delayed: the light that stays in place goes as cos^2 of half the phase.
    The light must be on, and steady. Give what is seen to `fitted_levels`. Raises DeviceError when
    nothing stands out in the image.
    """
    flat: NDArray[np.uint8] = np.zeros(slm.shape, np.uint8)
    slm.show(flat)
    image = _seen(camera, frames)
    smooth = ndimage.uniform_filter(image, _WINDOW_PX)
    middle = float(np.median(smooth))
    spread = 1.4826 * float(np.median(abs(smooth - middle)))
    row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
    if smooth[row, column] - middle < 10 * spread:
        raise DeviceError(camera.name, "sees no bright bead in focus; find one, and give it light.")
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    away = np.hypot(rows - row, columns - column)
    inside, around = away < _WINDOW_PX, (away > 1.5 * _WINDOW_PX) & (away < 2.5 * _WINDOW_PX)
    stripe = (np.arange(slm.shape[1]) // _STRIPE_PX) % 2
    for level in range(0, 256, step):
        slm.show(np.broadcast_to((level * stripe).astype(np.uint8), slm.shape).copy())
        image = _seen(camera, frames)
        light = float((image[inside] - np.median(image[around])).sum())
        yield LevelSeen(level, light)


def fitted_levels(seen: list[LevelSeen]) -> TwoPi:
    """The cosine through what was seen. Raises SettingsError when it shows none."""
    level = np.array([one.level for one in seen], float)
    light = np.array([one.light for one in seen])
    light = light / light.max()

    def model(
        x: NDArray[np.float64], dark: float, swing: float, levels: float
    ) -> NDArray[np.float64]:
        return np.asarray(dark + swing * np.cos(np.pi * x / levels) ** 2)

    best = None
    for guess in (90.0, 128.0, 180.0, 256.0, 360.0, 512.0):
        try:
            found, _ = optimize.curve_fit(
                model, level, light, (0.1, 0.9, guess), bounds=((-0.5, 0, 30), (1, 2, _MOST_LEVELS))
            )
        except RuntimeError:
            continue
        residual = float(np.sqrt(np.mean((model(level, *found) - light) ** 2)))
        if best is None or residual < best[1]:
            best = found, residual
    if best is None or light.max() - light.min() < _LEAST_FALL:
        raise SettingsError(
            "The light hardly changes with the grey level: the pattern does not reach the light "
            "(polarization, position of the SLM), or the levels make less than half a wave."
        )
    (_, _, levels), residual = best
    return TwoPi(float(levels), residual, residual < _GOOD_RESIDUAL)


def _seen(camera: Camera, frames: int) -> NDArray[np.float64]:
    time.sleep(camera.exposure_s)  # a frame that began before the pattern changed
    return np.asarray(sum(pictures(camera, frames)) / frames)
