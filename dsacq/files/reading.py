"""The border where what a library raises becomes a sentence for the user."""

import json
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.errors import FileError

_MOST_JSON = 1 << 24  # bytes; as objects it takes some thirty times as much


def unread_file(path: Path) -> Path:
    """Where the part of a file is kept that could not be read to its end."""
    return path.with_name(path.name + ".unread")


def parsed_json(text: str | bytes) -> Any:
    """What a JSON text says. Raises ValueError, also for one that is very long or nested."""
    if len(text) > _MOST_JSON:
        raise ValueError(f"it is longer than {_MOST_JSON} bytes")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def require_size(path: Path, most: int) -> None:
    """Raises FileError for a file of more bytes than that; an OSError where there is none."""
    if (size := path.stat().st_size) > most:
        raise FileError(f"{path}: has {size} bytes, but files of this kind have {most} at most.")


def require_stored_plainly(path: Path) -> None:
    """Raises FileError for a .zip archive that becomes larger than it is, where such a file has no
    reason to; any other file passes."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            announced = sum(member.file_size for member in archive.infolist())
        if announced > (size := path.stat().st_size):
            raise FileError(f"{path}: announces {announced} bytes, but has {size}.")


def mapped_array(path: Path) -> NDArray[Any]:
    """The array of a .npy file, mapped: a header cannot ask for more memory than there is file.

    Raises FileError for several arrays, and what NumPy raises, to be called within `reading`.
    """
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise FileError(f"{path}: holds several arrays; save the one alone.")
    return array


def small_arrays(path: Path, most: int) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file, which together have that many bytes at most.

    Raises FileError for more, before memory is asked for, and what NumPy raises, to be called
    within `reading`.
    """
    with zipfile.ZipFile(path) as archive:
        announced = 0
        for member in archive.infolist():
            with archive.open(member) as file:
                shape, _, kind = _npy_header(file)
            announced += max(math.prod(shape) * kind.itemsize, member.file_size)
        if announced > most:
            raise FileError(f"{path}: announces {announced} bytes, but has {most} at most.")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0}
    readers[2, 0] = np.lib.format.read_array_header_2_0
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"version {version} of its arrays is not read")
    return readers[version](file)


def read_json(path: Path, kind: str) -> dict[str, Any]:
    """The JSON object in a file. Raises FileError."""
    with reading(path, kind), path.open("rb") as file:
        values = parsed_json(file.read(_MOST_JSON + 1))
    if not isinstance(values, dict):
        raise FileError(f"{path}: cannot be read as {kind} (it holds no JSON object).")
    return values


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a library raises while it reads `path` into a FileError.

    Damaged files make the libraries fail in more ways than they list, so everything is caught:
    keep only the library's own calls inside.
    """
    try:
        yield
    except FileError:
        raise
    except MemoryError as error:
        raise FileError(f"{path}: is too large for the memory, or damaged.") from error
    except Exception as error:
        raise FileError(f"{path}: cannot be read as {kind} ({reason(error)}).") from error


def reason(error: Exception) -> str:
    """What a library complains of, in a line: the system's own words where the system refused."""
    number = getattr(error, "errno", None)
    words = os.strerror(number) if number else str(error).strip().partition("\n")[0][:200]
    return words.rstrip(".") or type(error).__name__
