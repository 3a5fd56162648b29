"""The one file a model is, in safetensors: weights, mask and all that localizing needs to know."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from safetensors.torch import save

from dsacq.config import validated
from dsacq.errors import FileError, SettingsError
from dsacq.files.atomic import write_atomically
from dsacq.files.mask_checks import Pitch, Wavelength, checked_phase, require_fit, require_shape
from dsacq.files.tensors import Shapes, TensorFile, opened_tensors
from dsacq.networks.architectures import Architecture, MixtureArchitecture
from dsacq.networks.mixture import MixtureNetwork
from dsacq.networks.voxel import VoxelNetwork
from dsacq.physics.camera import Camera
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import InputScaling, Optics, Positive
from dsacq.physics.pupil import PsfModel

Network = VoxelNetwork | MixtureNetwork

_HEADER = "dsacq"
_MASK = "mask.phase_rad"
_NETWORK, _VARIANCE = "network.", "running_var"
_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ElectronInput:
    """What a mixture network wants: electrons, and a threshold on its probability."""

    normalise: Literal["electrons"] = "electrons"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Calibration:
    """What makes a mixture network's statements come true on average.

    Of the logit of an emitter's chance: slope and offset. Of its standard deviations: factors for
    x, y, z and photons.
    """

    logit_slope: Positive = 1.0
    logit_offset: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    deviation: tuple[Positive, Positive, Positive, Positive] = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ModelCard:
    """What a model is for and how well it does; the header of a model file."""

    format: Literal[1] = 1
    name: str
    architecture: Architecture
    optics: Optics
    psf: PsfModel = PsfModel()
    mask_name: str
    mask_pixel_um: Pitch
    mask_wavelength_um: Wavelength
    mask_origin: dict[str, Any]
    input: Annotated[InputScaling | ElectronInput, Field(discriminator="normalise")]
    calibration: Calibration | None = None
    camera: Annotated[Camera, Field(discriminator="kind")] | None = None
    training: dict[str, Any]
    accuracy: dict[str, Any]
    software: str

    def __post_init__(self) -> None:
        if isinstance(self.architecture, MixtureArchitecture):
            ours, theirs = self.architecture.z_range_um, self.optics.z_range_um
            if ours != theirs:
                raise ValueError(f"architecture.z_range_um={ours}: expected {theirs}, as in optics")


class Model:
    """A network ready to localize (evaluation mode), its card and its mask."""

    def __init__(
        self, card: ModelCard, mask: PhaseMask, network: VoxelNetwork | MixtureNetwork
    ) -> None:
        self.card, self.mask, self.network = card, mask, network.eval()

    def to(self, device: torch.device | str) -> "Model":
        """Moves the network."""
        self.network.to(device)
        return self


def save_model(model: Model, path: Path) -> None:
    """Write a model file; an existing one is replaced only when the new one is complete.

    The weights of a mixture network are rounded to half precision, which halves the file.
    """
    tensors = {
        f"{_NETWORK}{name}": tensor.detach().cpu().contiguous()
        for name, tensor in model.network.state_dict().items()
    }
    if isinstance(model.network, MixtureNetwork):
        # Eleven binary digits: three more than its convolutions are trained with.
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    tensors[_MASK] = torch.from_numpy(np.ascontiguousarray(model.mask.phase_rad))
    write_atomically(path, save(tensors, {_HEADER: json.dumps(asdict(model.card))}))


def read_card(path: Path) -> ModelCard:
    """The header alone. Raises FileError when the file is no model of a known format."""
    with opened_tensors(path, "model file") as file:
        return _card(file, path)


def load_model(path: Path) -> Model:
    """Read a model file; nothing in it is executed. Raises FileError.

    All that its header announces is compared with what the file holds before a network is made.
    """
    with opened_tensors(path, "model file") as file:
        card = _card(file, path)
        with torch.device("meta"):  # shapes alone
            network = card.architecture.build()
        wanted = network.state_dict()
        _require_mask(file, path)
        shapes: Shapes = {f"{_NETWORK}{name}": tuple(one.shape) for name, one in wanted.items()}
        file.require({_MASK: file.shapes[_MASK], **shapes}, "the network that its header describes")
        phase = checked_phase(path, file.read([_MASK])[_MASK].to(torch.float32).numpy())
        mask = PhaseMask(
            phase, card.mask_pixel_um, card.mask_wavelength_um, card.mask_name, card.mask_origin
        )
        require_fit(path, mask, card.optics)
        stored = file.read(shapes)
    weights = {name: stored[f"{_NETWORK}{name}"].to(one.dtype) for name, one in wanted.items()}
    if any(bool((one < 0).any()) for name, one in weights.items() if name.endswith(_VARIANCE)):
        raise FileError(f"{path}: has variances below 0; the file is damaged or was edited.")
    network.load_state_dict(weights, assign=True)
    return Model(card, mask, network)


def _require_mask(file: TensorFile, path: Path) -> None:
    if _MASK not in file.shapes:
        raise FileError(f"{path}: lacks its phase mask, so it is no complete dsacq model.")
    require_shape(path, file.shapes[_MASK])


def _card(file: TensorFile, path: Path) -> ModelCard:
    if _HEADER not in file.told:
        raise FileError(f"{path}: is a safetensors file, but not a dsacq model.")
    values = file.json(_HEADER)
    if not isinstance(values, dict):
        raise FileError(f"{path}: its header is damaged.")
    if values.get("format") != 1:
        raise FileError(
            f"{path}: is a model of format {values.get('format')!r}, this dsacq reads 1; "
            "use a newer dsacq or make the model again."
        )
    try:
        return validated(ModelCard, values, str(path))
    except SettingsError as error:  # not the user's: the file's
        raise FileError(str(error)) from None
