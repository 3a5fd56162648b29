"""Masks come back as written, foreign files are understood, damaged ones end in one sentence."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy import io as matlab

from dsacq.errors import FileError
from dsacq.files.masks import read_mask, write_mask, write_slm_pattern
from dsacq.files.matlab import read_matlab
from dsacq.physics.masks import PhaseMask, tetrapod
from dsacq.physics.optics import Optics


@pytest.fixture(scope="module")
def coarse(telomere_optics: Optics) -> Optics:
    """A pupil of 23 samples."""
    return replace(telomere_optics, mask_pixel_um=192.0)


@pytest.fixture(scope="module")
def mask(coarse: Optics) -> PhaseMask:
    """27 x 29 samples, different along each axis."""
    design = tetrapod(coarse, shape=(27, 29))
    phase = np.angle(np.exp(1j * (design.phase_rad + np.arange(29) / 40))).astype(np.float32)
    return replace(design, phase_rad=phase)


def write_mat73(path: Path, **variables: Any) -> None:
    """As MATLAB lays it out: arrays by columns, behind a header of 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in variables.items():
            file.create_dataset(name, data=np.asarray(array, np.float64).T)
    with path.open("r+b") as plain:
        plain.write(b"MATLAB 7.3 MAT-file".ljust(128))


WRITERS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "plain.tif": lambda path, phase: tifffile.imwrite(path, phase),
    "double.tiff": lambda path, phase: tifffile.imwrite(path, phase.astype(">f8")),
    "packed.tif": lambda path, phase: tifffile.imwrite(path, phase, compression="zlib"),
    "mask.npy": lambda path, phase: np.save(path, np.asfortranarray(phase, ">f8")),
    "mask.csv": lambda path, phase: np.savetxt(path, phase, delimiter=",", fmt="%.9g"),
    "semicolons.csv": lambda path, phase: np.savetxt(path, phase, delimiter=";", header="rad"),
    "tabs.csv": lambda path, phase: np.savetxt(path, phase, delimiter="\t"),
    "spaces.csv": lambda path, phase: np.savetxt(path, phase),
    "five.mat": lambda path, phase: matlab.savemat(path, {"psi": phase, "pitch": 24.0, "of": "me"}),
    "packed.mat": lambda path, phase: matlab.savemat(
        path, {"m": phase.astype(float)}, do_compression=True
    ),
    "named.mat": lambda path, phase: matlab.savemat(path, {"Mask": phase, "field": 1j * phase}),
    "seven.mat": lambda path, phase: write_mat73(path, psi=phase, pitch=24.0),
    "chosen.mat": lambda path, phase: write_mat73(path, other=0 * phase, phase=phase),
}


