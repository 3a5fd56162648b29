"""Models for tests, with random weights."""

from typing import Any

from dsacq.networks.architectures import Architecture, MixtureArchitecture
from dsacq.networks.model_file import ElectronInput, Model, ModelCard, Network
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import InputScaling, Optics


def model_of(
    network: Network, architecture: Architecture, mask: PhaseMask, optics: Optics, **others: Any
) -> Model:
    """With a card that says so; `others` are further fields of it."""
    mixture = isinstance(architecture, MixtureArchitecture)
    fields: dict[str, Any] = {
        "name": "random",
        "architecture": architecture,
        "optics": optics,
        "mask_name": mask.name,
        "mask_pixel_um": mask.pixel_um,
        "mask_wavelength_um": mask.wavelength_um,
        "mask_origin": mask.origin,
        "input": ElectronInput() if mixture else InputScaling(normalise="minmax"),
        "training": {},
        "accuracy": {},
        "software": "test",
    }
    return Model(ModelCard(**fields | others), mask, network)


def tiny_mixture(mask: PhaseMask, optics: Optics, **others: Any) -> Model:
    """The smallest network of its kind; its weights are the next of torch's generator."""
    architecture = MixtureArchitecture(
        fine_channels=8,
        fine_blocks=(1, 1),
        coarse_channels=8,
        dilations=(1,),
        z_range_um=optics.z_range_um,
        input_offset=20.0,
        input_scale=5.0,
    )
    return model_of(architecture.build(), architecture, mask, optics, name="tiny", **others)
