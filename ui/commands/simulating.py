"""dsacq simulate."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dsacq.files.names import check_file
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
    from dsacq.files.localizations import check_table, write_localizations
    from dsacq.files.movies import MovieWriter
    from dsacq.simulation.settings import chosen_mask, read_simulation
    from dsacq.simulation.simulate import simulate as simulated

    check_file(output)  # an impossible name is told before the work, not after
    check_table(truth)
    settings = read_simulation(config)
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
