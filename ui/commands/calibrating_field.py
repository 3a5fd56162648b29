"""dsacq calibrate field, stack and truth: many emitters of one stack."""

from pathlib import Path
from typing import Annotated

import typer

from dsacq.errors import FileError
from ui.commands.calibrating import RadiusUm, SidePx, ZeroUm, focus_positions
from ui.console import Json, outcome, print_json, say, training_bar

_MARECHAL = 0.072  # waves rms: Marechal's criterion, Strehl ratio 0.8


def field(
    folder: Annotated[Path, typer.Argument(help="Folder that calibrate scan made.")],
    psf: Annotated[Path, typer.Argument(help="Mask file that calibrate beads or pupil wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Page to write (.png or .pdf).")],
    radius_um: RadiusUm = 0.05,
    passes: Annotated[int, typer.Option(min=1, help="Over all planes of each bead.")] = 40,
    side_px: SidePx = 61,
    zero_um: ZeroUm = 0.0,
    as_json: Json = False,
) -> None:
    """How much the aberrations change over the field, from the beads of a z scan.

    Example: `dsacq calibrate field beads-1 psf.tif -o field.png`
    """
    import numpy as np

    from calibration.beads import retrieve_settings
    from calibration.field import field_map, field_page
    from calibration.finding import bead_scan, usable_beads
    from calibration.scan_files import is_scan, read_scan
    from calibration.z_scan import on_coverslip
    from dsacq.files.figures import check_figure
    from dsacq.files.masks import read_mask
    from dsacq.files.measured_psf import read_measured_psf
    from dsacq.files.outputs import check_outputs

    check_figure(output)
    check_outputs(output, reads=(psf,))
    if not is_scan(folder):
        raise FileError(f"{folder}: is no z scan that calibrate scan made.")
    whole = on_coverslip(read_scan(folder), zero_um)
    mask = read_mask(psf, optics=whole.optics)
    model = read_measured_psf(psf).psf or whole.psf
    usable = usable_beads(whole, side_px)
    for bead in usable:
        if bead.doubt:
            say(f"Warning: the bead at row {bead.row:.0f}, column {bead.column:.0f}: {bead.doubt}")
    places_um = np.array([(one.column + 0.5, one.row + 0.5) for one in usable])
    places_um *= whole.optics.pixel_um
    scans = [bead_scan(whole, one, side_px, radius_um) for one in usable]
    settings = retrieve_settings(whole.optics, passes)
    work = field_map(scans, places_um, mask, whole.optics, model, settings)
    with training_bar(len(scans) * passes, 0, "searching") as show:
        found = outcome(work, lambda one: show(one.passes, f"chi-square {one.chi_square:.2f}"))
    told = (
        f"{len(usable)} beads: the phase changes by up to {found.span_waves:.3f} waves rms from "
        "the middle of their field."
    )
    field_page(found, output, f"{folder.name}. {told}")
    if as_json:
        print_json({"file": output} | found.told())
        return
    say(told)
    if found.span_waves > _MARECHAL:
        say(
            "Warning: one PSF does not serve the whole field; use a smaller region of the camera, "
            "or calibrate with beads of the region that you use."
        )
    say(f"Page written to {output}.")


def stack(
    folder: Annotated[Path, typer.Argument(help="Folder that calibrate scan made.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Stack to write (.tif).")],
    most: Annotated[int, typer.Option("--beads", min=1, help="At most so many.")] = 20,
    side_px: SidePx = 61,
    as_json: Json = False,
) -> None:
    """The plain average of the beads at each focus: a PSF without a model, for other programs.

    Beads are checked as by `calibrate beads`, and against the average of the others.

    Example: `dsacq calibrate stack beads-1 -o psf-stack.tif`
    """
    from calibration.finding import best_beads
    from calibration.psf_stack import average_psf, stack_doubts, write_psf_stack
    from calibration.scan_files import files_of, is_scan, read_scan
    from dsacq.files.outputs import check_outputs

    check_outputs(output, output.with_suffix(".json"), reads=files_of(folder))
    if not is_scan(folder):
        raise FileError(f"{folder}: is no z scan that calibrate scan made.")
    whole = read_scan(folder)
    scan = best_beads(whole, side_px, 0.0, most)
    planes, agreement = average_psf(scan)
    doubts = stack_doubts(scan, agreement)
    write_psf_stack(planes, scan, whole.optics, folder.name, output)
    for doubt in doubts:
        say(f"Warning: {doubt}")
    if as_json:
        told = {"agreement": agreement.tolist(), "doubts": doubts}
        print_json({"file": output, "beads": len(agreement), "planes": len(planes)} | told)
        return
    say(
        f"The average of {len(agreement)} beads was written to {output}; lowest correlation of one "
        f"with the others: {agreement.min():.3f}."
        if len(agreement) > 1
        else f"The images of one bead were written to {output}; more of them tell about each other."
    )


def truth(
    stack: Annotated[Path, typer.Argument(help="Z stack of the sample with the standard PSF.")],
    optics: Annotated[Path, typer.Option(help="Optics file (TOML); its [psf] is the model.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Table to write: .parquet, .csv or .hdf5")
    ],
    focus_um: Annotated[
        str | None,
        typer.Option(metavar="FIRST:LAST", help="Focus of the first and of the last plane, um."),
    ] = None,
    positions: Annotated[
        Path | None, typer.Option(help="File with one focus position per line, um.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Table of the same emitters from single images.")
    ] = None,
    gate_um: Annotated[float, typer.Option(min=0.01, help="In x and y, of a pair.")] = 0.3,
    as_json: Json = False,
) -> None:
    """Heights of emitters that stand still, from a z stack without a mask; and compare with them.

    Example: `dsacq calibrate truth stack.tif --optics rig.toml --focus-um=-1:6 -o truth.csv
    --compare positions.parquet`
    """
    from dataclasses import asdict

    import numpy as np

    from calibration.bead_scan import BeadScan
    from calibration.beads import saturated_plane
    from calibration.z_truth import agreement, heights
    from dsacq.files.localizations import (
        check_table,
        read_localizations,
        table_files,
        write_localizations,
    )
    from dsacq.files.movies import open_movie
    from dsacq.files.outputs import check_outputs
    from dsacq.physics.optics_file import USUAL_PSF, read_optics

    check_table(output)
    check_outputs(*table_files(output), reads=(stack, optics, positions, compare))
    known = read_optics(optics)
    with open_movie(stack) as movie:
        planes = np.stack([plane for _, plane in movie.frames()]).astype(np.float64)
    scan = BeadScan(planes=planes, focus_um=focus_positions(focus_um, positions, len(planes)))
    clipped = saturated_plane(planes)
    if clipped is not None:
        say(
            f"Warning: plane {clipped} is saturated; do not trust the heights of the brightest "
            "emitters, and take the stack again with less light."
        )
    found = heights(scan, known.optics, known.psf or USUAL_PSF)
    write_localizations(found, output, pixel_um=known.optics.pixel_um)
    result = None
    if compare is not None:
        single = read_localizations(compare, pixel_um=known.optics.pixel_um)
        result = agreement(found, single, gate_um)
    if as_json:
        told = {} if result is None else asdict(result)
        print_json({"output": output, "emitters": len(found)} | told)
        return
    say(f"Heights of {len(found)} emitters written to {output}.")
    if result is not None:
        say(
            f"{result.pairs} pairs: z = {result.slope:.3f} z_stack {result.offset_um:+.3f} um, "
            f"spread {1e3 * result.spread_um:.0f} nm; plain differences "
            f"{1e3 * result.difference_um:.0f} nm rms."
        )
