"""Offset, read noise and gain of every pixel of a camera, from dark frames and steady light.

Photon transfer: the variance of a pixel grows with its mean by the gain. Frames are taken one by
one, so that a stack of any length needs a few arrays of the sensor's size.
Source: Huang et al., Nat. Methods 10, 653 (2013), per pixel by weighted least squares.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from dsacq.errors import SettingsError
from dsacq.physics.camera import EmccdCamera, ScmosCamera

Floats = NDArray[np.float64]

LEAST_FRAMES = 50
_LEAST_LIGHT = 3.0  # standard deviations of the dark frames, that a flat stack must be above them
_CLIPPED = 1e-3  # of the samples at the highest value: the stack is saturated
_UNSTEADY = 0.02  # of the light from frame to frame, rms, which is corrected but told
_BENT = 0.15  # of the gain, that a single stack may show beside all together
_HOT = 8.0  # standard deviations over the sensor, of a pixel's offset or of its noise


@dataclass(frozen=True, eq=False)
class Stack:
    """What is kept of frames of the same light. mean, variance (H, W) counts, of one frame; what
    all pixels do together is not in the variance. flicker: of the light, rms, relative to the mean
    above `offset`. top: the highest value, and the share of the samples that have it."""

    name: str
    frames: int
    mean: Floats
    variance: Floats
    flicker: float
    top: float
    at_top: float


def stack_statistics(
    name: str, frames: Iterable[NDArray[Any]], offset: Floats | None = None
) -> Generator[int, None, Stack]:
    """Mean and variance of each pixel, in one pass; yields how many frames are done.

    offset: of the dark frames. With it, each pixel's share of the common ups and downs of the
    light is taken out by linear regression on the mean of its frame. Raises SettingsError for too
    few frames, and for those of other shapes.
    """
    count, top, at_top = 0, -np.inf, 0
    first: Floats | None = None
    for frame in frames:
        values = frame.astype(np.float64)
        if first is None:
            # Sums of differences from the first frame lose no digits.
            first, level = values, float(values.mean())
            sums = [np.zeros_like(values) for _ in range(3)]
            whole, whole_square = 0.0, 0.0
        if values.shape != first.shape:
            raise SettingsError(f"{name}: frame {count} has another shape than the first.")
        highest = float(values.max())
        if highest > top:
            top, at_top = highest, 0
        at_top += int((values == top).sum())
        beside, common = values - first, float(values.mean()) - level
        sums[0] += beside
        sums[1] += beside**2
        sums[2] += common * beside
        whole, whole_square = whole + common, whole_square + common**2
        count += 1
        yield count
    if first is None or count < LEAST_FRAMES:
        raise SettingsError(f"{name}: {count} frames; a variance needs at least {LEAST_FRAMES}.")
    mean = sums[0] / count
    square = sums[1] - count * mean**2
    common_square = whole_square - whole**2 / count
    flicker, free = 0.0, count - 1
    if offset is not None and common_square > 0:
        square -= (sums[2] - whole * mean) ** 2 / common_square
        free -= 1
        light = level + whole / count - float(offset.mean())
        shot = float(square.mean()) / free / square.size
        flicker = max(common_square / (count - 1) - shot, 0.0) ** 0.5 / max(light, 1e-9)
    variance = np.maximum(square / free, 0.0)
    return Stack(name, count, first + mean, variance, flicker, top, at_top / (count * mean.size))


@dataclass(frozen=True, eq=False)
class CameraMaps:
    """offset, read_variance (counts, counts^2) and gain (counts per electron, twice that for a
    multiplying register), (H, W). gain_error: of the gain map, rms, by the number of frames.
    hot (H, W): pixels unlike the others. levels (L, 2): mean above the offset, and variance above
    the dark one, over the sensor, of each flat stack. remarks: what a person should know."""

    offset_adu: Floats
    read_variance_adu2: Floats
    gain: Floats
    gain_error: float
    hot: NDArray[np.bool_]
    levels: Floats
    remarks: tuple[str, ...]


def camera_maps(dark: Stack, flats: list[Stack]) -> CameraMaps:
    """The maps, from dark frames and stacks of at least two brightnesses, dimmer than saturation.

    The gain of each pixel is drawn towards that of the sensor as far as its own is not known
    better, so that few frames do not add noise. Raises SettingsError, naming the stack that cannot
    be used.
    """
    if not flats:
        raise SettingsError("The gain needs stacks of steady light beside the dark one.")
    for flat in flats:
        _require_usable(dark, flat)
    light = np.stack([flat.mean - dark.mean for flat in flats])
    noise = np.stack([flat.variance - dark.variance for flat in flats])
    levels = np.stack((np.median(light, (1, 2)), np.median(noise, (1, 2))), 1)
    # A variance from n frames is known to sqrt(2/n) of itself.
    error = np.array([np.median(flat.variance) ** 2 * 2 / flat.frames for flat in flats])
    weight = (1 / error)[:, None, None]
    information = (weight * light**2).sum(0)
    own = (weight * light * noise).sum(0) / information
    whole = float(np.median(own))
    if whole <= 0:
        raise SettingsError("The variance does not grow with the light: these are no raw counts.")
    single = levels[:, 1] / levels[:, 0]
    bent = np.flatnonzero(abs(single / whole - 1) > _BENT)
    if len(bent):
        raise SettingsError(
            f"{flats[bent[0]].name} shows a gain of {single[bent[0]]:.3g} counts per electron, all "
            f"stacks together {whole:.3g}: its light was not steady, or the camera is not linear "
            "there."
        )
    own_error = float(np.sqrt(np.median(1 / information)))
    spread = 1.4826 * float(np.median(abs(own - whole)))
    trust = max(1 - (own_error / spread) ** 2, 0.0) if spread > 0 else 0.0
    gain = np.maximum(whole + trust * (own - whole), whole / 10)
    hot = _unlike(dark.mean) | _unlike(np.sqrt(dark.variance))
    remarks = [
        f"The light of {flat.name} changed by {100 * flat.flicker:.1f} % rms from frame to frame; "
        "it was corrected, steadier light is better."
        for flat in flats
        if flat.flicker > _UNSTEADY
    ]
    if hot.any():
        remarks.append(f"{int(hot.sum())} pixels are unlike the others: hot or noisy.")
    return CameraMaps(
        offset_adu=np.maximum(dark.mean, 0.0),
        read_variance_adu2=dark.variance,
        gain=gain,
        gain_error=own_error,
        hot=hot,
        levels=levels,
        remarks=tuple(remarks),
    )


def scmos(maps: CameraMaps, quantum_efficiency: float) -> ScmosCamera:
    """The camera that these maps describe."""
    return ScmosCamera(
        quantum_efficiency=quantum_efficiency,
        offset_adu=maps.offset_adu.astype(np.float32),
        gain_adu_per_electron=maps.gain.astype(np.float32),
        read_variance_adu2=maps.read_variance_adu2.astype(np.float32),
    )


def emccd(
    maps: CameraMaps, electrons_per_adu: float, quantum_efficiency: float, spurious: float
) -> EmccdCamera:
    """The camera with a multiplying register that these maps describe, on average over the sensor.

    electrons_per_adu: of its converter, from the data sheet, or the inverse of the gain that is
    measured with the register off. spurious: electrons per pixel of a dark frame, from
    `spurious_electrons`. The register doubles the variance of shot noise. Raises SettingsError.
    """
    per_electron = float(np.median(maps.gain)) / 2
    em_gain = per_electron * electrons_per_adu
    if em_gain <= 1:
        raise SettingsError(
            f"A gain of {per_electron:.3g} counts per electron with {electrons_per_adu:g} "
            f"electrons per count is an EM gain of {em_gain:.2g}: the register was off, or this is "
            "no EMCCD."
        )
    dark = float(np.median(maps.read_variance_adu2)) - 2 * per_electron**2 * spurious
    return EmccdCamera(
        quantum_efficiency=quantum_efficiency,
        em_gain=em_gain,
        read_noise_electrons=max(dark, 0.0) ** 0.5 * electrons_per_adu,
        spurious_electrons=spurious,
        electrons_per_adu=electrons_per_adu,
        baseline_adu=float(np.median(maps.offset_adu)) - per_electron * spurious,
    )


def spurious_electrons(frames: Iterable[NDArray[Any]], dark: Stack, per_electron: float) -> float:
    """Electrons per pixel and frame that come without light, of a multiplying register.

    One electron leaves it as an exponential of mean `per_electron` counts, far above the read
    noise: the share of samples above a threshold t is c exp(-t/per_electron).
    """
    threshold = 6 * float(np.median(np.sqrt(dark.variance)))
    above = samples = 0
    for frame in frames:
        above += int((frame - dark.mean > threshold).sum())
        samples += frame.size
    return above / max(samples, 1) * float(np.exp(threshold / per_electron))


def _require_usable(dark: Stack, flat: Stack) -> None:
    if flat.mean.shape != dark.mean.shape:
        raise SettingsError(
            f"{flat.name} has frames of {flat.mean.shape[0]} x {flat.mean.shape[1]} pixels, the "
            f"dark ones {dark.mean.shape[0]} x {dark.mean.shape[1]}; take all of the whole sensor."
        )
    light = float(np.median(flat.mean - dark.mean))
    if light < _LEAST_LIGHT * float(np.median(np.sqrt(dark.variance))):
        raise SettingsError(
            f"{flat.name} is only {light:.1f} counts brighter than the dark frames: too little "
            "light to tell the gain."
        )
    if flat.at_top > _CLIPPED:
        raise SettingsError(
            f"{flat.name} is saturated: {100 * flat.at_top:.1f} % of its samples have the highest "
            f"value, {flat.top:g}; take less light."
        )


def _unlike(values: Floats) -> NDArray[np.bool_]:
    """Pixels that stand out from those around them."""
    beside = values - median_filter(values, 5)
    spread = 1.4826 * float(np.median(abs(beside)))
    unlike: NDArray[np.bool_] = abs(beside) > _HOT * max(spread, 1e-9)
    return unlike
