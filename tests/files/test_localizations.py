"""Round trips through every format, and what the formats of others mean."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dsacq.data import COLUMNS, POSITION, Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.files.localizations import (
    FORMATS,
    format_of,
    read_localizations,
    write_localizations,
)
from dsacq.files.picasso import UNKNOWN_PRECISION_PX

UNKNOWN = st.just(math.nan)
LENGTH = st.floats(-1e3, 1e3, width=32, allow_subnormal=False)
SIGMA = st.floats(2**-20, 10, width=32)
AMOUNT = st.floats(0, 2.0**20, width=32, allow_subnormal=False)
NAMES = ["a.parquet", "a.csv", "a.thunderstorm.csv", "a.hdf5"]


def column(rows: int, values: st.SearchStrategy[float]) -> st.SearchStrategy[list[float]]:
    """Wholly unknown, or known here and there."""
    known = st.lists(st.one_of(values, UNKNOWN), min_size=rows, max_size=rows)
    return st.one_of(st.just([math.nan] * rows), known)


@st.composite
def tables(draw: st.DrawFn) -> Localizations:
    rows = draw(st.integers(0, 8))

    def each(values: st.SearchStrategy[float]) -> list[float]:
        return draw(st.lists(values, min_size=rows, max_size=rows))

    columns = {name: each(LENGTH) for name in POSITION}
    columns |= {name: draw(column(rows, AMOUNT)) for name in ("photons", "background")}
    columns |= {f"sigma_{axis}_um": draw(column(rows, SIGMA)) for axis in "xyz"}
    columns["probability"] = draw(column(rows, st.floats(0, 1, width=32, allow_subnormal=False)))
    if draw(st.booleans()):
        columns["track"] = each(st.integers(0, 2**31 - 1))
    if draw(st.booleans()):
        columns["chi2"] = each(st.floats(-1e9, 1e9, allow_subnormal=False))
        columns["detections"] = each(st.integers(-(2**40), 2**40))
    words = st.text(max_size=5)
    origin = {
        "pixel_um": draw(st.floats(0.01, 1)),
        "frames": draw(st.integers(1, 10**6)),
        "shape_px": [draw(st.integers(1, 4096)), draw(st.integers(1, 4096))],
        "settings": draw(st.dictionaries(words, st.one_of(st.none(), words, st.floats(-1, 1)))),
    }
    frame = each(st.integers(0, 2**32 - 2))
    return Localizations.from_columns(
        origin, frame=frame, **{name: np.array(values) for name, values in columns.items()}
    )


def sample(**changed: Any) -> Localizations:
    columns: dict[str, Any] = {
        "frame": [0, 7],
        "x_um": [1.0, 2.5],
        "y_um": [3.0, 0.25],
        "z_um": [0.5, 2.0],
        "photons": [1000.0, math.nan],
        **changed,
    }
    return Localizations.from_columns({"pixel_um": 0.1}, **columns)


def written(localizations: Localizations, path: Path) -> Localizations:
    write_localizations(localizations, path)
    return read_localizations(path)


def assert_same_others(back: Localizations, table: pd.DataFrame) -> None:
    """Same columns in the same order; those beside COLUMNS hold the same numbers."""
    assert list(back.table.columns) == list(table.columns)
    assert list(back.table.columns[: len(COLUMNS)]) == list(COLUMNS)
    for name in table.columns.drop(list(COLUMNS)):
        np.testing.assert_array_equal(back.table[name].to_numpy(), table[name].to_numpy())


@given(tables())
@settings(max_examples=60, deadline=None)
def test_parquet_gives_back_everything(
    tmp_path_factory: pytest.TempPathFactory, given_table: Localizations
) -> None:
    back = written(given_table, tmp_path_factory.getbasetemp() / "a.parquet")
    pd.testing.assert_frame_equal(back.table, given_table.table)
    assert back.origin == given_table.origin


@given(tables())
@settings(max_examples=60, deadline=None)
def test_csv_gives_back_every_column(
    tmp_path_factory: pytest.TempPathFactory, given_table: Localizations
) -> None:
    back = written(given_table, tmp_path_factory.getbasetemp() / "a.csv")
    assert_same_others(back, given_table.table)
    for name in COLUMNS:
        np.testing.assert_array_equal(back.table[name], given_table.table[name])


@given(tables())
@settings(max_examples=60, deadline=None)
def test_thunderstorm_gives_back_all_but_the_two_lateral_sigmas(
    tmp_path_factory: pytest.TempPathFactory, given_table: Localizations
) -> None:
    back = written(given_table, tmp_path_factory.getbasetemp() / "a.thunderstorm.csv")
    expected = given_table.table.copy()
    lateral = (expected["sigma_x_um"] + expected["sigma_y_um"]) / 2
    expected["sigma_x_um"] = expected["sigma_y_um"] = lateral
    assert_same_others(back, expected)
    for name in COLUMNS:
        np.testing.assert_allclose(back.table[name], expected[name], rtol=3e-7)


@given(tables())
@settings(max_examples=60, deadline=None)
def test_picasso_gives_back_everything(
    tmp_path_factory: pytest.TempPathFactory, given_table: Localizations
) -> None:
    back = written(given_table, tmp_path_factory.getbasetemp() / "a.hdf5")
    assert_same_others(back, given_table.table)
    pixel = given_table.origin["pixel_um"]
    for name in COLUMNS:
        np.testing.assert_allclose(
            back.table[name], given_table.table[name], rtol=3e-7, atol=pixel * 1e-7
        )
    assert back.origin.pop("pixel_um") == pytest.approx(given_table.origin.pop("pixel_um"))
    assert back.origin == given_table.origin


@pytest.mark.parametrize("name", NAMES)
def test_no_localizations_are_a_table_too(tmp_path: Path, name: str) -> None:
    back = written(Localizations.empty({"pixel_um": 0.1}), tmp_path / name)
    assert len(back) == 0
    assert list(back.table.columns) == list(COLUMNS)


@pytest.mark.parametrize("name", NAMES)
def test_many_rows(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    xyz = rng.uniform(0, 30, (100_000, 3))
    many = Localizations.from_columns(
        {"pixel_um": 0.1},
        frame=np.arange(len(xyz)) // 10,
        **dict(zip(POSITION, xyz.T, strict=True)),
    )
    back = written(many, tmp_path / name)
    np.testing.assert_allclose(back.positions_um(), many.positions_um(), atol=4e-6)
    np.testing.assert_array_equal(back.table["frame"], many.table["frame"])


def test_text_columns_stay_where_the_format_holds_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    named = sample(label=["a, b", 'say "c"'])
    for name in ("a.parquet", "a.csv"):
        assert list(written(named, tmp_path / name).table["label"]) == ["a, b", 'say "c"']
    with caplog.at_level(logging.WARNING):
        for name in ("a.thunderstorm.csv", "a.hdf5"):
            assert "label" not in written(named, tmp_path / name).table
    assert caplog.text.count("label") == 2


@pytest.mark.parametrize("name", ["a.thunderstorm.csv", "a.hdf5"])
def test_a_further_column_never_takes_the_name_of_one_of_the_format(
    tmp_path: Path, name: str
) -> None:
    further = {"group": [5, 6], "x": [7.0, 8.0], "id": [9, 9], "flag": [True, False]}
    back = written(sample(track=[1, 2], **further), tmp_path / name)
    assert list(back.table["track"]) == [1, 2]
    np.testing.assert_allclose(back.positions_um(), sample().positions_um(), rtol=1e-6)
    taken = {"a.hdf5": ["group", "x"], "a.thunderstorm.csv": ["id"]}[name]
    for column_name in taken:
        assert list(back.table[f"{column_name}_input"]) == further[column_name]
    assert list(back.table["flag"]) == [1, 0]


# --- plain CSV


def test_csv_is_plain_text_with_empty_fields_for_the_unknown(tmp_path: Path) -> None:
    write_localizations(sample(), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == (
        ",".join(COLUMNS) + "\n0,1,3,0.5,1000,,,,,\n7,2.5,0.25,2,,,,,,\n"
    )


def test_csv_with_few_columns_and_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_bytes(
        b"\xef\xbb\xbfframe, x_um ,y_um,z_um,photons\r\n3.0,1,2,0.5,NaN\r\n4,1,2,3,\r\n"
    )
    truth = read_localizations(path)
    np.testing.assert_array_equal(truth.positions_um(), [[1, 2, 0.5], [1, 2, 3]])
    assert list(truth.table["frame"]) == [3, 4]
    assert truth.table["photons"].isna().all()
    assert truth.table["sigma_x_um"].isna().all()


def test_reference_table(shared_data: Path) -> None:
    reference = read_localizations(shared_data / "deepstorm3d" / "reference_storm.csv")
    assert len(reference) > 100
    assert "confidence" in reference.table
    with pytest.raises(FileError, match="lacks the column 'frame'"):
        read_localizations(shared_data / "deepstorm3d" / "reference_telomeres1.csv")


# --- ThunderSTORM

THUNDERSTORM_3D = """\
"id","frame","x [nm]","y [nm]","z [nm]","sigma1 [nm]","sigma2 [nm]","intensity [photon]",\
"offset [photon]","bkgstd [photon]","uncertainty_xy [nm]","uncertainty_z [nm]"
1.0,1.0,1250.5,300.0,-120.0,150.0,160.0,2000.0,12.5,3.0,15.0,40.0
2.0,9.0,55.0,55.0,10.0,150.0,160.0,900.0,12.5,3.0,30.0,80.0
"""


def test_thunderstorm_means_nm_from_the_corner_and_frames_from_one(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(THUNDERSTORM_3D)
    first, second = read_localizations(path).table.to_dict("records")
    assert first["frame"] == 0
    assert second["frame"] == 8
    assert [first[name] for name in POSITION] == pytest.approx([1.2505, 0.3, -0.12])
    assert [first["photons"], first["background"]] == [2000, 12.5]
    sigmas = [first[f"sigma_{axis}_um"] for axis in "xyz"]
    assert sigmas == pytest.approx([0.015, 0.015, 0.04])
    assert first["bkgstd [photon]"] == 3
    assert "id" not in first
    # the middle of the first pixel of 110 nm, which a fit there reports at half a pixel
    assert [second["x_um"], second["y_um"]] == pytest.approx([0.055, 0.055])


def test_thunderstorm_2d_of_an_earlier_version(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text('"frame","x [nm]","y [nm]","uncertainty [nm]"\n1,1000,2000,0\n2,1000,2000,20\n')
    table = read_localizations(path).table
    assert list(table["z_um"]) == [0, 0]
    assert math.isnan(table["sigma_x_um"][0]), "no precision is zero"
    assert table["sigma_y_um"][1] == pytest.approx(0.02)


def test_thunderstorm_table_that_counts_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "from_picasso.csv"
    path.write_text("id,frame,x [nm],y [nm]\n0,0,1000,2000\n1,1,1000,2000\n")
    assert list(read_localizations(path).table["frame"]) == [0, 1]


def test_thunderstorm_can_read_what_we_write(tmp_path: Path) -> None:
    """It splits at commas, drops the quotes and hands each field to Java's Double.parseDouble."""
    path = tmp_path / "a.thunderstorm.csv"
    partly = sample(sigma_x_um=[0.01, 0], sigma_y_um=[0.02, 0], sigma_z_um=[0, 0], track=[3, 4])
    write_localizations(partly, path)
    header, *rows = path.read_text().splitlines()
    assert header == (
        '"id","frame","x [nm]","y [nm]","z [nm]","intensity [photon]","uncertainty_xy [nm]","track"'
    )
    assert [row.split(",") for row in rows] == [
        ["1", "1", "1000", "3000", "500", "1000", "15", "3"],
        ["2", "8", "2500", "250", "2000", "NaN", "NaN", "4"],
    ]


