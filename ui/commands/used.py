"""What a rig file uses, unless the command line names another: a model, and a mask."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dsacq.errors import FileError, UserError
from dsacq.files.paths import is_there

if TYPE_CHECKING:
    from dsacq.networks.model_file import Model
    from dsacq.physics.masks import PhaseMask
    from hardware.rig import Finding
    from hardware.rig_file import RigSettings


def used_model(settings: "RigSettings", given: Path | None = None) -> "Model | None":
    """Raises FileError."""
    from dsacq.networks.model_file import load_model
    from ui.commands.models import find_model

    wanted = settings.use.model if given is None else given
    return None if wanted is None else load_model(find_model(Path(wanted)))


def used_mask(settings: "RigSettings", given: Path | None = None) -> "PhaseMask | None":
    """given: a file, or the name of a design. Raises FileError."""
    from dsacq.files.mask_library import MASKS
    from dsacq.simulation.settings import MaskChoice, chosen_mask

    choice = settings.use.mask
    if given is not None:
        if not is_there(given) and str(given) not in MASKS:
            designs = ", ".join(MASKS)
            raise FileError(f"{given}: is neither a mask file nor a design; those are {designs}.")
        choice = MaskChoice(file=given) if is_there(given) else MaskChoice(design=str(given))
    return None if choice is None else chosen_mask(choice, settings.optics, Path())


def check_used(settings: "RigSettings") -> "Iterator[Finding]":
    """Whether the model and the mask that a rig file uses are there, and fit."""
    from hardware.acquire import refuse_other_optics
    from hardware.rig import Finding

    def model() -> str | None:
        if (found := used_model(settings)) is None:
            return None
        refuse_other_optics(found, settings.optics, getattr(settings.camera, "binning", 1))
        return found.card.name

    def mask() -> str | None:
        return None if (found := used_mask(settings)) is None else found.name

    for name, look in (("model", model), ("mask", mask)):
        try:
            told = look()
        except UserError as error:
            yield Finding(f"use.{name}", name, False, str(error))
        else:
            if told is not None:
                yield Finding(f"use.{name}", name, True, told)
