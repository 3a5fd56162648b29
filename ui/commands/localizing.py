"""dsacq localize, dsacq overlay."""

import csv
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsacq.errors import SettingsError
from ui.console import Device, DeviceName, Json, frame_range, print_json, say, tracked

if TYPE_CHECKING:
    from dsacq.files.movies import Movie
    from dsacq.localize.localizer import Roi
    from dsacq.networks.model_file import Model

MovieFile = Annotated[
    Path, typer.Argument(help="TIFF (BigTIFF, OME, series), NDTiff folder, folder of TIFFs, .dax")
]
ModelFile = Annotated[
    Path, typer.Option("--model", help="Model file, or the name of one in your model folder.")
]
Frames = Annotated[
    str | None,
    typer.Option("--frames", metavar="A:B", help="Frames A to B - 1, counted from 0; default all."),
]


def localize(
    movie: MovieFile,
    model: ModelFile,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Table to write: .parquet, .csv or .hdf5")
    ],
    threshold: Annotated[
        float | None, typer.Option(help="On the network's output; default: the model's own.")
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H", help="Only this rectangle: corner column, row, width, height."
        ),
    ] = None,
    frames: Frames = None,
    tile: Annotated[
        int, typer.Option(help="Largest piece of a frame held as features, pixels.")
    ] = 256,
    optics: Annotated[
        Path | None, typer.Option(help="Optics of the movie, to be checked against the model's.")
    ] = None,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Find the emitters of a movie in 3D.

    Example: `dsacq localize movie.tif --model tetrapod.safetensors -o positions.csv`
    """
    from dsacq.data import Localizations
    from dsacq.device import chosen_device
    from dsacq.files.localizations import format_of, write_localizations
    from dsacq.files.movies import open_movie
    from dsacq.localize.localizer import LocalizeSettings, origin
    from dsacq.localize.localizer import localize as localized

    settings = LocalizeSettings(threshold=threshold, roi=_roi(roi), tile_px=tile)
    format_of(output)  # an impossible name is told before the work, not after
    network, where = _model(model), chosen_device(device)
    with open_movie(movie) as opened:
        _check_optics(network, opened, optics)
        indices = frame_range(frames, len(opened))
        parts: list[Localizations] = []
        done = 0
        try:
            with tracked(len(indices), "localizing") as advance:
                for part in localized(opened, network, indices, settings, device=where):
                    parts.append(part)
                    done += 1
                    advance()
        finally:  # what was localized before a damaged frame or Ctrl+C is kept
            made_by = origin(network, opened, settings) | {"movie": str(movie)}
            found = Localizations.joined(parts, made_by)
            if done:
                write_localizations(found, output)
            if 0 < done < len(indices):
                say(f"Kept: {len(found)} localizations of the first {done} frames, in {output}.")
    if as_json:
        print_json({"frames": done, "localizations": len(found), "output": str(output)})
    else:
        say(f"{len(found)} localizations in {done} frames, written to {output}.")


def overlay(
    movie: MovieFile,
    localizations: Annotated[Path, typer.Argument(help="Table of localizations of that movie.")],
    model: ModelFile,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for pictures and correlation.csv; default none."
        ),
    ] = None,
    frames: Frames = None,
    pictures: Annotated[int, typer.Option(help="How many frames to draw, spread evenly.")] = 10,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Regenerate frames from their localizations and correlate them with the data.

    Example: `dsacq overlay movie.tif positions.csv --model tetrapod.safetensors -o check`
    """
    from dsacq.analysis.overlay import overlay_picture, regenerate
    from dsacq.device import chosen_device
    from dsacq.files.localizations import read_localizations
    from dsacq.files.movies import open_movie

    network, where = _model(model), chosen_device(device)
    card = network.card
    found = read_localizations(localizations, pixel_um=card.optics.pixel_um)
    table = found.table
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with open_movie(movie) as opened:
        indices = frame_range(frames, len(opened))
        if len(table) and table["frame"].max() >= len(opened):
            raise SettingsError(
                f"{localizations}: has frame {table['frame'].max()}, but {movie} has only "
                f"{len(opened)} frames; they do not belong together."
            )
        rows_of, positions_um = table.groupby("frame").indices, found.positions_um()
        drawn = set(indices[:: max(1, -(-len(indices) // max(pictures, 1)))]) if pictures else set()
        with tracked(len(indices), "regenerating") as advance:
            for index in indices:
                xyz_um = positions_um[rows_of[index]] if index in rows_of else positions_um[:0]
                frame = opened.frame(index)
                one = regenerate(frame, xyz_um, network.mask, card.optics, card.psf, device=where)
                rows.append(
                    {"frame": index, "correlation": one.correlation, "emitters": len(xyz_um)}
                )
                if output is not None and index in drawn:
                    picture = output / f"frame_{index:06d}.png"
                    title = f"{movie.name}, frame {index}"
                    overlay_picture(one, xyz_um, card.optics, title, picture)
                advance()
    valid = [row["correlation"] for row in rows if row["correlation"] == row["correlation"]]
    median = statistics.median(valid) if valid else float("nan")
    if output is not None:
        with (output / "correlation.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ("frame", "correlation", "emitters"))
            writer.writeheader()
            writer.writerows(rows)
    if as_json:
        print_json({"median_correlation": median, "frames": rows})
        return
    for row in rows[:20]:
        typer.echo(
            f"frame {row['frame']:6d}  correlation {row['correlation']:.4f}  "
            f"emitters {row['emitters']}"
        )
    if len(rows) > 20:
        typer.echo(f"... and {len(rows) - 20} more frames")
    typer.echo(f"median correlation {median:.4f}")


def _roi(text: str | None) -> "Roi | None":
    from dsacq.localize.localizer import Roi

    if text is None:
        return None
    try:
        column, row, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(f"roi {text!r} is not X,Y,W,H in whole pixels.") from None
    return Roi(column, row, width, height)


def _model(path: Path) -> "Model":
    from dsacq.networks.model_file import load_model
    from ui.commands.models import find_model

    return load_model(find_model(path))


def _check_optics(model: "Model", movie: "Movie", optics: Path | None) -> None:
    """Refuses other optics by name; a movie whose file states another pixel is warned about.

    The optics of the movie are those of the file given, or those that a movie of ours carries.
    """
    from dsacq.config import validated
    from dsacq.physics.optics import Optics, differing_fields, read_optics

    trained = model.card.optics
    carried = movie.metadata.get("optics")
    if optics is not None:
        actual, source = read_optics(optics).optics, optics
    elif isinstance(carried, dict):
        actual, source = validated(Optics, carried, str(movie.path)), movie.path
    else:
        actual, source = trained, movie.path
    if different := differing_fields(actual, trained):
        raise SettingsError(
            f"model {model.card.name} was made for other optics than {source}: "
            f"{'; '.join(different)}. Use a model made for these optics."
        )
    stated = movie.metadata.get("pixel_um")
    if isinstance(stated, float) and abs(stated / trained.pixel_um - 1) > 0.02:
        say(
            f"Warning: {movie.path.name} states a pixel of {stated:.4g} um, model "
            f"{model.card.name} is for {trained.pixel_um:.4g} um; positions would be wrong if the "
            "file is right."
        )
