"""How networks are built, as a model file's header tells it."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.networks.mixture import MixtureNetwork
from dsacq.networks.voxel import UPSAMPLING, VoxelNetwork
from dsacq.physics.optics import Optics

MOST_DEPTH = 1024  # planes of a voxel network
_STRICT = ConfigDict(extra="forbid")
_Channels = Annotated[int, Field(ge=4, le=1024)]
_Blocks = Annotated[int, Field(ge=0, le=64)]
_Dilation = Annotated[int, Field(ge=1, le=64)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Offset = Annotated[float, Field(ge=-64, le=64)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class VoxelArchitecture:
    """How a VoxelNetwork is built and where its voxels lie.

    label_offset_voxels: (x, y) to add to a voxel's place in the upsampled image, as the labels of
    its training were shifted; 0 for a network trained on corner coordinates.
    """

    kind: Literal["voxel"] = "voxel"
    depth: Annotated[int, Field(ge=1, le=MOST_DEPTH)]
    dilations: Annotated[tuple[_Dilation, ...], Field(min_length=1, max_length=32)]
    scale: _Positive = 800.0
    label_offset_voxels: tuple[_Offset, _Offset] = (0.0, 0.0)

    def build(self) -> VoxelNetwork:
        """The network, without weights."""
        return VoxelNetwork(self.depth, self.dilations, self.scale)

    def voxel_um(self, optics: Optics) -> tuple[float, float]:
        """Lateral and axial size of a voxel."""
        low, high = optics.z_range_um
        return optics.pixel_um / UPSAMPLING, (high - low) / self.depth


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MixtureArchitecture:
    """How a MixtureNetwork is built and how its numbers become lengths; see there.

    Its z is measured from the middle of `z_range_um` in halves of it.
    """

    kind: Literal["mixture"] = "mixture"
    frames: Literal[1, 3] = 1
    fine_channels: _Channels
    fine_blocks: tuple[_Blocks, _Blocks]
    coarse_channels: _Channels
    dilations: Annotated[tuple[_Dilation, ...], Field(max_length=64)]
    z_range_um: tuple[_Finite, _Finite]
    input_offset: _Finite
    input_scale: _Positive

    def build(self) -> MixtureNetwork:
        """The network, without weights."""
        return MixtureNetwork(
            frames=self.frames,
            fine_channels=self.fine_channels,
            fine_blocks=self.fine_blocks,
            coarse_channels=self.coarse_channels,
            dilations=self.dilations,
            input_offset=self.input_offset,
            input_scale=self.input_scale,
        )


Architecture = Annotated[VoxelArchitecture | MixtureArchitecture, Field(discriminator="kind")]
