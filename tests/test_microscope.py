"""What is taken for the microscope behind a movie, by what movie, files and model tell."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording_samples import SHAPE, record

from dsacq.errors import SettingsError
from dsacq.files.camera_maps import camera_table, write_maps
from dsacq.files.masks import write_mask
from dsacq.files.measured_psf import measured_file
from dsacq.files.movies import Movie, MovieWriter, open_movie
from dsacq.files.recording import MASK, read_facts, write_facts
from dsacq.microscope import Microscope, microscope_behind
from dsacq.physics.camera import EmccdCamera, ScmosCamera
from dsacq.physics.masks import astigmatism, tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.optics_file import USUAL_PSF
from dsacq.physics.pupil import PsfModel

MakeMovie = Callable[..., Movie]
WANTED = Microscope(
    tetrapod(STANDARD_OPTICS), STANDARD_OPTICS, PsfModel(blur_px=0.9), EmccdCamera(), "the model m"
)


@pytest.fixture
def movie_with(tmp_path: Path) -> Iterator[MakeMovie]:
    with ExitStack() as stack:

        def make(**metadata: Any) -> Movie:
            path = tmp_path / "some.ome.tif"
            with MovieWriter(path, (8, 8), metadata=metadata) as writer:
                writer.write(np.zeros((8, 8), np.uint16))
            return stack.enter_context(open_movie(path))

        yield make


@pytest.fixture
def recording_with(tmp_path: Path) -> Iterator[MakeMovie]:
    with ExitStack() as stack:

        def make(**about: Any) -> Movie:
            record(tmp_path / "run", 1)
            facts = replace(read_facts(tmp_path / "run"), pixel_um=None, about=about)
            write_facts(tmp_path / "run", facts)
            return stack.enter_context(open_movie(tmp_path / "run"))

        yield make


def optics_file(folder: Path, tables: str = "") -> Path:
    path = folder / "optics.toml"
    lines = [f"{name} = {value}" for name, value in asdict(STANDARD_OPTICS).items()]
    text = "\n".join(lines).replace("(", "[").replace(")", "]")
    path.write_text(f"[optics]\n{text}\n{tables}", encoding="utf-8")
    return path


def test_a_movie_that_tells_nothing(movie_with: MakeMovie, tmp_path: Path) -> None:
    movie = movie_with()
    found, remarks = microscope_behind(movie, wanted=WANTED)
    assert (found.mask, found.optics, found.psf) == (WANTED.mask, WANTED.optics, WANTED.psf)
    assert (found.camera, remarks) == (WANTED.camera, [])
    with pytest.raises(SettingsError, match=r"some.ome.tif does not tell the optics"):
        microscope_behind(movie)
    with pytest.raises(SettingsError, match=r"some.ome.tif does not tell the phase mask"):
        microscope_behind(movie, optics=optics_file(tmp_path))


def test_what_is_given_comes_first(recording_with: MakeMovie, tmp_path: Path) -> None:
    rig = {"optics": asdict(replace(STANDARD_OPTICS, na=1.2)), "psf": {"kind": "scalar"}}
    movie = recording_with(rig=rig, noise=vars(ScmosCamera()))
    write_mask(tetrapod(STANDARD_OPTICS), movie.path / MASK)
    mine = astigmatism(STANDARD_OPTICS)
    write_mask(mine, tmp_path / "mine.tif")
    given = optics_file(tmp_path, '[psf]\nblur_px = 0.7\n[camera]\nkind = "emccd"\n')
    found, _ = microscope_behind(movie, mask=tmp_path / "mine.tif", optics=given)
    assert found.mask.name == mine.name
    assert (found.optics, found.psf) == (STANDARD_OPTICS, PsfModel(blur_px=0.7))
    assert found.camera == EmccdCamera()


def test_a_recording_tells_everything(recording_with: MakeMovie) -> None:
    optics = replace(STANDARD_OPTICS, z_range_um=(1.0, 5.0))
    offset = np.random.default_rng(0).uniform(90, 110, SHAPE).astype(np.float32)
    camera = ScmosCamera(quantum_efficiency=0.8, offset_adu=offset)
    rig = {"optics": asdict(optics), "psf": {"kind": "scalar"}}
    movie = recording_with(rig=rig, noise=camera_table(camera), binning=1)
    write_maps(camera, movie.path)
    write_mask(astigmatism(optics), movie.path / MASK)
    for wanted, mask in ((None, "astigmatism"), (WANTED, WANTED.mask.name)):
        found, remarks = microscope_behind(movie, wanted=wanted)
        assert found.mask.name == mask
        assert remarks == (
            []
            if wanted is None
            else [
                "the model m was made for the mask tetrapod, but run was taken through "
                "astigmatism: positions are wrong unless the two are alike."
            ]
        )
        assert (found.optics, found.psf) == (optics, PsfModel(kind="scalar"))
        assert isinstance(found.camera, ScmosCamera)
        assert found.camera.quantum_efficiency == 0.8
        np.testing.assert_array_equal(found.camera.offset_adu, offset)


def test_what_an_optics_file_leaves_out_the_recording_tells(
    recording_with: MakeMovie, tmp_path: Path
) -> None:
    rig = {"optics": asdict(STANDARD_OPTICS), "psf": {"kind": "scalar", "blur_px": 0.6}}
    movie = recording_with(rig=rig, noise=camera_table(ScmosCamera(quantum_efficiency=0.7)))
    found, remarks = microscope_behind(movie, wanted=WANTED, optics=optics_file(tmp_path))
    assert found.psf == PsfModel(kind="scalar", blur_px=0.6)
    assert isinstance(found.camera, ScmosCamera)
    assert found.camera.quantum_efficiency == 0.7
    assert remarks == []


def test_a_blur_that_nobody_tells_is_the_usual_one(movie_with: MakeMovie, tmp_path: Path) -> None:
    write_mask(tetrapod(STANDARD_OPTICS), tmp_path / "mask.tif")
    found, _ = microscope_behind(
        movie_with(), mask=tmp_path / "mask.tif", optics=optics_file(tmp_path)
    )
    assert found.psf == USUAL_PSF
    assert found.camera is None


def measured(folder: Path, **tables: Any) -> Path:
    """A phase as `calibrate beads` leaves it."""
    mask = folder / "psf.tif"
    write_mask(tetrapod(STANDARD_OPTICS), mask)
    measured_file(mask).write_text(json.dumps({"kind": "dsacq psf"} | tables), encoding="utf-8")
    return mask


def test_a_mask_measured_on_beads_tells_optics_and_blur(
    movie_with: MakeMovie, recording_with: MakeMovie, tmp_path: Path
) -> None:
    psf = PsfModel(kind="vectorial", blur_px=0.63)
    mask = measured(tmp_path, optics=asdict(STANDARD_OPTICS), psf=asdict(psf))
    found, remarks = microscope_behind(movie_with(), mask=mask)
    assert (found.optics, found.psf, len(remarks)) == (STANDARD_OPTICS, psf, 1)
    assert "those of the beads are taken, focus_um = 4.5 and z_range_um = [2.0, 6.0]" in remarks[0]
    # beads at another focus are no reason against a model
    elsewhere = asdict(replace(STANDARD_OPTICS, focus_um=0.0))
    mask = measured(tmp_path, optics=elsewhere, psf=asdict(psf))
    found, remarks = microscope_behind(movie_with(), wanted=WANTED, mask=mask)
    assert (found.optics, found.psf, remarks) == (STANDARD_OPTICS, psf, [])
    # Where the movie or a file tells the optics those are taken, and the measured blur all the same
    rig = {"optics": asdict(replace(STANDARD_OPTICS, focus_um=1.0)), "psf": {"blur_px": 1.0}}
    found, _ = microscope_behind(recording_with(rig=rig), mask=mask)
    assert (found.optics.focus_um, found.psf) == (1.0, psf)
    told = optics_file(tmp_path, "[psf]\nblur_px = 1.0\n")
    assert microscope_behind(movie_with(), mask=mask, optics=told)[0].psf == psf


def test_other_json_beside_a_mask_means_nothing(movie_with: MakeMovie, tmp_path: Path) -> None:
    mask = measured(tmp_path, kind="a design", psf={"blur_px": 3.0})
    found, _ = microscope_behind(movie_with(), mask=mask, optics=optics_file(tmp_path))
    assert found.psf == USUAL_PSF
    measured(tmp_path, psf={"blur_px": -3.0})
    with pytest.raises(SettingsError, match=r"psf\.json: psf: blur_px = -3"):
        microscope_behind(movie_with(), mask=mask, optics=optics_file(tmp_path))


def test_a_damaged_mask_of_a_recording_does_not_stop_a_model(recording_with: MakeMovie) -> None:
    rig = {"optics": asdict(STANDARD_OPTICS)}
    movie = recording_with(rig=rig, noise=camera_table(ScmosCamera()))
    (movie.path / MASK).write_bytes(b"II*\0 cut short")
    found, remarks = microscope_behind(movie, wanted=WANTED)
    assert found.mask is WANTED.mask
    assert len(remarks) == 1
    assert MASK in remarks[0]
    assert "the model m was made for this mask is not known" in remarks[0]


def test_noise_that_a_recording_does_not_tell_is_remarked(recording_with: MakeMovie) -> None:
    movie = recording_with(rig={"optics": asdict(STANDARD_OPTICS)})
    found, remarks = microscope_behind(movie, wanted=WANTED)
    assert found.camera is WANTED.camera
    assert len(remarks) == 1
    assert "run does not tell its camera's noise: that which the model m was made for" in remarks[0]


@pytest.mark.parametrize(
    ("kept", "told"), [(False, "offset.tif: cannot be read"), (True, "of the frames' pixels")]
)
def test_maps_that_cannot_be_had_are_remarked(
    recording_with: MakeMovie, kept: bool, told: str
) -> None:
    camera = ScmosCamera(offset_adu=np.full((3, 3), 99.0, np.float32))
    rig = {"optics": asdict(STANDARD_OPTICS)}
    movie = recording_with(rig=rig, noise=camera_table(camera))
    if kept:
        write_maps(camera, movie.path)
    found, remarks = microscope_behind(movie, wanted=WANTED)
    assert found.camera is WANTED.camera
    assert len(remarks) == 1
    assert told in remarks[0]
    assert "not taken from the recording" in remarks[0]


def test_binned_frames_are_not_for_a_model_of_single_pixels(recording_with: MakeMovie) -> None:
    movie = recording_with(rig={"optics": asdict(STANDARD_OPTICS)}, binning=2)
    with pytest.raises(
        SettingsError, match=r"the model m .* than run: pixel_um 0\.22 \(model 0\.11\)"
    ):
        microscope_behind(movie, wanted=WANTED)


def test_optics_that_a_movie_carries_are_compared(movie_with: MakeMovie) -> None:
    other = replace(STANDARD_OPTICS, wavelength_um=0.67)
    with pytest.raises(SettingsError, match=r"wavelength_um 0\.67 \(model 0\.58\)"):
        microscope_behind(movie_with(optics=asdict(other)), wanted=WANTED)


def test_another_pixel_is_told(movie_with: MakeMovie) -> None:
    _, remarks = microscope_behind(movie_with(pixel_um=0.22), wanted=WANTED)
    assert remarks == [
        "some.ome.tif states a pixel of 0.22 um, but 0.11 um is used; positions are wrong if the "
        "file is right."
    ]
