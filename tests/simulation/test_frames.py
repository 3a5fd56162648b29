"""Frames against the sum of exact images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dsacq.files.masks import read_mask
from dsacq.physics.masks import tetrapod
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.psf_series import taper
from dsacq.physics.pupil import PsfModel
from dsacq.simulation import frames as frames_module
from dsacq.simulation.frames import FrameRenderer, render_exact


def some_emitters(
    optics: Optics, shape: tuple[int, int], count: int, *, border_px: float = 0, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Frame, xyz_um, photons and blur_px of emitters in two frames, in no order."""
    draw = torch.Generator().manual_seed(seed)
    part = torch.rand(count, 5, generator=draw)
    extent = torch.tensor([shape[1] - 2 * border_px, shape[0] - 2 * border_px])
    low, high = optics.z_range_um
    xyz_um = torch.empty(count, 3)
    xyz_um[:, :2] = (border_px + part[:, :2] * extent) * optics.pixel_um
    xyz_um[:, 2] = low + (high - low) * part[:, 2]
    xyz_um[0, 2], xyz_um[1, 2] = low, high
    frame = torch.randint(2, (count,), generator=draw)
    return frame, xyz_um, 1e4 + 5e4 * part[:, 3], 0.75 + 0.5 * part[:, 4]


def relative_error(images: Tensor, wanted: Tensor) -> float:
    return ((images - wanted).flatten(1).norm(dim=1) / wanted.flatten(1).norm(dim=1)).max().item()


def phase_of(optics: Optics, samples: int = 101) -> Tensor:
    return torch.from_numpy(tetrapod(optics, shape=(samples, samples)).phase_rad)


@pytest.mark.parametrize(
    ("model", "shape", "camera_pixel_um"),
    [
        (PsfModel(), (60, 71), 11.0),
        (PsfModel(oversample=3), (41, 40), 16.0),
        (PsfModel(kind="vectorial"), (51, 50), 11.0),
        (PsfModel(kind="vectorial", polarisation="x", oversample=2), (40, 40), 6.5),
        (PsfModel(kind="deepstorm3d"), (60, 61), 11.0),
    ],
)
def test_frames_are_sums_of_exact_images(
    storm_optics: Optics, model: PsfModel, shape: tuple[int, int], camera_pixel_um: float
) -> None:
    optics = replace(storm_optics, camera_pixel_um=camera_pixel_um)
    frame, xyz_um, photons, blur_px = some_emitters(optics, shape, 24)
    phase = phase_of(optics, 203 if model.kind == "deepstorm3d" else 101)
    drawn = FrameRenderer(phase, optics, shape, model).render(frame, xyz_um, photons, 2, blur_px)
    exact = render_exact(phase, optics, shape, model, frame, xyz_um, photons, 2, blur_px)
    assert relative_error(drawn, exact) < 3e-4
    torch.testing.assert_close(drawn.sum((1, 2)), exact.sum((1, 2)), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("name", "optics_name", "blur"),
    [
        ("mask_tetrapod_printed", "storm_optics", (0.99, 1.01)),
        ("mask_tetrapod", "telomere_optics", (0.75, 1.25)),
        ("mask_learned", "telomere_optics", (0.75, 1.25)),
    ],
)
def test_published_masks_over_whole_frames(
    shared_data: Path,
    request: pytest.FixtureRequest,
    name: str,
    optics_name: str,
    blur: tuple[float, float],
) -> None:
    optics = request.getfixturevalue(optics_name)
    mask = read_mask(shared_data / "deepstorm3d" / "masks" / f"{name}.mat", optics=optics)
    phase, shape = torch.from_numpy(mask.phase_rad), (121, 121)
    frame, xyz_um, photons, blur_px = some_emitters(optics, shape, 70)
    blur_px = blur[0] + (blur_px - 0.75) * 2 * (blur[1] - blur[0])
    scene = (frame, xyz_um, photons, 2, blur_px)
    drawn = FrameRenderer(phase, optics, shape).render(*scene)
    exact = render_exact(phase, optics, shape, PsfModel(), *scene)
    assert relative_error(drawn, exact) < 3e-4


def test_own_blur_and_focus_are_the_defaults(storm_optics: Optics) -> None:
    shape, model, phase = (40, 40), PsfModel(blur_px=1.1), phase_of(storm_optics)
    frame, xyz_um, photons, _ = some_emitters(storm_optics, shape, 8)
    drawn = FrameRenderer(phase, storm_optics, shape, model, focus_um=0.9).render(
        frame, xyz_um, photons, 2
    )
    exact = render_exact(phase, storm_optics, shape, model, frame, xyz_um, photons, 2, focus_um=0.9)
    assert relative_error(drawn, exact) < 3e-4
    elsewhere = FrameRenderer(phase, storm_optics, shape, model).render(frame, xyz_um, photons, 2)
    assert relative_error(elsewhere, exact) > 0.1


