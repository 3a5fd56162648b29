"""dsacq localize, dsacq overlay."""

import csv
import statistics
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsacq.errors import SettingsError
from dsacq.files.atomic import made_folder, replacing
from dsacq.files.names import check_folder
from ui.console import Device, DeviceName, Json, frame_range, print_json, say, tracked

if TYPE_CHECKING:
    from dsacq.data import Roi
    from dsacq.files.movies import Movie
    from dsacq.microscope import Microscope
    from dsacq.networks.model_file import Model

MovieFile = Annotated[
    Path, typer.Argument(help="TIFF (BigTIFF, OME, series), NDTiff folder, folder of TIFFs, .dax")
]
Frames = Annotated[
    str | None,
    typer.Option("--frames", metavar="A:B", help="Frames A to B - 1, counted from 0; default all."),
]


_CORRELATIONS = "correlation.csv"


class Method(StrEnum):
    """How emitters are found."""

    network = "network"
    pursuit = "pursuit"


def localize(
    movie: MovieFile,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Table to write: .parquet, .csv or .hdf5")
    ],
    model: Annotated[
        Path | None,
        typer.Option("--model", help="Model file, or the name of one in your model folder."),
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(help="pursuit: from the mask alone, as without a model; network: a model's."),
    ] = None,
    refine: Annotated[
        bool,
        typer.Option("--refine", help="Fit what the network found: precision, photons, errors."),
    ] = False,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough",
            help="Refine, and look for what the network missed, merged or misplaced: slow.",
        ),
    ] = False,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Phase mask; one that was measured on beads tells optics and blur, a recording "
            "has its own."
        ),
    ] = None,
    optics: Annotated[
        Path | None,
        typer.Option(
            help="Optics file of the movie; its [camera] and [psf] serve the fits. A recording "
            "tells them itself."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="On the network's output (default: the model's), or signal to noise."),
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H", help="Only this rectangle: corner column, row, width, height."
        ),
    ] = None,
    frames: Frames = None,
    tile: Annotated[
        int | None,
        typer.Option(
            help="Largest piece of a frame held as features, pixels (default: what suits the "
            "network); smaller ones take less memory and more time."
        ),
    ] = None,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Find the emitters of a movie in 3D: by a network, or without one, from the mask alone.

    Example: `dsacq localize movie.tif --model tetrapod-4um -o positions.csv`

    Example: `dsacq localize movie.tif --mask psf.tif -o positions.csv`
    """
    from dsacq.data import Gathered
    from dsacq.device import chosen_device
    from dsacq.files.localizations import check_table, table_files, write_localizations
    from dsacq.files.movies import open_movie
    from dsacq.files.outputs import check_outputs
    from dsacq.localize.localizer import LocalizeSettings, analysed
    from dsacq.localize.movie import localize_movie

    settings = LocalizeSettings(threshold=threshold, roi=chosen_roi(roi), tile_px=tile)
    check_table(output)  # an impossible name is told before the work, not after
    check_outputs(*table_files(output), reads=(movie, model, mask, optics))
    network = None if model is None else _model(model)
    method = method or (Method.pursuit if network is None else Method.network)
    if method is Method.network and network is None:
        raise SettingsError("--method network: give its --model; without one the mask is used.")
    where = chosen_device(device)
    with open_movie(movie) as opened:
        setup = microscope_told(opened, network, mask, optics)
        if setup.camera is None and (refine or thorough or method is Method.pursuit):
            say(
                "Remark: no [camera] in an optics file (--optics): counts are taken as photons, so "
                "photons, errors and what counts as significant hold only for such a camera."
            )
        indices = frame_range(frames, len(opened))
        steps, made_by = localize_movie(
            opened,
            indices,
            setup,
            network if method is Method.network else None,
            settings,
            refine=refine,
            thorough=thorough,
            device=where,
        )
        gathered = Gathered()
        done = 0
        try:
            with tracked(len(indices), "localizing") as advance:
                for part in steps:
                    gathered.add(part)
                    done += 1
                    advance()
        finally:  # what was localized before a damaged frame or Ctrl+C is kept
            of_frames = analysed([(indices.start, indices.start + done)])
            found = gathered.joined(made_by | of_frames)
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
    model: Annotated[
        Path | None,
        typer.Option("--model", help="Model file or name, whose mask and optics are taken."),
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Phase mask, without a model; a recording has its own.")
    ] = None,
    optics: Annotated[
        Path | None, typer.Option(help="Optics file of the movie. A recording tells its own.")
    ] = None,
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

    The PSF is the model's, or that of --mask and --optics, which a recording has with it.

    Example: `dsacq overlay movie.tif positions.csv --model tetrapod-4um -o check`
    """
    from dsacq.analysis.overlay import overlay_picture, regenerate
    from dsacq.device import chosen_device
    from dsacq.files.localizations import read_localizations
    from dsacq.files.movies import open_movie
    from dsacq.files.outputs import check_outputs

    if output is not None:
        check_folder(output)
        if output.is_dir():
            check_outputs(output / _CORRELATIONS, reads=(localizations, model, mask, optics))
    network, where = None if model is None else _model(model), chosen_device(device)
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        opened = stack.enter_context(open_movie(movie))
        setup = microscope_told(opened, network, mask, optics)
        found = read_localizations(localizations, pixel_um=setup.optics.pixel_um)
        table = found.table
        indices = frame_range(frames, len(opened))
        if len(table) and table["frame"].max() >= len(opened):
            raise SettingsError(
                f"{localizations}: has frame {table['frame'].max()}, but {movie} has only "
                f"{len(opened)} frames; they do not belong together."
            )
        rows_of, positions_um = table.groupby("frame").indices, found.positions_um()
        if output is not None:
            stack.enter_context(made_folder(output))
        drawn = set(indices[:: max(1, -(-len(indices) // max(pictures, 1)))]) if pictures else set()
        with tracked(len(indices), "regenerating") as advance:
            for index in indices:
                xyz_um = positions_um[rows_of[index]] if index in rows_of else positions_um[:0]
                frame = opened.frame(index)
                one = regenerate(frame, xyz_um, setup.mask, setup.optics, setup.psf, device=where)
                rows.append(
                    {"frame": index, "correlation": one.correlation, "emitters": len(xyz_um)}
                )
                if output is not None and index in drawn:
                    picture = output / f"frame_{index:06d}.png"
                    title = f"{movie.name}, frame {index}"
                    overlay_picture(one, xyz_um, setup.optics, title, picture)
                advance()
    valid = [row["correlation"] for row in rows if row["correlation"] == row["correlation"]]
    median = statistics.median(valid) if valid else float("nan")
    if output is not None:
        with (
            replacing(output / _CORRELATIONS) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
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


def chosen_roi(text: str | None) -> "Roi | None":
    from dsacq.data import Roi

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


def microscope_told(
    movie: "Movie", network: "Model | None", mask: Path | None, optics: Path | None
) -> "Microscope":
    """The microscope behind a movie; remarks on it are said."""
    from dsacq.microscope import microscope_behind, microscope_of

    wanted = None if network is None else microscope_of(network)
    found, remarks = microscope_behind(movie, wanted=wanted, mask=mask, optics=optics)
    for remark in remarks:
        say(f"Remark: {remark}")
    return found
