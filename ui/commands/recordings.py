"""dsacq recording check, dsacq recording repair."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.console import Json, print_json, say

if TYPE_CHECKING:
    from dsacq.files.recording_check import Report

app = typer.Typer(no_args_is_help=True, help="Check a recording, or mend one that was cut short.")
Folder = Annotated[Path, typer.Argument(help="Folder of the recording.")]


@app.command()
def check(folder: Folder, as_json: Json = False) -> None:
    """Read every frame of a recording, and say whether anything is missing.

    The exit code is 0 only for a recording that lacks nothing or, once it was repaired, where all
    that it says to have can be read; what it lacks for good is told as remarks.
    Example: `dsacq recording check telomeres-3`
    """
    from dsacq.files.recording_check import check

    report = check(folder)
    _tell(report, as_json)
    if not report.sound:
        raise typer.Exit(1)


@app.command()
def repair(folder: Folder, as_json: Json = False) -> None:
    """Mend a recording that a crash or a power cut ended: every whole frame is kept.

    What cannot be read is left where it is or in files named *.unread, and told. The exit code is 0
    only where nothing was lost or left.
    Example: `dsacq recording repair telomeres-3`
    """
    from dsacq.files.recording_check import repair

    report = repair(folder)
    _tell(report, as_json)
    if report.lost:
        raise typer.Exit(1)


def _tell(report: "Report", as_json: bool) -> None:
    facts = report.facts
    if as_json:
        print_json(
            {
                "state": facts.state,
                "readable": report.frames,
                "sound": report.sound,
                "problems": report.problems,
                "remarks": report.remarks,
                "kept_all": not report.lost,
                "lost": report.lost,
                "unread_bytes": report.unread_bytes,
                **asdict(facts.frames),
            }
        )
    else:
        rows, columns = facts.shape_px
        typer.echo(
            f"{report.frames} frames of {rows} x {columns} pixels can be read; state: {facts.state}"
        )
    for problem in report.problems:
        say(problem)
    for remark in report.remarks:
        say(f"Remark: {remark}")
