"""Specimens of the simulated bench: where their emitters are, how they move, blink and bleach."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.simulation.brightness import Fixed
from dsacq.simulation.places import Area
from hardware.bench import Bench, BenchSettings
from hardware.mitochondria import MitochondriaSettings
from hardware.scene import Scene, Specimen
from hardware.specimens import BeadSettings, DenseSettings, SpecimenSettings, TelomereSettings
from hardware.tubes import labels_on_tubes

FIELD = Area(0.0, 0.0, 28.0, 24.0, (2.0, 6.0))
SCENE = Scene(FIELD, 0.11, 0.9, math.inf)


def placed(settings: SpecimenSettings, scene: Scene = SCENE, seed: int = 0) -> Specimen:
    return settings.placed(scene, torch.Generator().manual_seed(seed))


def positions(specimen: Specimen, interval_s: float, frames: int) -> Tensor:
    """(frames, E, 3) of emitters that are all seen."""
    return torch.stack([specimen.next_frame(FIELD, interval_s, 0.0).xyz_um for _ in range(frames)])


def field_moved(by_um: float) -> Area:
    return FIELD._replace(left_um=FIELD.left_um + by_um, right_um=FIELD.right_um + by_um)


@pytest.mark.parametrize(
    "settings",
    [BeadSettings(), TelomereSettings(), MitochondriaSettings(), DenseSettings()],
    ids=lambda settings: settings.kind,
)
def test_nothing_leaves_the_range_it_tells(settings: SpecimenSettings) -> None:
    specimen = placed(settings)
    low, high = specimen.z_range_um
    for _ in range(20):
        z_um = specimen.next_frame(FIELD, 0.5, 0.0).xyz_um[:, 2]
        assert low - 1e-4 <= z_um.min() <= z_um.max() <= high + 1e-4


@pytest.mark.parametrize(
    "settings",
    [BeadSettings(), TelomereSettings(), MitochondriaSettings(), DenseSettings()],
    ids=lambda settings: settings.kind,
)
def test_every_specimen_can_be_seen(settings: SpecimenSettings) -> None:
    bench = Bench(BenchSettings(specimen=settings, shape_px=(40, 64)))
    exposure = bench.expose(0.1, 0.1)
    assert exposure.photons.shape == (40, 64)
    assert float((exposure.photons - exposure.background).sum()) > 1000


def test_beads_lie_apart_on_the_coverslip() -> None:
    xyz_um = placed(BeadSettings(spacing_um=6.0, radius_um=0.1)).next_frame(FIELD, 0.1, 0).xyz_um
    assert torch.allclose(xyz_um[:, 2], torch.tensor(0.1))
    apart = torch.cdist(xyz_um[:, :2], xyz_um[:, :2]) + 99 * torch.eye(len(xyz_um))
    assert 3.0 < float(apart.min()) < 6.0
    inside = ((xyz_um[:, :2] > 0) & (xyz_um[:, :2] < torch.tensor([28.0, 24.0]))).all(1)
    assert 12 <= int(inside.sum()) <= 25
    assert len(xyz_um) > 8 * 15


def test_larger_beads_are_blurred() -> None:
    blur_px = placed(BeadSettings(radius_um=0.2)).next_frame(FIELD, 0.1, 0).blur_px
    assert blur_px is not None
    assert float(blur_px[0]) == pytest.approx((0.9**2 + 0.2**2 / 5 / 0.11**2) ** 0.5)


def test_telomeres_diffuse_within_their_nucleus() -> None:
    settings = TelomereSettings(count=2000, rotation_rad_per_s=0.0, diffusion_um2_per_s=0.004)
    way = positions(placed(settings), 0.2, 400)
    inside = ((way - torch.tensor([14.0, 12.0, 3.9])) / torch.tensor([10.0, 8.5, 1.6])) ** 2
    assert float(inside.sum(-1).max()) <= 1.0001
    square_um2 = ((way[5] - way[0]) ** 2).sum(-1).mean()
    assert float(square_um2) == pytest.approx(6 * 0.004 * 5 * 0.2, rel=0.1)
    # Uniform in the ellipsoid, at the end as at the start: <z^2> is a fifth of the squared axis.
    assert float(inside[-1, :, 2].mean()) == pytest.approx(0.2, abs=0.02)


def test_the_nucleus_turns() -> None:
    settings = TelomereSettings(rotation_rad_per_s=0.02, diffusion_um2_per_s=0.0)
    way = positions(placed(settings), 0.5, 101) - torch.tensor([14.0, 12.0, 3.9])
    angle = torch.tensor(0.02 * 0.5 * 100)
    turned_x = way[0, :, 0] * angle.cos() - way[0, :, 1] * angle.sin()
    turned_y = way[0, :, 0] * angle.sin() + way[0, :, 1] * angle.cos()
    assert torch.allclose(way[-1, :, 0], turned_x, atol=1e-3)
    assert torch.allclose(way[-1, :, 1], turned_y, atol=1e-3)
    assert torch.equal(way[-1, :, 2], way[0, :, 2])


def test_labels_are_on_tubes() -> None:
    """Around each label, the others lie at the tube's radius from the axis of their cloud."""
    xyz_um = labels_on_tubes(20_000, 1, 8.0, 0.25, FIELD, torch.Generator().manual_seed(3))
    distances_um = []
    for group in torch.cdist(xyz_um[:100], xyz_um) < 0.7:
        local = xyz_um[group] - xyz_um[group].mean(0)
        axis = torch.linalg.svd(local, full_matrices=False).Vh[0]
        distances_um.append((local - (local @ axis)[:, None] * axis).norm(dim=1))
    low, middle, high = torch.cat(distances_um).quantile(torch.tensor([0.1, 0.5, 0.9]))
    assert float(middle) == pytest.approx(0.25, abs=0.03)
    assert float(low) > 0.17
    assert float(high) < 0.35


