"""Images from series are those of `psf_and_gradient`."""

from dataclasses import replace

import pytest
import torch

from dsacq.physics.image_series import ImageSource
from dsacq.physics.masks import tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf_and_gradient
from dsacq.physics.pupil import PsfModel

OPTICS = replace(STANDARD_OPTICS, mask_pixel_um=48)


@pytest.mark.parametrize("shape", [(40, 48), (96, 80), (60, 150)])
@pytest.mark.parametrize(
    "model",
    [PsfModel(blur_px=1.0), PsfModel(oversample=2), PsfModel(kind="deepstorm3d", blur_px=0.8)],
    ids=["blurred", "oversampled", "published"],
)
def test_images_and_slopes_are_the_exact_ones(shape: tuple[int, int], model: PsfModel) -> None:
    mask = tetrapod(OPTICS)
    source = ImageSource(torch.tensor(mask.phase_rad), OPTICS, model, mask.pixel_um)
    generator = torch.Generator().manual_seed(2)
    xyz_um = torch.rand(6, 3, generator=generator)
    half_um = torch.tensor([shape[1], shape[0]]) / 2 * OPTICS.pixel_um
    xyz_um[:, :2] = (2 * xyz_um[:, :2] - 1) * half_um
    xyz_um[:, 2] = 1.8 + 4.4 * xyz_um[:, 2]
    image, slope = source.images_and_gradient(xyz_um, shape)
    exact_image, exact_slope = psf_and_gradient(
        source.phase_rad, xyz_um, OPTICS, shape, model, mask_pixel_um=mask.pixel_um
    )
    assert image.shape == exact_image.shape
    # light far from its emitter is left out of the series, and little of it
    assert (image - exact_image).norm() < 1e-2 * exact_image.norm()
    row, column = (torch.arange(n) - (n - 1) / 2 for n in shape)
    x_px, y_px = (xyz_um[:, :2] / OPTICS.pixel_um).T[:, :, None]
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
    assert slope.shape == (0, 3, 30, 40)
