"""Safetensors files as they pass between labs: what they announce is known before it is read."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dsacq.errors import FileError
from dsacq.files.reading import parsed_json

_MOST_TOLD = 1 << 22  # bytes of the text in a header
_KINDS = {"F16", "BF16", "F32", "F64", "I64"}
Shapes = Mapping[str, tuple[int, ...]]


class TensorFile:
    """An open file. told: what its header says under a name. shapes: of its tensors, by name."""

    def __init__(self, path: Path, file: Any) -> None:
        self._path, self._file = path, file
        self.told: dict[str, str] = file.metadata() or {}
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        self.shapes: Shapes = {name: tuple(one.get_shape()) for name, one in slices.items()}
        self._kinds = {name: str(one.get_dtype()) for name, one in slices.items()}

    def json(self, key: str) -> Any:
        """The JSON value that the header tells, or None where there is none or it is damaged."""
        text = self.told.get(key, "null")
        try:
            return parsed_json(text) if len(text) <= _MOST_TOLD else None
        except ValueError:
            return None

    def require(self, wanted: Shapes, what: str) -> None:
        """Raises FileError where the tensors are not those: one is missing, of another shape or
        kind, or one too many. what: holds them, in words."""
        if dict(self.shapes) != dict(wanted):
            names = sorted(self.shapes.keys() | wanted.keys())
            name = next(one for one in names if self.shapes.get(one) != wanted.get(one))
            raise FileError(
                f"{self._path}: its weights do not fit {what} ({name} is "
                f"{_size(self.shapes.get(name))}, expected {_size(wanted.get(name))}); the file is "
                "damaged or was edited."
            )
        if strange := [name for name, kind in self._kinds.items() if kind not in _KINDS]:
            raise FileError(f"{self._path}: {strange[0]} holds no numbers of a kind that is read.")

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Tensors by name. Raises FileError where a number is not finite."""
        return {name: self._finite(name) for name in names}

    def _finite(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(name)
        if not bool(torch.isfinite(tensor).all()):
            raise FileError(f"{self._path}: {name} has values that are no finite numbers.")
        return tensor


@contextmanager
def opened_tensors(path: Path, what: str) -> Generator[TensorFile]:
    """A safetensors file; nothing in it is executed. what: it should be, in words ("model file").

    Raises FileError, also for what reading from it raises.
    """
    try:
        with safe_open(path, framework="pt") as file:
            yield TensorFile(path, file)
    except (OSError, SafetensorError) as error:
        if not path.exists():
            raise FileError(f"{path}: there is no such {what}.") from None
        raise FileError(f"{path}: is not a readable {what} ({error}).") from None
    except MemoryError:
        raise FileError(f"{path}: is too large for the memory.") from None


def _size(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape)) or "one number"