def test_a_written_mask_comes_back(mask: PhaseMask, tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    write_mask(mask, path)
    back = read_mask(path)
    np.testing.assert_array_equal(back.phase_rad, mask.phase_rad)
    assert back.phase_rad.dtype == np.float32
    assert (back.pixel_um, back.wavelength_um) == (192.0, 0.58)
    assert (back.name, back.origin) == (mask.name, mask.origin)
    assert [file.name for file in tmp_path.iterdir()] == ["mask.tif"]


@given(
    phase=arrays.arrays(
        np.float32,
        st.tuples(st.integers(8, 20), st.integers(8, 20)),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    pixel_um=st.floats(1e-3, 1e4),
    wavelength_um=st.floats(0.1, 20),
    name=st.text(),
    origin=st.dictionaries(st.text(), st.one_of(st.text(), st.integers(-(2**60), 2**60))),
)
def test_any_mask_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    phase: np.ndarray,
    pixel_um: float,
    wavelength_um: float,
    name: str,
    origin: dict[str, Any],
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tif"
    write_mask(PhaseMask(phase, pixel_um, wavelength_um, name, origin), path)
    back = read_mask(path)
    np.testing.assert_array_equal(back.phase_rad, phase)
    assert (back.pixel_um, back.wavelength_um) == (pixel_um, wavelength_um)
    assert (back.name, back.origin) == (name, origin)


@pytest.mark.parametrize("name", WRITERS)
def test_foreign_files(name: str, mask: PhaseMask, coarse: Optics, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path, mask.phase_rad)
    read = read_mask(path, optics=coarse)
    np.testing.assert_allclose(read.phase_rad, mask.phase_rad, atol=1e-6)
    assert read.phase_rad.flags.c_contiguous
    assert (read.pixel_um, read.wavelength_um) == (192.0, 0.58)
    assert read.name == path.stem
    assert json.loads(json.dumps(read.origin))["file"] == name
    with pytest.raises(FileError, match="does not say its pitch"):
        read_mask(path)


@pytest.mark.parametrize(
    ("name", "samples", "storm"),
    [
        ("mask_learned.mat", 329, False),
        ("mask_tetrapod.mat", 329, False),
        ("mask_tetrapod_printed.mat", 203, True),
    ],
)
def test_published_masks(
    shared_data: Path,
    telomere_optics: Optics,
    storm_optics: Optics,
    name: str,
    samples: int,
    storm: bool,
) -> None:
    path = shared_data / "deepstorm3d" / "masks" / name
    read = read_mask(path, optics=storm_optics if storm else telomere_optics)
    (expected,) = [value for key, value in matlab.loadmat(path).items() if not key.startswith("_")]
    np.testing.assert_array_equal(read.phase_rad, expected.astype(np.float32))
    assert read.phase_rad.shape == (samples, samples)
    assert read.pixel_um == (30 if storm else 24)


@pytest.mark.parametrize("ending", [".png", ".bmp"])
def test_slm_pattern_rises_with_the_phase(ending: str, coarse: Optics, tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(-2 * np.pi, 4 * np.pi, 97, dtype=np.float32)[:96], (32, 1))
    ramped = PhaseMask(ramp, 192.0, 0.58, "ramp", {})
    path = tmp_path / f"ramp{ending}"
    write_slm_pattern(ramped, path)
    grey = np.asarray(Image.open(path))
    assert grey.dtype == np.uint8
    assert grey[0, 0] == grey[0, 32] == grey[0, 64] == 0
    assert grey[0, 40] == 64  # a quarter of a turn
    assert (np.diff(grey[0, :32].astype(int)) == 8).all()
    back = read_mask(path, optics=coarse)
    assert np.abs(np.angle(np.exp(1j * (back.phase_rad - ramp)))).max() <= np.pi / 256 + 1e-5
    assert (back.phase_rad >= 0).all()
    assert (back.phase_rad < 2 * np.pi).all()


def test_slm_pattern_of_fewer_levels_comes_back_by_its_table(
    mask: PhaseMask, coarse: Optics, tmp_path: Path
) -> None:
    path, lut = tmp_path / "pattern.png", tmp_path / "lut.csv"
    write_slm_pattern(mask, path, levels_per_2pi=200)
    assert np.asarray(Image.open(path)).max() == 199
    np.savetxt(lut, np.arange(256) * (2 * np.pi / 200))
    back = read_mask(path, optics=coarse, lut=lut)
    error = np.angle(np.exp(1j * (back.phase_rad - mask.phase_rad)))
    assert np.abs(error).max() <= np.pi / 200 + 1e-5
    for levels in (1, 257):
        with pytest.raises(ValueError, match="levels_per_2pi"):
            write_slm_pattern(mask, path, levels_per_2pi=levels)
    np.savetxt(lut, np.arange(255.0))
    with pytest.raises(FileError, match=r"lut.csv: has 255 numbers; give 256"):
        read_mask(path, optics=coarse, lut=lut)
    write_mask(mask, tmp_path / "mask.tif")
    with pytest.raises(FileError, match=r"grey levels in .* do not apply"):
        read_mask(tmp_path / "mask.tif", lut=lut)


def test_grey_patterns_stored_as_colour_are_read(
    mask: PhaseMask, coarse: Optics, tmp_path: Path
) -> None:
    path = tmp_path / "pattern.png"
    write_slm_pattern(mask, path)
    expected = read_mask(path, optics=coarse).phase_rad
    for mode in ("RGB", "RGBA", "P"):
        with Image.open(path) as image:
            image.convert(mode).save(tmp_path / "other.png")
        np.testing.assert_array_equal(
            read_mask(tmp_path / "other.png", optics=coarse).phase_rad, expected
        )


def wrong_files(folder: Path, phase: np.ndarray) -> dict[Path, str]:
    """Files that are no mask, and what is said of each."""
    wrong = {
        "absent.tif": "No such file",
        "mask.txt": "is not a kind of mask file known here",
        "cube.npy": "2 x 27 x 29 numbers; a mask has two dimensions",
        "small.npy": "7 x 29 numbers",
        "nan.npy": "no finite number",
        "complex.npy": "no real numbers",
        "objects.npy": "cannot be read as a phase mask",
        "grey.npy": "grey levels rather than rad",
        "metres.npy": "no phase in rad",
        "huge.npy": "no finite number",
        "several.mat": r"has several arrays \(a, b\)",
        "none.mat": "no two-dimensional array of real numbers",
        "four.mat": "no MATLAB file of version 5 or later",
        "stack.tif": "has 3 planes",
        "counts.tif": "holds whole numbers",
        "colour.png": "is coloured",
        "deep.png": "8 bits per colour",
        "empty.csv": "numbers; a mask has two dimensions",
        "comma.csv": "cannot be read",
        "empty.mat": "no MATLAB file",
    }
    np.save(folder / "cube.npy", np.stack((phase, phase)))
    np.save(folder / "small.npy", phase[:7])
    np.save(folder / "nan.npy", np.where(phase > 0, phase, np.nan))
    np.save(folder / "complex.npy", np.exp(1j * phase))
    np.save(folder / "objects.npy", phase.astype(object), allow_pickle=True)
    np.save(folder / "grey.npy", np.round(phase * 40 + 126))
    np.save(folder / "metres.npy", phase.astype(np.float64) * 1e5)
    np.save(folder / "huge.npy", phase.astype(np.float64) * 1e300)
    matlab.savemat(folder / "several.mat", {"a": phase, "b": phase})
    matlab.savemat(folder / "none.mat", {"a": phase[0], "text": "mask", "field": 1j * phase})
    matlab.savemat(folder / "four.mat", {"a": phase.astype(float)}, format="4")
    tifffile.imwrite(folder / "stack.tif", np.stack((phase,) * 3), photometric="minisblack")
    tifffile.imwrite(folder / "counts.tif", np.zeros((27, 29), np.uint16))
    Image.fromarray(np.full((27, 29, 3), (9, 8, 7), np.uint8)).save(folder / "colour.png")
    Image.fromarray(np.zeros((27, 29), np.uint16)).save(folder / "deep.png")
    (folder / "empty.csv").write_text("")
    (folder / "comma.csv").write_text("0,5;0,25\n" * 9)
    (folder / "empty.mat").write_bytes(b"")
    (folder / "mask.txt").write_text("0 0")
    return {folder / name: said for name, said in wrong.items()}


def test_wrong_files_are_told_in_one_sentence(
    mask: PhaseMask, coarse: Optics, tmp_path: Path
) -> None:
    for path, said in wrong_files(tmp_path, mask.phase_rad).items():
        with pytest.raises(FileError, match=said) as caught:
            read_mask(path, optics=coarse)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert message.endswith(".")
        assert "\n" not in message


def test_a_mask_must_fit_the_pupil(
    mask: PhaseMask, coarse: Optics, telomere_optics: Optics, tmp_path: Path
) -> None:
    np.save(tmp_path / "mask.npy", mask.phase_rad)
    with pytest.raises(FileError, match=r"0.648 mm across .* pupil of 3.99 mm"):
        read_mask(tmp_path / "mask.npy", optics=telomere_optics)
    with pytest.raises(FileError, match=r"does not fit a pupil of 3.99 mm"):
        read_mask(tmp_path / "mask.npy", optics=replace(coarse, mask_pixel_um=1000))


def test_written_only_whole_and_as_a_known_kind(mask: PhaseMask, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"written as .tif"):
        write_mask(mask, tmp_path / "mask.npy")
    with pytest.raises(FileError, match=r"written as .png"):
        write_slm_pattern(mask, tmp_path / "mask.tif")
    with pytest.raises(FileError, match="cannot be written"):
        write_mask(mask, tmp_path / "absent" / "mask.tif")
    write_mask(mask, tmp_path / "mask.tif")
    with pytest.raises(TypeError):
        write_mask(replace(mask, origin={"set": {1}}), tmp_path / "mask.tif")
    assert [file.name for file in tmp_path.iterdir()] == ["mask.tif"]
    assert read_mask(tmp_path / "mask.tif").origin == mask.origin


def test_a_damaged_description_is_told(mask: PhaseMask, tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    write_mask(mask, path)
    path.write_bytes(path.read_bytes().replace(b'"pixel_um": 192', b'"pixel_um": -92'))
    with pytest.raises(FileError, match="description of the mask is damaged"):
        read_mask(path)


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Cut short, stretched, or with bytes changed, mostly where headers are."""
    damaged = bytearray(content)
    place = draw.randrange(len(damaged))
    match draw.choice(("cut", "insert", "remove", "change", "change", "change")):
        case "cut":
            del damaged[place:]
        case "insert":
            damaged[place:place] = draw.randbytes(draw.randrange(1, 50))
        case "remove":
            del damaged[place : place + draw.randrange(1, 200)]
        case "change":
            end = draw.choice((len(damaged), min(len(damaged), 400)))
            for _ in range(draw.choice((1, 1, 2, 4, 16))):
                damaged[draw.randrange(end)] = draw.choice((0, 127, 128, 255, draw.randrange(256)))
    return bytes(damaged)


@pytest.mark.parametrize(
    "name",
    [
        "ours.tif",
        "packed.tif",
        "mask.npy",
        "mask.csv",
        "five.mat",
        "packed.mat",
        "seven.mat",
        "slm.png",
        "slm.bmp",
    ],
)
def test_damaged_files_end_in_a_file_error(
    name: str, mask: PhaseMask, coarse: Optics, tmp_path: Path
) -> None:
    path = tmp_path / name
    if name == "ours.tif":
        write_mask(mask, path)
    elif name.startswith("slm"):
        write_slm_pattern(mask, path)
    else:
        WRITERS[name](path, mask.phase_rad)
    content, draw, refused = path.read_bytes(), random.Random(name), 0
    for _ in range(250):
        path.write_bytes(mutated(content, draw))
        try:
            read = read_mask(path, optics=coarse)
        except FileError:
            refused += 1
        else:
            assert np.isfinite(read.phase_rad).all()
            assert min(read.phase_rad.shape) >= 8
    assert refused > 50


def test_matlab_arrays_of_every_number_type(tmp_path: Path) -> None:
    kinds = ("f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    arrays_ = {kind: np.arange(24).reshape(2, 3, 4).astype(kind) for kind in kinds}
    others = {"text": "abc", "cell": np.array([[1, "a"]], object), "complex": np.ones((3, 3)) * 1j}
    for compressed in (False, True):
        path = tmp_path / "all.mat"
        matlab.savemat(path, arrays_ | others | {"one": 3.5}, do_compression=compressed)
        read = read_matlab(path)
        assert read.keys() == {*kinds, "one"}
        assert read["one"] == [[3.5]]
        for kind in kinds:
            np.testing.assert_array_equal(read[kind], arrays_[kind])


def test_matlab_arrays_of_the_published_scan(shared_data: Path) -> None:
    path = shared_data / "beads_tetrapod" / "NFP_pos_TP_images.mat"
    positions = read_matlab(path)["z_stack_pos"]
    np.testing.assert_array_equal(positions, matlab.loadmat(path)["z_stack_pos"])
    assert positions.shape == (1, 55)
