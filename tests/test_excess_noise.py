"""An electron-multiplying register doubles the variance of shot noise, wherever one is reckoned.

Two cameras that differ in nothing else: what goes by a variance differs by 2 between them, and what
goes by a standard deviation by its root.
"""

from dataclasses import replace
from math import sqrt
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from calibration.precision import Held, localized
from calibration.z_scan import Plane, ZScanSettings, scan_of
from dsacq.analysis.sweep import Scene, bounds_nm
from dsacq.data import Localizations
from dsacq.localize import rivals
from dsacq.localize.fitted_frame import FittedFrame, reach_px
from dsacq.localize.groups import grouped
from dsacq.localize.likelihood import brightness, fit
from dsacq.localize.pursuit import PursuitSettings, pursue
from dsacq.localize.refine import psf_source, refine_movie
from dsacq.microscope import Microscope
from dsacq.physics.camera import (
    Camera,
    EmccdCamera,
    ScmosCamera,
    expose,
    expose_differentiably,
    response,
)
from dsacq.physics.fisher import information
from dsacq.physics.masks import astigmatism
from dsacq.physics.optics import STANDARD_OPTICS, Optics
from dsacq.physics.pupil import PsfModel
from dsacq.simulation.background import Constant
from dsacq.simulation.brightness import Fixed, LogUniform
from dsacq.simulation.emitters import EmitterSettings
from dsacq.simulation.settings import FrameSettings, MaskChoice, SimulationSettings
from dsacq.training.estimate_picture import _draw_transfer
from dsacq.training.examine import examinations, examine, visible_photons
from dsacq.training.photon_transfer import PhotonTransfer, photon_transfer
from dsacq.training.priors import Sampler
from dsacq.training.settings import MixtureChoice, Priors, Schedule, TrainingSettings
from dsacq.training.validation import _isolated
from hardware.rig import open_rig
from hardware.rig_file import RigSettings
from hardware.simulated_camera import SimulatedCameraSettings

OPTICS = Optics(
    wavelength_um=0.67,
    na=1.2,
    index_immersion=1.33,
    index_sample=1.33,
    magnification=60,
    focal_4f_um=100_000,
    camera_pixel_um=8,
    mask_pixel_um=100,
    focus_um=0.5,
    z_range_um=(0.0, 1.0),
)
MASK, PSF = astigmatism(OPTICS), PsfModel(blur_px=0.8)
READ = 0.5  # electrons, at the input
PLAIN = ScmosCamera(
    quantum_efficiency=0.8,
    offset_adu=100.0,
    gain_adu_per_electron=10.0,
    read_variance_adu2=(10.0 * READ) ** 2,
)
EMCCD = EmccdCamera(
    quantum_efficiency=0.8,
    em_gain=100.0,
    electrons_per_adu=10.0,
    baseline_adu=100.0,
    read_noise_electrons=100.0 * READ,
    spurious_electrons=0.0,
)
CAMERAS = (PLAIN, EMCCD)
LEVEL = 40.0  # photons of background
TRUTH_UM = torch.tensor([[2.1, 2.3, 0.3]])
SHAPE = (34, 36)


def rig_settings() -> RigSettings:
    return RigSettings(optics=STANDARD_OPTICS, camera=SimulatedCameraSettings())


def frame_middle() -> Tensor:
    return torch.tensor([SHAPE[1] / 2, SHAPE[0] / 2, 0]) * OPTICS.pixel_um


def drawn(places_um: Tensor = TRUTH_UM, photons: float = 6000.0) -> Tensor:
    """Expected photons (H, W)."""
    source = psf_source(MASK, OPTICS, PSF)
    middle = torch.tensor([SHAPE[1] / 2, SHAPE[0] / 2, 0]) * OPTICS.pixel_um
    images, _ = source.images_and_gradient(places_um - middle, SHAPE)
    return images.sum(0) * photons + LEVEL


