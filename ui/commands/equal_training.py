"""Networks of equal training behind masks that are compared."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dsacq.errors import SettingsError
from ui.commands.models import SUFFIX
from ui.commands.training import run_with_bar
from ui.console import say

if TYPE_CHECKING:
    import torch

    from dsacq.networks.model_file import Model
    from dsacq.physics.masks import PhaseMask
    from dsacq.simulation.settings import MaskChoice
    from dsacq.training.settings import TrainingSettings


def plain_training(config: Path) -> "TrainingSettings":
    """The settings of a training, or what a design's hold of one."""
    from dsacq.design.settings import read_training_or_design
    from dsacq.training.settings import TrainingSettings

    settings = read_training_or_design(config)
    if settings.training.start is not None:
        raise SettingsError(
            f"{config}: training.start is a model behind one mask, and would favour it; leave it "
            "out to train alike behind all."
        )
    return TrainingSettings(
        **{field.name: getattr(settings, field.name) for field in fields(TrainingSettings)}
    )


def model_behind(
    mask: "PhaseMask",
    choice: "MaskChoice",
    settings: "TrainingSettings",
    file: Path,
    device: "torch.device",
) -> "Model":
    """A network trained to the end of the settings' steps behind this mask.

    file: of the model. A training that was begun there goes on, and one at its end is taken.
    """
    from dsacq.networks.model_file import load_model, save_model
    from dsacq.training.checkpoint import SUFFIX as CHECKPOINT
    from dsacq.training.train import Training

    checkpoint = file.with_suffix(CHECKPOINT)
    if file.exists() and not checkpoint.exists():
        raise SettingsError(
            f"{file}: exists already, from elsewhere; move it, or choose another -o."
        )
    training = Training(replace(settings, mask=choice), mask, device)
    if checkpoint.exists():
        training.resume(checkpoint)
    if training.finished and file.exists():
        return load_model(file)
    say(f"Training {file.stem}, from step {training.step} ...")
    run_with_bar(training, float("inf"), checkpoint, file)
    model = training.model(file.stem)
    save_model(model, file)
    return model


def model_files(output: Path, names: list[str]) -> list[Path]:
    """Beside a figure, one for each mask."""
    stems = [Path(name).stem for name in names]
    if len(set(stems)) < len(stems):
        raise SettingsError("Two of the masks have the same name: rename a file.")
    return [output.with_name(f"{output.stem}-{stem}{SUFFIX}") for stem in stems]
