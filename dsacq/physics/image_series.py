"""Images of single emitters and their derivatives from Fourier series: `psf_and_gradient`, quicker.

As in `PsfSeries`, but each emitter has a window of its own and a slope along each axis.
"""

import math
from threading import Lock

import torch
from torch import Tensor
from torch.nn import functional

from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf, psf_and_gradient
from dsacq.physics.psf_series import PsfSeries
from dsacq.physics.pupil import PsfModel, pupil

MARGIN_UM = 0.2  # beyond the optics' z range
# Windows up to 64 and 128 pixels have a series, without the light farther than this from its
# emitter; in larger windows each emitter is drawn in a part of 128.
_CUT_PX = {64: 48, 128: 64}
_FINEST = 1.02  # of the details that the camera's pixels resolve: the published simulator's limit
_BLUR_STEP = 0.02  # of the blur, for its slope where there is no series
_BORDER_PX = 8  # emitters this far outside a window are still drawn in it
_NUMBERS = {"cpu": 1 << 20, "cuda": 1 << 27}  # that one batch of emitters may hold


class ImageSource:
    """Images of emitters behind a mask; the phase's dtype and device are the computation's.

    Series are made when a window first needs them and kept. Computed exactly are emitters outside
    their reach, and images of the published simulator that its own sampling does not resolve.
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
        self._making = Lock()  # threads share a source, and each series takes a while to make

    def images(
        self, xyz_um: Tensor, shape: tuple[int, int], blur_px: Tensor | None = None
    ) -> Tensor:
        """As `psf`: (N, H, W) for (N, 3) from the window's centre, blur (N,) or the model's."""
        return self._computed(xyz_um, shape, blur_px, False)[:, 0]

    def images_and_gradient(
        self, xyz_um: Tensor, shape: tuple[int, int], blur_px: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `psf_and_gradient`: (N, H, W) and (N, 4, H, W) per um and per px of blur."""
        both = self._computed(xyz_um, shape, blur_px, True)
        return both[:, 0], both[:, 1:]

    def _computed(
        self, xyz_um: Tensor, shape: tuple[int, int], blur_px: Tensor | None, gradient: bool
    ) -> Tensor:
        """(N, 1 or 5, H, W): images and, with `gradient`, their slopes."""
        if blur_px is None:
            blur_px = xyz_um.new_full((len(xyz_um),), self.model.blur_px)
        if not self._near(xyz_um, shape):
            return self._exact(xyz_um, shape, blur_px)
        offset_px = xyz_um[:, [1, 0]] / self.drawn_pixel_um
        largest = max(_CUT_PX)
        if max(shape) <= largest:
            drawn = self._drawn(offset_px, xyz_um[:, 2], shape, blur_px, gradient)
        else:
            part = (min(shape[0], largest), min(shape[1], largest))
            whole, inner = offset_px.new_tensor(shape), offset_px.new_tensor(part)
            corner = (offset_px + (whole - inner) / 2).round()
            corner = torch.minimum(corner.clamp_min(0), whole - inner)
            from_part = offset_px + (whole - inner) / 2 - corner
            drawn = self._drawn(from_part, xyz_um[:, 2], part, blur_px, gradient)
            drawn = _placed(drawn, corner.long(), shape)
        if gradient:
            drawn[:, 1:3] /= self.drawn_pixel_um
        return drawn

    def _exact(self, xyz_um: Tensor, shape: tuple[int, int], blur_px: Tensor) -> Tensor:
        place = self.phase_rad, xyz_um, self.optics, shape, self.model
        pitch = self.mask_pixel_um
        image, slope = psf_and_gradient(*place, mask_pixel_um=pitch, blur_px=blur_px)
        low, high = (
            psf(*place, mask_pixel_um=pitch, blur_px=blur_px * (1 + part))
            for part in (-_BLUR_STEP, _BLUR_STEP)
        )
        step = (2 * _BLUR_STEP * blur_px).clamp_min(1e-6)[:, None, None]
        return torch.cat((image[:, None], slope, ((high - low) / step)[:, None]), 1)

    def _drawn(
        self,
        offset_px: Tensor,
        z_um: Tensor,
        shape: tuple[int, int],
        blur_px: Tensor,
        gradient: bool,
    ) -> Tensor:
        size = min(size for size in _CUT_PX if size >= max(shape))
        with self._making:
            if size not in self._series:
                self._series[size] = self._made(size)
        return self._series[size].draw_each(offset_px, z_um, shape, blur_px, gradient)

    def _made(self, size: int) -> "_GradientSeries":
        cut = min(_CUT_PX[size], float(self._light.pixels) / 2)
        period = size + _BORDER_PX + cut
        if self.model.kind == "deepstorm3d" and period > float(self._light.pixels):
            period, cut = float(self._light.pixels), math.inf  # its images repeat, whole
        low, high = self.optics.z_range_um
        return _GradientSeries(
            self.phase_rad,
            self.optics,
            self.model,
            self._light,
            (size, size),
            period_px=period,
            cut_px=cut,
            mask_pixel_um=self.mask_pixel_um,
            focus_um=None,
            z_range_um=(low - MARGIN_UM, high + MARGIN_UM),
        )

    def _near(self, xyz_um: Tensor, shape: tuple[int, int]) -> bool:
        half = xyz_um.new_tensor([shape[1], shape[0]]) / 2 + _BORDER_PX
        low, high = self.optics.z_range_um
        if self.model.kind == "deepstorm3d" and (
            max(shape) > float(self._light.pixels)  # shows more than one period of the image
            or float(self._light.image_x.max()) > _FINEST * math.pi / 2
        ):
            return False
        inside = (xyz_um[:, :2].abs() <= half * self.drawn_pixel_um).all(1)
        inside &= (xyz_um[:, 2] - (low + high) / 2).abs() <= (high - low) / 2 + MARGIN_UM + 1e-4
        return bool(inside.all())


