"""dsacq simulate."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ui.console import Device, DeviceName, Json, print_json, say, tracked


def simulate(
    config: Annotated[Path, typer.Argument(help="Settings: optics, mask, emitters, camera, ...")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Movie to write (.tif).")],
    truth: Annotated[
        Path, typer.Option(help="Table of the true emitters to write (.csv, .parquet, .hdf5).")
    ],
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Simulate a movie whose emitters are known.

    Example: `dsacq simulate docs/examples/simulate-tetrapod.toml -o movie.tif --truth truth.csv`
    """
    from dsacq.data import Gathered
    from dsacq.device import chosen_device
    from dsacq.files.localizations import check_table, table_files, write_localizations
    from dsacq.files.movies import MovieWriter
    from dsacq.files.outputs import check_outputs
    from dsacq.simulation.settings import chosen_mask, read_simulation
    from dsacq.simulation.simulate import simulate as simulated

    check_table(truth)  # an impossible name is told before the work, not after
    written = output, *table_files(truth)
    check_outputs(*written, reads=(config,))
    settings = read_simulation(config)
    check_outputs(*written, reads=(settings.mask.file_in(config.parent),))
    mask = chosen_mask(settings.mask, settings.optics, config.parent)
    count, pixel_um = settings.frames.count, settings.optics.pixel_um
    metadata = {
        "pixel_um": pixel_um,
        "optics": asdict(settings.optics),
        "interval_s": settings.frames.frame_interval_s,
        "simulated_from": config.name,
    }
    gathered = Gathered()
    with MovieWriter(output, settings.frames.shape_px, "uint16", metadata) as movie:
        steps = simulated(settings, mask, chosen_device(device))
        with tracked(count, "simulating") as advance:
            for part in steps:
                gathered.add(part.truth)
                for frame in part.pixels:
                    movie.write(frame)
                    advance()
    made_by = {
        "made_by": "simulation",
        "config": config.name,
        "mask": mask.name,
        "optics": asdict(settings.optics),
        "seed": settings.frames.seed,
        "pixel_um": pixel_um,
        "shape_px": list(settings.frames.shape_px),
        "frames": count,
    }
    emitters = gathered.joined(made_by)
    write_localizations(emitters, truth, pixel_um=pixel_um)
    if as_json:
        print_json({"frames": count, "emitters": len(emitters), "movie": output, "truth": truth})
    else:
        say(f"{count} frames with {len(emitters)} emitters: {output}, truth in {truth}.")
