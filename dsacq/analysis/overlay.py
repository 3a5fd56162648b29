"""Frames regenerated from their localizations, beside the data: the check where there is no truth.

Each localized emitter is imaged through the physics at its position; photons and one background
level are fitted by non-negative least squares. What the localizer missed, invented or misplaced
lowers the correlation with the data.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

from dsacq.files.figures import save_figure
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel

CROP_PX = 91  # holds the light of a 4 um PSF at the ends of its range
_AT_ONCE = 256  # emitters


@dataclass(frozen=True)
class Overlay:
    """One frame: data and regenerated (H, W) in counts, photons (K,) in counts, background counts
    per pixel, and their normalised cross-correlation (NaN for a constant image)."""

    data: NDArray[np.float32]
    regenerated: NDArray[np.float32]
    photons: NDArray[np.float64]
    background: float
    correlation: float


def regenerate(
    frame: NDArray[np.floating],
    xyz_um: NDArray[np.floating],
    mask: PhaseMask,
    optics: Optics,
    model: PsfModel,
    *,
    device: torch.device | str = "cpu",
) -> Overlay:
    """Regenerate a frame (H, W) from emitters at xyz_um (K, 3), from the frame's corner."""
    data = np.asarray(frame, dtype=np.float32)
    images = _images(xyz_um, data.shape, mask, optics, model, device)
    flat = sparse.csc_array(np.ones((data.size, 1), np.float32))
    design = sparse.hstack((images, flat), format="csc")
    brightness = _non_negative_least_squares(design, data.ravel())
    regenerated = np.asarray(design @ brightness, np.float32).reshape(data.shape)
    return Overlay(
        data, regenerated, brightness[:-1], float(brightness[-1]), correlation(data, regenerated)
    )


def correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Normalised cross-correlation (Pearson) of two images; NaN when one is constant."""
    a = np.asarray(first, np.float64) - np.mean(first, dtype=np.float64)
    b = np.asarray(second, np.float64) - np.mean(second, dtype=np.float64)
    norm = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / norm) if norm > 1e-12 * a.size else float("nan")


def _non_negative_least_squares(
    design: "sparse.csc_array[np.float32]", data: NDArray[np.float32]
) -> NDArray[np.float64]:
    """min |design x - data|, x >= 0, by block pivoting on the sparse normal equations.

    Emitters overlap only with neighbours, so these stay sparse and two or three solutions suffice.
    Source: Portugal, Judice, Vicente, Math. Comp. 63, 625 (1994).
    """
    double = design.astype(np.float64)
    normal = (double.T @ double).tocsc()
    scale = 1 / np.sqrt(normal.diagonal().clip(1e-30))
    # The ridge lets two emitters at one place share their photons.
    ridge = 1e-9 * sparse.eye_array(len(scale))
    normal = (sparse.diags_array(scale) @ normal @ sparse.diags_array(scale) + ridge).tocsc()
    target = scale * (double.T @ data.astype(np.float64))
    free = np.ones(len(scale), bool)
    for attempt in range(100):
        solution = np.zeros(len(scale))
        solution[free] = spsolve(normal[free][:, free], target[free])
        slope = normal @ solution - target
        wrong = (free & (solution < 0)) | (~free & (slope < -1e-9 * np.abs(target).max()))
        if not wrong.any():
            break
        if attempt >= 10:  # Murty's rule, one at a time, cannot cycle
            wrong[: np.flatnonzero(wrong)[-1]] = False
        free ^= wrong
    brightness: NDArray[np.float64] = np.maximum(solution, 0) * scale
    return brightness


def _images(
    xyz_um: NDArray[np.floating],
    shape: tuple[int, ...],
    mask: PhaseMask,
    optics: Optics,
    model: PsfModel,
    device: torch.device | str,
) -> "sparse.csc_array[np.float32]":
    """(H W, K): each emitter's image in the frame."""
    phase = torch.from_numpy(mask.phase_rad).to(device)
    pixel_um, half = optics.pixel_um, CROP_PX // 2
    centre_px = np.floor(xyz_um[:, :2] / pixel_um).astype(int)  # column, row
    inner = xyz_um.copy()
    inner[:, :2] -= (centre_px + 0.5) * pixel_um
    reach = np.arange(-half, half + 1)
    columns = [sparse.csc_array((shape[0] * shape[1], 0), dtype=np.float32)]
    for first in range(0, len(xyz_um), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        places = torch.from_numpy(inner[part]).to(phase)
        crop = psf(phase, places, optics, (CROP_PX, CROP_PX), model, mask_pixel_um=mask.pixel_um)
        values = crop.cpu().numpy()
        column = (centre_px[part, 0, None, None] + reach) + np.zeros_like(values, int)
        row = (centre_px[part, 1, None, None] + reach[:, None]) + np.zeros_like(values, int)
        inside = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
        emitter = np.broadcast_to(np.arange(len(values))[:, None, None], values.shape)
        columns.append(
            sparse.csc_array(
                (values[inside], ((row * shape[1] + column)[inside], emitter[inside])),
                shape=(shape[0] * shape[1], len(values)),
            )
        )
    return sparse.hstack(columns, format="csc")


def overlay_picture(
    overlay: Overlay, xyz_um: NDArray[np.floating], optics: Optics, title: str, path: Path
) -> None:
    """A PNG with data, regenerated frame and their difference on one grey scale."""
    height, width = overlay.data.shape
    low, high = np.percentile(overlay.data, (0.5, 99.8))
    span = max(float(high - low), 1e-6)
    extent = (0, width * optics.pixel_um, height * optics.pixel_um, 0)
    tall = min(max(height / width, 0.4), 2.0)
    figure = Figure(figsize=(13.5, 1.9 + 3.9 * tall), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}   correlation {overlay.correlation:.3f}   emitters {len(xyz_um)}")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    panels = (
        ("data", overlay.data, "gray", low, high),
        ("regenerated from the localizations", overlay.regenerated, "gray", low, high),
        ("data - regenerated", overlay.data - overlay.regenerated, "RdBu_r", -span / 2, span / 2),
    )
    for axis, (name, image, colours, least, most) in zip(axes, panels, strict=True):
        shown = axis.imshow(
            image, cmap=colours, vmin=least, vmax=most, extent=extent, interpolation="nearest"
        )
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("x (µm)")
        figure.colorbar(shown, ax=axis, shrink=0.8, label="counts")
    axes[0].set_ylabel("y (µm)")
    if len(xyz_um):
        marks = axes[1].scatter(
            *xyz_um[:, :2].T, c=xyz_um[:, 2], s=14, marker="+", cmap="turbo", linewidths=0.9
        )
        figure.colorbar(
            marks, ax=list(axes), location="bottom", label="z of the emitters (µm)", aspect=60
        )
    save_figure(figure, path)
