"""dsacq calibrate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsacq.errors import FileError, SettingsError
from ui.console import Json, print_json, say, training_bar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

app = typer.Typer(help="Measure the microscope's PSF.", no_args_is_help=True)


@app.command("beads")
def beads(
    stack: Annotated[Path, typer.Argument(help="Images of one bead, a plane per focus position.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Mask file to write (.tif).")],
    optics: Annotated[Path, typer.Option(help="Optics file (TOML); its [psf] is the model.")],
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
    radius_um: Annotated[float, typer.Option(min=0.0, help="Of the bead.")] = 0.05,
    passes: Annotated[int, typer.Option(min=1, help="Over all planes.")] = 240,
    picture: Annotated[
        Path | None, typer.Option("--report", help="Page to judge the result by (.png or .pdf).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Retrieve the phase in the pupil from a bead's z scan.

    Both directions of the focus are tried, and it is told when the other one fits better.

    Example: `dsacq calibrate beads scan.tif --optics rig.toml --focus-um -2:2 -o psf.tif`
    """
    import numpy as np

    from calibration.beads import doubts, require_usable, retrieve_checked
    from calibration.report import report
    from calibration.retrieve import BeadScan, RetrieveSettings
    from dsacq.files.masks import write_mask
    from dsacq.files.movies import open_movie
    from dsacq.physics.optics_file import read_optics

    known = read_optics(optics)
    with open_movie(stack) as movie:
        planes = np.stack([plane for _, plane in movie.frames()]).astype(np.float64)
    scan = BeadScan(
        planes=planes,
        focus_um=_focus(focus_um, positions, len(planes)),
        counts_per_photon=counts_per_photon,
        radius_um=radius_um,
    )
    require_usable(scan)
    # As fine as 100 samples across the pupil; the mask's own pitch where that is coarser.
    pitch_um = max(known.optics.pupil_diameter_um / 100, known.optics.mask_pixel_um)
    settings = RetrieveSettings(passes=passes, pupil_pixel_um=pitch_um)
    search = retrieve_checked(scan, known.optics, known.psf, settings)
    progress = next(search)
    with training_bar(progress.of, 0) as show:
        while True:
            try:
                progress = next(search)
            except StopIteration as end:
                found, other_way = end.value
                break
            show(progress.passes, f"chi-square {progress.chi_square:.2f}")
    write_mask(found.mask, output)
    correlation = float(np.median(found.correlation))
    told = (
        f"Median correlation {correlation:.4f}, lowest {found.correlation.min():.4f}; chi-square "
        f"{found.chi_square:.2f}; blur {found.blur_px:.2f} px; the focus the other way: "
        f"{other_way:.2f} times this chi-square."
    )
    if picture is not None:
        report(found, scan, picture, f"{stack.name}: {told}")
    doubted = doubts(found, other_way)
    for doubt in doubted:
        say(f"Warning: {doubt}")
    if as_json:
        print_json(
            {
                "file": output,
                "median_correlation": correlation,
                "lowest_correlation": float(found.correlation.min()),
                "median_residual": float(np.median(found.residual)),
                "chi_square": found.chi_square,
                "blur_px": found.blur_px,
                "other_direction_chi_square_ratio": other_way,
                "doubts": doubted,
            }
        )
        return
    say(told)
    say(f"Phase written to {output}; set blur_px = {found.blur_px:.2f} in [psf].")


def _focus(text: str | None, positions: Path | None, count: int) -> "NDArray[np.float64]":
    import numpy as np

    if (text is None) == (positions is None):
        raise SettingsError("Give the focus of the planes, by --focus-um or by --positions.")
    if text is not None:
        try:
            first, last = (float(part) for part in text.split(":"))
        except ValueError:
            raise SettingsError(
                f"--focus-um {text}: expected two numbers, as in -2:2, in um."
            ) from None
        if first == last:
            raise SettingsError(f"--focus-um {text}: the two ends are the same.")
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