def test_tubes_stay_within_the_field() -> None:
    xyz_um = labels_on_tubes(20_000, 40, 15.0, 0.25, FIELD, torch.Generator().manual_seed(0))
    low, high = xyz_um.min(0).values, xyz_um.max(0).values
    assert (low > torch.tensor([-0.26, -0.26, 1.999])).all()
    assert (high < torch.tensor([28.26, 24.26, 6.001])).all()
    assert float(high[2] - low[2]) > 3


def test_labels_blink() -> None:
    settings = MitochondriaSettings(labels=4000, photons=Fixed(photons=1000))
    specimen = placed(settings)
    frames = [specimen.next_frame(FIELD, 0.1, 0.0) for _ in range(30)]
    mean = sum(float(frame.photons.sum()) for frame in frames) / 30
    assert mean == pytest.approx(4000 * 1000 * 0.1 / 10.1, rel=0.1)
    first, second = frames[0].track, frames[1].track
    assert first is not None
    assert second is not None
    again = torch.isin(second, first).float().mean()
    assert 0.2 < float(again) < 0.8
    for label in second[torch.isin(second, first)].tolist():
        here = [frame.xyz_um[frame.track == label] for frame in frames[:2]]
        assert torch.equal(*here)


def test_labels_bleach_one_by_one() -> None:
    settings = MitochondriaSettings(labels=20_000)
    specimen = placed(settings, SCENE._replace(half_life_s=3.0))
    before = specimen.next_frame(FIELD, 0.1, 0.0)
    after = specimen.next_frame(FIELD, 0.1, 6.0)
    assert len(after.photons) / len(before.photons) == pytest.approx(0.25, abs=0.08)


def test_dense_emitters_are_new_in_every_frame() -> None:
    specimen = placed(DenseSettings(density_per_um2=0.5))
    counts = [len(specimen.next_frame(FIELD, 0.1, 0.0).photons) for _ in range(50)]
    assert sum(counts) / 50 == pytest.approx(0.5 * 28 * 24, rel=0.05)
    moved = field_moved(100.0)
    xyz_um = specimen.next_frame(moved, 0.1, 0.0).xyz_um
    assert float(xyz_um[:, 0].min()) >= 100
    assert specimen.next_frame(FIELD, 0.1, 0.0).track is None


def test_backgrounds_that_are_not_steady_change() -> None:
    dense = DenseSettings()
    for steady in (True, False):
        settings = replace(dense, background=replace(dense.background, steady=steady))
        bench = Bench(BenchSettings(specimen=settings, shape_px=(32, 32)), STANDARD_OPTICS)
        first, second = (bench.expose(0.1, 0.1).background for _ in range(2))
        assert torch.equal(first, second) is steady