def test_emitters_outside_the_frame_shine_in_up_to_the_margin(storm_optics: Optics) -> None:
    shape, phase = (40, 50), phase_of(storm_optics)
    frame, xyz_um, photons, blur_px = some_emitters(storm_optics, shape, 30, border_px=-12)
    scene = (frame, xyz_um, photons, 2, blur_px)
    exact = render_exact(phase, storm_optics, shape, PsfModel(), *scene)
    near = FrameRenderer(phase, storm_optics, shape, margin_px=12).render(*scene)
    assert relative_error(near, exact) < 3e-4

    xy_px = xyz_um[:, :2] / storm_optics.pixel_um
    inside = ((xy_px >= 0) & (xy_px < torch.tensor([50, 40]))).all(1)
    assert 0 < inside.sum() < len(inside)
    kept = tuple(part[inside] for part in (frame, xyz_um, photons))
    exact = render_exact(phase, storm_optics, shape, PsfModel(), *kept, 2, blur_px[inside])
    assert relative_error(FrameRenderer(phase, storm_optics, shape).render(*scene), exact) < 3e-4


def test_order_of_emitters_changes_nothing(storm_optics: Optics) -> None:
    shape = (40, 40)
    renderer = FrameRenderer(phase_of(storm_optics), storm_optics, shape)
    frame, xyz_um, photons, blur_px = some_emitters(storm_optics, shape, 40)
    mixed = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    first = renderer.render(frame, xyz_um, photons, 3, blur_px)
    again = renderer.render(frame[mixed], xyz_um[mixed], photons[mixed], 3, blur_px[mixed])
    torch.testing.assert_close(first, again, rtol=1e-4, atol=1e-2)
    assert (first[2] == 0).all()


def test_no_emitters_no_light(storm_optics: Optics) -> None:
    renderer = FrameRenderer(phase_of(storm_optics), storm_optics, (30, 20))
    none = torch.zeros(0)
    images = renderer.render(none.long(), none.reshape(0, 3), none, 2, none)
    assert images.shape == (2, 30, 20)
    assert (images == 0).all()


def test_all_light_arrives_on_a_frame_as_large_as_the_period(telomere_optics: Optics) -> None:
    shape = (329, 329)
    renderer = FrameRenderer(torch.zeros(329, 329), telomere_optics, shape)
    middle = torch.tensor([[164.5 * 0.11, 164.5 * 0.11, 4.0]])
    image = renderer.render(torch.zeros(1).long(), middle, torch.tensor([1e5]), 1)[0]
    assert image.sum().item() == pytest.approx(1e5, rel=1e-3)
    assert divmod(int(image.argmax()), 329) == (164, 164)


@pytest.mark.parametrize("shape", [(31, 40), (40, 31)])
def test_pixel_centres_are_at_halves(storm_optics: Optics, shape: tuple[int, int]) -> None:
    renderer = FrameRenderer(torch.zeros(101, 101), storm_optics, shape)
    row, column, pixel = 11, 22, storm_optics.pixel_um
    place = torch.tensor([[(column + 0.5) * pixel, (row + 0.5) * pixel, 1.0]])
    image = renderer.render(torch.zeros(1).long(), place, torch.ones(1), 1)[0]
    assert divmod(int(image.argmax()), shape[1]) == (row, column)
    torch.testing.assert_close(
        image[row, column - 5 : column + 6], image[row - 5 : row + 6, column]
    )