class Frames:
    """The same frame, without noise, in counts of either camera."""

    shape = SHAPE

    def __init__(self, image: Tensor | None = None) -> None:
        self.image = drawn() if image is None else image

    def __len__(self) -> int:
        return 1

    def frame(self, index: int) -> NDArray[np.float32]:
        return (self.image * 8.0 + 100.0).numpy().astype(np.float32)


def test_both_cameras_count_alike() -> None:
    one, other = map(response, CAMERAS)
    assert one._replace(excess=True) == pytest.approx(other)


def test_information_of_a_noisy_register() -> None:
    expected = torch.tensor([[3.0, 50.0], [7.0, 0.5]], dtype=torch.float64)
    slope = torch.tensor([[[1.0, 2.0], [0.5, 3.0]]], dtype=torch.float64)
    for excess, factor in ((False, 1), (True, 2)):
        found = information(slope, expected, READ**2, excess=excess)
        wanted = (slope[0] ** 2 / (factor * expected + READ**2)).sum()
        torch.testing.assert_close(found, wanted[None, None])


@pytest.mark.parametrize("level", [2.0, 80.0])
@pytest.mark.parametrize("exposed", [expose, expose_differentiably])
def test_noise_that_is_drawn(exposed: object, level: float) -> None:
    light = torch.full((300, 300), level)
    for camera, factor in zip(CAMERAS, (1, 2), strict=True):
        counts = exposed(camera, light, torch.Generator().manual_seed(2))  # type: ignore[operator]
        variance = float(((counts - 100) / 10).double().var())
        assert variance == pytest.approx(factor * 0.8 * level + READ**2, rel=0.03)


def framed(excess: bool, image: Tensor | None = None) -> FittedFrame:
    electrons = (drawn() if image is None else image) * 0.8
    source = psf_source(MASK, OPTICS, PSF)
    reach = reach_px(source)
    return FittedFrame(electrons, source, read_variance=READ**2, excess=excess, reach=reach)


def test_the_variance_of_a_fitted_frame() -> None:
    for excess, factor in ((False, 1), (True, 2)):
        frame = framed(excess)
        torch.testing.assert_close(frame.variance, factor * frame.expected + READ**2)


def test_a_fit_trusts_a_multiplied_frame_half_as_much() -> None:
    data = (torch.poisson(drawn() * 0.8, generator=torch.Generator().manual_seed(3)))[None]
    known = torch.full_like(data, 0.8 * LEVEL)
    middle = torch.tensor([SHAPE[1] / 2, SHAPE[0] / 2, 0]) * OPTICS.pixel_um
    source = psf_source(MASK, OPTICS, PSF)
    place = (TRUTH_UM - middle)[None]
    start = brightness(source, data, known, place, torch.full((1, 1), PSF.blur_px))
    plain, multiplied = (fit(source, data, known, start, excess=one) for one in (False, True))
    assert float(multiplied.loss / plain.loss) == pytest.approx(0.5, rel=0.02)
    variances = [one.covariance.diagonal(dim1=-2, dim2=-1)[0, :3] for one in (plain, multiplied)]
    assert (variances[1] / variances[0]).numpy() == pytest.approx(2.0, rel=0.1)


def test_what_else_may_explain_a_noisier_frame_gains_half_as_much() -> None:
    """A rival of an emitter: its loss is that of a fit with the frame's own noise."""
    noisy = torch.poisson(drawn(), generator=torch.Generator().manual_seed(6))
    losses = []
    for excess in (False, True):
        frame = framed(excess, noisy)
        place = TRUTH_UM - frame_middle()
        frame.add(place + torch.tensor([0.0, 0.0, 0.5]))
        (group,) = grouped(frame.pixels().numpy(), frame.reach, SHAPE)
        losses.append(rivals._fitted(frame, group, place[None] + 0.3)[0])
    assert losses[0] > 10
    assert losses[1] == pytest.approx(losses[0] / 2, rel=0.1)


