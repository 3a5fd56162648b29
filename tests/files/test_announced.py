"""What a file announces is refused in a sentence before memory is asked for it."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import bombs
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile

from dsacq.data import Localizations
from dsacq.design.evolution import Evolution
from dsacq.errors import FileError, is_out_of_memory
from dsacq.files.camera_maps import with_maps
from dsacq.files.localizations import read_localizations, write_localizations
from dsacq.files.masks import read_mask
from dsacq.files.measured_psf import read_measured_psf
from dsacq.files.reading import parsed_json, read_json
from dsacq.files.tiff import read_planes
from dsacq.physics.masks import flat
from dsacq.physics.optics import STANDARD_OPTICS

MOST_BYTES = 50_000_000


def read_map(path: Path) -> None:
    with_maps({"offset_adu": path.name}, path.parent)


def mask(path: Path) -> None:
    read_mask(path, optics=STANDARD_OPTICS)


def picasso(path: Path) -> None:
    read_localizations(path, pixel_um=0.1)


CASES: list[tuple[str, Callable[[Path], None], Callable[[Path], object]]] = [
    ("map.npy", bombs.npy, read_map),
    ("map.tif", bombs.tiff, read_map),
    ("mask.npy", bombs.npy, mask),
    ("mask.tif", bombs.tiff, mask),
    ("mask.mat", bombs.mat_compressed, mask),
    ("seven.mat", bombs.mat_hdf5, mask),
    ("planes.tif", bombs.tiff, read_planes),
    ("m.evolution.npz", bombs.npz, Evolution.read),
    ("beads.hdf5", bombs.hdf5_of_huge_pieces, picasso),
    ("table.parquet", bombs.parquet, read_localizations),
]


@pytest.mark.parametrize(("name", "make", "read"), CASES, ids=[name for name, *_ in CASES])
def test_what_is_announced_takes_no_memory(
    tmp_path: Path, name: str, make: Callable[[Path], None], read: Callable[[Path], object]
) -> None:
    path = tmp_path / name
    make(path)
    assert path.stat().st_size < bombs.FEW_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(FileError) as caught:
            read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES
    told = str(caught.value)
    assert name in told
    assert "\n" not in told
    assert told.endswith(".")


LIMITED = """
import resource, sys
from pathlib import Path
import test_announced
from dsacq.errors import FileError
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 300_000_000,) * 2)
for name, _, read in test_announced.CASES:
    try:
        read(Path(sys.argv[1]) / name)
    except FileError:
        continue
    sys.exit(f"{name} was read")
