"""Zernike polynomials, of unit rms on the disc: a coefficient is the rms of its phase in rad."""

from collections.abc import Iterable
from math import comb, sqrt

import torch
from torch import Tensor

from dsacq.physics.optics import Optics


def zernike(order: int, frequency: int, radius: Tensor, azimuth: Tensor) -> Tensor:
    """Z(n, m) at polar coordinates of the unit disc, m > 0 with cos(m phi), m < 0 with sin.

    radius, azimuth: tensors of one shape; returns that shape. Beyond radius 1 the polynomial goes
    on. Raises ValueError unless |m| <= n and n - |m| is even.
    Source: Noll, J. Opt. Soc. Am. 66, 207 (1976) for the normalisation.
    """
    turns = abs(frequency)
    if order < turns or (order - turns) % 2:
        raise ValueError(
            f"order={order}, frequency={frequency}: expected |frequency| <= order, both even or odd"
        )
    half = (order - turns) // 2
    square = radius**2
    radial = torch.zeros_like(radius)
    for k in range(half + 1):  # from the highest power of the radius down
        radial = radial * square + (-1) ** k * comb(order - k, k) * comb(order - 2 * k, half - k)
    radial = radial * radius**turns
    if frequency == 0:
        return sqrt(order + 1) * radial
    around = torch.cos(turns * azimuth) if frequency > 0 else torch.sin(turns * azimuth)
    return sqrt(2 * (order + 1)) * radial * around


def zernike_modes(modes: Iterable[tuple[int, int]], radius: Tensor, azimuth: Tensor) -> Tensor:
    """The polynomials of several (n, m), (modes, *shape)."""
    return torch.stack([zernike(order, m, radius, azimuth) for order, m in modes])


def noll(index: int) -> tuple[int, int]:
    """(n, m) of a mode in Noll's order: 1 piston, 2 and 3 tilt, 4 defocus, 5 and 6 astigmatism.

    Raises ValueError below 1.
    """
    if index < 1:
        raise ValueError(f"index={index}: expected 1 or more")
    order = 0
    while (order + 1) * (order + 2) // 2 < index:
        order += 1
    place = index - order * (order + 1) // 2  # 1 to order + 1, within modes of this order
    turns = 2 * (place // 2) if order % 2 == 0 else 2 * ((place - 1) // 2) + 1
    return order, turns if index % 2 == 0 else -turns


def mask_disc(
    optics: Optics, shape: tuple[int, int], mask_pixel_um: float
) -> tuple[Tensor, Tensor]:
    """Where the samples of a mask lie on the unit disc: radius and azimuth, (rows, columns).

    Radius 1 is the edge of the light that propagates in the sample, |(u, v)| = optics.na_sample;
    u runs along columns, v along rows, from the centre of the array. Double precision.
    """
    step = mask_pixel_um * optics.relay_magnification / (optics.focal_4f_um * optics.na_sample)
    v, u = (step * (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) for n in shape)
    v, u = torch.meshgrid(v, u, indexing="ij")
    return torch.hypot(u, v), torch.atan2(v, u)
