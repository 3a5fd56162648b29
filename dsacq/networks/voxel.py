"""The voxel network of DeepSTORM3D: a frame in, a volume of emitter confidence out.

Source: Nehme et al., Nature Methods 17, 734 (2020). Six convolutions with growing dilation see a
large point-spread function at the camera's resolution, two nearest-neighbour upsamplings bring the
features to a quarter of a camera pixel, and three convolutions with one channel per depth refine.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 64
UPSAMPLING = 4  # voxels per camera pixel and lateral axis
DILATIONS = (1, 1, 2, 4, 8, 16)
REFINE_REACH_PX = 2  # camera pixels around a voxel that the stage after the context sees (1.5)


class ConvLayer(nn.Sequential):
    """3x3 convolution, leaky rectifier, batch normalisation, in that order."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation),
            nn.LeakyReLU(0.2, inplace=True),
            nn.BatchNorm2d(outputs),
        )


class VoxelNetwork(nn.Module):
    """Confidence, 0 to `scale`, that an emitter sits in each voxel.

    depth: planes in z. dilations: of the six context layers. The receptive field reaches
    `context_reach_px` + REFINE_REACH_PX camera pixels.
    """

    def __init__(
        self, depth: int, dilations: tuple[int, ...] = DILATIONS, scale: float = 800.0
    ) -> None:
        super().__init__()
        self.depth, self.dilations, self.scale = depth, tuple(dilations), scale
        self.input_norm = nn.BatchNorm2d(1)
        self.context_layers = nn.ModuleList(
            ConvLayer(CHANNELS + 1 if index else 1, CHANNELS, dilation)
            for index, dilation in enumerate(dilations)
        )
        self.upsample_layers = nn.ModuleList(
            (ConvLayer(CHANNELS + 1, CHANNELS), ConvLayer(CHANNELS, CHANNELS))
        )
        self.refine_layers = nn.ModuleList(
            (ConvLayer(CHANNELS, depth), ConvLayer(depth, depth), ConvLayer(depth, depth))
        )
        self.output = nn.Conv2d(depth, depth, 1)

    @property
    def context_reach_px(self) -> int:
        """Camera pixels around a pixel that its context features depend on."""
        return sum(self.dilations)

    def context(self, frames: Tensor) -> Tensor:
        """(B, 1, H, W) scaled frames to (B, 65, H, W) features."""
        frames = self.input_norm(frames)
        first, *others = self.context_layers
        features = first(frames)
        for layer in others:
            features = layer(torch.cat((features, frames), 1)) + features
        return torch.cat((features, frames), 1)

    def refine(self, features: Tensor) -> Tensor:
        """(B, 65, H, W) features to the (B, depth, 4 H, 4 W) volume."""
        for layer in self.upsample_layers:
            features = layer(functional.interpolate(features, scale_factor=2.0, mode="nearest"))
        first, *others = self.refine_layers
        features = first(features)
        for layer in others:
            features = layer(features) + features
        return functional.hardtanh(self.output(features), 0.0, self.scale)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 1, H, W) scaled frames to the (B, depth, 4 H, 4 W) volume."""
        return self.refine(self.context(frames))
