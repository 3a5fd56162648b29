"""dsacq design."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsacq.errors import SettingsError
from ui.commands.training import MaxMinutes, Resume, told_of
from ui.console import Device, DeviceName, Json, print_json, say, training_bar

if TYPE_CHECKING:
    from dsacq.design.evolution import Evolution
    from dsacq.design.learned import LearnedTraining
    from dsacq.design.settings import DesignSettings
    from dsacq.physics.masks import PhaseMask
    from dsacq.training.train import Progress

# What a design may leave beside its mask; a checkpoint is refused elsewhere.
_BESIDE = (".gif", ".safetensors", ".progress.csv", ".png")


def design(
    config: Annotated[
        Path, typer.Argument(help="Settings: those of a training and a table [design] (TOML).")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Mask file to write (.tif).")],
    resume: Resume = False,
    max_minutes: MaxMinutes = None,
    device: Device = DeviceName.auto,
    as_json: Json = False,
    watched: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Design a phase mask: by the Cramer-Rao bound, or learned together with a network.

    Beside the mask lie an animation of how it came to be (.gif) and, for a learned one, its model
    (.safetensors), a table of the progress and a checkpoint.

    Example: `dsacq design design-learned.toml -o learned.tif --max-minutes 30`
    """
    from dsacq.design.settings import FisherDesign, read_design
    from dsacq.files.masks import check_mask_file
    from dsacq.files.outputs import check_outputs
    from dsacq.simulation.settings import chosen_mask

    check_mask_file(output)
    written = output, *(output.with_suffix(one) for one in _BESIDE)
    check_outputs(*written, reads=(config,))
    if max_minutes is not None and max_minutes <= 0:
        raise SettingsError(f"max-minutes {max_minutes:g} is not above 0.")
    settings = read_design(config)
    check_outputs(*written, reads=(settings.mask.file_in(config.parent),))
    start = chosen_mask(settings.mask, settings.optics, config.parent)
    if isinstance(settings.design, FisherDesign):
        if resume:
            raise SettingsError("A Fisher design takes minutes and leaves nothing to go on from.")
        told = _fisher(settings, start, output)
    else:
        seconds = math.inf if max_minutes is None else 60 * max_minutes
        told = _learned(settings, start, output, resume, seconds, device, watched)
    if watched:
        return
    if as_json:
        print_json(told)
    else:
        say(f"Mask written to {output}.")


def _fisher(settings: "DesignSettings", start: "PhaseMask", output: Path) -> dict[str, object]:
    from dsacq.design.evolution import Evolution
    from dsacq.design.fisher import fisher_design
    from dsacq.design.lone import usual_emitter
    from dsacq.design.settings import FisherDesign, Panel
    from dsacq.files.masks import write_mask

    assert isinstance(settings.design, FisherDesign)
    evolution, last = Evolution(), None
    emitter = usual_emitter(settings)
    steps = fisher_design(start, settings.optics, settings.psf, settings.design, emitter, Panel())
    with training_bar(100, 0, "designing") as show:
        for last in steps:
            show(100 * last.step // last.of, f"{last.cost_nm:.2f} nm, best {last.best_nm:.2f} nm")
            evolution.add(last.step, last.mask)
    assert last is not None
    write_mask(last.mask, output)
    _animate(evolution, settings, last.mask, output)
    say(
        f"{'Worst' if settings.design.worst else 'Mean'} bound over x, y, z and depth: "
        f"{last.best_nm:.2f} nm."
    )
    return {"file": output, "cost_nm": last.best_nm}


def _learned(
    settings: "DesignSettings",
    start: "PhaseMask",
    output: Path,
    resume: bool,
    seconds: float,
    device: DeviceName,
    watched: bool,
) -> dict[str, object]:
    from dsacq.design.evolution import SUFFIX, Evolution
    from dsacq.design.learned import LearnedTraining
    from dsacq.device import chosen_device
    from dsacq.files.atomic import going_on
    from dsacq.files.masks import write_mask
    from dsacq.networks.model_file import save_model
    from dsacq.training.checkpoint import SUFFIX as CHECKPOINT
    from dsacq.training.saved import saved_as_it_goes

    checkpoint, kept = output.with_suffix(CHECKPOINT), output.with_suffix(SUFFIX)
    model_file = output.with_suffix(".safetensors")
    if checkpoint.exists() and not resume:
        raise SettingsError(
            f"{checkpoint}: a design was begun here; go on with --resume, or delete that file to "
            "begin anew."
        )
    training = LearnedTraining(settings, start, chosen_device(device))
    evolution = Evolution()
    if resume:
        training.resume(checkpoint)
        evolution = Evolution.read(kept)
    evolution.add(training.step, training.mask)
    try:
        if watched:
            _run_watched(training, evolution, checkpoint, output)
            return {}
        with training_bar(settings.training.steps, training.step, "designing") as show:
            run = training.run(seconds)
            for report in saved_as_it_goes(training, run, checkpoint, model_file):
                show(report.step, told_of(report))
                evolution.add(report.step, training.mask)
                if report.measured is not None:
                    say(f"step {report.step:6d}  {told_of(report)}")
    finally:
        with going_on():
            evolution.write(kept)
        write_mask(training.mask, output)
    model = training.model(output.stem)
    save_model(model, model_file)
    _animate(evolution, settings, training.mask, output)
    if not training.finished:
        say(f"Stopped at step {training.step} of {settings.training.steps}; --resume goes on.")
    say(f"Its model written to {model_file}.")
    return {
        "file": output,
        "model": model_file,
        "steps": training.step,
        "finished": training.finished,
        "accuracy": model.card.accuracy,
    }


def _run_watched(
    training: "LearnedTraining", evolution: "Evolution", checkpoint: Path, output: Path
) -> None:
    from dsacq.files.atomic import going_on
    from dsacq.files.masks import write_mask
    from ui.commands.watched_training import run_watched

    settings, picture = training.settings, output.with_suffix(".png")

    def after_report(report: "Progress") -> dict[str, object]:
        evolution.add(report.step, training.mask)
        if report.measured is None:
            return {}
        pitch_um = training.mask.pixel_um
        with going_on():
            evolution.draw_newest(picture, settings.optics, settings.psf, pitch_um)
        return {"picture": picture}

    def at_the_end() -> dict[str, object]:
        write_mask(training.mask, output)
        _animate(evolution, settings, training.mask, output)
        return {"mask": output}

    run_watched(training, checkpoint, output.with_suffix(".safetensors"), after_report, at_the_end)


def _animate(
    evolution: "Evolution", settings: "DesignSettings", mask: "PhaseMask", output: Path
) -> None:
    evolution.animate(output.with_suffix(".gif"), settings.optics, settings.psf, mask.pixel_um)
