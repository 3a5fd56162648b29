"""The sweep over densities scores what it should, against the right bound, on the same frames."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import rcParams
from model_samples import tiny_mixture
from PIL import Image

from dsacq.analysis.metrics import evaluate
from dsacq.analysis.speed import Lap, laps, speeds
from dsacq.analysis.sweep import (
    Point,
    Scene,
    accuracy,
    bounds_nm,
    by_network,
    by_pursuit,
    check_fits,
    refined,
    simulated,
)
from dsacq.analysis.sweep_picture import sweep_picture
from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.networks.model_file import Model
from dsacq.physics.camera import ScmosCamera, read_variance_electrons
from dsacq.physics.fisher import crlb
from dsacq.physics.masks import PhaseMask, astigmatism, tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.pupil import PsfModel
from dsacq.simulation.background import Constant
from dsacq.simulation.brightness import Fixed
from dsacq.simulation.emitters import Blinking, EmitterSettings
from dsacq.simulation.settings import FrameSettings, MaskChoice, SimulationSettings

OPTICS = replace(STANDARD_OPTICS, mask_pixel_um=72)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def settings() -> SimulationSettings:
    return SimulationSettings(
        optics=OPTICS,
        mask=MaskChoice(design="tetrapod"),
        frames=FrameSettings(count=1, shape_px=(80, 90), seed=3),
        emitters=EmitterSettings(density_per_um2=1.0, border_px=20),
        photons=Fixed(photons=30_000),
        background=Constant(photons=100.0),
        camera=ScmosCamera(gain_adu_per_electron=2.0, read_variance_adu2=10.0),
        psf=PsfModel(blur_px=1.0),
    )


@pytest.fixture(scope="module")
def mask() -> PhaseMask:
    return tetrapod(OPTICS)


@pytest.fixture(scope="module")
def model(settings: SimulationSettings, mask: PhaseMask) -> Model:
    """A small network of random weights."""
    torch.manual_seed(0)
    return tiny_mixture(mask, OPTICS, psf=settings.psf, camera=settings.camera)


def blurred_truth(scene: Scene) -> Iterator[Localizations]:
    """What is there, some 25 nm off on each axis, and in frame 1 an emitter that is not."""
    draw = np.random.default_rng(0)
    for index, table in scene.truth.table.groupby("frame"):
        x_um, y_um, z_um = table[["x_um", "y_um", "z_um"]].to_numpy(float).T + draw.normal(
            0, 0.025, (3, len(table))
        )
        if index == 1:
            x_um, y_um, z_um = (np.append(values, 4.0) for values in (x_um, y_um, z_um))
        frame = np.full(len(x_um), index)
        yield Localizations.from_columns(frame=frame, x_um=x_um, y_um=y_um, z_um=z_um)


def test_scenes_hold_what_was_asked_for(settings: SimulationSettings, mask: PhaseMask) -> None:
    blinking = replace(
        settings.emitters, blinking=Blinking(on_s=0.1, off_s=0.1), diffusion_um2_per_s=1.0
    )
    scene = simulated(replace(settings, emitters=blinking), mask, 3, 4)
    again = simulated(settings, mask, 3, 4)
    assert scene.pixels.shape == (4, 80, 90)
    assert scene.pixels.dtype == np.uint16
    assert np.bincount(scene.truth.table["frame"]).tolist() == [3, 3, 3, 3]
    assert np.array_equal(scene.pixels, again.pixels)
    assert "track" not in scene.truth.table


def test_bounds_are_those_of_each_emitter_alone(
    settings: SimulationSettings, mask: PhaseMask
) -> None:
    half_um = np.array([90, 80]) * OPTICS.pixel_um / 2
    x_um, y_um = half_um[0] + np.array([0.02, 0.02, -half_um[0] + 0.1]), np.full(3, half_um[1])
    truth = Localizations.from_columns(
        frame=[0, 1, 1],
        x_um=x_um,
        y_um=y_um,
        z_um=[4.5, 4.5, 4.5],
        photons=[30_000, 120_000, 30_000],
        background=[100, 400, 100],
    )
    scene = Scene(np.zeros((2, 80, 90), np.uint16), truth)
    central, bright, edge = bounds_nm(scene, settings, mask)
    expected = crlb(
        torch.tensor(mask.phase_rad),
        torch.tensor([[0.02, 0.0, 4.5]]),
        OPTICS,
        (80, 90),
        settings.psf,
        photons=30_000 * 0.95,
        background=95.0,
        read_variance=float(read_variance_electrons(settings.camera)),
    )[0]
    wanted_nm = 1000 * float(expected[:2].norm()), 1000 * float(expected[2])
    assert central == pytest.approx(wanted_nm, rel=0.01)
    assert bright == pytest.approx(central / 2, rel=0.02)  # four times the light of both
    assert edge[0] > 1.2 * central[0]  # half its light is lost


def test_all_ways_are_scored_on_the_same_frames(
    settings: SimulationSettings, mask: PhaseMask, model: Model
) -> None:
    ways = {
        "truth": blurred_truth,
        "truth + refine": refined(blurred_truth, settings, mask, CPU),
        "network": by_network(model, settings, CPU),
    }
    steps = list(accuracy(settings, mask, ways, (2, 4), frames=3, radius_um=0.15))
    assert len(steps) == 2 * 3 * 3
    points = [step for step in steps if step is not None]
    assert [(point.emitters, point.name) for point in points] == [
        (emitters, name) for emitters in (2, 4) for name in ways
    ]
    rough, fitted = points[3:5]
    area_um2 = 40 * 50 * OPTICS.pixel_um**2
    assert rough.density_per_um2 == pytest.approx(4 / area_um2)
    assert (rough.frames, rough.scores.truth, rough.scores.found) == (3, 12, 13)
    assert (rough.false_positives, rough.scores.true_positives) == (1, 12)
    assert (rough.row()["jaccard"], rough.row()["false_positives"]) == (12 / 13, 1)
    assert rough.scores.rmse_3d_nm == pytest.approx(25 * 3**0.5, rel=0.3)
    assert fitted.scores.jaccard == 1
    for found, bound in (
        (fitted.scores.rmse_lateral_nm, fitted.bound_lateral_nm),
        (fitted.scores.rmse_axial_nm, fitted.bound_axial_nm),
    ):
        assert found is not None
        assert 0.3 * bound < found < 2 * bound


def test_pursuit_finds_what_was_simulated(settings: SimulationSettings, mask: PhaseMask) -> None:
    ways = {"pursuit": by_pursuit(settings, mask, CPU)}
    *_, point = accuracy(settings, mask, ways, (2,), frames=2, radius_um=0.1)
    assert point is not None
    assert point.scores.jaccard == 1
    assert point.scores.rmse_3d_nm is not None
    assert point.scores.rmse_3d_nm < 2 * np.hypot(point.bound_lateral_nm, point.bound_axial_nm)


def test_strangers_are_refused(settings: SimulationSettings, mask: PhaseMask, model: Model) -> None:
    check_fits(model, settings, mask)
    check_fits(model, settings, replace(mask, phase_rad=mask.phase_rad + 1, name="piston"))
    check_fits(model, settings, replace(tetrapod(STANDARD_OPTICS), name="finer"))
    with pytest.raises(SettingsError, match=r"tiny was made for another mask .*astigmatism"):
        check_fits(model, settings, astigmatism(OPTICS))
    elsewhere = replace(settings, optics=replace(OPTICS, focus_um=3.0))
    with pytest.raises(SettingsError, match=r"tiny .*focus_um 3 \(model 4.5\)"):
        check_fits(model, elsewhere, mask)


def test_picture(settings: SimulationSettings, tmp_path: Path) -> None:
    none = evaluate(Localizations.empty(), Localizations.empty(), radius_um=0.1)
    points = [
        Point(
            name=name,
            emitters=emitters,
            density_per_um2=emitters / 80,
            frames=1,
            scores=replace(none, jaccard=jaccard, rmse_lateral_nm=lateral, rmse_axial_nm=lateral),
            bound_lateral_nm=5.0,
            bound_axial_nm=8.0,
        )
        for name, lateral, jaccard in (("50 % $ off", 20.0, 0.9), ("blind", None, 0.0))
        for emitters in (1, 5, 20)
    ]
    before = dict(rcParams)
    path = tmp_path / "accuracy.png"
    pictures = []
    for count in (3, 6):
        sweep_picture(points[:count], 0.1, path)
        with Image.open(path) as image:
            pictures.append(np.asarray(image.convert("RGB")).astype(int))
    assert pictures[0].shape == (705, 1890, 3)
    blue = (np.abs(pictures[0] - np.array([0, 114, 178])).max(2) < 12).sum(0)
    assert all((blue[first : first + 600] > 0).sum() > 300 for first in (100, 700, 1290))
    orange = np.abs(pictures[1] - np.array([213, 94, 0])).max(2) < 12
    assert orange[:560, :650].any()  # it has a Jaccard index, 0, but no error to draw
    assert not orange[:560, 650:].any()
    assert dict(rcParams) == before
    assert [file.name for file in tmp_path.iterdir()] == ["accuracy.png"]
    with pytest.raises(FileError, match="cannot be written"):
        sweep_picture(points, 0.1, tmp_path / "absent" / "accuracy.png")


def test_models_are_timed_by_turns(model: Model) -> None:
    names = {"a": model, "b": model}
    driven = list(laps(names, (40, 44), frames=40, rounds=2, device=CPU))
    assert [(lap.name, lap.round) for lap in driven] == [
        (name, number) for number in range(3) for name in "ab"
    ]
    assert all(lap.seconds > 0 for lap in driven)


def test_speeds_leave_the_first_round_out() -> None:
    times = {"a": (9.0, 2.0, 1.0, 4.0), "b": (0.1, 5.0, 8.0, 8.0)}
    driven = [Lap(name, place, own[place]) for place in range(4) for name, own in times.items()]
    first, second = speeds(driven, 40)
    assert (first.name, second.name) == ("a", "b")
    assert (first.frames_per_second, first.frames_per_second_median) == (40, 20)
    assert (second.frames_per_second, second.frames_per_second_median) == (8, 5)
    assert (first.ratio, second.ratio) == (4, 1)
