"""dsacq masks compare."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsacq.errors import SettingsError
from ui.commands.equal_training import model_behind, model_files, plain_training
from ui.commands.named_masks import choice_named, mask_named
from ui.console import Device, DeviceName, Json, print_json, say, tracked

if TYPE_CHECKING:
    from dsacq.analysis.mask_comparison import MaskReport


def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME|FILE...", help="Designs by name, or mask files.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Figure (.png or .pdf); the table lies beside.")
    ],
    optics: Annotated[
        Path | None,
        typer.Option(
            help="Optics file; its [psf] is the model. Default: 100x/1.45 oil, z 2 to 6 um."
        ),
    ] = None,
    photons: Annotated[float, typer.Option(min=1, help="Detected, of an emitter.")] = 1e4,
    background: Annotated[float, typer.Option(min=0, help="Photons per pixel.")] = 50.0,
    train: Annotated[
        Path | None,
        typer.Option(
            help="Settings of dsacq train or design, whose optics then are those of all: a network "
            "is trained by them behind each mask, to tell what it finds by density. What was "
            "begun goes on when asked again."
        ),
    ] = None,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Masks side by side: Cramer-Rao bounds and size through depth, in pairs, with aberrations.

    With --train also by what networks of equal training find in crowded frames.

    Example: `dsacq masks compare tetrapod astigmatism learned.tif -o masks.png`
    """
    from dsacq.analysis.mask_comparison import as_told
    from dsacq.analysis.mask_comparison import compare as compared
    from dsacq.device import chosen_device
    from dsacq.files.figures import check_figure
    from dsacq.files.outputs import check_outputs
    from dsacq.physics.optics import STANDARD_OPTICS
    from dsacq.physics.optics_file import USUAL_PSF, read_optics
    from dsacq.training.crowding import PARTS, by_density

    check_figure(output)
    known, model, settings = STANDARD_OPTICS, USUAL_PSF, None
    files = [] if train is None else model_files(output, names)
    given = (Path(name) for name in names)
    check_outputs(output, output.with_suffix(".csv"), *files, reads=(optics, train, *given))
    if train is not None:
        if optics is not None:
            raise SettingsError(f"--optics and --train: the optics are those of {train.name}.")
        settings = plain_training(train)
        known, model = settings.optics, settings.psf
    elif optics is not None:
        told = read_optics(optics)
        known, model = told.optics, told.psf or USUAL_PSF
    masks = [mask_named(name, known) for name in names]
    reports = []
    with tracked(len(masks), "comparing") as advance:
        for name, report in zip(
            names, compared(masks, known, model, photons, background), strict=True
        ):
            reports.append(replace(report, name=Path(name).stem))
            advance()
    _write(reports, output)
    for place, file in enumerate(files):
        assert settings is not None
        mask, where = masks[place], chosen_device(device)
        network = model_behind(mask, choice_named(names[place]), settings, file, where)
        with tracked(len(PARTS), f"localizing behind {reports[place].name}") as advance:
            crowded = []
            for point in by_density(network, settings, mask, where):
                crowded.append(point)
                advance()
        reports[place] = replace(reports[place], crowded=tuple(crowded))
        _write(reports, output)
    if as_json:
        print_json({"file": output, "masks": [as_told(report) for report in reports]})
        return
    for report in reports:
        _tell(report)
    say(f"Figure written to {output}.")


def _write(reports: "list[MaskReport]", output: Path) -> None:
    """The figure, and the table beside it."""
    import csv

    from dsacq.analysis.mask_comparison import comparison_picture
    from dsacq.files.atomic import replacing

    comparison_picture(reports, output)
    rows = [report.row() for report in reports]
    columns = max(rows, key=len)  # those with a network behind them have more
    with (
        replacing(output.with_suffix(".csv")) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, list(columns))
        table.writeheader()
        table.writerows(rows)


def _tell(report: "MaskReport") -> None:
    row = report.row()
    typer.echo(
        f"{row['mask']:20} mean {row['mean_nm']:6.2f} nm  worst {row['worst_nm']:6.1f}  "
        f"x/y/z {row['x_nm']:.1f}/{row['y_nm']:.1f}/{row['z_nm']:.1f}  radius "
        f"{row['radius_um']:.2f} um  aberrated {row['aberrated_mean_nm']:.2f}"
    )
    for point in report.crowded:
        scores = point.scores
        typer.echo(
            f"{'':20} {point.density_per_um2:.3f} per um2: Jaccard {scores.jaccard:.3f}, lateral/"
            f"axial {scores.rmse_lateral_nm or 0:.1f}/{scores.rmse_axial_nm or 0:.1f} nm"
        )
