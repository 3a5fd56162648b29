"""Masks by name: the designs of the field, and those that come with dsacq as files."""

from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path

from pydantic import TypeAdapter

from dsacq.files.masks import read_mask
from dsacq.physics.masks import DESIGNS, PhaseMask, fitted
from dsacq.physics.optics import Optics

_SHIPPED = {
    "learned_2um": "learned with its network, for crowded emitters over 2 um of depth",
    "learned_4um": "learned with its network, for crowded emitters over 4 um of depth",
}


def shipped(name: str) -> tuple[PhaseMask, Optics]:
    """A mask that comes with dsacq, and the optics that it was made for."""
    mask = read_mask(Path(str(files("dsacq") / "masks" / f"{name}.tif")))
    return mask, TypeAdapter(Optics).validate_python(mask.origin["optics"])


def _made(name: str, optics: Optics) -> PhaseMask:
    return fitted(*shipped(name), optics)


# What makes each for some optics, and what it is good for.
MASKS: dict[str, tuple[Callable[[Optics], PhaseMask], str]] = DESIGNS | {
    name: (partial(_made, name), about) for name, about in _SHIPPED.items()
}
