"""The pupil: what each sample of the phase mask does to the light of an emitter.

Everything radial (axial wavenumbers, amplitudes) is computed once for each distinct distance from
the axis and gathered onto the grid; there are about ten times fewer distances than samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic import dataclasses as pydantic_dataclasses
from torch import Tensor

from dsacq.physics.optics import Optics


@pydantic_dataclasses.dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PsfModel:
    """Which physics, how finely, how blurred.

    kind: "scalar" (light that propagates in the sample), "vectorial" (freely rotating dipole, with
        Fresnel transmission and super-critical light), or "deepstorm3d" (the scalar simulator that
        Nehme et al. published with its four deviations, for comparison with its data only).
    amplitude: of the scalar pupil; "aplanatic" is the energy factor of an aplanatic objective.
    polarisation: of the vectorial image; one axis when an analyser precedes the mask.
    oversample: sub-samples per camera pixel and axis, summed (1 samples the pixel's centre).
    blur_px: standard deviation of a Gaussian blur, in camera pixels.
    """

    kind: Literal["scalar", "vectorial", "deepstorm3d"] = "scalar"
    amplitude: Literal["none", "aplanatic"] = "none"
    polarisation: Literal["both", "x", "y"] = "both"
    oversample: Annotated[int, Field(ge=1, le=100)] = 1
    blur_px: Annotated[float, Field(ge=0, le=100)] = 0.0


@dataclass(frozen=True)
class Pupil:
    """The samples inside the support (m rows, n columns) of a mask, as tensors.

    rows, columns: where the support lies in the mask.
    image_x (n,), image_y (m,): phase per camera pixel of the image kernel, rad/px.
    emitter_x, emitter_y: phase per lateral displacement of the emitter, rad/um.
    distance (m * n,): index of each sample's distance from the axis into the radial tensors (R,):
    sample_z, decay: phase and attenuation per height of the emitter, rad/um and 1/um.
    immersion_z: phase per travel of the focus, rad/um.
    weight (C, m, n): real or complex weight of each field component; 0 outside the aperture.
    pixels: number of camera pixels in the period of the image, N_eff of the energy normalisation.
    """

    rows: slice
    columns: slice
    image_x: Tensor
    image_y: Tensor
    emitter_x: Tensor
    emitter_y: Tensor
    distance: Tensor
    sample_z: Tensor
    decay: Tensor
    immersion_z: Tensor
    weight: Tensor
    pixels: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return len(self.image_y), len(self.image_x)

    def on_grid(self, radial: Tensor) -> Tensor:
        """(..., R) to (..., m, n)."""
        return _on_grid(radial, self.distance, self.shape)


def pupil(
    optics: Optics,
    mask_shape: tuple[int, int],
    mask_pixel_um: float,
    model: PsfModel,
    *,
    values: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Pupil:
    """The pupil behind a mask of the given shape (rows, columns) and pitch.

    values: tensors () that replace fields of `optics` of these names, to differentiate in them.
    Raises ValueError when the mask is too coarse to hold a pupil.
    Source: Hanser et al., J. Microsc. 216, 32 (2004); M' from the sine condition.
    """
    given = {name: value.double() for name, value in (values or {}).items()}

    def value(name: str) -> Tensor:
        if name in given:
            return given[name].to(device)
        return torch.tensor(getattr(optics, name), dtype=torch.float64, device=device)

    wavelength, magnification = value("wavelength_um"), value("magnification")
    n_sample, n_immersion = value("index_sample"), value("index_immersion")
    wavenumber = 2 * torch.pi / wavelength
    relay = (magnification**2 - value("na") ** 2).sqrt()
    step = mask_pixel_um * relay / value("focal_4f_um")  # du of one mask sample
    pixel = value("camera_pixel_um") / magnification

    published = model.kind == "deepstorm3d"
    edge = optics.na if model.kind == "vectorial" else optics.na_sample
    # The published simulator spreads its aperture over linspace(-1, 1, n): a pitch n/(n-1) wider.
    radial_step = step * (mask_shape[1] / (mask_shape[1] - 1) if published else 1.0)

    rows, doubled_v = _support(mask_shape[0], edge / float(radial_step.detach()))
    columns, doubled_u = _support(mask_shape[1], edge / float(radial_step.detach()))
    square = (doubled_v[:, None] ** 2 + doubled_u[None, :] ** 2).flatten()
    distinct, distance = torch.unique(square, return_inverse=True)
    radius = radial_step * (distinct.to(device).double().sqrt() / 2)
    inside = radius < edge

    u_index, v_index = doubled_u.to(device).double() / 2, doubled_v.to(device).double() / 2
    if published:  # FFT of the mask's own length, lateral phase with M instead of M'
        pixels = torch.tensor(float(mask_shape[1]), dtype=torch.float64, device=device)
        kernel = 2 * torch.pi / pixels
        lateral = wavenumber * mask_pixel_um * magnification / value("focal_4f_um")
    else:
        pixels = wavelength / (step * pixel)
        kernel = wavenumber * step * pixel
        lateral = wavenumber * step

    axial = n_sample**2 - radius**2
    # Clamped away from 0 so that the derivative of the root stays finite at the critical angle.
    sample_z = wavenumber * axial.clamp_min(1e-12).sqrt() * (axial > 0)
    decay = wavenumber * (-axial).clamp_min(1e-12).sqrt() * (axial < 0)
    cos_immersion = (n_immersion**2 - radius**2).clamp_min(1e-12).sqrt() / n_immersion

    grid = (len(v_index), len(u_index))
    distance = distance.to(device)
    if model.kind == "vectorial":
        radial = _dipole_weights(radius, n_sample, n_immersion, cos_immersion)
        azimuth = torch.atan2(v_index[:, None].expand(grid), u_index[None, :].expand(grid))
        p_x, p_z, s_x = (_on_grid(part * inside, distance, grid) for part in radial)
        weight = _dipole_components(p_x, p_z, s_x, azimuth, model.polarisation)
    else:
        amplitude = torch.ones_like(radius)
        if model.amplitude == "aplanatic":
            amplitude = cos_immersion**-0.5
        weight = _on_grid(amplitude * inside, distance, grid)[None]

    return Pupil(
        rows=rows,
        columns=columns,
        image_x=(kernel * u_index).to(dtype),
        image_y=(kernel * v_index).to(dtype),
        emitter_x=(lateral * u_index).to(dtype),
        emitter_y=(lateral * v_index).to(dtype),
        distance=distance,
        sample_z=sample_z.to(dtype),
        decay=decay.to(dtype),
        immersion_z=(wavenumber * n_immersion * cos_immersion).to(dtype),
        weight=weight.to(dtype.to_complex() if weight.is_complex() else dtype),
        pixels=pixels.to(dtype),
    )


def _on_grid(radial: Tensor, distance: Tensor, grid: tuple[int, int]) -> Tensor:
    return radial.index_select(-1, distance).reshape(*radial.shape[:-1], *grid)


def _support(samples: int, radius: float) -> tuple[slice, Tensor]:
    """Samples within `radius` of the centre, and twice their signed distance from it (integers)."""
    doubled = 2 * torch.arange(samples) - (samples - 1)
    inside = torch.nonzero(doubled.abs() / 2 < radius).flatten()
    if len(inside) < 2:
        raise ValueError(f"mask of {samples} samples: expected at least 2 inside the pupil")
    part = slice(int(inside[0]), int(inside[-1]) + 1)
    return part, doubled[part]


def _dipole_weights(
    radius: Tensor, n_sample: Tensor, n_immersion: Tensor, cos_immersion: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Complex radial weights: p light of a lateral and an axial dipole, s light of a lateral one.

    Fresnel transmission from the sample into the immersion medium, for angles beyond the critical
    one too (imaginary cosine). Source: Axelrod, J. Microsc. 247, 147 (2012).
    """
    sine = radius / n_sample
    square = (1 - sine**2).to(torch.complex128)
    cos_sample = torch.where(square.real.abs() < 1e-12, 1e-6 + 0j, square).sqrt()
    t_p = 2 * n_sample / (n_immersion * cos_sample + n_sample * cos_immersion)
    t_s = 2 * n_sample / (n_sample * cos_sample + n_immersion * cos_immersion)
    # cos_sample cancels between the transmissions and the obliquity factor.
    common = n_immersion * cos_immersion / n_sample / cos_immersion.sqrt()
    return common * t_p * cos_sample, -common * t_p * sine, common * t_s


def _dipole_components(
    p_lateral: Tensor, p_axial: Tensor, s_lateral: Tensor, azimuth: Tensor, polarisation: str
) -> Tensor:
    """(C, m, n) complex field per dipole axis and detected polarisation."""
    cos, sin = azimuth.cos(), azimuth.sin()
    p = (p_lateral * cos, p_lateral * sin, p_axial)
    s = (-s_lateral * sin, s_lateral * cos, torch.zeros_like(s_lateral))
    x = [cos * p_j - sin * s_j for p_j, s_j in zip(p, s, strict=True)]
    y = [sin * p_j + cos * s_j for p_j, s_j in zip(p, s, strict=True)]
    chosen = {"x": x, "y": y, "both": x + y}[polarisation]
    return torch.stack(chosen)
