"""The phase of a mask as something to be searched, and as an SLM shows it."""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from dsacq.design.settings import Panel
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.zernike import mask_disc, zernike_modes

_TURN = 2 * math.pi


class SearchedPhase(nn.Module):
    """A mask's phase plus what is searched: Zernike coefficients, or each sample by itself.

    order: largest radial order of the polynomials, None for samples. The parameter `searched` is 0
    at first. Phases are in rad.
    """

    searched: nn.Parameter
    start: Tensor
    lit: Tensor
    modes: Tensor | None

    def __init__(self, start: PhaseMask, optics: Optics, order: int | None) -> None:
        super().__init__()
        self._mask, self.pixel_um = start, start.pixel_um
        phase = torch.tensor(start.phase_rad)
        rows, columns = phase.shape
        radius, azimuth = mask_disc(optics, (rows, columns), start.pixel_um)
        self.register_buffer("start", phase, persistent=False)
        self.register_buffer("lit", radius <= 1, persistent=False)
        modes = None
        count: tuple[int, ...] = (rows, columns)
        if order is not None:
            # Piston and tilts change nothing but the place of the image.
            names = [(n, m) for n in range(2, order + 1) for m in range(-n, n + 1, 2)]
            modes = zernike_modes(names, radius.clamp_max(1), azimuth).float()
            count = (len(names),)
        self.register_buffer("modes", modes, persistent=False)
        self.searched = nn.Parameter(torch.zeros(count))

    def forward(self) -> Tensor:
        """(rows, columns) rad, not wrapped."""
        if self.modes is None:
            return self.start + self.searched
        phase: Tensor = self.start + torch.tensordot(self.searched, self.modes, 1)
        return phase

    def roughness(self) -> Tensor:
        """How much the phase bends from sample to sample, 0 to 4, ().

        Mean of |exp(i bend) - 1|^2 over the pupil and both axes, bend = phase of both neighbours
        less twice the own: slopes are free, as they throw the light nowhere that it is not wanted.
        """
        phase = self()
        rough = self.start.new_zeros(())
        for axis, size in enumerate(phase.shape):
            lit = self.lit.narrow(axis, 2, size - 2) & self.lit.narrow(axis, 0, size - 2)
            bend = phase.diff(n=2, dim=axis)[lit]
            rough = rough + (2 - 2 * bend.cos()).mean()
        return rough / 2

    def mask(self, panel: Panel, name: str, **origin: object) -> PhaseMask:
        """The mask as the SLM's levels show it, 0 to 2 pi, without what is not lit."""
        with torch.no_grad():
            phase = shown(self(), replace(panel, fringing_px=0.0, shift_px=0.0))
            phase = torch.where(self.lit, phase, 0)
        return replace(
            self._mask, phase_rad=phase.float().cpu().numpy(), name=name, origin=dict(origin)
        )


def shown(phase: Tensor, panel: Panel, draw: torch.Generator | None = None) -> Tensor:
    """A phase (rows, columns) as an SLM shows it to the light.

    Levels and the ends of its range pass the gradient as if they were not there (straight-through);
    smoothing does not, wraps included. draw: for the random shift, None for none.
    """
    wrapped = phase - _TURN * torch.floor(phase.detach() / _TURN)
    if panel.range_rad < _TURN - 1e-3:
        beyond = wrapped.detach() > panel.range_rad
        nearer = torch.where(wrapped.detach() > (_TURN + panel.range_rad) / 2, 0.0, panel.range_rad)
        wrapped = wrapped + torch.where(beyond, nearer - wrapped.detach(), 0)
    if panel.levels is not None:
        step = min(panel.range_rad, _TURN) / panel.levels
        wrapped = wrapped + ((wrapped.detach() / step).round() * step - wrapped.detach())
    if panel.fringing_px > 0:
        wrapped = _smoothed(wrapped, panel.fringing_px)
    if panel.shift_px > 0 and draw is not None:
        shift = panel.shift_px * torch.randn(2, generator=draw, device=draw.device)
        wrapped = _moved(wrapped, shift.to(wrapped))
    return wrapped


def with_gaps(phase: Tensor, fill: float) -> tuple[Tensor, Tensor]:
    """Phase and transmission of an SLM whose gaps between pixels reflect light as it came.

    Pixels are smaller than what the light resolves of the pupil: the image gets the mean field,
    fill exp(i phase) + (1 - fill); the rest goes to orders that the camera does not see.
    """
    field = fill * torch.exp(1j * phase) + (1 - fill)
    return field.angle(), field.abs()


def _smoothed(phase: Tensor, deviation_px: float) -> Tensor:
    reach = max(1, math.ceil(3 * deviation_px))
    steps = torch.arange(-reach, reach + 1).to(phase)
    kernel = torch.exp(-(steps**2) / (2 * deviation_px**2))
    kernel = kernel / kernel.sum()
    wide = functional.pad(phase[None, None], (reach,) * 4, mode="replicate")
    wide = functional.conv2d(wide, kernel[None, None, :, None])
    return functional.conv2d(wide, kernel[None, None, None])[0, 0]


def _moved(phase: Tensor, shift_px: Tensor) -> Tensor:
    """Moved by (rows, columns), bilinear in the phasor."""
    rows, columns = phase.shape
    down = torch.linspace(-1, 1, rows).to(phase) - 2 * shift_px[0] / (rows - 1)
    right = torch.linspace(-1, 1, columns).to(phase) - 2 * shift_px[1] / (columns - 1)
    places = torch.stack((right.expand(rows, -1), down[:, None].expand(-1, columns)), -1)
    field = torch.stack((phase.cos(), phase.sin()))[None]
    moved = functional.grid_sample(field, places[None], padding_mode="border", align_corners=True)[
        0
    ]
    return torch.atan2(moved[1], moved[0])
