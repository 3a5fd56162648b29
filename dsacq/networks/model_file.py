"""The one file a model is, in safetensors: weights, mask and all that localizing needs to know."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dsacq.config import validated
from dsacq.errors import FileError
from dsacq.files.atomic import write_atomically
from dsacq.networks.architectures import Architecture
from dsacq.networks.mixture import MixtureNetwork
from dsacq.networks.voxel import VoxelNetwork
from dsacq.physics.camera import Camera
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import InputScaling, Optics
from dsacq.physics.pupil import PsfModel

Network = VoxelNetwork | MixtureNetwork

_HEADER = "dsacq"
_MASK = "mask.phase_rad"
_NETWORK = "network."
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

    logit_slope: float = 1.0
    logit_offset: float = 0.0
    deviation: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ModelCard:
    """What a model is for and how well it does; the header of a model file."""

    format: Literal[1] = 1
    name: str
    architecture: Architecture
    optics: Optics
    psf: PsfModel = PsfModel()
    mask_name: str
    mask_pixel_um: float
    mask_wavelength_um: float
    mask_origin: dict[str, Any]
    input: Annotated[InputScaling | ElectronInput, Field(discriminator="normalise")]
    calibration: Calibration | None = None
    camera: Annotated[Camera, Field(discriminator="kind")] | None = None
    training: dict[str, Any]
    accuracy: dict[str, Any]
    software: str


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
    try:
        with safe_open(path, framework="pt") as file:
            return _card(file.metadata(), path)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from None


def load_model(path: Path) -> Model:
    """Read a model file; nothing in it is executed. Raises FileError."""
    try:
        with safe_open(path, framework="pt") as file:
            card = _card(file.metadata(), path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from None
    if _MASK not in tensors or tensors[_MASK].ndim != 2:
        raise FileError(f"{path}: lacks its phase mask, so it is no complete dsacq model.")
    phase = tensors.pop(_MASK).to(torch.float32).numpy()
    network = card.architecture.build()
    weights = {name.removeprefix(_NETWORK): tensor for name, tensor in tensors.items()}
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise FileError(
            f"{path}: its weights do not fit the network that its header describes; "
            "the file is damaged or was edited."
        ) from None
    mask = PhaseMask(
        phase, card.mask_pixel_um, card.mask_wavelength_um, card.mask_name, card.mask_origin
    )
    return Model(card, mask, network)


def _card(metadata: dict[str, str] | None, path: Path) -> ModelCard:
    if not metadata or _HEADER not in metadata:
        raise FileError(f"{path}: is a safetensors file, but not a dsacq model.")
    try:
        values = json.loads(metadata[_HEADER])
    except (json.JSONDecodeError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise FileError(f"{path}: its header is damaged.")
    if values.get("format") != 1:
        raise FileError(
            f"{path}: is a model of format {values.get('format')!r}, this dsacq reads 1; "
            "use a newer dsacq or make the model again."
        )
    return validated(ModelCard, values, str(path))


def _unreadable(path: Path, error: Exception) -> FileError:
    if not path.exists():
        return FileError(f"{path}: there is no such model file.")
    return FileError(f"{path}: is not a readable model file ({error}).")
