"""A training that can go on where it stopped: its file, written whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from dsacq.errors import FileError
from dsacq.files.atomic import write_atomically
from dsacq.files.tensors import opened_tensors

SUFFIX = ".checkpoint"
_HEADER = "dsacq-training"
_NEVER_BELOW_0 = ("running_var", ".square", ".exp_avg_sq", ".step")


def write_checkpoint(path: Path, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
    """Tensors by name and what JSON can hold. Raises FileError."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(kept, {_HEADER: json.dumps(told)}))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_checkpoint` wrote, all numbers of the tensors finite. Raises FileError."""
    with opened_tensors(path, "checkpoint") as file:
        told = file.json(_HEADER)
        if not isinstance(told, dict):
            raise FileError(f"{path}: is no checkpoint of a training.")
        return file.read(file.shapes), told


States = Mapping[str, Sequence[Mapping[str, tuple[int, ...]]]]


def require_like(
    path: Path, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], states: States
) -> None:
    """Raises FileError where tensors are not those of a training.

    own: what it has before its first step. states: the shapes that an optimiser, by name, keeps of
    each of its parameters; what was never stepped has none.
    """
    wanted = {name: tuple(one.shape) for name, one in own.items()}
    for optimiser, parameters in states.items():
        for number, shapes in enumerate(parameters):
            kept = {f"{optimiser}.{number}.{key}": shape for key, shape in shapes.items()}
            wanted |= kept if kept.keys() & tensors.keys() else {}
    found = {name: tuple(one.shape) for name, one in tensors.items()}
    if found != wanted:
        name = next(one for one in sorted({*found, *wanted}) if found.get(one) != wanted.get(one))
        raise FileError(
            f"{path}: does not fit the network of its settings ({name}); the file is damaged or "
            "was edited."
        )
    squares = [name for name in found if name.endswith(_NEVER_BELOW_0)]
    if below := [name for name in squares if bool((tensors[name] < 0).any())]:
        raise FileError(f"{path}: {below[0]} has values below 0; the file is damaged.")