def test_thunderstorm_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_localizations(sample(), path, format="thunderstorm")
    assert path.read_text().startswith('"id","frame"')
    assert list(read_localizations(path).table["frame"]) == [0, 7]


# --- Picasso


def picasso_file(path: Path, documents: str, **columns: object) -> None:
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    rows = np.empty(len(next(iter(arrays.values()))), [(n, a.dtype) for n, a in arrays.items()])
    for name, values in arrays.items():
        rows[name] = values
    with h5py.File(path, "w") as file:
        file["locs"] = rows
    path.with_suffix(".yaml").write_text(documents)


MOVIE = "Width: 64\nHeight: 32\nFrames: 100\nPixelsize: 130\n---\nGenerated by: Picasso Localize\n"


def test_picasso_means_pixels_from_the_middle_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "movie_locs.hdf5"
    columns = {
        "frame": np.array([0, 5], np.uint32),
        "x": np.array([0, 10], np.float32),
        "y": np.array([0, 2.5], np.float32),
        "photons": np.array([500, 600], np.float32),
        "bg": np.array([5, 6], np.float32),
        "sx": np.array([1.1, 1.2], np.float32),
        "lpx": np.array([0.1, 0.2], np.float32),
        "lpy": np.array([0.3, 0], np.float32),
        "z": np.array([0, -250], np.float32),
        "lpz": np.array([20, 30], np.float32),
        "group": np.array([4, 4]),
    }
    picasso_file(path, MOVIE, **columns)
    localizations = read_localizations(path)
    first, second = localizations.table.to_dict("records")
    assert [first["x_um"], first["y_um"]] == pytest.approx([0.065, 0.065])
    assert [second[name] for name in POSITION] == pytest.approx([10.5 * 0.13, 3 * 0.13, -0.25])
    assert [first["frame"], second["frame"]] == [0, 5]
    assert [first["photons"], first["background"]] == [500, 5]
    sigmas = [first[f"sigma_{axis}_um"] for axis in "xyz"]
    assert sigmas == pytest.approx([0.013, 0.039, 0.02])
    assert math.isnan(second["sigma_y_um"])
    assert first["track"] == 4
    assert second["sx"] == np.float32(1.2)
    assert localizations.origin == {"pixel_um": 0.13, "shape_px": [32, 64], "frames": 100}


