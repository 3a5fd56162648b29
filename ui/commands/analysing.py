"""dsacq link, merge, filter, drift, resolution, render, motion."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsacq.errors import FileError, SettingsError
from ui.commands.tables import PixelUm
from ui.console import Json, outcome, print_json, say, training_bar
from ui.typed import typed_numbers

if TYPE_CHECKING:
    from dsacq.data import Localizations

TableFile = Annotated[Path, typer.Argument(metavar="TABLE", help="Localizations.")]
Output = Annotated[
    Path, typer.Option("-o", "--output", help="Table to write: .parquet, .csv or .hdf5")
]

IntervalMs = Annotated[
    float | None,
    typer.Option(min=1e-3, help="Frame to frame; default: as the table tells, else 100."),
]
_USUAL_INTERVAL_S = 0.1


def link(
    table: TableFile,
    output: Output,
    frame_interval_ms: IntervalMs = None,
    diffusion_um2_per_s: Annotated[
        float, typer.Option(min=0.0, help="Of the fastest emitters.")
    ] = 0.01,
    largest_step_um: Annotated[float, typer.Option(min=1e-4, help="Within a track.")] = 0.5,
    memory_frames: Annotated[
        int, typer.Option(min=0, help="In a row, that an emitter may be missed in.")
    ] = 4,
    pixel_um: PixelUm = None,
    as_json: Json = False,
) -> None:
    """Join localizations of consecutive frames into tracks: the column `track`.

    Example: `dsacq link positions.parquet -o tracks.parquet --frame-interval-ms 50`
    """
    from dsacq.analysis.link import LinkSettings
    from dsacq.analysis.link import link as linked
    from dsacq.data import Localizations

    found = _read(table, output, pixel_um)
    interval_s, remark = _interval_s(frame_interval_ms, found)
    settings = LinkSettings(
        diffusion_um2_per_s=diffusion_um2_per_s,
        frame_interval_s=interval_s,
        largest_step_um=largest_step_um,
        memory_frames=memory_frames,
    )
    origin = found.origin | {"link": asdict(settings)}
    done = Localizations.joined(linked([found], settings), origin)
    _write(done, output, pixel_um)
    tracks = int(done.table["track"].nunique()) if len(done) else 0
    if remark:
        say(remark)
    if as_json:
        print_json({"output": output, "localizations": len(done), "tracks": tracks})
    else:
        say(f"{len(done)} localizations in {tracks} tracks written to {output}.")


def merge(
    table: TableFile,
    output: Output,
    largest_step_nm: Annotated[float, typer.Option(min=0.1, help="Frame to frame.")] = 80.0,
    memory_frames: Annotated[int, typer.Option(min=0, help="Dark ones within a blink.")] = 1,
    pixel_um: PixelUm = None,
    as_json: Json = False,
) -> None:
    """One localization in place of those of a molecule that shines over consecutive frames.

    Example: `dsacq merge positions.parquet -o molecules.parquet`
    """
    from dsacq.analysis.merging import merged

    found = _read(table, output, pixel_um)
    done = merged(found, largest_step_um=largest_step_nm / 1e3, memory_frames=memory_frames)
    _write(done, output, pixel_um)
    if as_json:
        print_json({"output": output, "before": len(found), "after": len(done)})
    else:
        say(f"{len(found)} localizations became {len(done)}, written to {output}.")


def filter_rows(
    table: TableFile,
    output: Output,
    where: Annotated[
        str | None,
        typer.Option(help='Condition on columns, such as "photons > 2000 and sigma_z_um < 0.05".'),
    ] = None,
    duplicates_nm: Annotated[
        float | None,
        typer.Option(help="Of those in a frame closer than this, only the surest stays."),
    ] = None,
    density_um: Annotated[
        float | None,
        typer.Option(help="Add the column density_per_um3, of neighbours within this radius."),
    ] = None,
    pixel_um: PixelUm = None,
    as_json: Json = False,
) -> None:
    """Keep the localizations that fulfil a condition.

    Example: `dsacq filter positions.parquet -o good.parquet --where "photons > 2000"`
    """
    from dsacq.analysis.merging import local_density, without_duplicates
    from dsacq.analysis.row_filter import parsed, passing
    from dsacq.data import Localizations

    found = done = _read(table, output, pixel_um)
    if where is None and duplicates_nm is None and density_um is None:
        raise SettingsError("Give --where, --duplicates-nm or --density-um; else nothing is done.")
    if duplicates_nm is not None:
        done = without_duplicates(done, duplicates_nm / 1e3)
    if density_um is not None:
        density = local_density(done, density_um)
        done = Localizations(done.table.assign(density_per_um3=density), done.origin)
    if where is not None:
        rows = passing(done.table, parsed(where, done.table.columns))
        done = Localizations(done.table.iloc[rows].reset_index(drop=True), done.origin)
    _write(done, output, pixel_um)
    if as_json:
        print_json({"output": output, "before": len(found), "after": len(done)})
    else:
        say(f"{len(done)} of {len(found)} localizations written to {output}.")


def drift(
    table: TableFile,
    output: Output,
    fiducials: Annotated[
        str | None, typer.Option(metavar="TRACK,...", help="Follow these tracks instead.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Drift over frames (.png or .pdf).")
    ] = None,
    pixel_um: PixelUm = None,
    as_json: Json = False,
) -> None:
    """Find the drift of the sample in the localizations themselves, and take it out.

    The drift lies beside the table, as OUTPUT.drift.csv: to look at, or to add back.
    Example: `dsacq drift positions.parquet -o still.parquet --plot drift.png`
    """
    import numpy as np
    import pandas as pd

    from dsacq.analysis.drift import corrected, drift_picture, estimate_drift, fiducial_drift
    from dsacq.files.atomic import replacing
    from dsacq.files.figures import check_figure

    check_figure(picture)
    beside = output.with_suffix(".drift.csv")
    found = _read(table, output, pixel_um, beside, picture)
    if fiducials is not None:
        try:
            tracks = [int(part) for part in fiducials.split(",")]
        except ValueError:
            raise SettingsError(f"--fiducials {fiducials}: expected numbers, as in 3,17.") from None
        drifted = fiducial_drift(found, tracks)
    else:
        work = estimate_drift(found)
        with training_bar(100, 0, "following") as show:
            drifted = outcome(work, lambda percent: show(percent, ""))
    _write(corrected(found, drifted), output, pixel_um)
    frames = drifted.first_frame + np.arange(len(drifted.drift_um))
    rows = pd.DataFrame({"frame": frames} | dict(zip(_DRIFTS, drifted.drift_um.T, strict=True)))
    with replacing(beside) as unfinished:
        rows.to_csv(unfinished, index=False, float_format="%.5f")
    if picture is not None:
        drift_picture(drifted, picture)
    span_nm = (1e3 * np.ptp(drifted.drift_um, axis=0)).round(1).tolist()
    if as_json:
        print_json({"output": output, "span_nm": span_nm})
    else:
        told = ", ".join(f"{name} {span:.0f}" for name, span in zip("xyz", span_nm, strict=True))
        say(f"The sample drifted over {told} nm; corrected table written to {output}.")


_DRIFTS = ("x_um", "y_um", "z_um")


def resolution(
    table: TableFile,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Figure (.png or .pdf).")
    ] = None,
    pixel_nm: Annotated[float, typer.Option(min=0.1, help="A quarter of the precision.")] = 5.0,
    line_um: Annotated[
        str | None,
        typer.Option(metavar="X,Y,X,Y", help="Also the width of what a line crosses."),
    ] = None,
    line_width_um: Annotated[float, typer.Option(min=0.001, help="Averaged across it.")] = 0.2,
    pixel_um: PixelUm = None,
    as_json: Json = False,
) -> None:
    """Fourier ring correlation in xy, xz and yz: the resolution of a picture of the localizations.

    Correct drift before; link or merge, so that views of one molecule do not count as structure.
    Example: `dsacq resolution still.parquet -o frc.png`
    """
    from dsacq.analysis.resolution import PLANES, line_profile, ring_correlation, rings_picture
    from dsacq.files.figures import check_figure

    check_figure(output)
    found = _read_for((output,), table, pixel_um)
    results = [ring_correlation(found, plane, pixel_nm / 1e3) for plane in PLANES]
    if output is not None:
        rings_picture(results, output)
    told = {one.plane: round(1e3 * one.resolution_um, 2) for one in results}
    line = None
    if line_um is not None:
        left, top, right, bottom = typed_numbers(line_um, ",", 4, "--line-um")
        line = line_profile(found, (left, top), (right, bottom), line_width_um)
    if as_json:
        width = {} if line is None else {"fwhm_nm": 1e3 * line.fwhm_um}
        print_json({"resolution_nm": told} | width)
        return
    for plane, value in told.items():
        typer.echo(f"{plane}  {value:7.1f} nm")
    if line is not None:
        error = 1e3 * line.fwhm_error_um
        typer.echo(f"full width at half maximum  {1e3 * line.fwhm_um:.1f} +- {error:.1f} nm")


def render(
    table: TableFile,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help=".png colour, .tif counts, .rgb.tif, .ome.tif volume."),
    ],
    pixel_nm: Annotated[float, typer.Option(min=0.1)] = 10.0,
    method: Annotated[str, typer.Option(help="gaussian (by precision), ash or histogram.")] = (
        "gaussian"
    ),
    plane: Annotated[str, typer.Option(help="xy, xz or yz.")] = "xy",
    region_um: Annotated[str | None, typer.Option(metavar="L,T,R,B", help="In that plane.")] = None,
    depth_um: Annotated[
        str | None, typer.Option(metavar="LOW:HIGH", help="Shown in colour, by default most.")
    ] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Without depth.")] = False,
    slice_nm: Annotated[float, typer.Option(min=1.0, help="Of a volume.")] = 50.0,
    pixel_um: PixelUm = None,
) -> None:
    """A picture of localizations: depth as colour, density as brightness. TIFFs are of any size.

    Example: `dsacq render still.parquet -o picture.png --pixel-nm 10`
    """
    from typing import cast

    from dsacq.analysis.rendering import render as rendered
    from dsacq.analysis.rendering import render_volume, write_in_bands
    from dsacq.analysis.rendering_picture import Method

    found = _read_for((output,), table, pixel_um)
    chosen = cast(Method, method)
    if output.name.lower().endswith(".ome.tif"):
        count = render_volume(found, output, pixel_nm / 1e3, slice_nm / 1e3, chosen)
        say(f"{count} slices written to {output}.")
        return
    region = depth = None
    if region_um is not None:
        left, top, right, bottom = typed_numbers(region_um, ",", 4, "--region-um")
        region = left, top, right, bottom
    if depth_um is not None:
        low, high = typed_numbers(depth_um, ":", 2, "--depth-um")
        depth = low, high
    picture = rendered(
        found,
        pixel_nm / 1e3,
        method=chosen,
        plane=plane,
        depth=not grey,
        region_um=region,
        depth_range_um=depth,
    )
    with training_bar(100, 0, "drawing") as show:
        for percent in write_in_bands(picture, output):
            show(percent, "")
    rows, columns = picture.shape
    say(f"{columns} x {rows} pixels written to {output}.")


def _interval_s(given_ms: float | None, found: "Localizations") -> tuple[float, str]:
    """From one frame to the next: as given, as the table tells, or the usual one, with a remark."""
    if given_ms is not None:
        return given_ms / 1e3, ""
    if told := _told(found, "frame_interval_s"):
        return told, ""
    return _USUAL_INTERVAL_S, (
        f"Remark: the table does not tell the time between frames; {1e3 * _USUAL_INTERVAL_S:g} ms "
        "are taken, unless you give --frame-interval-ms."
    )


def _told(found: "Localizations", name: str) -> float | None:
    """A time that a table tells, if it tells one."""
    value = found.origin.get(name)
    return float(value) if isinstance(value, int | float) and 0 < value < math.inf else None


def motion(
    table: TableFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Figure (.png or .pdf).")],
    frame_interval_ms: IntervalMs = None,
    exposure_ms: Annotated[
        float | None, typer.Option(min=0.0, help="Within it; default: as told, or all of it.")
    ] = None,
    rigid: Annotated[
        bool, typer.Option("--rigid", help="Take out the motion of all together, as of a nucleus.")
    ] = False,
    pixel_um: PixelUm = None,
    as_json: Json = False,
) -> None:
    """Diffusion, exponent, confinement and jumps of tracks; errors and exposure accounted for.

    Example: `dsacq motion tracks.parquet -o motion.png --frame-interval-ms 50 --rigid`
    """
    from dsacq.analysis.motion_picture import motion_picture, motion_report
    from dsacq.analysis.rigid_motion import rigid_motion
    from dsacq.files.figures import check_figure

    check_figure(output)
    found = _read_for((output,), table, pixel_um)
    turned = None
    if rigid:
        turned, found = rigid_motion(found)
    interval_s, remark = _interval_s(frame_interval_ms, found)
    exposure_s = None if exposure_ms is None else exposure_ms / 1e3
    if exposure_ms is None and (told := _told(found, "exposure_s")):
        exposure_s = min(told, interval_s)
    report = motion_report(found, interval_s, exposure_s=exposure_s, rigid=turned)
    motion_picture(report, output)
    if remark:
        say(remark)
    if as_json:
        print_json({"file": output} | report.told())
    else:
        say(report.summary)


def report(
    folder: Annotated[Path, typer.Argument(metavar="RECORDING", help="Folder of a recording.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Page to write (.html).")],
    table: Annotated[
        Path | None, typer.Option(help="Localizations, in place of those beside the recording.")
    ] = None,
) -> None:
    """One page on a recording: settings, counters, frames, a picture, histograms, motion.

    Example: `dsacq report nucleus-1 -o nucleus-1.html`
    """
    from dsacq.analysis.report import recording_report
    from dsacq.files.outputs import check_outputs

    if output.suffix.lower() not in (".html", ".htm"):
        raise FileError(f"{output}: a report's name ends in .html.")
    check_outputs(output, reads=(folder, table))
    with training_bar(4, 0, "reporting") as show:
        for number, what in enumerate(recording_report(folder, table, output)):
            show(number, what)
    say(f"Report written to {output}.")


def _read(
    table: Path, output: Path, pixel_um: float | None, *others: Path | None
) -> "Localizations":
    """The table, once its result can be written to output. others: that are written, too."""
    from dsacq.files.localizations import check_table, table_files

    check_table(output)
    return _read_for((*table_files(output), *others), table, pixel_um)


def _read_for(
    outputs: tuple[Path | None, ...], table: Path, pixel_um: float | None
) -> "Localizations":
    """The table, once those files can be written."""
    from dsacq.files.localizations import read_localizations, table_files
    from dsacq.files.outputs import check_outputs

    check_outputs(*outputs, reads=table_files(table))
    return read_localizations(table, pixel_um=pixel_um)


def _write(table: "Localizations", output: Path, pixel_um: float | None) -> None:
    from dsacq.files.localizations import write_localizations

    write_localizations(table, output, pixel_um=pixel_um)
