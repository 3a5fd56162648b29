"""Masks as commands name them: a design, or a file."""

from pathlib import Path
from typing import TYPE_CHECKING

from dsacq.errors import SettingsError

if TYPE_CHECKING:
    from dsacq.physics.masks import PhaseMask
    from dsacq.physics.optics import Optics
    from dsacq.simulation.settings import MaskChoice


def mask_named(name: str, optics: "Optics") -> "PhaseMask":
    """For these optics. Raises FileError or SettingsError."""
    from dsacq.files.mask_library import MASKS
    from dsacq.files.masks import read_mask
    from dsacq.files.paths import is_there

    if name in MASKS:
        return MASKS[name][0](optics)
    if not is_there(Path(name)):
        raise SettingsError(
            f"{name} is neither a file nor a mask design; the designs are {', '.join(MASKS)}."
        )
    return read_mask(Path(name), optics=optics)


def choice_named(name: str) -> "MaskChoice":
    """The same as settings hold it."""
    from dsacq.files.mask_library import MASKS
    from dsacq.simulation.settings import MaskChoice

    return MaskChoice(design=name) if name in MASKS else MaskChoice(file=Path(name).resolve())
