"""dsacq evaluate, dsacq convert."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsacq.errors import SettingsError
from ui.console import Json, frame_range, print_json, say

if TYPE_CHECKING:
    from dsacq.analysis.metrics import DensityScores

PixelUm = Annotated[
    float | None,
    typer.Option("--pixel-um", help="Camera pixel in the sample, where a file does not tell it."),
]


def evaluate(
    localizations: Annotated[Path, typer.Argument(help="Table of what was found.")],
    truth: Annotated[Path, typer.Argument(help="Table of what was there.")],
    radius_nm: Annotated[
        float, typer.Option(help="Largest 3D distance between a found and a true emitter.")
    ] = 150.0,
    frames: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Only frames A to B - 1, as they were localized."),
    ] = None,
    per_density: Annotated[
        bool, typer.Option("--per-density", help="Also by number of true emitters per frame.")
    ] = False,
    area_um2: Annotated[
        float | None, typer.Option(help="Area that holds the emitters, to give densities.")
    ] = None,
    pixel_um: PixelUm = None,
    as_json: Json = False,
) -> None:
    """Compare localizations with the truth: Jaccard index and errors, over all frames.

    Example: `dsacq evaluate positions.csv truth.csv --radius-nm 100`
    """
    from dsacq.analysis.metrics import evaluate as evaluated
    from dsacq.analysis.metrics import evaluate_by_density
    from dsacq.files.localizations import read_localizations

    found = read_localizations(localizations, pixel_um=pixel_um)
    actual = read_localizations(truth, pixel_um=pixel_um)
    if not radius_nm > 0:
        raise SettingsError(f"radius {radius_nm} nm is not above 0.")
    radius_um = radius_nm / 1e3
    last = max(
        (int(table.table["frame"].max()) for table in (found, actual) if len(table)), default=0
    )
    chosen = None if frames is None else frame_range(frames, last + 1)
    scores = evaluated(found, actual, radius_um=radius_um, frames=chosen)
    by_density = (
        evaluate_by_density(found, actual, radius_um=radius_um, frames=chosen, area_um2=area_um2)
        if per_density
        else []
    )
    if as_json:
        values = asdict(scores) | {"radius_nm": radius_nm}
        if per_density:
            values["per_density"] = [asdict(part) for part in by_density]
        print_json(values)
        return
    typer.echo(
        f"{scores.true_positives} of {scores.truth} emitters found within {radius_nm:g} nm, "
        f"{scores.found - scores.true_positives} false"
    )
    typer.echo(f"Jaccard      {scores.jaccard:.4f}")
    typer.echo(f"precision    {scores.precision:.4f}   recall {scores.recall:.4f}")
    if scores.true_positives:
        typer.echo(
            f"RMSE         lateral {scores.rmse_lateral_nm:.1f} nm, "
            f"axial {scores.rmse_axial_nm:.1f} nm, 3D {scores.rmse_3d_nm:.1f} nm"
        )
        typer.echo(
            f"bias         x {scores.bias_x_nm:+.1f}, y {scores.bias_y_nm:+.1f}, "
            f"z {scores.bias_z_nm:+.1f} nm"
        )
    for part in by_density:
        typer.echo(_density_line(part))


def _density_line(part: "DensityScores") -> str:
    density = "" if part.density_per_um2 is None else f" ({part.density_per_um2:.3f} per um2)"
    scores = part.scores
    errors = (
        f"lateral {scores.rmse_lateral_nm:.1f} nm, axial {scores.rmse_axial_nm:.1f} nm"
        if scores.true_positives
        else "nothing matched"
    )
    return (
        f"{part.emitters:4d} emitters{density} in {part.frames} frames: "
        f"Jaccard {scores.jaccard:.3f}, {errors}"
    )


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Table to read.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Table to write.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="parquet, csv, thunderstorm, picasso (default: by ending), or to write only: "
            "smap, napari, trackmate, matlab.",
        ),
    ] = None,
    pixel_um: PixelUm = None,
) -> None:
    """Convert localizations: Parquet, CSV, ThunderSTORM, Picasso; SMAP, napari, TrackMate, MATLAB.

    Example: `dsacq convert positions.parquet positions.thunderstorm.csv`
    """
    from dsacq.files.exports import EXPORTS, export
    from dsacq.files.localizations import (
        check_table,
        read_localizations,
        table_files,
        write_localizations,
    )
    from dsacq.files.outputs import check_outputs

    if kind not in EXPORTS:
        check_table(target, kind)
    check_outputs(*table_files(target, kind), reads=table_files(source))
    table = read_localizations(source, pixel_um=pixel_um)
    if kind in EXPORTS:
        export(table, target, kind)
        say(f"{len(table)} localizations written to {target}.")
        return
    write_localizations(table, target, format=kind, pixel_um=pixel_um)
    say(f"{len(table)} localizations written to {target}.")
