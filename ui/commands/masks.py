"""dsacq masks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.commands.masks_compare import compare
from ui.commands.named_masks import mask_named
from ui.console import say, tracked

if TYPE_CHECKING:
    from dsacq.physics.masks import PhaseMask
    from dsacq.physics.optics import Optics

_DESIGN_STEPS = 40


app = typer.Typer(invoke_without_command=True)
app.command("compare")(compare)


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
    from dsacq.files.outputs import check_outputs

    read = optics, None if show is None else Path(show)
    check_outputs(output, pattern, plate, reads=read)
    used = _optics(optics)
    mask = _designed(used) if design else mask_named(str(show), used)
    wanted = output or Path(f"{mask.name}.png")
    check_outputs(wanted, pattern, plate, reads=read)
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


def _optics(path: Path | None) -> "Optics":
    from dsacq.physics.optics import STANDARD_OPTICS
    from dsacq.physics.optics_file import read_optics

    return STANDARD_OPTICS if path is None else read_optics(path).optics


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