def test_tiles_of_a_large_frame_join(storm_optics: Optics, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, phase = (270, 230), phase_of(storm_optics)
    frame, xyz_um, photons, blur_px = some_emitters(storm_optics, shape, 40, border_px=-8)
    scene = (frame, xyz_um, photons, 2, blur_px)
    tiled = FrameRenderer(phase, storm_optics, shape, margin_px=8, reach_px=50).render(*scene)
    monkeypatch.setattr(frames_module, "_TILE_PX", 1000)
    whole = FrameRenderer(phase, storm_optics, shape, margin_px=8, reach_px=50).render(*scene)
    assert relative_error(tiled, whole) < 3e-4

    sharp = FrameRenderer(phase, storm_optics, shape, margin_px=8, reach_px=50).render(
        frame, xyz_um, photons, 2
    )
    wanted = torch.zeros_like(sharp)
    centre = torch.tensor([shape[1] / 2, shape[0] / 2, 0]) * storm_optics.pixel_um
    for index in range(len(frame)):
        image = psf(phase, xyz_um[index : index + 1] - centre, storm_optics, shape)[0]
        column, row = (xyz_um[index, :2] / storm_optics.pixel_um).tolist()
        across = taper((torch.arange(shape[1]) + 0.5 - column).abs(), 50)
        along = taper((torch.arange(shape[0]) + 0.5 - row).abs(), 50)
        wanted[frame[index]] += photons[index] * image * across * along[:, None]
    assert relative_error(sharp, wanted) < 3e-3  # the edge of the reach is not band-limited


def test_frames_beyond_the_period_are_tiled_without_repetition(storm_optics: Optics) -> None:
    shape = (60, 330)
    renderer = FrameRenderer(torch.zeros(101, 101), storm_optics, shape)
    corner = torch.tensor([[3.0, 3.0, 3.9]])
    image = renderer.render(torch.zeros(1).long(), corner, torch.tensor([1e6]), 1)[0]
    centre = torch.tensor([shape[1] / 2, shape[0] / 2, 0]) * storm_optics.pixel_um
    repeated = 1e6 * psf(torch.zeros(101, 101), corner - centre, storm_optics, shape)[0]
    torch.testing.assert_close(image[:, :100], repeated[:, :100], rtol=0.02, atol=1.0)
    assert image[:, 135:].max() < 1
    assert repeated[:, 135:].max() > 100  # 203 px on


def test_heights_outside_the_planes_are_refused(storm_optics: Optics) -> None:
    renderer = FrameRenderer(torch.zeros(101, 101), storm_optics, (20, 20), z_range_um=(1.0, 2.0))
    place = torch.tensor([[1.0, 1.0, 2.2]])
    with pytest.raises(ValueError, match=r"z from 2\.200"):
        renderer.render(torch.zeros(1).long(), place, torch.ones(1), 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_draws_the_same_frames(storm_optics: Optics) -> None:
    shape, phase = (150, 260), phase_of(storm_optics)
    scene = some_emitters(storm_optics, shape, 60)
    here = FrameRenderer(phase, storm_optics, shape).render(*scene[:3], 2, scene[3])
    frame, xyz_um, photons, blur_px = (part.cuda() for part in scene)
    there = FrameRenderer(phase.cuda(), storm_optics, shape).render(
        frame, xyz_um, photons, 2, blur_px
    )
    assert relative_error(there.cpu(), here) < 1e-3


def explained(
    pixels: Tensor, xyz_um: Tensor, photons: Tensor, phase: Tensor, optics: Optics, kind: PsfModel
) -> float:
    """Chi^2 per degree of freedom of a frame, its blur and its smooth background fitted."""
    size, count = len(pixels), len(xyz_um)
    renderer = FrameRenderer(phase, optics, (size, size), kind)
    place = xyz_um + torch.tensor([size / 2, size / 2, 0]) * optics.pixel_um
    # An emitter of any blur in the range is a mixture of its images at three.
    blurred = [
        renderer.render(torch.arange(count), place, photons, count, torch.full_like(photons, blur))
        for blur in (0.75, 1.0, 1.25)
    ]
    wave = torch.cos(torch.pi * torch.arange(12)[:, None] * (torch.arange(size) + 0.5) / size)
    waves = (wave[:, None, :, None] * wave[None, :, None, :]).double()
    columns = torch.cat((torch.cat(blurred).flatten(1), waves.flatten(2).flatten(0, 1))).T
    data, weight = pixels.flatten(), torch.ones(size * size, dtype=torch.float64)
    for _ in range(3):
        fitted = columns @ torch.linalg.lstsq(columns * weight[:, None], data * weight).solution
        weight = fitted.clamp_min(5).rsqrt()
    return (((data - fitted) * weight) ** 2).sum().item() / (len(data) - columns.shape[1])


def test_compatibility_mode_explains_published_frames(
    shared_data: Path, telomere_optics: Optics
) -> None:
    published = np.load(shared_data / "density" / "tetrapod_n35.npz")
    mask = read_mask(
        shared_data / "deepstorm3d" / "masks" / "mask_tetrapod.mat", optics=telomere_optics
    )
    frame, xyz_um, photons = (
        torch.from_numpy(published[name][0].astype(np.float64))
        for name in ("frames", "xyz_um", "photons")
    )
    phase = torch.from_numpy(mask.phase_rad).double()
    compatible, exact = (
        explained(frame, xyz_um, photons, phase, telomere_optics, PsfModel(kind=kind))
        for kind in ("deepstorm3d", "scalar")
    )
    assert compatible == pytest.approx(1.0, abs=0.02)
    assert exact > compatible + 0.01
