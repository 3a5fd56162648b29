"""dsacq calibrate camera."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from dsacq.errors import SettingsError
from dsacq.files.names import check_folder
from ui.commands.rigs import SIMULATED, rig_settings, screens
from ui.console import Json, outcome, print_json, say, tracked


def camera(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")],
    dark: Annotated[
        Path | None, typer.Option(help="Recording without light, of the whole sensor.")
    ] = None,
    flat: Annotated[
        list[Path] | None,
        typer.Option(help="Recording of steady light; give several, of other brightness."),
    ] = None,
    rig: Annotated[
        str | None,
        typer.Option(
            "--rig",
            metavar="FILE",
            help="Rig file: gets the result; frames are taken there without --dark. `simulated`: a "
            "bench that is computed.",
        ),
    ] = None,
    frames: Annotated[int, typer.Option(min=50, help="Of each stack, on the rig.")] = 500,
    exposures_ms: Annotated[
        str, typer.Option(help="On the rig, of the stacks with light.")
    ] = "10,20,40,80,160",
    quantum_efficiency: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="From the data sheet, at this wavelength.")
    ] = 0.95,
    em_electrons_per_adu: Annotated[
        float | None,
        typer.Option(min=0.001, help="For an EMCCD, its register on: of its converter."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure offset, read noise and gain of every pixel from dark frames and steady light.

    Light need not be even, only steady: a slide of dye far out of focus, or a lamp. 1000 dark
    frames and five brightnesses of 500 frames are good.

    Example: `dsacq calibrate camera --dark dark.tif --flat a.tif --flat b.tif -o camera-1`
    """
    from calibration.camera_result import (
        measure_camera,
        movie_source,
        noise_table,
        parsed_exposures,
        rig_sources,
        write_camera,
    )
    from dsacq.physics.camera import without_maps
    from hardware.rig import open_rig
    from hardware.rig_file_edit import write_noise

    check_folder(output, new=True)
    settings = None if rig is None else rig_settings(rig)
    with ExitStack() as opened:
        if dark is not None and flat:
            sources = movie_source(dark), [movie_source(one) for one in flat]
        elif dark is not None or flat:
            raise SettingsError("Give both, --dark and at least one --flat.")
        elif settings is None:
            raise SettingsError("Give recordings by --dark and --flat, or a rig by --rig.")
        else:
            exposures_s = parsed_exposures(exposures_ms)
            bench = opened.enter_context(open_rig(settings, screens(opened)))
            sources = rig_sources(bench, exposures_s, frames)
        of = sum(one.count for one in (sources[0], *sources[1]))
        of += sources[0].count if em_electrons_per_adu is not None else 0
        work = measure_camera(
            *sources,
            quantum_efficiency=quantum_efficiency,
            electrons_per_adu=em_electrons_per_adu,
        )
        with tracked(of, "measuring") as advance:
            result = outcome(work, lambda _: advance())
    write_camera(result, output)
    rig_file = None if rig in (None, SIMULATED) else Path(rig)
    if rig_file is not None:
        write_noise(rig_file, noise_table(result, output, rig_file))
    for remark in result.maps.remarks:
        say(f"Warning: {remark}")
    if as_json:
        print_json({"folder": output, "rig": rig_file, "noise": vars(without_maps(result.camera))})
        return
    say(result.summary)
    if rig_file is not None:
        say(f"The table [noise] of {rig_file} was written.")
