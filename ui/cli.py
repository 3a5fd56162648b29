"""The command line: `dsacq COMMAND ...`."""

import logging
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_log_path

from dsacq.errors import SettingsError, UserError
from dsacq.version import software
from ui.commands import (
    analysing,
    benchmarking,
    calibrating,
    calibrating_camera,
    calibrating_field,
    designing,
    estimating,
    exporting,
    live,
    localizing,
    masks,
    models,
    recordings,
    rigs,
    scanning,
    simulating,
    tables,
    training,
)
from ui.console import say

_STOPPED = 130  # exit code

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Microscopy with engineered point-spread functions. Without a command the app opens, on "
    "the simulated bench or on the devices of `--rig FILE`.",
)
app.command("localize")(localizing.localize)
app.command("overlay")(localizing.overlay)
app.command("evaluate")(tables.evaluate)
app.command("convert")(tables.convert)
app.command("link")(analysing.link)
app.command("merge")(analysing.merge)
app.command("filter")(analysing.filter_rows)
app.command("drift")(analysing.drift)
app.command("resolution")(analysing.resolution)
app.command("render")(analysing.render)
app.command("motion")(analysing.motion)
app.command("report")(analysing.report)
app.command("simulate")(simulating.simulate)
app.command("estimate")(estimating.estimate)
app.command("train")(training.train)
app.command("design")(designing.design)
app.command("models")(models.models)
app.command("import-deepstorm3d")(models.import_deepstorm3d)
app.command("export-onnx")(exporting.export_onnx)
app.command("live")(live.live)
calibrating.app.command("scan")(scanning.scan)
calibrating.app.command("precision")(scanning.precision)
calibrating.app.command("camera")(calibrating_camera.camera)
calibrating.app.command("field")(calibrating_field.field)
calibrating.app.command("stack")(calibrating_field.stack)
calibrating.app.command("truth")(calibrating_field.truth)
app.add_typer(masks.app, name="masks")
app.add_typer(calibrating.app, name="calibrate")
app.add_typer(rigs.app, name="rig")
app.add_typer(recordings.app, name="recording")
app.add_typer(benchmarking.app, name="benchmark")


@app.callback(invoke_without_command=True)
def _about(
    context: typer.Context,
    rig: Annotated[
        Path | None,
        typer.Option("--rig", metavar="FILE", help="Rig file for the app, or `simulated`."),
    ] = None,
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        typer.echo(software())
        raise typer.Exit
    if context.invoked_subcommand is None:
        from ui.app import run

        raise typer.Exit(run(None if rig == Path(rigs.SIMULATED) else rig))
    if rig is not None:
        raise SettingsError("--rig before a command is for the app; give it after the command.")


def main() -> None:
    """Run a command. A mistake of the user ends in one sentence and exit code 1."""
    # A scheduler's or a system's request to end is obeyed as Ctrl+C is: what was done is kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        app()
    except UserError as error:
        say(f"Error: {error}")
    except MemoryError:
        say("Error: not enough memory; use a smaller --tile or a --roi.")
    except SystemExit as stop:  # so typer ends on Ctrl+C, too
        if stop.code == _STOPPED:
            say("Stopped.")
        raise
    except Exception as error:
        say(
            f"Error: dsacq itself failed ({type(error).__name__}: {error}). Please report it with "
            f"the details in {_recorded()}"
        )
    else:
        return
    sys.exit(1)


def _recorded() -> Path:
    folder = user_log_path("dsacq", appauthor=False, ensure_exists=True)
    path = folder / "last-failure.txt"
    path.write_text(f"{software()}\n{sys.argv}\n{traceback.format_exc()}", encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
