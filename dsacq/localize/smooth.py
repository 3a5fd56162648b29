"""The smooth background of a frame, however many emitters stand in it."""

from functools import cache, lru_cache

import numpy as np
import torch
from scipy.interpolate import BSpline
from torch import Tensor

_KNOTS_PX = 48.0  # distance of the spline's knots: wider than the details of a PSF
_MOST_PARTS = 12  # along an axis, so that large frames stay cheap
_STIFFNESS = 1e-3  # penalty on second differences, beside the data's weight
_PASSES = 6


def smooth_background(residual: Tensor, variance: Tensor, knots_px: float = _KNOTS_PX) -> Tensor:
    """A smooth surface (H, W) through an image, by a robust cubic B-spline.

    residual (H, W): the frame less the emitters known so far. variance (H, W) of its noise. Light
    of emitters not known yet lies above the surface, so pixels far above it count for nothing
    (Tukey's weights; the start is a low quantile).
    """
    rows, columns = _basis(residual.shape[0], knots_px), _basis(residual.shape[1], knots_px)
    rows, columns = rows.to(residual.device), columns.to(residual.device)
    image, sigma = residual.double(), variance.double().sqrt()
    low = torch.quantile(image[:: 1 + len(image) // 256, :: 1 + image.shape[1] // 256], 0.25)
    surface = torch.full_like(image, float(low))
    for _ in range(_PASSES):
        deviation = (image - surface) / sigma
        spread = 1.4826 * deviation.abs().median().clamp(0.5, 3)
        far = (deviation / (4 * spread)).clamp(-1, 1)
        weight = ((1 - far**2) ** 2).clamp_min(1e-6) / sigma**2
        surface = _surface(image, weight, rows, columns)
    return surface.to(residual)


def _surface(image: Tensor, weight: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Weighted least squares in the product of two bases (H, m) and (W, n)."""
    m, n = rows.shape[1], columns.shape[1]
    row_pairs = (rows[:, :, None] * rows[:, None]).flatten(1)
    column_pairs = (columns[:, :, None] * columns[:, None]).flatten(1)
    normal = (row_pairs.mT @ weight @ column_pairs).view(m, m, n, n)
    normal = normal.transpose(1, 2).reshape(m * n, m * n)
    target = (rows.mT @ (weight * image) @ columns).flatten()
    stiff = _STIFFNESS * normal.diagonal().mean()
    bend_rows = torch.kron(_bending(m), torch.eye(n, dtype=torch.float64))
    bend_columns = torch.kron(torch.eye(m, dtype=torch.float64), _bending(n))
    normal = normal + stiff * (bend_rows + bend_columns).to(normal)
    # frames of a few pixels say nothing of some splines
    normal = normal + 1e-9 * normal.diagonal().mean() * torch.eye(m * n).to(normal)
    amount = torch.linalg.solve(normal, target)
    surface: Tensor = rows @ amount.view(m, n) @ columns.mT
    return surface


def _bending(count: int) -> Tensor:
    second = torch.eye(count, dtype=torch.float64).diff(n=2, dim=0)
    return second.mT @ second


@lru_cache(maxsize=64)
def smooth_images(
    shape: tuple[int, int], knots_px: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """(B, H * W): the products of splines that make up a surface, each at most 1."""
    rows, columns = _basis(shape[0], knots_px), _basis(shape[1], knots_px)
    images = rows.mT[:, None, :, None] * columns.mT[:, None]
    return images.flatten(0, 1).flatten(1).to(device, dtype)


@cache
def _basis(size: int, knots_px: float) -> Tensor:
    """(size, splines) cubic B-splines over the pixels of an axis."""
    parts = min(_MOST_PARTS, max(1, round(size / knots_px)))
    knots = np.concatenate([[-0.5] * 3, np.linspace(-0.5, size - 0.5, parts + 1), [size - 0.5] * 3])
    return torch.from_numpy(BSpline.design_matrix(np.arange(size), knots, 3).toarray())
