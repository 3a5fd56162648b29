"""What each kind of network is made from, is shown, and is judged by."""

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from dsacq.errors import SettingsError
from dsacq.networks.architectures import Architecture, MixtureArchitecture, VoxelArchitecture
from dsacq.networks.mixture import stabilised
from dsacq.networks.model_file import ElectronInput, Model, Network
from dsacq.networks.voxel import DILATIONS, VoxelNetwork
from dsacq.physics.optics import InputScaling
from dsacq.training.losses import mixture_loss, voxel_loss
from dsacq.training.priors import Batch, Sampler
from dsacq.training.settings import MixtureChoice, TrainingSettings

_PRESETS = {  # fine channels, fine blocks, coarse channels, dilations
    "nano": (32, (1, 1), 64, (1, 2, 4, 8)),
    "small": (32, (1, 1), 96, (1, 2, 4, 8, 2, 1)),
    "full": (64, (2, 2), 128, (1, 2, 4, 8, 1, 2, 4)),
}
_LOOKED_AT = 4  # batches, for the input's scale


class Objective(Protocol):
    """A network in training."""

    architecture: Architecture
    network: Network
    input: InputScaling | ElectronInput

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What the network is given."""
        ...

    def loss(self, batch: Batch) -> Tensor:
        """What to make small, () tensor."""
        ...


class MixtureObjective:
    """Trains a mixture network."""

    input = ElectronInput()

    def __init__(self, architecture: MixtureArchitecture, settings: TrainingSettings) -> None:
        self.architecture, self._optics = architecture, settings.optics
        self.network = architecture.build()

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """Frames, stabilised, and the variance of their read noise."""
        return stabilised(batch.electrons, batch.read_variance), batch.read_variance

    def loss(self, batch: Batch) -> Tensor:
        """Loss per emitter, see `mixture_loss`."""
        found = self.network(*self.inputs(batch))
        return mixture_loss(found, batch, self.architecture, self._optics)


class VoxelObjective:
    """Trains a voxel network on frames of fixed scale."""

    def __init__(
        self, architecture: VoxelArchitecture, scaling: InputScaling, settings: TrainingSettings
    ) -> None:
        self.architecture, self.input, self._optics = architecture, scaling, settings.optics
        self.network: VoxelNetwork = architecture.build()

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """Frames, scaled."""
        return ((batch.counts - self.input.offset) / self.input.scale,)

    def loss(self, batch: Batch) -> Tensor:
        """Loss of the volume, see `voxel_loss`."""
        volume = self.network(*self.inputs(batch))
        return voxel_loss(volume.float(), batch, self.architecture, self._optics)


def objective(
    settings: TrainingSettings, sampler: Sampler, start: Model | None = None
) -> MixtureObjective | VoxelObjective:
    """A new network, or that of a model to start from. Raises SettingsError if that is another."""
    made: MixtureObjective | VoxelObjective
    if start is not None:
        made = _as(start, settings)
        made.network.load_state_dict(start.network.state_dict())
        return made
    torch.manual_seed(settings.training.seed)
    batches = [sampler.batch(step) for step in range(_LOOKED_AT)]
    if isinstance(settings.network, MixtureChoice):
        frames = torch.cat([stabilised(batch.electrons, batch.read_variance) for batch in batches])
        fine_channels, fine_blocks, coarse_channels, dilations = _PRESETS[settings.network.preset]
        architecture = MixtureArchitecture(
            frames=settings.network.frames,
            z_range_um=settings.optics.z_range_um,
            input_offset=float(frames.mean()),
            input_scale=max(float(frames.std()), 1e-3),
            fine_channels=fine_channels,
            fine_blocks=fine_blocks,
            coarse_channels=coarse_channels,
            dilations=dilations,
        )
        return MixtureObjective(architecture, settings)
    counts = torch.cat([batch.counts for batch in batches])
    scaling = InputScaling(
        normalise="fixed", offset=float(counts.mean()), scale=max(float(counts.std()), 1e-3)
    )
    return VoxelObjective(
        VoxelArchitecture(depth=settings.network.depth, dilations=DILATIONS), scaling, settings
    )


def _as(start: Model, settings: TrainingSettings) -> MixtureObjective | VoxelObjective:
    card = start.card
    architecture, wanted = card.architecture, settings.network
    if architecture.kind != wanted.kind:
        raise SettingsError(
            f"training.start: {card.name} is a {architecture.kind} network, but network.kind is "
            f"{wanted.kind}."
        )
    if isinstance(architecture, VoxelArchitecture):
        assert isinstance(card.input, InputScaling)
        return VoxelObjective(replace(architecture), card.input, settings)
    if architecture.z_range_um != settings.optics.z_range_um:
        raise SettingsError(
            f"training.start: {card.name} was made for z from {architecture.z_range_um[0]:g} to "
            f"{architecture.z_range_um[1]:g} um, and optics.z_range_um is "
            f"{list(settings.optics.z_range_um)}."
        )
    return MixtureObjective(architecture, settings)