"""


def test_they_are_refused_where_there_is_little_memory(tmp_path: Path) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("the limit of memory is set as on Linux")
    for name, make, _ in CASES:
        make(tmp_path / name)
    tests = Path(__file__).parents[1]
    path = [str(Path(__file__).parent), str(tests), str(tests.parent)]
    program = f"import sys; sys.path[:0] = {path}\n{LIMITED}"
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tables_that_hold_what_they_claim_are_read(tmp_path: Path) -> None:
    """The bounds leave room: columns of nothing but NaN, equal heights, repeated words."""
    rows = 200_000
    draw = np.random.default_rng(1)
    made = Localizations.from_columns(
        frame=np.arange(rows) // 50,
        x_um=draw.uniform(0, 20, rows),
        y_um=draw.uniform(0, 20, rows),
        z_um=np.zeros(rows),
        cell=np.array(["one", "two"])[np.arange(rows) % 2],
    )
    for name in ("t.parquet", "t.hdf5"):
        write_localizations(made, tmp_path / name, pixel_um=0.1)
        assert len(read_localizations(tmp_path / name)) == rows
    read = read_localizations(tmp_path / "t.parquet").table
    assert read["cell"].tolist() == made.table["cell"].tolist()


def test_a_long_word_repeated_takes_its_memory_once(tmp_path: Path) -> None:
    path, rows = tmp_path / "t.parquet", 3000
    columns = {name: pa.array(np.arange(rows) * 1.0) for name in ("frame", "x_um", "y_um", "z_um")}
    word = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["w" * 1_000_000])
    pq.write_table(pa.table(columns | {"word": word}), path, store_schema=False)  # as text
    assert pq.read_schema(path).field("word").type == pa.string()
    before = pa.total_allocated_bytes()
    assert len(read_localizations(path)) == rows
    assert pa.total_allocated_bytes() - before < MOST_BYTES


def test_a_list_of_many_values_in_one_row(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    many = pa.array([np.zeros(40_000_000)])
    columns = {name: pa.array([0.0]) for name in ("frame", "x_um", "y_um", "z_um")}
    pq.write_table(pa.table(columns | {"many": many}), path)
    with pytest.raises(FileError, match=r"claims 4000000. values, more than its size"):
        read_localizations(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, '{"a": ', "\xff", ""])
def test_json_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parsed_json(text)
    path = tmp_path / "mask.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(FileError, match=r"mask\.json: cannot be read as"):
        read_json(path, "the result of a calibration")


@pytest.mark.parametrize("text", ["3", "[]", "null", '{"psf": 3}', '{"psf": null}', '{"psf": []}'])
def test_a_result_of_a_calibration_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "bead.json").write_text(text)
    with pytest.raises(FileError, match=r"bead\.json"):
        read_measured_psf(tmp_path / "bead.tif")


def test_an_evolution_must_be_in_order(tmp_path: Path) -> None:
    path = tmp_path / "m.evolution.npz"
    mask = flat(STANDARD_OPTICS)
    made = Evolution()
    for step in (1, 5, 9):
        made.add(step, mask)
    made.write(path)
    assert len(Evolution.read(path)) == 3
    levels = np.zeros((2, 9, 9), np.uint8)
    for wrong in (
        {"steps": np.array([5, 1]), "levels": levels},
        {"steps": np.array([1]), "levels": levels},
        {"steps": np.array([1, 2]), "levels": levels.astype(float)},
        {"steps": np.array([1.0, 2.0]), "levels": levels},
        {"steps": np.array([1, 2]), "levels": levels[:, :2]},
        {"steps": np.array([1, 2])},
    ):
        np.savez(path, **wrong)
        with pytest.raises(FileError, match=r"evolution\.npz"):
            Evolution.read(path)


def test_planes_come_back(tmp_path: Path) -> None:
    planes = np.random.default_rng(2).integers(0, 999, (5, 12, 17)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "planes.tif", planes, metadata={"axes": "ZYX"})
    np.testing.assert_array_equal(read_planes(tmp_path / "planes.tif"), planes)


def test_a_map_of_values_beyond_single_precision(tmp_path: Path) -> None:
    np.save(tmp_path / "map.npy", np.full((8, 8), 1e300))
    with pytest.raises(FileError, match=r"map\.npy: has values up to 1e\+300"):
        read_map(tmp_path / "map.npy")


def test_a_wide_or_oblong_mask_is_remarked_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    side = flat(STANDARD_OPTICS).phase_rad.shape[0]
    for shape, told in (((side, side), False), ((2 * side,) * 2, True), ((side, 2 * side), True)):
        caplog.clear()
        np.save(tmp_path / "m.npy", np.zeros(shape))
        mask(tmp_path / "m.npy")
        assert (f"has {shape[0]} x {shape[1]} samples" in caplog.text) == told


def test_a_phase_that_single_precision_cannot_tell(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.full((200, 200), 1e30))
    with pytest.raises(FileError, match="is no phase in rad"):
        mask(tmp_path / "m.npy")


def test_pieces_that_are_usual_are_read(tmp_path: Path) -> None:
    side = flat(STANDARD_OPTICS).phase_rad.shape[0]
    with h5py.File(tmp_path / "m.mat", "w") as file:
        phase = np.random.default_rng(3).normal(size=(side, side))
        file.create_dataset("mask", data=phase, chunks=(16, 16), compression="gzip")
    read = read_mask(tmp_path / "m.mat", optics=STANDARD_OPTICS)
    np.testing.assert_allclose(read.phase_rad, phase.T, rtol=1e-6)


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
            True,
        ),
        (RuntimeError("can't start new thread"), True),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (OSError(28, "No space left on device"), False),
        (ValueError("not enough memory"), False),
        (RuntimeError("something else"), False),
    ],
)
def test_want_of_memory_is_known_in_every_wording(error: Exception, memory: bool) -> None:
    assert is_out_of_memory(error) == memory