def sigmas(table: Localizations) -> NDArray[np.float64]:
    return table.table[["sigma_x_um", "sigma_y_um", "sigma_z_um"]].to_numpy(np.float64)


def test_errors_of_refined_emitters() -> None:
    start = Localizations.from_columns(frame=[0], x_um=[2.1], y_um=[2.3], z_um=[0.3])
    plain, multiplied = (
        Localizations.joined(refine_movie(Frames(), [start], MASK, OPTICS, PSF, camera=camera))
        for camera in CAMERAS
    )
    assert sigmas(multiplied) / sigmas(plain) == pytest.approx(sqrt(2), rel=0.05)


def test_errors_of_pursued_emitters() -> None:
    plain, multiplied = (
        Localizations.joined(
            pursue(Frames(), MASK, OPTICS, PSF, [0], PursuitSettings(), camera=camera)
        )
        for camera in CAMERAS
    )
    assert len(plain) == len(multiplied) == 1
    assert sigmas(multiplied) / sigmas(plain) == pytest.approx(sqrt(2), rel=0.05)


def test_bounds_of_a_sweep() -> None:
    truth = Localizations.from_columns(
        frame=[0], x_um=[2.1], y_um=[2.3], z_um=[0.3], photons=[6000.0], background=[LEVEL]
    )
    scene = Scene(np.zeros((1, *SHAPE), np.uint16), truth)
    plain, multiplied = (
        bounds_nm(
            scene,
            SimulationSettings(
                optics=OPTICS,
                mask=MaskChoice(design="astigmatism"),
                frames=FrameSettings(count=1, shape_px=SHAPE, seed=3),
                emitters=EmitterSettings(density_per_um2=0.1),
                photons=Fixed(photons=6000.0),
                background=Constant(photons=LEVEL),
                camera=camera,
                psf=PSF,
            ),
            MASK,
        )
        for camera in CAMERAS
    )
    assert multiplied / plain == pytest.approx(sqrt(2), rel=0.02)


def test_bounds_of_a_bead() -> None:
    draw, bounds = np.random.default_rng(4), []
    clean = np.stack([Frames().frame(0)] * 12)
    frames = (clean + draw.normal(0, 10.0, clean.shape)).astype(np.float32)
    middle = SHAPE[1] / 2 * OPTICS.pixel_um, SHAPE[0] / 2 * OPTICS.pixel_um
    centred = torch.tensor([[*middle, 0.05]])
    frames += ((drawn(centred) - drawn()) * 8.0).numpy()
    for camera in CAMERAS:
        steps = localized([Held(0.5, frames)], MASK, OPTICS, PSF, camera)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                bounds.append(end.value[0].bound_um)
                break
    assert bounds[1] / bounds[0] == pytest.approx(sqrt(2), rel=0.05)


def test_a_scan_counts_in_units_of_its_noise() -> None:
    """Variance over mean: twice the gain behind a register."""
    plane = Plane(0, 1, 0.0, np.full((48, 48), 900, np.float32))
    scan, units = ZScanSettings(first_um=-1, last_um=1, frames=1), []
    for camera in CAMERAS:
        with open_rig(replace(rig_settings(), noise=camera)) as rig:
            units.append(scan_of(rig, [plane], scan).counts_per_photon)
    assert units == pytest.approx([8.0, 16.0])


def test_photons_that_can_be_seen() -> None:
    """Where the light of the emitter itself is the noise, twice as many."""
    seen = [visible_photons(Microscope(MASK, OPTICS, PSF, camera), 0.0, 12) for camera in CAMERAS]
    assert seen[1] / seen[0] == pytest.approx(2.0, rel=0.15)


def flat(camera: Camera, count: int = 4) -> NDArray[np.float32]:
    light = torch.full((count, 96, 96), LEVEL)
    return expose(camera, light, torch.Generator().manual_seed(5)).numpy().astype(np.float32)


