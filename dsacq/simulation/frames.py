"""Frames of many emitters behind a fixed mask: expected photons, before the camera."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.psf_series import PsfSeries
from dsacq.physics.pupil import PsfModel, pupil

_TILE_PX = 128  # larger: each emitter costs more; smaller: each pixel does
# Complex numbers that the windows at work may hold.
_GROUP = {"cpu": 1 << 22, "cuda": 1 << 26}
_EXACT = 16  # whole images at once


@dataclass(frozen=True)
class _Layout:
    """How a frame is divided, in px; pairs are (rows, columns).

    Tiles cover the frame and the margin around it; the emitters of each are drawn into a window of
    its own, and windows overlap. `start`: where the first window begins. period, cut: of PsfSeries.
    """

    tile: tuple[int, int]
    tiles: tuple[int, int]
    window: tuple[int, int]
    start: int
    period: float
    cut: float


class FrameRenderer:
    """Expected photons of frames (H, W) behind one mask: `psf` summed over emitters.

    The relative error is about 1e-4 for immersion objectives, 1e-3 at low aperture. All that
    depends on the mask alone is computed once, here.

    phase_rad, optics, model, mask_pixel_um, transmission, focus_um: as for `psf`.
    z_range_um: of the emitters, by default the optics'.
    margin_px: how far outside the frame emitters are still drawn; those farther out are not.
    reach_px: light farther than this from its emitter, in x or y, is left out: less work. By
        default all is drawn that `psf` knows: the whole of a frame up to its period (wavelength /
        mask sample, in camera pixels), half the period around each emitter of a larger one.
    """

    def __init__(
        self,
        phase_rad: Tensor,
        optics: Optics,
        shape: tuple[int, int],
        model: PsfModel = PsfModel(),  # noqa: B008 - frozen
        *,
        mask_pixel_um: float | None = None,
        transmission: Tensor | None = None,
        focus_um: float | None = None,
        z_range_um: tuple[float, float] | None = None,
        margin_px: int = 0,
        reach_px: float | None = None,
    ) -> None:
        pitch = optics.mask_pixel_um if mask_pixel_um is None else mask_pixel_um
        mask_shape = (phase_rad.shape[0], phase_rad.shape[1])
        light = pupil(optics, mask_shape, pitch, model, dtype=torch.float64)
        self.shape = shape
        self._pixel_um = optics.pixel_um
        self._px_per_um = float(light.emitter_x[0] / light.image_x[0])
        self._blur_px = model.blur_px
        self._margin = margin_px
        self._layout = _layout(shape, margin_px, float(light.pixels), reach_px)
        self._series = PsfSeries(
            phase_rad,
            optics,
            model,
            light,
            self._layout.window,
            period_px=self._layout.period,
            cut_px=self._layout.cut,
            mask_pixel_um=mask_pixel_um,
            focus_um=focus_um,
            z_range_um=optics.z_range_um if z_range_um is None else z_range_um,
            transmission=transmission,
        )

    def render(
        self,
        frame: Tensor,
        xyz_um: Tensor,
        photons: Tensor,
        frames: int,
        blur_px: Tensor | None = None,
    ) -> Tensor:
        """Expected photons (frames, H, W), without background.

        frame (E,): index of each emitter's frame, 0 to frames - 1, in any order. xyz_um (E, 3):
        x, y from the upper-left corner of the frame. photons (E,). blur_px (E,): in place of the
        model's. Raises ValueError for emitters outside z_range_um.
        """
        _check_heights(xyz_um, self._series.z_range_um)
        layout, device = self._layout, xyz_um.device
        size = torch.tensor(self.shape, device=device)
        # psf places emitters from the centre of its crop, to a scale of its own in one model.
        position = (xyz_um[:, [1, 0]] - size * self._pixel_um / 2) * self._px_per_um + size / 2
        near = (position >= -self._margin) & (position < size + self._margin)
        shown = near.all(1).nonzero().flatten()
        position = position[shown]

        tile = ((position + self._margin) / torch.tensor(layout.tile, device=device)).long()
        middle = torch.tensor(layout.window, device=device) / 2 + layout.start
        offset = position - middle - tile * torch.tensor(layout.tile, device=device)
        cell = (frame[shown] * layout.tiles[0] + tile[:, 0]) * layout.tiles[1] + tile[:, 1]
        cell, order = cell.sort(stable=True)
        shown, offset = shown[order], offset[order]
        z_um, light = xyz_um[shown, 2], photons[shown]
        blur = None if blur_px is None else blur_px[shown]

        cells, count = torch.unique_consecutive(cell, return_counts=True)
        count = count.cpu()
        end = [0, *count.cumsum(0).tolist()]
        canvas = photons.new_zeros(frames, *_canvas_shape(layout))
        at_once = max(1, _GROUP[device.type] // self._series.size)
        for first in range(0, len(cells), at_once):
            here = count[first : first + at_once]
            part = slice(end[first], end[first + len(here)])
            windows = self._series.draw(
                torch.arange(len(here)).repeat_interleave(here),
                len(here),
                offset[part],
                z_um[part],
                light[part],
                photons.new_full((1,), self._blur_px) if blur is None else blur[part],
            )
            for place, window in zip(
                cells[first : first + len(here)].tolist(), windows, strict=True
            ):
                _add_window(canvas, window, place, layout)
        rows, columns = (slice(-layout.start, n - layout.start) for n in self.shape)
        return canvas[:, rows, columns]


def render_exact(
    phase_rad: Tensor,
    optics: Optics,
    shape: tuple[int, int],
    model: PsfModel,
    frame: Tensor,
    xyz_um: Tensor,
    photons: Tensor,
    frames: int,
    blur_px: Tensor | None = None,
    *,
    mask_pixel_um: float | None = None,
    focus_um: float | None = None,
) -> Tensor:
    """As `FrameRenderer.render`, from `psf` of every emitter over the whole frame: exact, slow."""
    centre = xyz_um.new_tensor([shape[1] / 2, shape[0] / 2, 0]) * optics.pixel_um
    total = photons.new_zeros(frames, *shape)
    for first in range(0, len(frame), _EXACT):
        part = slice(first, first + _EXACT)
        images = psf(
            phase_rad,
            xyz_um[part] - centre,
            optics,
            shape,
            model,
            mask_pixel_um=mask_pixel_um,
            focus_um=focus_um,
            blur_px=None if blur_px is None else blur_px[part],
        )
        total.index_add_(0, frame[part], images * photons[part, None, None])
    return total


def _layout(
    shape: tuple[int, int], margin: int, mask_period: float, reach: float | None
) -> _Layout:
    field = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    farthest = max(shape) + margin  # a pixel from an emitter
    if reach is None and farthest <= mask_period:
        return _Layout(field, (1, 1), shape, 0, min(2.0 * farthest, mask_period), math.inf)
    cut = min(mask_period / 2 if reach is None else reach, mask_period / 2, farthest)
    whole, side = farthest + cut, _TILE_PX + 2 * math.ceil(cut)
    if whole <= side:
        return _Layout(field, (1, 1), shape, 0, whole, cut)
    tiles = (math.ceil(field[0] / _TILE_PX), math.ceil(field[1] / _TILE_PX))
    start = -margin - math.ceil(cut)
    return _Layout((_TILE_PX, _TILE_PX), tiles, (side, side), start, float(side), cut)


def _canvas_shape(layout: _Layout) -> tuple[int, int]:
    """Of the frame and all windows around it."""
    return (
        (layout.tiles[0] - 1) * layout.tile[0] + layout.window[0],
        (layout.tiles[1] - 1) * layout.tile[1] + layout.window[1],
    )


def _add_window(canvas: Tensor, window: Tensor, cell: int, layout: _Layout) -> None:
    rest, column = divmod(cell, layout.tiles[1])
    frame, row = divmod(rest, layout.tiles[0])
    top, left = row * layout.tile[0], column * layout.tile[1]
    canvas[frame, top : top + layout.window[0], left : left + layout.window[1]] += window


def _check_heights(xyz_um: Tensor, z_range_um: tuple[float, float]) -> None:
    if len(xyz_um) == 0:
        return
    low, high = xyz_um[:, 2].min().item(), xyz_um[:, 2].max().item()
    if low < z_range_um[0] - 1e-3 or high > z_range_um[1] + 1e-3:
        raise ValueError(
            f"xyz_um with z from {low:.3f} to {high:.3f}: expected within {z_range_um}"
        )
