"""dsacq calibrate."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsacq.errors import FileError, SettingsError
from dsacq.files.names import check_name
from ui.commands.rigs import screens
from ui.console import Json, outcome, print_json, say, tracked, training_bar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_BYTES = 2e9  # of frames held at once

RadiusUm = Annotated[float, typer.Option(min=0.0, help="Of the bead.")]
SidePx = Annotated[int, typer.Option(min=15, help="Square around a bead, in a scan of a field.")]
ZeroUm = Annotated[float, typer.Option(help="Focus stage where the coverslip is in focus.")]
ReportPage = Annotated[
    Path | None, typer.Option("--report", help="Page to judge the result by (.png or .pdf).")
]

app = typer.Typer(help="Measure the microscope's PSF.", no_args_is_help=True)


@app.command("scan")
def scan(
    rig_file: Annotated[Path, typer.Option("--rig", help="Rig file (TOML).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")],
    focus_um: Annotated[
        str, typer.Option(metavar="FIRST:LAST", help="Positions of the focus stage, um.")
    ],
    step_um: Annotated[float, typer.Option(help="Between planes.")] = 0.1,
    frames: Annotated[int, typer.Option(help="Added up in each plane.")] = 5,
    as_json: Json = False,
) -> None:
    """Take images of beads at many positions of the focus, with the rig file's mask and lasers.

    Example: `dsacq calibrate scan --rig rig.toml --focus-um -2:2 -o beads-1`
    """
    from calibration.z_scan import ZScanSettings, write_scan, z_scan
    from dsacq.simulation.settings import chosen_mask
    from hardware.rig import open_rig
    from hardware.rig_file import read_rig

    check_name(output)
    if output.exists():
        raise FileError(f"{output}: exists already; name a folder that does not.")
    first, last = _ends(focus_um)
    settings = ZScanSettings(
        first_um=min(first, last), last_um=max(first, last), step_um=step_um, frames=frames
    )
    planes = []
    with ExitStack() as stack:
        rig = stack.enter_context(open_rig(read_rig(rig_file), screens(stack)))
        used = rig.settings.use.mask
        if used is not None:
            rig.show(chosen_mask(used, rig.optics, rig_file.parent))
        with tracked(len(settings.positions_um), "scanning") as advance:
            for plane in z_scan(rig, settings):
                planes.append(plane)
                advance()
        write_scan(rig, planes, settings, output)
    if as_json:
        print_json({"folder": output, "planes": len(planes)})
    else:
        say(f"{len(planes)} planes written to {output}; now: dsacq calibrate beads {output}")


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
    from calibration.z_scan import is_scan, on_coverslip, read_scan
    from dsacq.files.movies import open_movie
    from dsacq.physics.optics_file import USUAL_PSF, read_optics

    check_name(output)
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
    say(f"Phase written to {output}; set blur_px = {result.found.blur_px:.2f} in [psf].")


@app.command("pupil")
def pupil(
    folder: Annotated[Path, typer.Argument(help="Folder that calibrate scan made.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Mask file to write (.tif).")],
    rig_file: Annotated[
        Path | None, typer.Option("--rig", help="Rig file to write the alignment into.")
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
    from calibration.z_scan import MASK, is_scan, on_coverslip, read_scan
    from dsacq.files.masks import read_mask
    from hardware.rig_file import read_rig
    from hardware.rig_file_edit import write_alignment

    check_name(output)
    if not is_scan(folder):
        raise FileError(f"{folder}: is no z scan that calibrate scan made.")
    if not (folder / MASK).exists():
        raise SettingsError(f"{folder}: no mask was on the SLM; scan again with one.")
    rig = None if rig_file is None else read_rig(rig_file)
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
    if rig is not None and rig_file is not None:
        write_alignment(rig_file, result.aligned.alignment, rig.pattern.carrier)
    if as_json:
        print_json({"file": output, "rig": rig_file} | result.quality())
        return
    say(result.summary)
    if rig_file is not None:
        say(f"Alignment written to {rig_file}.")


@app.command("precision")
def precision(
    psf: Annotated[Path, typer.Argument(help="Mask file that calibrate beads or pupil wrote.")],
    rig_file: Annotated[Path, typer.Option("--rig", help="Rig file (TOML).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Page to write (.png or .pdf).")],
    focus_um: Annotated[
        str, typer.Option(metavar="FIRST:LAST", help="Positions of the focus stage, um.")
    ],
    step_um: Annotated[float, typer.Option(help="Between positions.")] = 0.25,
    frames: Annotated[int, typer.Option(help="At each position.")] = 50,
    radius_um: RadiusUm = 0.05,
    side_px: SidePx = 61,
    as_json: Json = False,
) -> None:
    """Localize a bead again and again at each focus: spread against the Cramer-Rao bound, and bias.

    Example: `dsacq calibrate precision psf.tif --rig rig.toml --focus-um=-1.5:1.5 -o precision.png`
    """
    import numpy as np

    from calibration.finding import usable_beads
    from calibration.precision import held_bead, localized, precision_page
    from calibration.result import measured_model
    from calibration.z_scan import ZScanSettings, scan_of, z_scan
    from dsacq.files.masks import read_mask
    from dsacq.physics.camera import IdealCamera
    from dsacq.simulation.settings import chosen_mask
    from hardware.rig import open_rig
    from hardware.rig_file import read_rig

    settings = read_rig(rig_file)
    mask = read_mask(psf, optics=settings.optics)
    model = measured_model(psf, settings.psf)
    first, last = _ends(focus_um)
    wanted = ZScanSettings(
        first_um=min(first, last), last_um=max(first, last), step_um=step_um, frames=frames
    )
    planes = []
    with ExitStack() as stack:
        rig = stack.enter_context(open_rig(settings, screens(stack)))
        roi, count = rig.camera.roi, len(wanted.positions_um) * frames
        if 4 * count * roi.width * roi.height > _MOST_BYTES:
            raise SettingsError(
                f"{count} frames of {roi.width} x {roi.height} pixels are too many to be held; "
                "choose a smaller region of the camera, or fewer frames."
            )
        if settings.use.mask is not None:
            rig.show(chosen_mask(settings.use.mask, rig.optics, rig_file.parent))
        with tracked(len(wanted.positions_um), "scanning") as advance:
            for plane in z_scan(rig, wanted, keep_frames=True):
                planes.append(plane)
                advance()
        scan, noise = scan_of(rig, planes, wanted), rig.noise() or IdealCamera()
    held = held_bead(planes, usable_beads(scan, side_px)[0], side_px)
    fits = localized(held, mask, scan.optics, model, noise, radius_um)
    with tracked(len(held), "localizing") as advance:
        found = outcome(fits, lambda _: advance())
    ratio = np.median([one.ratio for one in found], axis=0).tolist()
    bias_nm = [1e3 * float(max(abs(one.bias_um[axis]) for one in found)) for axis in range(3)]
    told = (
        f"Spread over bound, median: x {ratio[0]:.2f}, y {ratio[1]:.2f}, z {ratio[2]:.2f}; largest "
        f"bias: x {bias_nm[0]:.1f}, y {bias_nm[1]:.1f}, z {bias_nm[2]:.1f} nm."
    )
    precision_page(found, output, f"{psf.name}: {told}")
    if as_json:
        print_json(
            {
                "file": output,
                "focus_um": [one.focus_um for one in found],
                "std_nm": [(1e3 * one.std_um).tolist() for one in found],
                "bound_nm": [(1e3 * one.bound_um).tolist() for one in found],
                "bias_nm": [(1e3 * one.bias_um).tolist() for one in found],
                "photons": [one.photons for one in found],
                "median_ratio": ratio,
                "largest_bias_nm": bias_nm,
            }
        )
        return
    say(told)
    say(f"Page written to {output}.")


def focus_positions(text: str | None, positions: Path | None, count: int) -> "NDArray[np.float64]":
    """(K,) um, from --focus-um or --positions. Raises SettingsError or FileError."""
    import numpy as np

    if (text is None) == (positions is None):
        raise SettingsError("Give the focus of the planes, by --focus-um or by --positions.")
    if text is not None:
        first, last = _ends(text)
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


def _ends(text: str) -> tuple[float, float]:
    try:
        first, last = (float(part) for part in text.split(":"))
    except ValueError:
        raise SettingsError(
            f"--focus-um {text}: expected two numbers, as in -2:2, in um."
        ) from None
    if first == last:
        raise SettingsError(f"--focus-um {text}: the two ends are the same.")
    return first, last
