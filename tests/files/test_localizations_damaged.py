"""Damaged and foreign tables end in one FileError, whatever is wrong with them."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsacq.data import Localizations
from dsacq.errors import FileError
from dsacq.files.localizations import read_localizations, write_localizations

NAMES = ["a.parquet", "a.csv", "a.thunderstorm.csv", "a.hdf5"]


def sample(rows: int = 30) -> Localizations:
    rng = np.random.default_rng(1)
    return Localizations.from_columns(
        {"pixel_um": 0.1, "model": {"name": "m"}},
        frame=np.arange(rows),
        x_um=rng.uniform(0, 20, rows),
        y_um=rng.uniform(0, 20, rows),
        z_um=rng.uniform(0, 4, rows),
        photons=rng.uniform(1e3, 1e4, rows),
        sigma_x_um=rng.uniform(0.01, 0.02, rows),
        chi2=rng.normal(size=rows),
    )


def complaint(path: Path) -> str:
    """What reading says; fails unless it is a FileError of one sentence that names the file."""
    with pytest.raises(FileError) as caught:
        read_localizations(path)
    text = str(caught.value)
    assert str(path.with_suffix("")) in text
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 300 + len(str(path))
    return text


def mutated(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    at, length = chance.randrange(len(damaged)), chance.randint(1, 8)
    match chance.randrange(5):
        case 0:
            for _ in range(length):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        case 1:
            del damaged[at:]
        case 2:
            del damaged[at : at + length]
        case 3:
            damaged[at:at] = chance.randbytes(length)
        case 4:
            damaged[at : at + length] = chance.choice([b"\xff", b"\0", b"-", b","]) * length
    return bytes(damaged)


@pytest.mark.parametrize("name", [*NAMES, "a.yaml"])
def test_mutated_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    opened = tmp_path / ("a.hdf5" if name == "a.yaml" else name)
    write_localizations(sample(), opened)
    whole = (tmp_path / name).read_bytes()
    chance = random.Random(name)
    complaints = []
    for _ in range(300):
        (tmp_path / name).write_bytes(mutated(whole, chance))
        try:
            assert np.isfinite(read_localizations(opened).positions_um()).all()
        except FileError as error:
            complaints.append(str(error))
    assert len(complaints) > 50
    assert not [text for text in complaints if "\n" in text]


@pytest.mark.parametrize("name", NAMES)
def test_empty_missing_and_wrong_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert "no such file" in complaint(path)
    path.mkdir()
    assert "is a folder, and no table" in complaint(path)
    path.rmdir()
    for content in (b"", b"\n", b"\0" * 100, b"\x89PNG\r\n\x1a\n" + bytes(range(256))):
        path.write_bytes(content)
        complaint(path)


def test_a_changed_byte_of_a_parquet_column_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_localizations(sample(), path)
    content = bytearray(path.read_bytes())
    offset = pq.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset
    content[offset + 60] ^= 1
    path.write_bytes(content)
    assert "CRC" in complaint(path)


def test_parquet_of_a_later_version_or_of_others(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({name: [1.0] for name in ("frame", "x_um", "y_um", "z_um")})
    pq.write_table(table, path)
    assert len(read_localizations(path)) == 1, "only the columns matter"
    described = {b"dsacq": json.dumps({"format": 2, "origin": {}}).encode()}
    pq.write_table(table.replace_schema_metadata(described), path)
    assert "update dsacq" in complaint(path)
    for description in (b"[]", b'{"origin": 3}', b"{", b"[" * 100_000):
        pq.write_table(table.replace_schema_metadata({b"dsacq": description}), path)
        complaint(path)
    pq.write_table(table.set_column(1, "x_um", [["one"]]), path)
    assert "x_um" in complaint(path)
    pq.write_table(table.set_column(1, "x_um", [[[1.0, 2.0]]]), path)
    assert "x_um" in complaint(path)


ROW = "frame,x_um,y_um,z_um\n0,1,2,3\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x_um,y_um,z_um\n1,2,3\n", "lacks the column 'frame'"),
        ("frame,x_um,z_um\n1,2,3\n", "lacks the column 'y_um'"),
        ("1,2,3\n4,5,6\n", "lacks the column 'frame'"),
        ("frame,x_px,y_px\n1,2,3\n", "lacks the column 'x_um'"),
        ("frame,x_um,y_um,y_um,z_um\n0,1,2,3,4\n", "two columns of one name"),
        (ROW + "1,2,three,4\n", "three"),
        (ROW + "1,2,3\n", "Expected 4 columns, got 3"),
        (ROW + "1,2,,4\n", "row 2 has no finite position"),
        (ROW + "1,2,inf,4\n", "row 2 has no finite position"),
        (ROW + "1,2,1e300,4\n", "row 2 has no finite position"),
        (ROW + "0.5,1,2,3\n", "row 2 has frame 0.5"),
        (ROW + "-1,1,2,3\n", "row 2 has frame -1"),
        (ROW + "1e30,1,2,3\n", "row 2 has frame 1e+30"),
        (ROW + ",1,2,3\n", "row 2 has frame nan"),
        ("frame,x [nm],z [nm]\n1,2,3\n", "lacks the column 'y [nm]'"),
        ("id,x [nm],y [nm]\n1,2,3\n", "lacks the column 'frame'"),
        ("frame,x [nm],y [nm]\n1,2,\n", "row 1 has no finite position"),
        ("frame,x [nm],y [nm]\n1,2,x\n", "'x'"),
    ],
)
def test_what_is_wrong_with_a_csv_is_told(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert says in complaint(path)


def test_a_csv_that_is_one_endless_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"frame,x_um,y_um,z_um" * 500_000)
    complaint(path)
    path.write_bytes(ROW.encode() + b"1" * 10_000_000)
    complaint(path)


def picasso_file(path: Path, write: Callable[[h5py.File], None], documents: str) -> None:
    with h5py.File(path, "w") as file:
        write(file)
    path.with_suffix(".yaml").write_text(documents)


def one_row(file: h5py.File) -> None:
    file["locs"] = np.array([(0, 1, 2)], [("frame", "u4"), ("x", "f4"), ("y", "f4")])


def huge(file: h5py.File) -> None:
    kind = np.dtype([("frame", "u4"), ("x", "f4"), ("y", "f4")])
    file.create_dataset("locs", shape=(10**11,), dtype=kind, chunks=(1000,))


def texts(file: h5py.File) -> None:
    file["locs"] = np.array([(0, b"1", 2)], [("frame", "u4"), ("x", "S3"), ("y", "f4")])


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda file: None, "no table of localizations named locs"),
        (lambda file: file.create_group("locs"), "no table of localizations named locs"),
        (lambda file: file.create_dataset("locs", data=np.ones((3, 4))), "named locs"),
        (huge, "claims 100000000000 rows"),
        (texts, "lacks the column 'x'"),
    ],
)
def test_what_is_wrong_with_a_picasso_file_is_told(
    tmp_path: Path, write: Callable[[h5py.File], None], says: str
) -> None:
    path = tmp_path / "a.hdf5"
    picasso_file(path, write, "Pixelsize: 100\n")
    assert says in complaint(path)


@pytest.mark.parametrize(
    "documents",
    [
        "Pixelsize: [1, 2]\n",
        "Pixelsize: -5\n",
        "Pixelsize: .nan\n",
        "Pixelsize: 1e999\n",
        "Pixelsize: 100\ndsacq origin: 7\n",
        "Pixelsize: 100\ndsacq origin: '[1]'\n",
        "Pixelsize: 100\nWidth: wide\nHeight: 3\nFrames: 1\n",
        "Pixelsize: 100\nWidth: .inf\nHeight: 3\nFrames: 1\n",
        "a: 2020-99-99\nPixelsize: 100\n",
        "? [1]\n: 2\n",
        "\t",
        "[" * 5000,
        "a: b\n" * 1_000_000,
    ],
)
def test_what_is_wrong_with_a_yaml_file_is_told(tmp_path: Path, documents: str) -> None:
    path = tmp_path / "a.hdf5"
    picasso_file(path, one_row, documents)
    complaint(path)


def test_a_yaml_file_can_neither_run_nor_grow_anything(tmp_path: Path) -> None:
    path, made = tmp_path / "a.hdf5", tmp_path / "made"
    merges = "a: &a {x: 1}\n" + "".join(
        f"b{i}: &b{i} {{<<: [{', '.join([f'*{before}'] * 10)}]}}\n"
        for i, before in enumerate(["a", *(f"b{i}" for i in range(11))])
    )
    documents = f"Pixelsize: 130\nPick: !!python/object/apply:os.mkdir ['{made.as_posix()}']\n"
    picasso_file(path, one_row, documents + merges)
    assert read_localizations(path).origin == {"pixel_um": 0.13}
    assert not made.exists()
