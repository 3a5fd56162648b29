"""dsacq masks."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsacq.errors import SettingsError
from ui.console import Json, print_json, say, tracked

if TYPE_CHECKING:
    from dsacq.physics.masks import PhaseMask
    from dsacq.physics.optics import Optics

_DESIGN_STEPS = 40


app = typer.Typer(invoke_without_command=True)


@app.callback()
def masks(
    context: typer.Context,
    show: Annotated[
        str | None,
        typer.Option(
            "--show", metavar="NAME|FILE", help="Picture of a mask and its PSF through z."
        ),
    ] = None,
    design: Annotated[
        bool, typer.Option("--design", help="Optimise a Tetrapod for the optics and its z range.")
    ] = False,
    optics: Annotated[
        Path | None, typer.Option(help="Optics file; default: 100x/1.45 oil, 0.58 um, z 2 to 6 um.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help=".png: the picture; .tif: the mask itself."),
    ] = None,
    pattern: Annotated[
        Path | None, typer.Option(help="Write the 8-bit pattern for an SLM (.png or .bmp).")
    ] = None,
    plate: Annotated[
        Path | None, typer.Option(help="Write the height map of a transparent plate, um (.tif).")
    ] = None,
    plate_index: Annotated[
        float, typer.Option(min=1.01, help="Refractive index of the plate, in air.")
    ] = 1.46,
) -> None:
    """List the mask designs, draw one, or write one to a file.

    Example: `dsacq masks --show tetrapod -o tetrapod.png`
    """
    from dsacq.files.mask_library import MASKS

    if context.invoked_subcommand is not None:
        return
    if show is None and not design:
        for name, (_, description) in MASKS.items():
            typer.echo(f"{name:14} {description}")
        typer.echo("\nDraw one with --show NAME, or the mask in a file with --show FILE.")
        return
    from dsacq.analysis.mask_picture import mask_picture
    from dsacq.files.masks import write_height_map, write_mask, write_slm_pattern

    used = _optics(optics)
    mask = _designed(used) if design else _mask(str(show), used)
    wanted = output or Path(f"{mask.name}.png")
    if wanted.suffix.lower() == ".png":
        mask_picture(mask, used, wanted)
        say(f"Picture written to {wanted}.")
    else:
        write_mask(mask, wanted)
        say(f"Mask written to {wanted}.")
    if pattern is not None:
        write_slm_pattern(mask, pattern)
        say(f"SLM pattern written to {pattern}.")
    if plate is not None:
        write_height_map(mask, plate_index, plate)
        say(f"Height map written to {plate}.")


@app.command("compare")
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
    as_json: Json = False,
) -> None:
    """Masks side by side: Cramer-Rao bounds and size through depth, in pairs, with aberrations.

    Example: `dsacq masks compare tetrapod astigmatism learned.tif -o masks.png`
    """
    import csv

    from dsacq.analysis.mask_comparison import as_told, comparison_picture
    from dsacq.analysis.mask_comparison import compare as compared
    from dsacq.files.atomic import replacing
    from dsacq.physics.optics import STANDARD_OPTICS
    from dsacq.physics.optics_file import read_optics
    from dsacq.physics.pupil import PsfModel

    known, model = STANDARD_OPTICS, PsfModel(blur_px=1.0)
    if optics is not None:
        told = read_optics(optics)
        known, model = told.optics, told.psf
    chosen = [_mask(name, known) for name in names]
    reports = []
    with tracked(len(chosen), "comparing") as advance:
        for name, report in zip(
            names, compared(chosen, known, model, photons, background), strict=True
        ):
            reports.append(replace(report, name=Path(name).stem))
            advance()
    rows = [report.row() for report in reports]
    comparison_picture(reports, output)
    with (
        replacing(output.with_suffix(".csv")) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    if as_json:
        print_json({"file": output, "masks": [as_told(report) for report in reports]})
        return
    for row in rows:
        typer.echo(
            f"{row['mask']:20} mean {row['mean_nm']:6.2f} nm  worst {row['worst_nm']:6.1f}  "
            f"x/y/z {row['x_nm']:.1f}/{row['y_nm']:.1f}/{row['z_nm']:.1f}  radius "
            f"{row['radius_um']:.2f} um  aberrated {row['aberrated_mean_nm']:.2f}"
        )
    say(f"Figure written to {output}.")


def _optics(path: Path | None) -> "Optics":
    from dsacq.physics.optics import STANDARD_OPTICS
    from dsacq.physics.optics_file import read_optics

    return STANDARD_OPTICS if path is None else read_optics(path).optics


def _mask(name: str, optics: "Optics") -> "PhaseMask":
    from dsacq.files.mask_library import MASKS
    from dsacq.files.masks import read_mask

    if name in MASKS:
        return MASKS[name][0](optics)
    if not Path(name).exists():
        raise SettingsError(
            f"{name} is neither a file nor a mask design; the designs are {', '.join(MASKS)}."
        )
    return read_mask(Path(name), optics=optics)


def _designed(optics: "Optics") -> "PhaseMask":
    from dsacq.physics.masks import zernike_mask
    from dsacq.physics.tetrapod import tetrapod_design

    steps = []
    with tracked(_DESIGN_STEPS, "designing") as advance:
        for step in tetrapod_design(optics, steps=_DESIGN_STEPS):
            steps.append(step)
            advance()
    best = min(steps, key=lambda step: step.cost_um)
    say(f"Mean bound over x, y, z and depth: {1e3 * best.cost_um:.2f} nm (10 000 photons on 50).")
    return zernike_mask(optics, best.coefficients_rad, name="tetrapod")
