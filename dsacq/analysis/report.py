"""One page on a recording, for a notebook or a colleague: an HTML file that needs no other."""

import base64
import html
import io
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dsacq.analysis.motion_picture import motion_figure, motion_report
from dsacq.analysis.rendering import render
from dsacq.analysis.rendering_colours import coloured
from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.files.atomic import write_atomically
from dsacq.files.change_remarks import change_remarks
from dsacq.files.localizations import read_localizations
from dsacq.files.movies import Movie, open_movie
from dsacq.files.paths import is_there
from dsacq.files.recording import LOCALIZATIONS, Facts, changes_of, is_recording, read_facts
from dsacq.version import software

_EXAMPLES = 3
_COLUMNS = ("photons", "background", "z_um", "sigma_x_um", "sigma_z_um")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em;
  color: #222 }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd }
table { border-collapse: collapse } td { padding: 2px 14px 2px 0; vertical-align: top }
td:first-child { color: #777 } img { max-width: 100% } .warn { color: #a60 }
"""


def recording_report(folder: Path, table: Path | None, output: Path) -> Generator[str]:
    """Write the page; yields what is being drawn.

    table: localizations in place of those beside the recording. Raises FileError.
    """
    if not is_recording(folder):
        raise FileError(f"{folder}: is no recording of dsacq.")
    facts = read_facts(folder)
    own = folder / LOCALIZATIONS
    chosen = table if table is not None else own if is_there(own, Path.is_file) else None
    found = None if chosen is None else read_localizations(chosen)
    remarks = change_remarks(changes_of(folder, facts))
    parts = [
        f"<h1>{html.escape(folder.name)}</h1>",
        _overview(facts, found, chosen),
        _warned(remarks),
    ]
    yield "frames"
    with open_movie(folder) as movie:
        interval_s = movie.metadata.get("interval_s") or facts.exposure_s or 0.1
        parts.append(_frames(movie, found, facts))
    if found is not None and len(found):
        yield "picture"
        parts.append(_picture(found))
        yield "histograms"
        parts.append(_histograms(found))
        if "track" in found.table.columns:
            yield "motion"
            parts.append(_motion(found, interval_s, facts.exposure_s or None))
    parts.append(_about(facts))
    title = html.escape(f"{folder.name}, dsacq")
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>"
    )
    write_atomically(output, page.encode(errors="backslashreplace"))


def _overview(facts: Facts, found: Localizations | None, chosen: Path | None) -> str:
    frames = facts.frames
    lost = frames.lost_in_core + frames.lost_in_camera
    rows = {
        "started": facts.started,
        "ended": facts.ended or "it did not end properly",
        "state": facts.state + (f": {facts.reason}" if facts.reason else ""),
        "frames": f"{frames.written} written, {frames.analysed} localized live, {lost} lost",
        "size": f"{facts.shape_px[1]} x {facts.shape_px[0]} pixels"
        + (f" of {1e3 * facts.pixel_um:.0f} nm" if facts.pixel_um else ""),
        "exposure": f"{1e3 * facts.exposure_s:g} ms",
    }
    if facts.frame_interval_s:
        rows["frame interval"] = f"{1e3 * facts.frame_interval_s:.4g} ms, by the frames' times"
    if found is not None and chosen is not None:
        rows["localizations"] = f"{len(found)} in {chosen.name}"
        if "track" in found.table.columns:
            rows["tracks"] = str(found.table["track"].nunique())
        model = found.origin.get("model")
        if model:
            rows["model"] = str(model)
    rows["software"] = f"recorded by {facts.software}, reported by {software()}"
    warning = f'<p class="warn">{lost} frames were lost.</p>' if lost else ""
    return warning + _table(rows)


def _warned(remarks: list[str]) -> str:
    return "".join(f'<p class="warn">{html.escape(one)}</p>' for one in remarks)


def _frames(movie: Movie, found: Localizations | None, facts: Facts) -> str:
    numbers = np.unique(np.linspace(0, len(movie) - 1, _EXAMPLES).round().astype(int))
    figure = Figure(figsize=(11, 4), layout="constrained")
    for axes, number in zip(
        figure.subplots(1, len(numbers), squeeze=False)[0], numbers, strict=True
    ):
        pixels = movie.frame(int(number))
        low, high = np.percentile(pixels, (1, 99.8))
        axes.imshow(pixels, cmap="gray", vmin=low, vmax=high)
        if found is not None and facts.pixel_um:
            here = found.table[found.table["frame"] == number]
            place = here[["x_um", "y_um"]].to_numpy() / facts.pixel_um - 0.5
            axes.plot(*place.T, "o", ms=7, mfc="none", mec="#ffb454", mew=0.8)
        axes.set_title(f"frame {number}", fontsize=9)
        axes.set_axis_off()
    told = "Circles are localizations." if found is not None else ""
    return f"<h2>Frames</h2>{_image(figure)}<p>{told}</p>"


def _picture(found: Localizations) -> str:
    span = float(np.ptp(found.positions_um()[:, :2], axis=0).max())
    pixel_um = max(span / 900, 0.005)
    try:
        image = coloured(render(found, pixel_um))
    except SettingsError as error:
        return f"<h2>All localizations</h2><p>{html.escape(str(error))}</p>"
    from PIL import Image

    with io.BytesIO() as file:
        Image.fromarray(image).save(file, format="PNG")
        told = _embedded(file.getvalue())
    return f"<h2>All localizations</h2>{told}<p>Pixels of {1e3 * pixel_um:.0f} nm.</p>"


def _histograms(found: Localizations) -> str:
    names = [name for name in _COLUMNS if np.isfinite(found.table[name]).any()]
    if not names:
        return ""
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        values = found.table[name].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, (0.5, 99.5))
        axes.hist(values, 60, range=(low, max(high, low + 1e-9)))
        axes.set_xlabel(name)
        axes.set_title(f"median {np.median(values):.4g}", fontsize=9)
    return f"<h2>Photons, depth and precision</h2>{_image(figure)}"


def _motion(found: Localizations, interval_s: float, exposure_s: float | None) -> str:
    # No exposure is longer than the time between frames: a table may be of another movie.
    exposed_s = None if exposure_s is None else min(exposure_s, interval_s)
    try:
        report = motion_report(found, interval_s, exposure_s=exposed_s)
    except SettingsError as error:
        return f"<h2>Motion</h2><p>{html.escape(str(error))}</p>"
    return f"<h2>Motion</h2>{_image(motion_figure(report))}"


def _about(facts: Facts) -> str:
    return f"<h2>Settings</h2>{_table(_flat(facts.about))}" if facts.about else ""


def _flat(values: dict[str, Any], before: str = "") -> dict[str, str]:
    rows: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            rows |= _flat(value, f"{before}{name}.")
        elif value is not None and not (isinstance(value, list) and len(value) > 20):
            rows[before + name] = str(value)
    return rows


def _table(rows: dict[str, str]) -> str:
    cells = (
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{''.join(cells)}</table>"


def _image(figure: Figure) -> str:
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=100)
        return _embedded(file.getvalue())


def _embedded(png: bytes) -> str:
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
