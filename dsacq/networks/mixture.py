"""The mixture network: for each camera pixel the chance of an emitter, where, and how sure.

Each pixel carries one component of a Gaussian mixture over x, y, z and photons, as in DECODE
(Speiser et al., Nature Methods 18, 1082 (2021)). A small U-Net finds them: residual blocks at half
the camera's resolution, and dilated ones at a quarter of it, where a large point-spread function is
seen whole at little cost. Norms are over the channels of one pixel, so that what a pixel says does
not depend on the frame or tile around its receptive field.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 4  # camera pixels per pixel of the coarse stage: frames are filled up to a multiple
OUTPUTS = 10  # logit; x, y, z, root photons; their standard deviations; background
REACH_PX = 1.0  # how far from a pixel's centre its emitter may lie, x and y
ROOT_UNIT = 50.0  # roots of electrons are near 1 in this unit
_FARTHEST = 1.1  # z, in half z ranges
_LOGIT_START = -6.0  # few pixels hold an emitter
_SURE, _BLIND = 1e-3, 2.0  # least and greatest standard deviations


class Mixture(NamedTuple):
    """One component per pixel.

    logit (B, H, W): of the chance. mean, deviation (B, 4, H, W): x and y from the pixel's centre in
    px, z from the middle of the z range in half ranges, root of the electrons in ROOT_UNIT.
    background (B, H, W): as frames are scaled, see `stabilised`.
    """

    logit: Tensor
    mean: Tensor
    deviation: Tensor
    background: Tensor


def stabilised(electrons: Tensor, read_variance: Tensor | float) -> Tensor:
    """Electrons as values of unit noise: 2 sqrt(n + v + 3/8).

    Source: Anscombe, Biometrika 35, 246 (1948), and Huang et al., Nat. Methods 10, 653 (2013) for
    read noise as a Poisson variable of variance v.
    """
    return 2 * (electrons + read_variance + 0.375).clamp_min(0).sqrt()


class PixelNorm(nn.Module):
    """Each pixel's channels to mean 0 and variance 1, then a learned scale and shift."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        last = features.permute(0, 2, 3, 1)
        normed: Tensor = functional.layer_norm(last, (self.channels,), self.weight, self.bias)
        return normed.permute(0, 3, 1, 2)


class Block(nn.Module):
    """Features plus what two convolutions make of them; the first is dilated."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm = PixelNorm(channels)
        self.wide = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.near = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.near.weight)  # every block starts as the identity
        nn.init.zeros_(self.near.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        change: Tensor = self.near(functional.relu(self.wide(self.norm(features))))
        return features + change


class MixtureNetwork(nn.Module):
    """Frames, `stabilised`, to a Mixture.

    frames: how many consecutive ones it sees; the middle one's emitters are told.
    fine_channels, fine_blocks: of the half-resolution stage, blocks before and after the coarse.
    coarse_channels, dilations: of the quarter-resolution stage, a block per dilation.
    input_offset, input_scale: what brings stabilised frames to mean 0 and variance 1.
    """

    def __init__(
        self,
        *,
        frames: int,
        fine_channels: int,
        fine_blocks: tuple[int, int],
        coarse_channels: int,
        dilations: tuple[int, ...],
        input_offset: float,
        input_scale: float,
    ) -> None:
        super().__init__()
        self.frames, self.dilations, self.fine_blocks = frames, dilations, fine_blocks
        self.input_offset, self.input_scale = input_offset, input_scale
        before, after = fine_blocks
        self.stem = nn.Conv2d(4 * (frames + 1), fine_channels, 3, padding=1)
        self.fine_before = nn.Sequential(*(Block(fine_channels) for _ in range(before)))
        self.down = nn.Conv2d(4 * fine_channels, coarse_channels, 1)
        self.coarse = nn.Sequential(*(Block(coarse_channels, step) for step in dilations))
        self.up = nn.Conv2d(coarse_channels, 4 * fine_channels, 1)
        self.fine_after = nn.Sequential(*(Block(fine_channels) for _ in range(after)))
        self.head_norm = PixelNorm(fine_channels)
        self.head = nn.Conv2d(fine_channels, 4 * OUTPUTS, 1)
        with torch.no_grad():
            self.head.weight *= 0.1
            bias = torch.zeros(OUTPUTS)
            bias[0], bias[4] = _LOGIT_START, 1.0
            self.head.bias.copy_(bias.repeat_interleave(4))  # type: ignore[union-attr]

    @property
    def reach_px(self) -> int:
        """Camera pixels around a pixel that its component depends on."""
        coarse = sum(step + 1 for step in self.dilations)
        fine = 1 + 2 * sum(self.fine_blocks)
        return STRIDE * (coarse + 1) + 2 * (fine + 1)

    def forward(self, stabilised: Tensor, read_variance: Tensor) -> Mixture:
        """stabilised (B, frames, H, W), read_variance (B or 1, 1, H, W) electrons^2 per pixel."""
        height, width = stabilised.shape[-2:]
        features = self.trunk(self.scaled(stabilised, read_variance))
        with torch.autocast(features.device.type, enabled=False):
            raw = self.head(features)
        return mixture(functional.pixel_shuffle(raw, 2)[..., :height, :width])

    def scaled(self, stabilised: Tensor, read_variance: Tensor) -> Tensor:
        """The (B, frames + 1, H', W') input of the trunk, filled up to a multiple of STRIDE."""
        height, width = stabilised.shape[-2:]
        scaled = (stabilised - self.input_offset) / self.input_scale
        noise = read_variance.clamp_min(0).sqrt().expand(scaled.shape[0], 1, height, width)
        return functional.pad(
            torch.cat((scaled, noise / self.input_scale), 1),
            (0, -width % STRIDE, 0, -height % STRIDE),
        )

    def trunk(self, scaled: Tensor) -> Tensor:
        """(B, frames + 1, H, W) to features (B, fine_channels, H / 2, W / 2)."""
        # Convolutions may run in bfloat16, sums and norms not: depths need three digits.
        fine = self.fine_before(self.stem(functional.pixel_unshuffle(scaled, 2)).float())
        coarse = self.coarse(self.down(functional.pixel_unshuffle(fine, 2)).float())
        fine = self.fine_after(fine + functional.pixel_shuffle(self.up(coarse), 2))
        normed: Tensor = self.head_norm(fine)
        return normed


def mixture(raw: Tensor) -> Mixture:
    """The network's (B, OUTPUTS, H, W) as components."""
    logit, x, y, z, root, *spread, background = raw.unbind(1)
    mean = torch.stack(
        (
            x.tanh() * (REACH_PX + 0.05),
            y.tanh() * (REACH_PX + 0.05),
            z.tanh() * _FARTHEST,
            functional.softplus(root),
        ),
        1,
    )
    # A logistic function is the exponential one where it counts, and never runs away.
    deviation = _SURE + _BLIND * torch.stack(spread, 1).sigmoid()
    return Mixture(logit, mean, deviation, background)
