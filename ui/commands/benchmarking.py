"""dsacq benchmark accuracy, dsacq benchmark speed."""

import csv
import re
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsacq.errors import SettingsError
from dsacq.files.atomic import made_folder, replacing
from dsacq.files.names import check_folder
from ui.commands.models import find_model
from ui.console import Device, DeviceName, Json, print_json, say, tracked

if TYPE_CHECKING:
    from dsacq.analysis.sweep import Point
    from dsacq.networks.model_file import Model

app = typer.Typer(no_args_is_help=True, help="How good and how fast localizers are.")


class Method(StrEnum):
    """Ways to localize beside models."""

    pursuit = "pursuit"


@app.command("accuracy")
def accuracy(
    config: Annotated[Path, typer.Argument(help="Settings of `dsacq simulate` (TOML).")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for accuracy.csv and accuracy.png.")
    ],
    model: Annotated[
        list[Path] | None, typer.Option("--model", help="Model file or name; may be repeated.")
    ] = None,
    method: Annotated[
        list[Method] | None, typer.Option(help="pursuit: also by fits alone, without a model.")
    ] = None,
    refine: Annotated[
        bool, typer.Option("--refine", help="Also each model with a fit of what it found.")
    ] = False,
    densities: Annotated[str, typer.Option(help="Emitters per frame.")] = "1,5,10,20,35",
    frames: Annotated[int, typer.Option(min=1, help="Frames of each density.")] = 10,
    radius_nm: Annotated[float, typer.Option(help="Farthest that a pair may be apart, 3D.")] = 100,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Measure how accuracy falls with density, on frames whose emitters are known.

    All models and methods see the same frames. Errors are told beside the Cramer-Rao bound of the
    same emitters, each as if it were alone.

    Example: `dsacq benchmark accuracy docs/examples/simulate-tetrapod.toml --model tetrapod-4um
    -o sweep`
    """
    from dsacq.analysis import sweep
    from dsacq.analysis.sweep_picture import sweep_picture
    from dsacq.device import chosen_device
    from dsacq.simulation.settings import chosen_mask, read_simulation

    check_folder(output)
    counts = _densities(densities)
    if not radius_nm > 0:
        raise SettingsError(f"radius {radius_nm} nm is not above 0.")
    if not model and (refine or not method):
        raise SettingsError("give a --model, or --method pursuit alone without --refine.")
    settings, where = read_simulation(config), chosen_device(device)
    mask = chosen_mask(settings.mask, settings.optics, config.parent)
    ways: dict[str, sweep.Way] = {}
    for name, one in _models(model or []).items():
        sweep.check_fits(one, settings, mask)
        ways[name] = sweep.by_network(one, settings, where)
        if refine:
            ways[f"{name} + refine"] = sweep.refined(ways[name], settings, mask, where)
    if method:
        ways["pursuit"] = sweep.by_pursuit(settings, mask, where)
    radius_um = radius_nm / 1e3
    points = []
    steps = sweep.accuracy(
        settings, mask, ways, counts, frames=frames, radius_um=radius_um, device=where
    )
    table, picture = output / "accuracy.csv", output / "accuracy.png"
    with made_folder(output):
        with tracked(len(counts) * len(ways) * frames, "localizing") as advance:
            for point in steps:
                if point is not None:
                    points.append(point)
                advance()
        _write(points, table)
        sweep_picture(points, radius_um, picture)
    if as_json:
        values = {"radius_nm": radius_nm, "frames": frames, "table": table, "picture": picture}
        print_json(values | {"points": [point.row() for point in points]})
        return
    _show(points)
    say(f"Written: {table} and {picture}.")


@app.command("speed")
def speed(
    model: Annotated[
        list[Path], typer.Option("--model", help="Model file or name; may be repeated.")
    ],
    shape: Annotated[
        str, typer.Option(metavar="ROWSxCOLUMNS", help="Size of the frames.")
    ] = "128x128",
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Frames in each round (default: 32, or 1024 on a GPU)."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each model runs.")] = 5,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Measure frames per second, from frames in memory to a table, on simulated frames.

    Several models run by turns, so that what else the machine does slows all alike.

    Example: `dsacq benchmark speed --model bench-nano --model tetrapod-4um`
    """
    import torch

    from dsacq.analysis.speed import laps, speeds, usual_frames
    from dsacq.device import chosen_device

    size, where = _shape(shape), chosen_device(device)
    count = usual_frames(where) if frames is None else frames
    models = _models(model)
    driven = []
    with tracked(len(models) * (rounds + 1), "timing") as advance:
        for lap in laps(models, size, frames=count, rounds=rounds, device=where):
            driven.append(lap)
            advance()
    found = speeds(driven, count)
    on = torch.cuda.get_device_name(where) if where.type == "cuda" else "CPU"
    threads = torch.get_num_threads()
    if as_json:
        values = {"device": on, "threads": threads, "shape_px": size, "frames": count}
        print_json(values | {"rounds": rounds, "models": [asdict(one) for one in found]})
        return
    width = max(len(one.name) for one in found)
    typer.echo(f"{'':{width}}   frames/s   median   times the slowest")
    for one in found:
        typer.echo(
            f"{one.name:{width}} {one.frames_per_second:10.4g} {one.frames_per_second_median:8.4g} "
            f"{one.ratio:11.2f}"
        )
    typer.echo(
        f"{count} frames of {size[0]} x {size[1]} pixels, {rounds} rounds, on {on} with {threads} "
        f"thread{'s' if threads > 1 else ''}"
    )


def _models(paths: Sequence[Path]) -> "dict[str, Model]":
    """Models by the names of their files, or by their paths where names are equal."""
    from dsacq.networks.model_file import load_model

    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise SettingsError("a --model is given twice; name each once.")
    return {name: load_model(find_model(path)) for name, path in zip(names, paths, strict=True)}


def _densities(text: str) -> list[int]:
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError:
        counts = [0]
    if counts[0] < 1:
        raise SettingsError(
            f"densities {text!r} are not whole numbers of emitters above 0, such as 1,5,10."
        )
    return counts


def _shape(text: str) -> tuple[int, int]:
    parts = re.fullmatch(r"(\d+)x(\d+)", text)
    if parts is None or not all(16 <= int(part) <= 8192 for part in parts.groups()):
        raise SettingsError(
            f"shape {text!r} is not ROWSxCOLUMNS with sides of 16 to 8192 pixels, such as 128x128."
        )
    return int(parts[1]), int(parts[2])


def _write(points: "Sequence[Point]", path: Path) -> None:
    rows = [point.row() for point in points]
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


_COLUMNS = ("Jaccard", "precision", "recall", "false", "lateral", "axial", "3D", "E3D")


def _show(points: "Sequence[Point]") -> None:
    """A block of lines for each density, with the bound beneath."""
    bound = "bound, alone"
    width = max(len(bound), *(len(point.name) for point in points))
    heading = "".join(f"{name:>10}" for name in _COLUMNS)
    typer.echo(f"emitters  {'':{width}}{heading}   (errors and bounds in nm)")
    last = None
    for place, point in enumerate(points):
        shown = f"{point.emitters:8d}" if point.emitters != last else " " * 8
        typer.echo(f"{shown}  {point.name:{width}}{_line(point)}")
        last = point.emitters
        if place + 1 == len(points) or points[place + 1].emitters != last:
            gap = " " * 40
            lateral, axial = _cell(point.bound_lateral_nm, 1), _cell(point.bound_axial_nm, 1)
            typer.echo(f"{'':8}  {bound:{width}}{gap}{lateral}{axial}")


def _line(point: "Point") -> str:
    scores = point.scores
    counts = (scores.jaccard, scores.precision, scores.recall)
    errors = (scores.rmse_lateral_nm, scores.rmse_axial_nm, scores.rmse_3d_nm)
    return "".join(
        (
            *(_cell(value, 3) for value in counts),
            f"{point.false_positives:10d}",
            *(_cell(value, 1) for value in (*errors, scores.efficiency_3d)),
        )
    )


def _cell(value: Any, digits: int) -> str:
    return f"{'-':>10}" if value is None else f"{value:10.{digits}f}"
