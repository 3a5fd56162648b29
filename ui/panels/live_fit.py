"""Whether a model fits the rig as it is set."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsacq.networks.model_file import Model
    from hardware.rig import Rig


def misfit(rig: "Rig", model: "Model") -> str:
    """What does not fit, in a sentence; nothing where all does.

    For the thread of the devices, as it asks the camera.
    """
    from dsacq.errors import SettingsError
    from dsacq.physics.masks import LIKE, likeness
    from hardware.acquire import check_model

    try:
        check_model(rig, model)
    except SettingsError as error:
        return str(error)
    shown = rig.mask
    if shown is None:
        if rig.slm is None:
            return ""
        return f"The SLM shows no mask; the model needs {model.mask.name}."
    if likeness(model.mask, shown) < LIKE:
        return (
            f"The model was made for the mask {model.mask.name}, but the SLM shows another one, "
            f"{shown.name}: positions are wrong unless the two are alike."
        )
    return ""
