"""How precisely an emitter can be localized: Fisher information and Cramer-Rao bounds."""

from functools import cache

import numpy as np
import torch
from scipy import special
from torch import Tensor

from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf_and_gradient
from dsacq.physics.pupil import PsfModel

PARAMETERS = ("x_um", "y_um", "z_um", "photons", "background")


def emitter_jacobian(images: Tensor, gradient: Tensor, photons: Tensor) -> Tensor:
    """Derivatives of the expected photons in (x, y, z, photons, background), one emitter an image.

    images (N, H, W), gradient (N, 3, H, W) as from `psf_and_gradient`, photons (N,).
    Returns (N, 5, H, W) for mu = photons * image + background.
    """
    by_position = gradient * photons[:, None, None, None]
    return torch.cat((by_position, images[:, None], torch.ones_like(images)[:, None]), 1)


def information(
    jacobian: Tensor, expected: Tensor, read_variance: Tensor | float = 0.0, *, excess: bool = False
) -> Tensor:
    """Fisher information of the parameters of one region of pixels.

    jacobian (..., K, H, W), expected (..., H, W) electrons, read_variance (..., H, W) electrons^2
    referred to the input. excess: an electron-multiplying register's noise. Returns (..., K, K).
    Sources: Poisson; sCMOS as shifted Poisson, Huang et al., Nat. Methods 10, 653 (2013); EMCCD
    without read noise by the exact factor, with it by doubled shot noise.
    """
    if excess:
        quiet = torch.as_tensor(read_variance).max() == 0
        weight = (
            emccd_information_factor(expected) / expected
            if quiet
            else 1 / (2 * expected + read_variance)
        )
    else:
        weight = 1 / (expected + read_variance).clamp_min(1e-12)
    flat = jacobian.flatten(-2)
    weighted = flat * weight.flatten(-2)[..., None, :]
    return weighted @ flat.mT


def bounds(fisher: Tensor) -> Tensor:
    """Smallest standard deviations sqrt(diag(J^-1)). fisher (..., K, K); returns (..., K).

    Parameters are scaled to unit information first and inverted in double precision, as photons
    and micrometres differ by many orders of magnitude. Where the data say nothing of a parameter
    (a zero on the diagonal) its bound is infinite and the others are those without it.
    """
    double = fisher.double()
    own = double.diagonal(dim1=-2, dim2=-1)
    blind = own <= 0
    scale = torch.where(blind, 0, own.clamp_min(1e-300).rsqrt())
    normed = double * scale[..., :, None] * scale[..., None, :] + torch.diag_embed(blind.double())
    variance = torch.linalg.inv(normed).diagonal(dim1=-2, dim2=-1)
    return torch.where(blind, torch.inf, variance.sqrt() * scale).to(fisher.dtype)


def crlb(
    phase_rad: Tensor,
    xyz_um: Tensor,
    optics: Optics,
    shape: tuple[int, int],
    model: PsfModel = PsfModel(),  # noqa: B008 - frozen
    *,
    photons: Tensor | float,
    background: Tensor | float,
    read_variance: Tensor | float = 0.0,
    excess: bool = False,
    mask_pixel_um: float | None = None,
    focus_um: Tensor | float | None = None,
) -> Tensor:
    """Cramer-Rao bounds of single emitters, each alone in its crop, in the order of PARAMETERS.

    photons, background: detected, per emitter and per pixel, () or (N,). Returns (N, 5), in um,
    um, um, photons, photons; differentiable in phase_rad.
    """
    images, gradient = psf_and_gradient(
        phase_rad, xyz_um, optics, shape, model, mask_pixel_um=mask_pixel_um, focus_um=focus_um
    )
    bright = torch.as_tensor(photons, dtype=images.dtype, device=images.device).expand(len(images))
    level = torch.as_tensor(background, dtype=images.dtype, device=images.device)
    expected = images * bright[:, None, None] + level.expand(len(images))[:, None, None]
    # In perfect focus the image does not change with z, and what is left is rounding: drop it.
    size = torch.linalg.vector_norm(gradient, dim=(-2, -1), keepdim=True)
    gradient = torch.where(size < 1e-5 * size.amax(1, keepdim=True), 0, gradient)
    jacobian = emitter_jacobian(images, gradient, bright)
    return bounds(information(jacobian, expected, read_variance, excess=excess))


def emccd_information_factor(electrons: Tensor) -> Tensor:
    """Information per electron behind an EM register relative to Poisson's: 1 (few) to 1/2 (many).

    Exact for the Poisson-gamma law at high gain, without read noise; interpolated.
    Source: Basden et al., MNRAS 345, 985 (2003) for the law.
    """
    log_mean, factor = _emccd_table()
    place = electrons.clamp(1e-3, 1e4).log()
    step = (log_mean[1] - log_mean[0]).item()
    position = (place - log_mean[0].item()) / step
    low = position.floor().clamp(0, len(factor) - 2)
    values = factor.to(electrons)
    first, second = values[low.long()], values[low.long() + 1]
    factors: Tensor = first + (second - first) * (position - low)
    return factors


@cache
def _emccd_table() -> tuple[Tensor, Tensor]:
    """Natural logarithm of the mean, and mean * information, on a regular grid."""
    log_mean = np.linspace(np.log(1e-3), np.log(1e4), 200)
    return torch.from_numpy(log_mean), torch.tensor([_emccd_factor(np.exp(m)) for m in log_mean])


def _emccd_factor(mean: float) -> float:
    # Output in units of the gain: a point mass exp(-mean) at 0, and for x > 0 the density
    # exp(-mean - x) sqrt(mean/x) I1(2 sqrt(mean x)); integrated over t = sqrt(x).
    t = np.linspace(0, np.sqrt(mean) + 8, 20001)[1:]
    argument = 2 * np.sqrt(mean) * t
    scaled_1 = special.ive(1, argument)
    density = np.exp(-((t - np.sqrt(mean)) ** 2)) * np.sqrt(mean) / t * scaled_1
    score = t / np.sqrt(mean) * special.ive(0, argument) / scaled_1 - 1
    spread = np.sum(density * score**2 * 2 * t) * (t[1] - t[0])
    return float(mean * (spread + np.exp(-mean)))
