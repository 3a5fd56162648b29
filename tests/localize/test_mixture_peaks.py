"""From a mixture to emitters."""

import dataclasses

import numpy as np
import pytest
import torch
from model_samples import model_of
from numpy.typing import NDArray
from scipy.spatial import KDTree

from dsacq.data import Localizations, Roi
from dsacq.errors import SettingsError
from dsacq.localize.localizer import FrameStack, LocalizeSettings, localize
from dsacq.localize.mixture import find_peaks
from dsacq.networks.architectures import MixtureArchitecture
from dsacq.networks.mixture import ROOT_UNIT, Mixture
from dsacq.networks.model_file import Calibration, Model
from dsacq.physics.camera import IdealCamera, ScmosCamera
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics


def blank(size: int = 24) -> Mixture:
    mean = torch.zeros(1, 4, size, size)
    mean[:, 3] = 2.0
    return Mixture(
        torch.full((1, size, size), -12.0),
        mean,
        torch.full((1, 4, size, size), 0.1),
        torch.zeros(1, size, size),
    )


def put(
    found: Mixture, row: int, column: int, chance: float, x: float, y: float, z: float = 0.0
) -> None:
    found.logit[0, row, column] = torch.tensor(chance).logit()
    found.mean[0, :3, row, column] = torch.tensor([x, y, z])


def test_an_emitter_between_pixels_is_one() -> None:
    found = blank()
    put(found, 10, 5, 0.55, 0.5, 0.1)  # both mean x = 6.0, y = 10.6
    put(found, 10, 6, 0.4, -0.5, 0.1)
    peaks = find_peaks(found, Calibration(), 0.5)
    assert len(peaks.image) == 1
    assert peaks.chance.item() == pytest.approx(0.95, abs=1e-3)
    assert peaks.mean[0, :2].tolist() == pytest.approx([6.0, 10.6], abs=1e-5)
    assert peaks.deviation[0].tolist() == pytest.approx([0.1] * 4, abs=1e-4)
    assert (peaks.row.item(), peaks.column.item()) == (10, 5)


def test_pixels_two_apart_that_mean_the_same() -> None:
    found = blank()
    put(found, 10, 5, 0.5, 1.0, 0.0)
    put(found, 10, 7, 0.3, -1.0, 0.0)
    peaks = find_peaks(found, Calibration(), 0.6)
    assert peaks.chance.tolist() == pytest.approx([0.8], abs=1e-3)


def test_neighbours_at_other_depths_are_two() -> None:
    found = blank()
    put(found, 10, 5, 0.9, 0.0, 0.0, -0.5)
    put(found, 10, 6, 0.8, 0.0, 0.0, 0.5)
    peaks = find_peaks(found, Calibration(), 0.5)
    assert sorted(peaks.chance.tolist()) == pytest.approx([0.8, 0.9], abs=1e-3)


def test_equal_chances_give_one_emitter() -> None:
    found = blank()
    put(found, 10, 5, 0.5, 0.5, 0.0)
    put(found, 10, 6, 0.5, -0.5, 0.0)
    assert len(find_peaks(found, Calibration(), 0.5).image) == 1


def test_disagreement_widens_the_errors() -> None:
    found = blank()
    put(found, 10, 5, 0.5, 0.5, 0.0)
    put(found, 10, 6, 0.5, -0.3, 0.0)  # 0.2 px further
    peaks = find_peaks(found, Calibration(), 0.5)
    assert peaks.deviation[0, 0].item() == pytest.approx(0.02**0.5, rel=1e-3)  # 0.1 and 0.1


def test_nothing_in_nothing() -> None:
    assert len(find_peaks(blank(), Calibration(), 0.5).image) == 0


def test_calibration_moves_chances_and_deviations() -> None:
    found = blank()
    put(found, 10, 5, 0.6, 0.0, 0.0)
    calibration = Calibration(logit_slope=2.0, logit_offset=-1.0, deviation=(1.0, 2.0, 3.0, 4.0))
    peaks = find_peaks(found, calibration, 0.1)
    wanted = torch.sigmoid(2 * torch.tensor(0.6).logit() - 1)
    assert peaks.chance.item() == pytest.approx(wanted.item(), abs=1e-3)
    assert peaks.deviation[0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-4)


_DEFAULT = LocalizeSettings()


@pytest.fixture(scope="module")
def model(telomere_optics: Optics) -> Model:
    """Random weights that announce emitters here and there."""
    return random_mixture(telomere_optics, 1)


