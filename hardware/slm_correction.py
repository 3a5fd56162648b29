"""The file that corrects an SLM's own wavefront."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsacq.errors import FileError
from dsacq.files.masks import read_phase
from dsacq.files.phase_units import map_trouble


def read_correction(path: Path | None, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Phase (rows, columns), rad, for an SLM of that shape; None without a file.

    Raises FileError for another shape, and for what is no phase in rad.
    """
    if path is None:
        return None
    phase = read_phase(path)
    if phase.shape != shape:
        raise FileError(
            f"{path}: has {phase.shape[0]} rows and {phase.shape[1]} columns, the SLM {shape[0]} "
            f"and {shape[1]}; give the correction of this SLM."
        )
    if trouble := map_trouble(phase):
        raise FileError(f"{path}: {trouble}.")
    return phase
