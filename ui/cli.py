"""The command line: `dsacq COMMAND ...`."""

import logging
import os
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_log_path

from dsacq.ends import ENDS
from dsacq.errors import NO_MEMORY, SettingsError, UserError, is_out_of_memory
from dsacq.files.names import is_text
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
from ui.output import guard_output
from ui.typed import require_numbers, with_points

_STOPPED, _MISUSED = 130, 2  # exit codes

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
require_numbers(app)


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


def program() -> None:
    """Run a command as a process of its own."""
    guard_output()
    ENDS.leave_after()
    try:
        main()
    except SystemExit as stop:
        _leave(stop.code)
        raise
    _leave(0)


def _leave(code: object) -> None:
    """End the process now, all being closed, where it has used Qt: PyQt takes its objects apart
    when Python ends, and crashes at it now and then, which would tell of a failure."""
    if "PyQt6.QtCore" not in sys.modules:
        return
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    ENDS.at_exit()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(UserError, OSError, ValueError, AttributeError):  # closed, or there is none
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _require_text(arguments: list[str]) -> None:
    """Before anything is done: tables, models and figures cannot be told such names, and an empty
    one would be taken for the folder that dsacq was started in."""
    for before, one in zip(["dsacq", *arguments], arguments, strict=False):
        if not one or (one.startswith("--") and one.endswith("=")):
            option = one.removesuffix("=") or before
            raise SettingsError(f"{option}: the name or value after it is empty; give one.")
        if not is_text(one):
            raise SettingsError(
                f"{one}: has bytes that are no letters in the encoding of this system's names; "
                "rename the file or folder."
            )


def main() -> None:
    """Run a command. A mistake of the user ends in one sentence and exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        _require_text(sys.argv[1:])
        with ENDS.watching():
            app()
    except UserError as error:
        say(f"Error: {error}")
    except SystemExit as stop:  # so typer ends on Ctrl+C, too
        if stop.code == _MISUSED and (meant := with_points(sys.argv[1:])):
            say(f"Numbers are written with a point: {meant}.")
        if stop.code != _STOPPED:
            raise
        if ENDS.failure is None:
            say("Stopped.")
            sys.exit(128 + ENDS.signal if ENDS.signal else _STOPPED)
        _say_failed(ENDS.failure)
    except Exception as error:
        _say_failed(error)
    else:
        return
    sys.exit(1)


def _say_failed(error: BaseException) -> None:
    if is_out_of_memory(error):
        say(f"Error: {NO_MEMORY}")
        return
    say(
        f"Error: dsacq itself failed ({type(error).__name__}: {error}). Please report it with "
        f"the details in {_recorded(error)}"
    )


def _recorded(error: BaseException) -> Path:
    folder = user_log_path("dsacq", appauthor=False, ensure_exists=True)
    path = folder / "last-failure.txt"
    trace = "".join(traceback.format_exception(error))
    told = f"{software()}\n{sys.argv}\n{trace}"
    path.write_text(told, encoding="utf-8", errors="backslashreplace")
    return path


if __name__ == "__main__":
    program()
