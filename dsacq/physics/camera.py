"""Cameras: from photons at the sensor to counts (ADU), and back.

Photons are those that reach the sensor within an exposure, before its quantum efficiency; the
`photons` and `background` of every table are in them. Electrons are quantum efficiency times
photons, referred to the input of a multiplying register.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, PlainValidator
from pydantic.dataclasses import dataclass
from torch import Tensor

Map = NDArray[np.float32]
_STRICT = ConfigDict(extra="forbid")


def _positive(value: Any) -> float | Map:
    return _checked(value, "above 0", lambda values: values > 0)


def _not_negative(value: Any) -> float | Map:
    return _checked(value, "0 or more", lambda values: values >= 0)


def _checked(value: Any, wanted: str, holds: Any) -> float | Map:
    numeric = isinstance(value, (int, float, np.ndarray)) and not isinstance(value, bool)
    try:
        values = np.asarray(value, np.float64) if numeric else np.asarray(np.nan)
    except (TypeError, ValueError, OverflowError):  # a whole number of a thousand digits
        values = np.asarray(np.nan)
    if not (np.all(np.isfinite(values)) and np.all(holds(values))):
        raise ValueError(f"expected a number {wanted}, or a map of them")
    return value.astype(np.float32) if isinstance(value, np.ndarray) else float(value)


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class IdealCamera:
    """Counts every photon: shot noise only."""

    kind: Literal["ideal"] = "ideal"


@dataclass(frozen=True, kw_only=True, config=_STRICT, eq=False)
class ScmosCamera:
    """A camera that reads each pixel by itself: D = o + g Poisson(eta mu) + Normal(0, v).

    Offset, gain and read variance are one number for all pixels or a map (H, W).
    Source: Huang et al., Nat. Methods 10, 653 (2013).
    """

    kind: Literal["scmos"] = "scmos"
    quantum_efficiency: Fraction = 0.95
    offset_adu: Annotated[float | Map, PlainValidator(_not_negative)] = 100.0
    gain_adu_per_electron: Annotated[float | Map, PlainValidator(_positive)] = 1.0
    read_variance_adu2: Annotated[float | Map, PlainValidator(_not_negative)] = 2.56


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class EmccdCamera:
    """A camera with an electron-multiplying register of gain G before its amplifier.

    n ~ Poisson(eta mu + c), D = (Gamma(n, G) + Normal(0, r^2)) / electrons_per_adu + baseline.
    The defaults are the EMCCD of Sage et al., Nat. Methods 16, 387 (2019).
    """

    kind: Literal["emccd"] = "emccd"
    quantum_efficiency: Fraction = 0.9
    em_gain: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 300.0
    read_noise_electrons: NotNegative = 74.4  # standard deviation r, after the register
    spurious_electrons: NotNegative = 0.002  # c, per pixel and frame, before the register
    electrons_per_adu: Positive = 45.0  # after the register
    baseline_adu: NotNegative = 100.0


Camera = IdealCamera | ScmosCamera | EmccdCamera


class Response(NamedTuple):
    """Any camera, reduced to what the formulae need; maps are (H, W)."""

    quantum_efficiency: float
    spurious_electrons: float
    offset_adu: float | Map
    adu_per_electron: float | Map
    read_variance_electrons: float | Map  # electrons^2 at the input
    excess: bool  # a multiplying register doubles the variance of shot noise


def response(camera: Camera) -> Response:
    """What a camera makes of photons, electrons counted at the input."""
    match camera:
        case ScmosCamera():
            gain = camera.gain_adu_per_electron
            read = camera.read_variance_adu2 / gain**2
            return Response(camera.quantum_efficiency, 0.0, camera.offset_adu, gain, read, False)
        case EmccdCamera():
            return Response(
                camera.quantum_efficiency,
                camera.spurious_electrons,
                camera.baseline_adu,
                camera.em_gain / camera.electrons_per_adu,
                (camera.read_noise_electrons / camera.em_gain) ** 2,
                True,
            )
    return Response(1.0, 0.0, 0.0, 1.0, 0.0, False)


def without_maps(camera: Camera) -> Camera:
    """With one number for all pixels, the median, where there are maps."""
    if not isinstance(camera, ScmosCamera):
        return camera
    return replace(
        camera,
        offset_adu=float(np.median(camera.offset_adu)),
        gain_adu_per_electron=float(np.median(camera.gain_adu_per_electron)),
        read_variance_adu2=float(np.median(camera.read_variance_adu2)),
    )


def expected_electrons(camera: Camera, photons: Tensor) -> Tensor:
    """Mean electrons at the input for the expected photons at the sensor."""
    made = response(camera)
    return photons * made.quantum_efficiency + made.spurious_electrons


def expose(camera: Camera, photons: Tensor, generator: torch.Generator) -> Tensor:
    """One exposure: counts (ADU, not yet rounded) drawn from the camera's true distribution.

    photons (..., H, W): expected at the sensor. generator: on their device. Not differentiable.
    """
    made = response(camera)
    electrons = torch.poisson(expected_electrons(camera, photons), generator=generator)
    if made.excess:
        # The output for n electrons is the sum of n exponentials: Gamma(n), nothing for n = 0.
        multiplied = torch._standard_gamma(electrons.clamp_min(1), generator=generator)
        electrons = multiplied * (electrons > 0)
    if np.any(np.asarray(made.read_variance_electrons) > 0):
        noise = torch.empty_like(electrons).normal_(generator=generator)
        electrons = electrons + _like(made.read_variance_electrons, electrons).sqrt() * noise
    return _to_counts(made, electrons)


def expose_differentiably(camera: Camera, photons: Tensor, generator: torch.Generator) -> Tensor:
    """As `expose`, from normal distributions of the same means and variances.

    Differentiable in photons. Expected electrons are kept at 1e-3 or more, as the slope of the
    root is infinite at 0. Source: Nehme et al., Nat. Methods 17, 734 (2020), for shot noise.
    """
    made = response(camera)
    mean = expected_electrons(camera, photons).clamp_min(1e-3)
    variance = mean * (2 if made.excess else 1) + _like(made.read_variance_electrons, mean)
    noise = torch.empty_like(mean).normal_(generator=generator)
    return _to_counts(made, mean + variance.sqrt() * noise)


def digitised(counts: Tensor, bits: int = 16) -> Tensor:
    """Counts as the converter writes them: whole numbers from 0 to 2^bits - 1."""
    return counts.round().clamp(0, 2**bits - 1)


def to_electrons(camera: Camera, counts: Tensor) -> Tensor:
    """Counts (..., H, W) as electrons at the input: offset subtracted, gains divided out."""
    made = response(camera)
    return (counts - _like(made.offset_adu, counts)) / _like(made.adu_per_electron, counts)


def to_photons(camera: Camera, counts: Tensor) -> Tensor:
    """Counts (..., H, W) as photons at the sensor, right on average."""
    made = response(camera)
    return (to_electrons(camera, counts) - made.spurious_electrons) / made.quantum_efficiency


def read_variance_electrons(camera: Camera) -> float | Map:
    """Variance of the read noise in electrons^2 at the input, for all pixels or a map (H, W)."""
    return response(camera).read_variance_electrons


def _to_counts(made: Response, electrons: Tensor) -> Tensor:
    return electrons * _like(made.adu_per_electron, electrons) + _like(made.offset_adu, electrons)


def _like(value: float | Map, tensor: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=tensor.dtype, device=tensor.device)
