"""dsacq train."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsacq.errors import FileError, SettingsError
from ui.commands.models import SUFFIX
from ui.console import Device, DeviceName, Json, print_json, say, training_bar

if TYPE_CHECKING:
    import torch

    from dsacq.training.train import Progress, Training

Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the checkpoint beside the output file.")
]
MaxMinutes = Annotated[
    float | None, typer.Option(help="Stop after this time; --resume goes on later.")
]


def train(
    config: Annotated[Path, typer.Argument(help="Settings: optics, mask, camera, priors (TOML).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write.")],
    resume: Resume = False,
    max_minutes: MaxMinutes = None,
    device: Device = DeviceName.auto,
    as_json: Json = False,
    watched: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Train a localizer on frames simulated on the fly.

    Writes the model and, beside it, a checkpoint and a table of the progress. On several GPUs:
    `torchrun --nproc-per-node 4 -m ui.cli train ...`

    Example: `dsacq train train-bench.toml -o bench.safetensors --max-minutes 60`
    """
    from dsacq.device import chosen_device
    from dsacq.files.outputs import check_outputs
    from dsacq.networks.model_file import load_model, save_model
    from dsacq.simulation.settings import chosen_mask
    from dsacq.training.checkpoint import SUFFIX as CHECKPOINT
    from dsacq.training.saved import HISTORY
    from dsacq.training.settings import read_training
    from dsacq.training.train import Training

    if output.suffix != SUFFIX:
        raise FileError(f"{output}: a model file's name ends in {SUFFIX}.")
    checkpoint = output.with_suffix(CHECKPOINT)
    written = output, checkpoint, output.with_suffix(HISTORY)
    check_outputs(*written, reads=(config,))
    if max_minutes is not None and max_minutes <= 0:
        raise SettingsError(f"max-minutes {max_minutes:g} is not above 0.")
    settings = read_training(config)
    begun_from = settings.training.start
    start_file = None if begun_from is None else config.parent / begun_from
    check_outputs(*written, reads=(settings.mask.file_in(config.parent), start_file))
    if checkpoint.exists() and not resume:
        raise SettingsError(
            f"{checkpoint}: a training was begun here; go on with --resume, or delete that file to "
            "begin anew."
        )
    mask = chosen_mask(settings.mask, settings.optics, config.parent)
    start = None if start_file is None else load_model(start_file)
    rank, where = _joined(chosen_device(device))
    if rank == 0 and not watched:
        say(f"Preparing frames of {mask.name} on {where.type} ...")
    training = Training(settings, mask, where, start)
    if resume:
        training.resume(checkpoint)
    seconds = math.inf if max_minutes is None else 60 * max_minutes
    if rank > 0:  # one process speaks and writes for all
        for _ in training.run(seconds):
            pass
        return
    if watched:
        from ui.commands.watched_training import run_watched

        run_watched(training, checkpoint, output)
        return
    run_with_bar(training, seconds, checkpoint, output)
    model = training.model(output.stem)
    save_model(model, output)
    if as_json:
        print_json(
            {
                "file": output,
                "steps": training.step,
                "finished": training.finished,
                "accuracy": model.card.accuracy,
            }
        )
        return
    if not training.finished:
        say(f"Stopped at step {training.step} of {settings.training.steps}; --resume goes on.")
    told = ", ".join(f"{key} {value}" for key, value in model.card.accuracy.items())
    say(f"Model written to {output}: {told}.")


def run_with_bar(training: "Training", seconds: float, checkpoint: Path, output: Path) -> None:
    """Train with a bar, a table of the progress and checkpoints; these also when stopped."""
    from dsacq.training.saved import saved_as_it_goes

    steps = training.settings.training.steps
    with training_bar(steps, training.step) as show:
        for report in saved_as_it_goes(training, training.run(seconds), checkpoint, output):
            show(report.step, told_of(report))
            if report.measured is not None:
                say(f"step {report.step:6d}  {told_of(report)}")


def told_of(report: "Progress") -> str:
    """A moment of a training in words."""
    words = [f"loss {report.loss:.2f}"]
    if (measured := report.measured) is not None:
        words.append(f"Jaccard {measured.jaccard:.3f}")
        if measured.rmse_lateral_nm is not None and measured.rmse_axial_nm is not None:
            words.append(f"rmse {measured.rmse_lateral_nm:.0f}/{measured.rmse_axial_nm:.0f} nm")
        if measured.ratio_lateral is not None and measured.ratio_axial is not None:
            words.append(
                f"alone {measured.ratio_lateral:.2f}/{measured.ratio_axial:.2f} of the bound"
            )
        words.append(f"false {measured.false_positives:.3f}/empty frame")
    if report.restarts:
        words.append(f"restarts {report.restarts}")
    return "  ".join(words)


def _joined(device: "torch.device") -> tuple[int, "torch.device"]:
    """This process among those that torch's launcher started, and its device."""
    import torch
    from torch import distributed

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, device
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return distributed.get_rank(), device