def test_picasso_without_a_pixel_size_asks_for_one(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    picasso_file(path, "Width: 64\n", frame=[1], x=[1.5], y=[0.5])
    with pytest.raises(FileError, match="pixel_um"):
        read_localizations(path)
    path.with_suffix(".yaml").unlink()
    with pytest.raises(FileError, match="pixel_um"):
        read_localizations(path)
    localizations = read_localizations(path, pixel_um=0.2)
    np.testing.assert_allclose(localizations.positions_um(), [[0.4, 0.2, 0]], rtol=1e-6)
    assert localizations.origin == {"pixel_um": 0.2}


def test_what_we_write_is_what_picasso_wants(tmp_path: Path) -> None:
    """Its documentation asks for these columns and keys, and it drops rows with a NaN."""
    path = tmp_path / "a.h5"
    write_localizations(sample(photons=[1.0, 2.0], track=[1, 2]), path)
    with h5py.File(path) as file:
        rows = file["locs"][()]
        embedded = json.loads(file["metadata"][()])
    assert rows.dtype.names == ("frame", "x", "y", "z", "lpx", "lpy", "photons", "group")
    assert rows["frame"].dtype == np.uint32
    assert all(rows[name].dtype == np.float32 for name in ("x", "y", "z", "lpx", "lpy", "photons"))
    np.testing.assert_allclose(rows["x"], [9.5, 24.5])
    np.testing.assert_allclose(rows["z"], [500, 2000])
    assert (rows["lpx"] == UNKNOWN_PRECISION_PX).all()
    documents = list(yaml.safe_load_all(path.with_suffix(".yaml").read_text(encoding="ascii")))
    assert documents == embedded
    assert documents[0] == {"Width": 25, "Height": 30, "Frames": 8, "Pixelsize": 100.0}


def test_where_the_pixel_of_a_picasso_file_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    bare = Localizations(sample().table)
    with pytest.raises(SettingsError, match="pixel_um"):
        write_localizations(bare, path)
    assert list(tmp_path.iterdir()) == []
    optics = {"camera_pixel_um": 11.0, "magnification": 100.0}
    write_localizations(Localizations(bare.table, {"optics": optics}), path)
    assert read_localizations(path).origin["pixel_um"] == pytest.approx(0.11)
    write_localizations(sample(), path, pixel_um=0.25)
    back = read_localizations(path)
    assert back.origin["pixel_um"] == 0.25, "what the file was written with, not what origin said"
    np.testing.assert_allclose(back.positions_um(), bare.positions_um(), rtol=1e-6)
    with pytest.raises(SettingsError, match="above zero"):
        write_localizations(sample(), path, pixel_um=-1)
    with pytest.raises(SettingsError, match="above zero"):
        read_localizations(path, pixel_um=0)


def test_picasso_takes_no_origin_that_could_not_be_read_back(tmp_path: Path) -> None:
    origin = {"pixel_um": 0.1, "mask": "0.25, " * 50_000}
    assert written(Localizations(sample().table, origin), tmp_path / "a.hdf5").origin == origin
    origin["mask"] = "0.25, " * 1_000_000
    with pytest.raises(FileError, match=r"write \.parquet"):
        write_localizations(Localizations(sample().table, origin), tmp_path / "b.hdf5")


# --- choosing a format


def test_formats_by_ending(tmp_path: Path) -> None:
    endings = {"a.parquet": "parquet", "a.CSV": "csv", "a.h5": "picasso", "a.HDF5": "picasso"}
    for name, expected in {**endings, "b.ThunderSTORM.csv": "thunderstorm"}.items():
        assert format_of(Path(name)) == expected
    assert set(FORMATS) == {"parquet", "csv", "thunderstorm", "picasso"}
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(FileError, match="unknown kind"):
        read_localizations(tmp_path / "a.xlsx")
    with pytest.raises(FileError, match="unknown kind"):
        write_localizations(sample(), tmp_path / "a.txt")
    with pytest.raises(SettingsError, match="parquet, csv, thunderstorm, picasso"):
        write_localizations(sample(), tmp_path / "a.csv", format="excel")
    with pytest.raises(SettingsError, match=r"ends in \.hdf5 or \.h5"):
        write_localizations(sample(), tmp_path / "a.csv", format="picasso")


@pytest.mark.parametrize("name", NAMES)
def test_writing_that_fails_says_so_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match="cannot be written"):
        write_localizations(sample(), tmp_path / "missing" / name)
    (tmp_path / name).mkdir()  # in the way
    with pytest.raises(FileError, match="cannot be written"):
        write_localizations(sample(), tmp_path / name)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".partial"]


@pytest.mark.parametrize("name", NAMES)
def test_a_position_that_is_none_is_never_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="row 2 has no finite position"):
        write_localizations(sample(y_um=[1.0, math.nan]), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
