"""A training that can go on where it stopped: its file, written whole or not at all."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dsacq.errors import FileError
from dsacq.files.atomic import write_atomically

SUFFIX = ".checkpoint"
_HEADER = "dsacq-training"


def write_checkpoint(path: Path, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
    """Tensors by name and what JSON can hold. Raises FileError."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(kept, {_HEADER: json.dumps(told)}))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_checkpoint` wrote. Raises FileError."""
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {}).get(_HEADER, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        if not path.exists():
            raise FileError(f"{path}: there is no such checkpoint to resume from.") from None
        raise FileError(f"{path}: is not a readable checkpoint ({error}).") from None
    if not isinstance(told, dict):
        raise FileError(f"{path}: is no checkpoint of a training.")
    return tensors, told