def random_mixture(optics: Optics, frames: int) -> Model:
    torch.manual_seed(1)
    architecture = MixtureArchitecture(
        frames=frames,
        fine_channels=8,
        fine_blocks=(1, 1),
        coarse_channels=12,
        dilations=(1, 2),
        z_range_um=optics.z_range_um,
        input_offset=20.0,
        input_scale=1.0,
    )
    network = architecture.build()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.15 * torch.randn(parameter.shape)
        network.head.bias[:4] = 0.0
        network.head.weight[:4] *= 4
    mask = PhaseMask(np.zeros((9, 9), np.float32), 24.0, 0.58, "flat", {})
    return model_of(network, architecture, mask, optics)


def movie(count: int = 3, shape: tuple[int, int] = (150, 133)) -> FrameStack:
    draw = np.random.default_rng(0)
    return FrameStack(draw.poisson(100, (count, *shape)).astype(np.uint16))


def table(frames: FrameStack, model: Model, settings: LocalizeSettings = _DEFAULT) -> Localizations:
    camera = ScmosCamera(offset_adu=0.0, quantum_efficiency=1.0)
    return Localizations.joined(
        localize(frames, model, range(len(frames)), settings, camera=camera)
    )


def test_tiles_find_what_the_whole_frame_holds(model: Model) -> None:
    whole = table(movie(), model)
    assert len(whole) > 60
    tiled = table(movie(), model, LocalizeSettings(tile_px=37))
    names = ["frame", "x_um", "y_um", "z_um"]
    a, b = (one.table[names].to_numpy(float) for one in (whole, tiled))
    assert len(a) == len(b)
    distance, partner = KDTree(b).query(a)
    assert distance.max() < 1e-3
    assert len(set(partner)) == len(a)
    np.testing.assert_allclose(
        whole.table.to_numpy(float), tiled.table.to_numpy(float)[partner], rtol=2e-3, atol=2e-3
    )


def test_columns_are_physical(model: Model) -> None:
    found = table(movie(), model).table
    pixel_um = model.card.optics.pixel_um
    assert found["x_um"].between(-0.1, 133 * pixel_um + 0.1).all()
    assert found["y_um"].between(-0.1, 150 * pixel_um + 0.1).all()
    for name in ("sigma_x_um", "sigma_y_um", "sigma_z_um", "sigma_photons", "photons"):
        assert (found[name] > 0).all(), name
    assert found["background"].min() >= 0
    assert found["probability"].between(0.5, 1).all()


def test_a_region_counts_from_the_full_frame(model: Model) -> None:
    frames = movie(1)
    roi = Roi(column=20, row=40, width=64, height=48)
    found = table(frames, model, LocalizeSettings(roi=roi))
    cut = table(FrameStack(frames.pixels[:, 40:88, 20:84]), model)
    assert len(found) == len(cut) > 0
    pixel_um = model.card.optics.pixel_um
    assert found.table["x_um"].to_numpy() == pytest.approx(
        cut.table["x_um"].to_numpy() + 20 * pixel_um, abs=1e-4
    )
    assert found.table["y_um"].to_numpy() == pytest.approx(
        cut.table["y_um"].to_numpy() + 40 * pixel_um, abs=1e-4
    )


def test_photons_are_those_at_the_sensor(model: Model) -> None:
    """The same electrons behind half the quantum efficiency are twice the photons."""
    frames = movie(1)

    def photons(efficiency: float) -> NDArray[np.float64]:
        camera = ScmosCamera(offset_adu=0.0, quantum_efficiency=efficiency)
        parts = localize(frames, model, range(1), camera=camera)
        return Localizations.joined(parts).table["photons"].to_numpy(float)

    assert photons(0.5) == pytest.approx(2 * photons(1.0), rel=1e-5)
    assert photons(1.0).max() < (100 * ROOT_UNIT) ** 2


def test_the_camera_must_be_known(model: Model) -> None:
    with pytest.raises(SettingsError, match=r"\[camera\]"):
        list(localize(movie(1), model, range(1)))
    card = dataclasses.replace(model.card, camera=IdealCamera())
    assert list(localize(movie(1), Model(card, model.mask, model.network), range(1)))


def test_a_threshold_is_a_probability(model: Model) -> None:
    settings = LocalizeSettings(threshold=40)
    with pytest.raises(SettingsError, match="below 1"):
        list(localize(movie(1), model, range(1), settings, camera=IdealCamera()))


def test_context_reaches_the_frames_around(telomere_optics: Optics) -> None:
    model = random_mixture(telomere_optics, 3)
    frames = movie(4, (40, 40))
    before = table(frames, model).table
    changed = frames.pixels.copy()
    changed[3] = 3 * changed[3]
    after = table(FrameStack(changed), model).table
    for frame in (0, 1):
        assert before[before.frame == frame].equals(after[after.frame == frame])
    for frame in (2, 3):
        assert not before[before.frame == frame].equals(after[after.frame == frame])