def _placed(drawn: Tensor, corner: Tensor, shape: tuple[int, int]) -> Tensor:
    """Images (N, C, h, w) at their corners (N, 2) in windows of a larger shape."""
    count, kinds, height, width = drawn.shape
    rows = corner[:, :1] + torch.arange(height, device=corner.device)
    columns = corner[:, 1:] + torch.arange(width, device=corner.device)
    place = (rows[:, :, None] * shape[1] + columns[:, None]).flatten(1)[:, None]
    wide = drawn.new_zeros(count, kinds, shape[0] * shape[1])
    wide.scatter_(2, place.expand(-1, kinds, -1), drawn.flatten(2))
    return wide.view(count, kinds, *shape)


class _GradientSeries(PsfSeries):
    """Fourier series that are drawn one by one, with derivatives."""

    def draw_each(
        self,
        offset_px: Tensor,
        z_um: Tensor,
        shape: tuple[int, int],
        blur_px: Tensor,
        gradient: bool,
    ) -> Tensor:
        """(N, 1, H, W) images, or (N, 5, H, W) with slopes along x, y, z, blur: per px, um, px.

        offset_px (N, 2): rows, columns from the window's centre. blur_px (N,).
        """
        rate_y = 2 * math.pi * self.row_rate
        rate_x = 2 * math.pi * self.column_rate
        row, column = ((torch.arange(n) - (n - 1) / 2).to(rate_x) for n in shape)
        to_rows = torch.exp(1j * row[:, None] * rate_y)
        turning = torch.exp(1j * rate_x[:, None] * column)
        to_columns = torch.stack((turning.real, -turning.imag), 1).flatten(0, 1)

        drawn = z_um.new_empty(len(z_um), 5 if gradient else 1, *shape)
        at_once = max(1, _NUMBERS[z_um.device.type] // (8 * self.size))
        for first in range(0, len(z_um), at_once):
            part = slice(first, first + at_once)
            series, rising = self._mixed(z_um[part])
            soft_y, softer_y = self.softening_and_slope(self.row_rate, blur_px[part])
            soft_x, softer_x = self.softening_and_slope(self.column_rate, blur_px[part])
            moved_y = torch.exp(-1j * offset_px[part, :1] * rate_y)[:, :, None]
            moved_x = torch.exp(-1j * offset_px[part, 1:] * rate_x)[:, None]
            here_y, here_x = moved_y * soft_y[:, :, None], moved_x * soft_x[:, None]
            own = series * here_y * here_x
            if gradient:
                along_y = own * (-1j * rate_y)[:, None]
                along_z = rising * here_y * here_x
                blurring = here_y * (moved_x * softer_x[:, None])
                blurring = series * (blurring + (moved_y * softer_y[:, :, None]) * here_x)
                half = to_rows @ torch.stack((own, along_y, along_z, blurring), 1)
                along_x = half[:, :1] * (-1j * rate_x)
                half = torch.cat((half[:, :1], along_x, half[:, 1:]), 1)
            else:
                half = (to_rows @ own)[:, None]
            torch.matmul(torch.view_as_real(half).flatten(-2), to_columns, out=drawn[part])
        return drawn

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
