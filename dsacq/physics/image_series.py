"""Images of single emitters and their derivatives from Fourier series: `psf_and_gradient`, quicker.

As in `PsfSeries`, but each emitter has a window of its own and a slope along each axis.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf_and_gradient
from dsacq.physics.psf_series import PsfSeries
from dsacq.physics.pupil import PsfModel, pupil

MARGIN_UM = 0.2  # beyond the optics' z range
# Windows up to 64 and 128 pixels have a series, without the light farther than this from its
# emitter; in larger windows each emitter is drawn in a part of 128.
_CUT_PX = {64: 48, 128: 64}
_BORDER_PX = 8  # emitters this far outside a window are still drawn in it
_NUMBERS = {"cpu": 1 << 20, "cuda": 1 << 27}  # that one batch of emitters may hold


class ImageSource:
    """Images of emitters behind a mask; the phase's dtype and device are the computation's.

    Series are made when a window first needs them and kept. The published simulator exists at its
    own sampling only and is always computed exactly, as are emitters outside the series' reach.
    """

    def __init__(
        self, phase_rad: Tensor, optics: Optics, model: PsfModel, mask_pixel_um: float
    ) -> None:
        self.phase_rad, self.optics = phase_rad, optics
        self.model, self.mask_pixel_um = model, mask_pixel_um
        mask_shape = (phase_rad.shape[0], phase_rad.shape[1])
        self._light = pupil(optics, mask_shape, mask_pixel_um, model, dtype=torch.float64)
        # Movement of an emitter that moves its image by a pixel: the pixel's size, but for the
        # published simulator's rounding.
        self.drawn_pixel_um = float(self._light.image_x[0] / self._light.emitter_x[0])
        self._series: dict[int, _GradientSeries] = {}

    def images(self, xyz_um: Tensor, shape: tuple[int, int]) -> Tensor:
        """As `psf`: (N, H, W) for (N, 3) from the window's centre."""
        return self.images_and_gradient(xyz_um, shape)[0]

    def images_and_gradient(self, xyz_um: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """As `psf_and_gradient`: (N, H, W) and (N, 3, H, W) per um."""
        if self.model.kind == "deepstorm3d" or not self._near(xyz_um, shape):
            return psf_and_gradient(
                self.phase_rad,
                xyz_um,
                self.optics,
                shape,
                self.model,
                mask_pixel_um=self.mask_pixel_um,
            )
        offset_px = xyz_um[:, [1, 0]] / self.drawn_pixel_um
        largest = max(_CUT_PX)
        if max(shape) <= largest:
            image, slope = self._drawn(offset_px, xyz_um[:, 2], shape)
        else:
            part = (min(shape[0], largest), min(shape[1], largest))
            whole, inner = offset_px.new_tensor(shape), offset_px.new_tensor(part)
            corner = (offset_px + (whole - inner) / 2).round()
            corner = torch.minimum(corner.clamp_min(0), whole - inner)
            from_part = offset_px + (whole - inner) / 2 - corner
            image, slope = self._drawn(from_part, xyz_um[:, 2], part)
            image, slope = _placed(image, slope, corner.long(), shape)
        per_um = slope.new_tensor([1 / self.drawn_pixel_um, 1 / self.drawn_pixel_um, 1])
        return image, slope * per_um[:, None, None]

    def _drawn(
        self, offset_px: Tensor, z_um: Tensor, shape: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        size = min(size for size in _CUT_PX if size >= max(shape))
        if size not in self._series:
            cut = min(_CUT_PX[size], float(self._light.pixels) / 2)
            low, high = self.optics.z_range_um
            self._series[size] = _GradientSeries(
                self.phase_rad,
                self.optics,
                self.model,
                self._light,
                (size, size),
                period_px=size + _BORDER_PX + cut,
                cut_px=cut,
                mask_pixel_um=self.mask_pixel_um,
                focus_um=None,
                z_range_um=(low - MARGIN_UM, high + MARGIN_UM),
            )
        return self._series[size].draw_each(offset_px, z_um, shape, self.model.blur_px)

    def _near(self, xyz_um: Tensor, shape: tuple[int, int]) -> bool:
        half = xyz_um.new_tensor([shape[1], shape[0]]) / 2 + _BORDER_PX
        low, high = self.optics.z_range_um
        inside = (xyz_um[:, :2].abs() <= half * self.drawn_pixel_um).all(1)
        inside &= (xyz_um[:, 2] - (low + high) / 2).abs() <= (high - low) / 2 + MARGIN_UM + 1e-4
        return bool(inside.all())


def _placed(
    image: Tensor, slope: Tensor, corner: Tensor, shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Images and slopes (N, ..., h, w) at their corners (N, 2) in windows of a larger shape."""
    count, height, width = image.shape
    rows = corner[:, :1] + torch.arange(height, device=corner.device)
    columns = corner[:, 1:] + torch.arange(width, device=corner.device)
    place = (rows[:, :, None] * shape[1] + columns[:, None]).flatten(1)[:, None]
    both = torch.cat((image[:, None], slope), 1).flatten(2)
    wide = both.new_zeros(count, 4, shape[0] * shape[1])
    wide.scatter_(2, place.expand(-1, 4, -1), both)
    wide = wide.view(count, 4, *shape)
    return wide[:, 0], wide[:, 1:]


class _GradientSeries(PsfSeries):
    """Fourier series that are drawn one by one, with derivatives."""

    def draw_each(
        self, offset_px: Tensor, z_um: Tensor, shape: tuple[int, int], blur_px: float
    ) -> tuple[Tensor, Tensor]:
        """(N, H, W) and (N, 3, H, W) per px, px, um, x first. offset_px (N, 2): rows, columns from
        the window's centre."""
        rate_y = 2 * math.pi * self.row_rate
        rate_x = 2 * math.pi * self.column_rate
        blur = self.row_rate.new_full((1,), blur_px)
        row, column = ((torch.arange(n) - (n - 1) / 2).to(rate_x) for n in shape)
        to_rows = torch.polar(self.softening(self.row_rate, blur), torch.zeros_like(rate_y)[None])
        to_rows = to_rows * torch.exp(1j * row[:, None] * rate_y)
        turning = torch.exp(1j * rate_x[:, None] * column)
        turning = turning * self.softening(self.column_rate, blur).mT
        to_columns = torch.stack((turning.real, -turning.imag), 1).flatten(0, 1)

        at_once = max(1, _NUMBERS[z_um.device.type] // (8 * self.size))
        images, slopes = [], []
        for first in range(0, len(z_um), at_once):
            part = slice(first, first + at_once)
            series, rising = self._mixed(z_um[part])
            moved_y = torch.exp(-1j * offset_px[part, :1] * rate_y)
            moved_x = torch.exp(-1j * offset_px[part, 1:] * rate_x)
            phase = moved_y[:, :, None] * moved_x[:, None]
            series = series * phase
            stack = torch.stack((series, series * (-1j * rate_y)[:, None], rising * phase), 1)
            half, along_y, along_z = (to_rows @ stack).unbind(1)
            halves = torch.stack((half, half * (-1j * rate_x), along_y, along_z), 1)
            drawn = torch.view_as_real(halves).flatten(-2) @ to_columns
            images.append(drawn[:, 0])
            slopes.append(drawn[:, 1:])
        if not images:
            return z_um.new_zeros(0, *shape), z_um.new_zeros(0, 3, *shape)
        return torch.cat(images), torch.cat(slopes)

    def _mixed(self, z_um: Tensor) -> tuple[Tensor, Tensor]:
        """Series (N, rows, columns) at heights, and their derivatives per um."""
        low, high = self.z_range_um
        padding = (len(self.table) - 1 - math.ceil((high - low) / self.step_um)) // 2
        place = (z_um - low) / self.step_um + padding
        below = place.floor()
        planes = below.long()[:, None] + torch.arange(-1, 3, device=z_um.device)
        value, rate = _spline_weights(place - below)
        weights = torch.cat((value, rate / self.step_um))
        both = functional.embedding_bag(
            planes.repeat(2, 1), self.table, mode="sum", per_sample_weights=weights
        )
        series = torch.view_as_complex(both.view(2, -1, *self.modes, 2))
        return series[0], series[1]


def _spline_weights(part: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 4) weights of cubic B-splines around a place between two knots, and derivatives."""
    rest = 1 - part
    value = (rest**3, 4 - 6 * part**2 + 3 * part**3, 4 - 6 * rest**2 + 3 * rest**3, part**3)
    rate = (-(rest**2), part * (3 * part - 4), rest * (4 - 3 * rest), part**2)
    return torch.stack(value, 1) / 6, torch.stack(rate, 1) / 2
