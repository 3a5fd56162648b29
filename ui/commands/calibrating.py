"""dsacq calibrate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsacq.errors import FileError, SettingsError
from dsacq.files.paths import is_there
from dsacq.mistakes import typed_number
from ui.commands.rigs import own_file
from ui.console import Json, print_json, say, training_bar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RadiusUm = Annotated[float, typer.Option(min=0.0, help="Of the bead.")]
SidePx = Annotated[int, typer.Option(min=15, help="Square around a bead, in a scan of a field.")]
ZeroUm = Annotated[float, typer.Option(help="Focus stage where the coverslip is in focus.")]
ReportPage = Annotated[
    Path | None, typer.Option("--report", help="Page to judge the result by (.png or .pdf).")
]

app = typer.Typer(help="Measure the microscope's PSF.", no_args_is_help=True)


@app.command("beads")
def beads(
    stack: Annotated[
        Path, typer.Argument(help="Images of one bead, a plane per focus position; or a scan.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Mask file to write (.tif).")],
    optics: Annotated[
        Path | None, typer.Option(help="Optics file (TOML); its [psf] is the model.")
    ] = None,
    focus_um: Annotated[
        str | None,
        typer.Option(metavar="FIRST:LAST", help="Focus of the first and of the last plane, um."),
    ] = None,
    positions: Annotated[
        Path | None, typer.Option(help="File with one focus position per line, um.")
    ] = None,
    counts_per_photon: Annotated[
        float, typer.Option(min=1e-6, help="Of the camera; twice its gain for an EMCCD.")
    ] = 1.0,
    radius_um: RadiusUm = 0.05,
    passes: Annotated[int, typer.Option(min=1, help="Over all planes.")] = 240,
    beads_at_most: Annotated[
        int, typer.Option("--beads", min=1, help="At most so many of a scan's beads at once.")
    ] = 1,
    side_px: SidePx = 61,
    zero_um: ZeroUm = 0.0,
    picture: ReportPage = None,
    as_json: Json = False,
) -> None:
    """Retrieve the phase in the pupil from a bead's z scan.

    In a folder that `calibrate scan` made, beads are found, and the best is taken. Both
    directions of the focus are tried, and it is told when the other one fits better.

    Example: `dsacq calibrate beads scan.tif --optics rig.toml --focus-um -2:2 -o psf.tif`
    """
    import numpy as np

    from calibration.bead_scan import BeadScan
    from calibration.finding import best_beads
    from calibration.result import Calibrated, calibrate, write_result
    from calibration.scan_files import files_of, is_scan, read_scan
    from calibration.z_scan import on_coverslip
    from dsacq.files.movies import open_movie
    from dsacq.physics.optics_file import USUAL_PSF, read_optics

    _check_outputs(output, picture, *files_of(stack), optics, positions)
    if is_scan(stack):
        whole = on_coverslip(read_scan(stack), zero_um)
        known_optics, psf = whole.optics, whole.psf
        one = best_beads(whole, side_px, radius_um, beads_at_most)
    else:
        if optics is None:
            raise SettingsError("Give the microscope's optics: --optics FILE.")
        known = read_optics(optics)
        known_optics, psf = known.optics, known.psf or USUAL_PSF
        with open_movie(stack) as movie:
            planes = np.stack([plane for _, plane in movie.frames()]).astype(np.float64)
        one = BeadScan(
            planes=planes,
            focus_um=focus_positions(focus_um, positions, len(planes)),
            counts_per_photon=counts_per_photon,
            radius_um=radius_um,
        )
    with training_bar(100, 0, "searching") as show:
        for item in calibrate(one, known_optics, psf, stack.name, passes):
            if isinstance(item, Calibrated):
                result = item
            else:
                show(100 * item.passes // item.of, f"chi-square {item.chi_square:.2f}")
    write_result(result, output, picture)
    for doubt in result.doubts:
        say(f"Warning: {doubt}")
    if as_json:
        print_json({"file": output} | result.quality())
        return
    say(result.summary)
    say(f"Phase written to {output}. To localize with it, its optics and its blur:")
    say(f"dsacq localize MOVIE --mask {output} -o positions.csv")


@app.command("pupil")
def pupil(
    folder: Annotated[Path, typer.Argument(help="Folder that calibrate scan made.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Mask file to write (.tif).")],
    rig: Annotated[
        str | None,
        typer.Option("--rig", metavar="FILE", help="Rig file to write the alignment into."),
    ] = None,
    radius_um: RadiusUm = 0.05,
    passes: Annotated[int, typer.Option(min=1, help="Over all planes.")] = 60,
    side_px: SidePx = 61,
    zero_um: ZeroUm = 0.0,
    picture: ReportPage = None,
    as_json: Json = False,
) -> None:
    """Find where the pupil lies on the SLM, and the aberrations, from a z scan with a known mask.

    The mask must have structure, as a Tetrapod has. The mask file written is what the light got:
    mask and aberrations.

    Example: `dsacq calibrate pupil beads-1 --rig rig.toml -o psf.tif --report psf.png`
    """
    from calibration.finding import best_beads
    from calibration.result import Calibrated, calibrate_pupil, write_result
    from calibration.scan_files import MASK, files_of, is_scan, read_scan
    from calibration.z_scan import on_coverslip
    from dsacq.files.masks import read_mask
    from hardware.rig_file import read_rig
    from hardware.rig_file_edit import write_alignment

    _check_outputs(output, picture, *files_of(folder), own_file(rig))
    if not is_scan(folder):
        raise FileError(f"{folder}: is no z scan that calibrate scan made.")
    if not is_there(folder / MASK):
        raise SettingsError(f"{folder}: no mask was on the SLM; scan again with one.")
    rig_file = own_file(rig)
    settings = None if rig_file is None else read_rig(rig_file)
    whole = on_coverslip(read_scan(folder), zero_um)
    one = best_beads(whole, side_px, radius_um)
    mask = read_mask(folder / MASK, optics=whole.optics)
    with training_bar(passes, 0, "searching") as show:
        for item in calibrate_pupil(whole, one, mask, folder.name, passes):
            if isinstance(item, Calibrated):
                result = item
            else:
                show(passes * item.passes // item.of, f"chi-square {item.chi_square:.2f}")
    write_result(result, output, picture)
    for doubt in result.doubts:
        say(f"Warning: {doubt}")
    assert result.aligned is not None
    if settings is not None and rig_file is not None:
        write_alignment(rig_file, result.aligned.alignment, settings.pattern.carrier)
    if as_json:
        print_json({"file": output, "rig": rig_file} | result.quality())
        return
    say(result.summary)
    if rig_file is not None:
        say(f"Alignment written to {rig_file}.")


def _check_outputs(mask: Path, page: Path | None, *reads: Path | None) -> None:
    from dsacq.files.figures import check_figure
    from dsacq.files.masks import check_mask_file
    from dsacq.files.measured_psf import measured_file
    from dsacq.files.outputs import check_outputs

    check_mask_file(mask)
    check_figure(page)
    check_outputs(mask, measured_file(mask), page, reads=reads)


def focus_positions(text: str | None, positions: Path | None, count: int) -> "NDArray[np.float64]":
    """(K,) um, from --focus-um or --positions. Raises SettingsError or FileError."""
    import numpy as np

    if (text is None) == (positions is None):
        raise SettingsError("Give the focus of the planes, by --focus-um or by --positions.")
    if text is not None:
        first, last = focus_ends(text)
        return np.linspace(first, last, count)
    assert positions is not None
    try:
        listed: Any = np.loadtxt(positions, ndmin=1, dtype=np.float64)
    except (OSError, ValueError) as error:
        raise FileError(f"{positions}: no list of numbers, one per line ({error}).") from None
    if listed.ndim != 1 or len(listed) != count:
        raise FileError(
            f"{positions}: has {listed.size} positions, the stack {count} planes; they must agree."
        )
    return np.asarray(listed)


def focus_ends(text: str, option: str = "--focus-um") -> tuple[float, float]:
    """The two numbers of FIRST:LAST, um. Raises SettingsError."""
    parts = text.split(":")
    if len(parts) != 2:
        raise SettingsError(f"{option} {text}: expected two numbers, as in -2:2, in um.")
    first, last = (typed_number(part, f"{option} {text}") for part in parts)
    if first == last:
        raise SettingsError(f"{option} {text}: the two ends are the same.")
    return first, last
