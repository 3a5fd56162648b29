"""Images of emitters as Fourier series: what makes many emitters behind a fixed mask cheap.

An image is band-limited, so a Fourier series over a long enough period holds all of it. The series
of a plane is computed once for each of some heights; that of an emitter is a cubic spline in z
times a phase factor for its position and a factor for its blur. The series of all emitters of an
image are added, and two matrix products evaluate the sum at the camera's pixels. Nothing is
interpolated in x and y, so the camera's sampling does not matter.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel, Pupil

_PADDING = 4  # planes beyond each end of the z range, where the spline settles
# Complex numbers that the emitters at work may hold: cache on the CPU, memory on a GPU.
_CHUNK = {"cpu": 1 << 18, "cuda": 1 << 26}


class PsfSeries:
    """Draws groups of emitters, each into its own window of `window` = (H, W) pixels.

    phase_rad, optics, model, mask_pixel_um, focus_um, transmission: as for `psf`.
    light: their pupil, in double precision.
    period_px: of the series; light that leaves it on one side enters on the other.
    cut_px: light farther than this from its emitter, in x or y, is left out (see `taper`).
    """

    def __init__(
        self,
        phase_rad: Tensor,
        optics: Optics,
        model: PsfModel,
        light: Pupil,
        window: tuple[int, int],
        *,
        period_px: float,
        cut_px: float,
        mask_pixel_um: float | None,
        focus_um: float | None,
        z_range_um: tuple[float, float],
        transmission: Tensor | None = None,
    ) -> None:
        self.z_range_um = z_range_um
        self.step_um = _plane_distance_um(optics)
        self._oversample = model.oversample
        # The intensity has twice the highest frequency of the field.
        highest = math.ceil(float(light.image_x.abs().max()) / math.pi * period_px - 1e-6)
        samples = 2 * highest + 1
        if model.kind == "deepstorm3d":  # exists at the camera's own sampling only
            period_px = math.ceil(period_px)
            samples = int(period_px)
            highest = min(highest, (samples - 1) // 2)
        pixel = period_px / samples  # camera pixels

        planes = math.ceil((z_range_um[1] - z_range_um[0]) / self.step_um) + 1 + 2 * _PADDING
        position = torch.zeros(planes, 3).to(phase_rad)
        position[:, 2] = z_range_um[0] + self.step_um * (torch.arange(planes) - _PADDING)
        beside = samples // 2 - (samples - 1) / 2  # from the crop's centre to the middle sample
        position[:, :2] = beside * float(light.image_x[0] / light.emitter_x[0])
        images = psf(
            phase_rad,
            position,
            replace(optics, camera_pixel_um=optics.camera_pixel_um * pixel),
            (samples, samples),
            replace(model, oversample=1, blur_px=0.0),
            mask_pixel_um=mask_pixel_um,
            transmission=transmission,
            focus_um=focus_um,
        )
        distance = pixel * (torch.arange(samples) - samples // 2).abs().to(phase_rad)
        images = images * taper(distance, cut_px) * taper(distance, cut_px)[:, None]
        series = _half_series(images, highest) / period_px**2
        self.modes = (series.shape[1], series.shape[2])
        self.table = _spline_coefficients(torch.view_as_real(series).flatten(1))

        self.row_rate = torch.arange(-highest, highest + 1).to(phase_rad) / period_px  # 1/px
        self.column_rate = self.row_rate[highest:]
        rows, columns = ((torch.arange(n) - (n - 1) / 2).to(phase_rad) for n in window)
        self._to_rows = _phasor(rows[:, None] * self.row_rate)
        turning = _phasor(self.column_rate[:, None] * columns)
        self._to_columns = torch.stack((turning.real, -turning.imag), 1).flatten(0, 1)

    @property
    def size(self) -> int:
        """Complex numbers in the series of one window."""
        return math.prod(self.modes)

    def draw(
        self,
        group: Tensor,
        groups: int,
        offset_px: Tensor,
        z_um: Tensor,
        photons: Tensor,
        blur_px: Tensor,
    ) -> Tensor:
        """Expected photons (groups, H, W).

        group (E,): on the CPU, ascending. offset_px (E, 2): rows, columns from the centre of the
        window. z_um, photons (E,). blur_px (E,) or (1,).
        """
        place = (z_um - self.z_range_um[0]) / self.step_um + _PADDING
        below = place.floor()
        weights = _spline_weights(place - below) * photons[:, None]
        planes = below.long()[:, None] + torch.arange(-1, 3, device=z_um.device)
        rows = _phasor(-offset_px[:, :1] * self.row_rate)
        rows = rows * self.softening(self.row_rate, blur_px)
        columns = _phasor(-offset_px[:, 1:] * self.column_rate)
        columns = columns * self.softening(self.column_rate, blur_px)

        total = photons.new_zeros(groups, self.table.shape[1])
        chunk = max(1, _CHUNK[z_um.device.type] // self.size)
        for first in range(0, len(group), chunk):
            part = slice(first, min(first + chunk, len(group)))
            low, high = int(group[part.start]), int(group[part.stop - 1]) + 1
            mixed = functional.embedding_bag(
                planes[part], self.table, mode="sum", per_sample_weights=weights[part]
            )
            series = torch.view_as_complex(mixed.view(-1, *self.modes, 2))
            series *= columns[part, None]
            series *= rows[part, :, None]
            # A product rather than index_add_, whose order is not fixed on a GPU.
            member = (group[part] == torch.arange(low, high)[:, None]).to(mixed)
            total[low:high] += member @ mixed

        half = self._to_rows @ torch.view_as_complex(total.view(-1, *self.modes, 2))
        return (torch.view_as_real(half).flatten(-2) @ self._to_columns).clamp_min(0)

    def softening(self, rate: Tensor, blur_px: Tensor) -> Tensor:
        """(E, modes) or (1, modes): what the pixel's area and the blur leave of each frequency.

        In `psf` both are sums over samples; this is their transform, exactly.
        """
        return self.softening_and_slope(rate, blur_px)[0]

    def softening_and_slope(self, rate: Tensor, blur_px: Tensor) -> tuple[Tensor, Tensor]:
        """As `softening`, and its derivative per px of blur."""
        inside = (torch.arange(self._oversample).to(rate) + 0.5) / self._oversample - 0.5
        left = torch.cos(2 * math.pi * inside[:, None] * rate).mean(0)
        radius = int(4 * float(blur_px.max())) + 1 if len(blur_px) else 0
        tap = torch.arange(-radius, radius + 1).to(rate)
        width = blur_px.clamp_min(1e-3)[:, None]
        kernel = torch.exp(-0.5 * (tap / width) ** 2)
        kernel = kernel / kernel.sum(1, keepdim=True)
        spread = (kernel * tap**2).sum(1, keepdim=True)
        wave = left * torch.cos(2 * math.pi * tap[:, None] * rate)
        return kernel @ wave, (kernel * (tap**2 - spread) / width**3) @ wave


def taper(distance_px: Tensor, cut_px: float) -> Tensor:
    """1 up to nine tenths of the cut, then smoothly down to 0 at the cut."""
    if math.isinf(cut_px):
        return torch.ones_like(distance_px)
    fallen = ((distance_px / cut_px - 0.9) / 0.1).clamp(0, 1)
    return (1 + torch.cos(math.pi * fallen)) / 2


def _plane_distance_um(optics: Optics) -> float:
    """A fifth of the shortest period along z, that of the axial ray against the marginal one."""
    index = optics.index_sample
    span = index - (index**2 - optics.na_sample**2) ** 0.5
    return float(0.2 * optics.wavelength_um / span)


def _half_series(images: Tensor, highest: int) -> Tensor:
    """Fourier coefficients (planes, rows, columns) about the middle sample, of real images.

    Rows -highest..highest, columns 0..highest; those above 0 stand for their conjugates too.
    """
    series = torch.fft.fftshift(torch.fft.rfft2(torch.fft.ifftshift(images, (-2, -1))), -2)
    middle = images.shape[-2] // 2
    series = series[:, middle - highest : middle + highest + 1, : highest + 1]
    double = torch.full((highest + 1,), 2.0).to(images)
    double[0] = 1
    counted: Tensor = series * double
    return counted


def _spline_coefficients(samples: Tensor) -> Tensor:
    """Coefficients of the cubic B-spline through samples (planes, values) at unit distance."""
    neighbour = torch.full((len(samples) - 1,), 1 / 6, dtype=torch.float64)
    band = torch.eye(len(samples), dtype=torch.float64) * 4 / 6
    band = band + neighbour.diag(1) + neighbour.diag(-1)
    band[0, 0] = band[-1, -1] = 5 / 6  # the ends repeat
    coefficients: Tensor = torch.linalg.inv(band).to(samples) @ samples
    return coefficients


def _spline_weights(part: Tensor) -> Tensor:
    """(E, 4) weights of the coefficients around a place between two planes, 0 <= part < 1 (E,)."""
    rest = 1 - part
    weights = (rest**3, 4 - 3 * part**2 * (1 + rest), 4 - 3 * rest**2 * (1 + part), part**3)
    return torch.stack(weights, 1) / 6


def _phasor(turns: Tensor) -> Tensor:
    angle = 2 * math.pi * turns
    return torch.complex(angle.cos(), angle.sin())
