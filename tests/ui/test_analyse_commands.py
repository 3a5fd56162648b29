"""`dsacq link`, `merge`, `filter`, `drift`, `resolution`, `render` and `motion`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from rig_samples import write_rig
from running import Run

from dsacq.data import Localizations
from dsacq.files.localizations import read_localizations, write_localizations


@pytest.fixture
def tracks(tmp_path: Path) -> Path:
    """Twenty emitters that diffuse for 60 frames, not linked."""
    draw = np.random.default_rng(1)
    start = draw.uniform([1, 1, 1], [9, 9, 3], size=(20, 1, 3))
    place = start + (draw.normal(size=(20, 60, 3)) * np.sqrt(2 * 0.01 * 0.1)).cumsum(1)
    place = place + draw.normal(size=place.shape) * 0.02
    _, frame = np.indices((20, 60)).reshape(2, -1)
    rows = place.reshape(-1, 3)
    write_localizations(_table(frame, rows), tmp_path / "moving.parquet")
    return tmp_path


@pytest.fixture
def structure(tmp_path: Path) -> Path:
    """Molecules on lines, seen again and again while the sample drifts."""
    draw = np.random.default_rng(2)
    lines = np.linspace(0, 6, 1500)[:, None] * draw.normal(size=(12, 1, 3)) * [1, 1, 0.1]
    places = (lines + draw.uniform(0, 6, size=(12, 1, 3)) * [1, 1, 0.3]).reshape(-1, 3)
    places = places[(places[:, :2] > 0).all(1) & (places[:, :2] < 6).all(1)]
    place = places[draw.integers(len(places), size=15_000)]
    frame = np.sort(draw.integers(2000, size=15_000))
    place = place + draw.normal(size=place.shape) * [0.01, 0.01, 0.02]
    place[:, 0] += 0.3 * frame / 2000
    write_localizations(_table(frame, place), tmp_path / "fixed.parquet")
    return tmp_path


def _table(frame: np.ndarray, place: np.ndarray) -> Localizations:
    return Localizations.from_columns(
        frame=frame,
        x_um=place[:, 0],
        y_um=place[:, 1],
        z_um=place[:, 2],
        photons=np.full(len(frame), 3000.0),
        sigma_x_um=np.full(len(frame), 0.02),
        sigma_y_um=np.full(len(frame), 0.02),
        sigma_z_um=np.full(len(frame), 0.02),
    )


def test_from_positions_to_diffusion(tracks: Path, dsacq: Run) -> None:
    linked = dsacq("link", "moving.parquet", "-o", "tracks.parquet", "--json")
    assert linked.code == 0, linked.err
    assert linked.json["tracks"] == pytest.approx(20, abs=2)
    moved = dsacq("motion", "tracks.parquet", "-o", "motion.png", "--exposure-ms", 0, "--json")
    assert moved.code == 0, moved.err
    rate = moved.json["diffusion_um2_per_s"]
    assert isinstance(rate, dict)
    assert rate["low"] <= 0.01 <= rate["high"]
    assert (tracks / "motion.png").stat().st_size > 10_000
    still = dsacq("motion", "tracks.parquet", "-o", "rigid.png", "--rigid")
    assert still.code == 0, still.err
    assert "turned by up to" in still.err
    assert "not linked" in dsacq.fails("motion", "moving.parquet", "-o", "m.png")
    assert "unknown kind" in dsacq.fails("link", "moving.parquet", "-o", "tracks.txt")


def test_the_time_between_frames_is_as_the_table_tells(tracks: Path, dsacq: Run) -> None:
    """Twice as long between frames, half the diffusion; linked tables tell how they were linked."""
    plain = read_localizations(tracks / "moving.parquet")
    slow = replace(plain, origin={"frame_interval_s": 0.2, "exposure_s": 0.001})
    write_localizations(slow, tracks / "slow.parquet")
    rates = {}
    for name, options in (("moving", ()), ("slow", ()), ("slow", ("--frame-interval-ms", 100))):
        linked = dsacq("link", f"{name}.parquet", "-o", "linked.parquet", *options)
        assert ("does not tell the time between frames" in linked.err) is (name == "moving")
        told = read_localizations(tracks / "linked.parquet").origin
        expected_s = 0.2 if name == "slow" and not options else 0.1
        assert told["link"]["frame_interval_s"] == expected_s
        exposed = ("--exposure-ms", 0) if name == "moving" else ()
        moved = dsacq("motion", "linked.parquet", "-o", "m.png", *options, *exposed, "--json")
        rates[name, len(options)] = moved.json["diffusion_um2_per_s"]["value"]  # type: ignore[index, call-overload]
    assert rates["slow", 0] == pytest.approx(rates["moving", 0] / 2, rel=0.05)
    assert rates["slow", 2] == pytest.approx(rates["moving", 0], rel=0.05)


def test_drift_is_found_and_taken_out(structure: Path, dsacq: Run) -> None:
    made = dsacq("drift", "fixed.parquet", "-o", "still.parquet", "--plot", "drift.png", "--json")
    assert made.code == 0, made.err
    span = made.json["span_nm"]
    assert isinstance(span, list)
    assert span[0] == pytest.approx(300, abs=15)
    rows = pd.read_csv(structure / "still.drift.csv")
    assert rows.columns.tolist() == ["frame", "x_um", "y_um", "z_um"]
    before = read_localizations(structure / "fixed.parquet").table
    after = read_localizations(structure / "still.parquet").table
    shift = (before["x_um"] - after["x_um"]).to_numpy()
    expected = np.interp(before["frame"], rows["frame"], rows["x_um"])
    assert shift == pytest.approx(expected, abs=2e-4)
    assert (structure / "drift.png").stat().st_size > 5_000
    told = dsacq("resolution", "still.parquet", "-o", "frc.png", "--json")
    assert told.code == 0, told.err
    assert "expected 4 numbers" in dsacq.fails("resolution", "still.parquet", "--line-um", "1,2")
    wrong = dsacq.fails("resolution", "still.parquet", "-o", "frc.docx")
    assert "figures are written as .png, .pdf, .svg" in wrong
    draw = np.random.default_rng(1)
    wire = np.column_stack((1 + draw.normal(size=3000) * 0.02, draw.uniform(0, 4, (3000, 2))))
    write_localizations(_table(np.arange(3000), wire), structure / "wire.parquet")
    crossed = dsacq("resolution", "wire.parquet", "--line-um", "0.8,2,1.2,2", "--json")
    assert crossed.json["fwhm_nm"] == pytest.approx(47, abs=10)
    blurred = dsacq("resolution", "fixed.parquet", "--json")
    assert told.json["resolution_nm"]["xy"] < 0.8 * blurred.json["resolution_nm"]["xy"]
    assert "expected numbers" in dsacq.fails(
        "drift", "fixed.parquet", "-o", "s.parquet", "--fiducials", "a"
    )


def test_pictures(structure: Path, dsacq: Run) -> None:
    picture = ("render", "fixed.parquet", "--pixel-nm", 20)
    assert dsacq(*picture, "-o", "p.png").code == 0
    with Image.open(structure / "p.png") as image:
        assert image.size[0] == pytest.approx(310, abs=20)
    region = ("--region-um", "1,1,3,2", "--depth-um", "0:1", "--method", "ash")
    assert dsacq(*picture, *region, "-o", "part.tif").code == 0
    assert tifffile.imread(structure / "part.tif").shape == (51, 101)
    assert dsacq(*picture, "--grey", "--plane", "xz", "-o", "side.rgb.tif").code == 0
    assert dsacq(*picture, "--slice-nm", 500, "-o", "v.ome.tif").code == 0
    assert tifffile.imread(structure / "v.ome.tif").ndim == 3
    assert "expected 4 numbers" in dsacq.fails(*picture, "--region-um", "1,2", "-o", "q.png")
    assert "expected one of" in dsacq.fails(*picture, "--method", "blobs", "-o", "q.png")
    assert "expected one of" in dsacq.fails(*picture, "--plane", "zz", "-o", "q.png")
    large = ("render", "fixed.parquet", "--pixel-nm", 0.1)
    assert "write an .rgb.tif" in dsacq.fails(*large, "-o", "q.png")
    assert not (structure / "q.png").exists()


def test_rows_are_merged_and_filtered(structure: Path, dsacq: Run) -> None:
    merged = dsacq("merge", "fixed.parquet", "-o", "merged.parquet", "--json")
    assert merged.code == 0, merged.err
    assert merged.json["after"] < merged.json["before"] == 15_000
    keep = ("filter", "fixed.parquet", "-o", "kept.parquet")
    made = dsacq(*keep, "--where", "x_um > 3 and frame < 1000", "--duplicates-nm", 5, "--json")
    assert made.code == 0, made.err
    kept = read_localizations(structure / "kept.parquet").table
    assert kept["x_um"].min() > 3
    assert kept["frame"].max() < 1000
    assert dsacq(*keep, "--density-um", 0.2, "--where", "density_per_um3 > 100").code == 0
    assert "no_such" in dsacq.fails(*keep, "--where", "no_such > 3")


def test_a_report_needs_no_other_file(tmp_path: Path, dsacq: Run) -> None:
    rig = write_rig(tmp_path)
    made = dsacq("live", "--rig", rig, "--frames", 6, "-o", "taken", "--json")
    assert made.code == 0, made.err
    rows = np.arange(24)
    place = np.random.default_rng(0).uniform(1, 4, size=(24, 3))
    table = Localizations(
        _table(rows // 4, place).table.assign(track=rows % 4), {"model": "by hand"}
    )
    write_localizations(table, tmp_path / "found.parquet")
    page = dsacq("report", "taken", "--table", "found.parquet", "-o", "taken.html")
    assert page.code == 0, page.err
    text = (tmp_path / "taken.html").read_text(encoding="utf-8")
    for told in ("6 written", "24 in found.parquet", "by hand", "All localizations", "Motion"):
        assert told in text
    assert text.count("data:image/png;base64") == 4
    assert 'src="http' not in text
    assert "is no recording" in dsacq.fails("report", tmp_path, "-o", "r.html")
    assert "ends in .html" in dsacq.fails("report", "taken", "-o", "r.pdf")


def test_other_programs_get_their_files(tracks: Path, dsacq: Run) -> None:
    assert dsacq("link", "moving.parquet", "-o", "tracks.parquet").code == 0
    made = dsacq("convert", "tracks.parquet", "tracks.xml", "--format", "trackmate")
    assert made.code == 0, made.err
    assert (tracks / "tracks.xml").read_text(encoding="utf-8").count("<particle") >= 19
    assert "not linked" in dsacq.fails("convert", "moving.parquet", "t.csv", "--format", "napari")
