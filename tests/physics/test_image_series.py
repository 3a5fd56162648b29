"""Images from series are those of `psf_and_gradient`."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch.nn import functional

from dsacq.physics.image_series import ImageSource
from dsacq.physics.masks import tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf, psf_and_gradient
from dsacq.physics.pupil import PsfModel

OPTICS = replace(STANDARD_OPTICS, mask_pixel_um=48)


@pytest.mark.parametrize("shape", [(40, 48), (96, 80), (60, 150)])
@pytest.mark.parametrize(
    ("model", "around"),
    [
        (PsfModel(blur_px=1.0), 0),
        (PsfModel(oversample=2), 0),
        # the published simulator's pixel follows from the mask's size: 0.110 um, then 0.191 um
        (PsfModel(kind="deepstorm3d", blur_px=0.8), 35),
        (PsfModel(kind="deepstorm3d", blur_px=0.8), 0),
    ],
    ids=["blurred", "oversampled", "published", "published, unresolved"],
)
def test_images_and_slopes_are_the_exact_ones(
    shape: tuple[int, int], model: PsfModel, around: int
) -> None:
    mask = tetrapod(OPTICS)
    phase_rad = functional.pad(torch.tensor(mask.phase_rad), (around,) * 4)
    source = ImageSource(phase_rad, OPTICS, model, mask.pixel_um)
    generator = torch.Generator().manual_seed(2)
    xyz_um = torch.rand(6, 3, generator=generator)
    half_um = torch.tensor([shape[1], shape[0]]) / 2 * source.drawn_pixel_um
    xyz_um[:, :2] = (2 * xyz_um[:, :2] - 1) * half_um
    xyz_um[:, 2] = 1.8 + 4.4 * xyz_um[:, 2]
    image, slope = source.images_and_gradient(xyz_um, shape)
    exact_image, exact_slope = psf_and_gradient(
        source.phase_rad, xyz_um, OPTICS, shape, model, mask_pixel_um=mask.pixel_um
    )
    assert slope.shape == (6, 4, *shape)
    assert image.shape == exact_image.shape
    # light far from its emitter is left out of the series, and little of it
    assert (image - exact_image).norm() < 1e-2 * exact_image.norm()
    row, column = (torch.arange(n) - (n - 1) / 2 for n in shape)
    x_px, y_px = (xyz_um[:, :2] / source.drawn_pixel_um).T[:, :, None]
    near = ((row - y_px).abs() < 40)[:, :, None] & ((column - x_px).abs() < 40)[:, None]
    assert (near * (image - exact_image)).norm() < 5e-4 * exact_image.norm()
    for axis in range(3):
        difference = near * (slope[:, axis] - exact_slope[:, axis])
        assert difference.norm() < 2e-3 * exact_slope[:, axis].norm()


def test_no_emitters_make_no_images() -> None:
    mask = tetrapod(OPTICS)
    source = ImageSource(torch.tensor(mask.phase_rad), OPTICS, PsfModel(), mask.pixel_um)
    image, slope = source.images_and_gradient(torch.zeros(0, 3), (30, 40))
    assert image.shape == (0, 30, 40)
    assert slope.shape == (0, 4, 30, 40)


@pytest.mark.parametrize("kind", ["scalar", "deepstorm3d"])
def test_each_emitter_has_its_own_blur(kind: Literal["scalar", "deepstorm3d"]) -> None:
    mask = tetrapod(OPTICS)
    model = PsfModel(kind=kind, blur_px=1.0)
    phase_rad = functional.pad(torch.tensor(mask.phase_rad), (35,) * 4)
    source = ImageSource(phase_rad, OPTICS, model, mask.pixel_um)
    xyz_um = torch.tensor([[0.3, -0.2, 2.5], [-0.7, 0.5, 4.0], [0.0, 0.1, 5.5]])
    blur_px = torch.tensor([0.75, 1.0, 1.3])

    def exact(blur_px: torch.Tensor) -> torch.Tensor:
        pitch = mask.pixel_um
        place = phase_rad, xyz_um, OPTICS, (48, 48), model
        return psf(*place, mask_pixel_um=pitch, blur_px=blur_px)

    image, slope = source.images_and_gradient(xyz_um, (48, 48), blur_px)
    assert (image - exact(blur_px)).norm() < 5e-4 * image.norm()
    assert torch.equal(source.images(xyz_um, (48, 48), blur_px), image)
    rate = (exact(blur_px + 0.02) - exact(blur_px - 0.02)) / 0.04
    assert (slope[:, 3] - rate).norm() < 2e-3 * rate.norm()
    # far away there is no series, and the slope is a difference
    far = xyz_um + torch.tensor([20.0, 0.0, 0.0])
    assert source.images_and_gradient(far, (48, 48), blur_px)[1].shape == (3, 4, 48, 48)
