"""Arrays in HDF5 files: what one announces against what the file holds."""

import math
from pathlib import Path

import h5py

from dsacq.errors import FileError

_MOST_COMPRESSED = 1100  # deflate shrinks no further: an array that claims more is damaged
_LARGEST_CHUNK = 1 << 28  # bytes; one is in memory as a whole, however little is read of it


def require_stored(path: Path, dataset: h5py.Dataset) -> None:
    """Raises FileError where an array is larger than what is stored of it can become.

    This comes before memory is asked for.
    """
    item = dataset.dtype.itemsize
    stored = min(dataset.id.get_storage_size(), path.stat().st_size)
    if dataset.size * item > _MOST_COMPRESSED * stored:
        rows = dataset.shape[0] if dataset.shape else 1
        raise FileError(f"{path}: is damaged, {dataset.name} claims {rows} rows.")
    if dataset.chunks and math.prod(dataset.chunks) * item > _LARGEST_CHUNK:
        raise FileError(
            f"{path}: stores {dataset.name} in pieces of {math.prod(dataset.chunks) * item} bytes; "
            f"save it in pieces of {_LARGEST_CHUNK} at most."
        )
