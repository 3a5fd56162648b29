"""dsacq live."""

from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsacq.errors import FileError, SettingsError, UserError
from dsacq.files.names import check_folder
from dsacq.mistakes import typed_number
from ui.commands.rigs import SIMULATED, RigFile, rig_settings, screens, serve_screens
from ui.commands.used import used_mask, used_model
from ui.console import Device, DeviceName, Json, live_bar, print_json, say
from ui.output import OutputError

if TYPE_CHECKING:
    from dsacq.live import Update

MOST_FRAMES = 1_000_000_000  # years of the fastest camera


def live(
    output: Annotated[Path, typer.Option("-o", "--output", help="New folder of the recording.")],
    frames: Annotated[
        int,
        typer.Option("--frames", min=1, max=MOST_FRAMES, help="How many; Ctrl+C ends it earlier."),
    ],
    rig: RigFile = SIMULATED,
    model: Annotated[
        Path | None,
        typer.Option(help="Model, a file or name; default: the rig file's; else record only."),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="For the SLM, a file or a design's name; default: the rig file's."),
    ] = None,
    laser: Annotated[
        list[str] | None,
        typer.Option(
            "--laser", metavar="NAME=MW", help="Light, in place of the rig file's; repeatable."
        ),
    ] = None,
    exposure_ms: Annotated[
        float | None, typer.Option("--exposure-ms", help="Of a frame; default: the rig file's.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="On the network's output; default: the model's.")
    ] = None,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Record a movie; localize and link it while it comes.

    The folder gets the movie, recording.json, localizations.parquet with the tracks, and the mask.
    Lasers are off and the camera has stopped whenever this ends, also by Ctrl+C.
    Example: `dsacq live --rig my-rig.toml --model tetrapod-4um --frames 1000 -o telomeres-3`
    """
    from dsacq.device import chosen_device
    from dsacq.files.change_remarks import change_remarks
    from hardware.acquire import acquire, live_localizer
    from hardware.rig import open_rig

    check_folder(output, new=True)  # else refused when the lasers are on
    settings = rig_settings(rig)
    lasers_mw, shown = _powers(laser), used_mask(settings, mask)
    loaded = used_model(settings, model)
    if rig == SIMULATED:
        say("Remark: this is the simulated bench; real devices are opened with --rig FILE.")
    if loaded is None:
        say("Remark: no model is given, so frames are recorded and not localized.")
    with ExitStack() as stack:
        opened = stack.enter_context(open_rig(settings, screens(stack)))
        if exposure_ms is not None:
            opened.camera.set_exposure(exposure_ms / 1000)
        localizer = None
        if loaded is not None:
            where = chosen_device(device)
            localizer = live_localizer(opened, loaded, shown, threshold=threshold, device=where)
        updates = acquire(
            opened, frames, folder=output, mask=shown, lasers_mw=lasers_mw, localizer=localizer
        )
        try:
            last, found = _watched(updates, frames)
        except KeyboardInterrupt:
            say(_stopped(output))
            raise
    for remark in change_remarks(last.changes):
        say(f"Remark: {remark}")
    _tell(last, None if loaded is None else found, output, as_json)
    if last.analysis_failure:
        raise UserError(f"{last.analysis_failure} The recording {output} is {last.state}.")
    if last.state != "complete":
        raise UserError(last.reason)


def _powers(given: list[str] | None) -> dict[str, float] | None:
    if given is None:
        return None
    powers: dict[str, float] = {}
    for one in given:
        name, equals, power = one.rpartition("=")
        if not (name and equals and power):
            raise SettingsError(f"laser {one!r} is not of the form NAME=MW, as 561=20.")
        if name in powers:
            raise SettingsError(f"--laser {one}: the laser {name} is there twice.")
        powers[name] = typed_number(power, f"--laser {one}")
    return powers


def _tell(last: "Update", found: int | None, folder: Path, as_json: bool) -> None:
    """The result; where it cannot be written, it is said: the recording is there all the same."""
    end = _told(last, found, folder)
    state = {"state": last.state, "reason": last.reason, "localizations": found or 0}
    try:
        if as_json:
            failure = {"analysis_failure": last.analysis_failure}
            print_json({**asdict(last.counters), **state, **failure})
        else:
            typer.echo(end)
    except OutputError:
        say(end)
        raise


def _stopped(folder: Path) -> str:
    from dsacq.files.recording import read_facts

    try:
        return f"{folder}: {read_facts(folder).frames.written} frames were written."
    except FileError:  # it had not begun
        return f"{folder}: nothing was recorded."


def _watched(updates: "Generator[Update]", frames: int) -> "tuple[Update, int]":
    """Shows how it goes; the last update, and how many localizations there were."""
    found, last = 0, None
    with closing(updates), live_bar(frames) as show:
        for last in updates:
            found += sum(len(table) for table in last.found)
            show(last.counters.received, _remark(last))
            serve_screens()
    assert last is not None
    return last, found


def _remark(update: "Update") -> str:
    counters = update.counters
    free = "" if update.free_bytes is None else f"  free {update.free_bytes / 1e9:.0f} GB"
    return f"written {counters.written}  localized {counters.analysed}  lost {_lost(update)}{free}"


def _told(update: "Update", found: int | None, folder: Path) -> str:
    """found: localizations, where it was asked for them."""
    counters = update.counters
    localized = ""
    if found is not None:
        localized = f"; {counters.analysed} localized, {found} localizations"
    return (
        f"{folder}: {update.state}; {counters.received} of {counters.asked} frames received, "
        f"{counters.written} written, {_lost(update)} lost{localized}."
    )


def _lost(update: "Update") -> int:
    return update.counters.lost_in_core + update.counters.lost_in_camera
