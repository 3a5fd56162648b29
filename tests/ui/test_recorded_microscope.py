"""What is taken for the microscope behind a movie, by what the movie and its recording tell."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsacq.errors import SettingsError
from dsacq.files.movies import Movie, MovieWriter, open_movie
from dsacq.files.recording import Counters, Facts
from dsacq.networks.model_file import ModelCard, read_card
from dsacq.physics.camera import EmccdCamera, ScmosCamera
from dsacq.physics.pupil import PsfModel
from ui.commands.models import shipped_models
from ui.recorded_microscope import recorded_camera, recorded_linking, recorded_optics

MakeMovie = Callable[..., Movie]


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return read_card(shipped_models() / "bench-nano.safetensors")


@pytest.fixture
def movie_with(tmp_path: Path) -> Iterator[MakeMovie]:
    with ExitStack() as stack:

        def make(**metadata: Any) -> Movie:
            path = tmp_path / "some.ome.tif"
            with MovieWriter(path, (8, 8), metadata=metadata) as writer:
                writer.write(np.zeros((8, 8), np.uint16))
            return stack.enter_context(open_movie(path))

        yield make


def facts_of(**rig: Any) -> Facts:
    return Facts(
        state="complete",
        reason="",
        started="2026-01-01",
        ended=None,
        software="test",
        shape_px=(8, 8),
        pixel_um=None,
        exposure_s=0.1,
        frames=Counters(),
        about={"rig": rig},
    )


def test_a_movie_that_tells_nothing_has_the_model_s(movie_with: MakeMovie, card: ModelCard) -> None:
    movie = movie_with()
    assert recorded_optics(movie, None, card) == (card.optics, card.psf)
    assert recorded_camera(movie, None, card) == (card.camera, "")


def test_the_recording_comes_first(movie_with: MakeMovie, card: ModelCard) -> None:
    movie = movie_with()
    optics = replace(card.optics, z_range_um=(1.0, 5.0))
    noise = asdict(EmccdCamera(em_gain=50.0))
    facts = facts_of(optics=asdict(optics), psf={"kind": "scalar"}, noise=noise)
    assert recorded_optics(movie, facts, card) == (optics, PsfModel(kind="scalar"))
    assert recorded_camera(movie, facts, card) == (EmccdCamera(em_gain=50.0), "")


def test_a_simulated_camera_has_the_noise_of_its_bench(
    movie_with: MakeMovie, card: ModelCard
) -> None:
    bench = {"noise": asdict(ScmosCamera(offset_adu=3.0))}
    facts = facts_of(camera={"kind": "simulated"}, noise=None, bench=bench)
    camera, _ = recorded_camera(movie_with(), facts, card)
    assert camera is not None
    assert asdict(camera) == bench["noise"]
    real = facts_of(camera={"kind": "micromanager"}, noise=None, bench=bench)
    assert recorded_camera(movie_with(), real, card)[0] is card.camera


def test_camera_maps_that_were_not_kept_are_remarked(
    movie_with: MakeMovie, card: ModelCard
) -> None:
    noise = asdict(ScmosCamera()) | {"offset_adu": "[[100. 101. ... 99.]]"}
    camera, remark = recorded_camera(movie_with(), facts_of(noise=noise), card)
    assert camera is card.camera
    assert "the camera of the model was taken" in remark


def test_another_pixel_is_refused(movie_with: MakeMovie, card: ModelCard) -> None:
    with pytest.raises(SettingsError, match=r"some.ome.tif: pixel_um 0\.22 \(model 0\.11\)"):
        recorded_optics(movie_with(pixel_um=0.22), None, card)


def test_optics_that_a_movie_carries_are_compared(movie_with: MakeMovie, card: ModelCard) -> None:
    other = replace(card.optics, wavelength_um=0.67)
    with pytest.raises(SettingsError, match=r"wavelength_um 0\.67 \(model 0\.58\)"):
        recorded_optics(movie_with(optics=asdict(other)), None, card)


def test_linking_is_as_live_with_the_movie_s_interval(movie_with: MakeMovie) -> None:
    facts = facts_of(use={"link": {"diffusion_um2_per_s": 0.5, "frame_interval_s": 9.0}})
    settings = recorded_linking(movie_with(exposure_s=0.25), facts)
    assert (settings.diffusion_um2_per_s, settings.frame_interval_s) == (0.5, 0.25)
    assert recorded_linking(movie_with(), None).diffusion_um2_per_s == 0.01