class Movie:
    def __init__(self, images: NDArray[np.float32]) -> None:
        self.images, self.shape = images, images.shape[1:]

    def __len__(self) -> int:
        return len(self.images)

    def frame(self, index: int) -> NDArray[np.float32]:
        return self.images[index]


@pytest.mark.parametrize(("camera", "factor"), [(PLAIN, 1), (EMCCD, 2)], ids=["plain", "emccd"])
def test_noise_of_examined_frames(camera: Camera, factor: int) -> None:
    movie = Movie(flat(camera))
    microscope = Microscope(MASK, OPTICS, PSF, camera)
    for one in examine(movie, examinations(range(2), movie.shape)[:2], microscope):
        assert one.noise == pytest.approx(1.0, abs=0.08)
        assert one.variance == pytest.approx(factor * 0.8 * LEVEL + READ**2, rel=0.08)


@pytest.mark.parametrize("camera", CAMERAS, ids=["plain", "emccd"])
def test_the_gain_that_noise_shows(camera: Camera) -> None:
    images = flat(camera, 8)
    found = photon_transfer([(images[k], images[k + 1]) for k in range(7)], camera)
    assert found.adu_per_electron == pytest.approx(10.0, rel=0.06)


def test_the_noise_drawn_beside_what_was_measured() -> None:
    """The line of the given gain, in the picture of an estimate."""
    transfer = PhotonTransfer(np.array([120.0, 500.0]), np.array([1.0, 1.0]), None)
    for camera, factor in zip(CAMERAS, (1, 2), strict=True):
        axes = Figure().subplots()
        told = SimpleNamespace(transfer=transfer)
        _draw_transfer(axes, told, SimpleNamespace(camera=camera))  # type: ignore[arg-type]
        (line,) = axes.lines
        mean, variance = (np.asarray(values, float) for values in line.get_data())
        expected = factor * 10.0 * (mean - 100.0) + (10.0 * READ) ** 2
        np.testing.assert_allclose(variance, expected)


def test_the_bounds_that_a_training_is_measured_by() -> None:
    bounds = []
    for camera in CAMERAS:
        settings = TrainingSettings(
            optics=OPTICS,
            mask=MaskChoice(design="astigmatism"),
            camera=camera,
            psf=PSF,
            priors=Priors(
                density_per_um2=0.1,
                photons=LogUniform(low=5999.0, high=6001.0),
                background=Constant(photons=LEVEL),
                border_px=-4,
            ),
            network=MixtureChoice(preset="nano"),
            training=Schedule(steps=1, batch=1, crop_px=32, seed=5),
        )
        bounds.append(_isolated(settings, MASK, Sampler(settings, MASK), (32, 32))[1])
    assert np.median(bounds[1] / bounds[0]) == pytest.approx(sqrt(2), rel=0.02)


def test_emitters_too_faint_for_a_register_s_noise_are_left_out() -> None:
    """Were its noise taken for half of what it is, about half of these 50 would be found."""
    grid = np.arange(30, 171, 35)
    column, row = (axis.ravel() for axis in np.meshgrid(grid, grid))
    places_um = torch.from_numpy(
        np.column_stack((column - 99.5, row - 99.5, np.full(25, 0.5 / OPTICS.pixel_um)))
    ).float()
    images, _ = psf_source(MASK, OPTICS, PSF).images_and_gradient(
        places_um * OPTICS.pixel_um, (200, 200)
    )
    light = (images.sum(0) * 1200 + LEVEL).expand(2, -1, -1)
    counts = expose(EMCCD, light, torch.Generator().manual_seed(7)).numpy().astype(np.float32)
    whole = slice(0, 200), slice(0, 200)
    microscope = Microscope(MASK, OPTICS, PSF, EMCCD)
    found = list(examine(Movie(counts), [(0, whole), (1, whole)], microscope))
    assert sum(len(one.places_px) for one in found) < 8
