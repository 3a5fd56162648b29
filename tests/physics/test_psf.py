"""The image model against closed forms, an independent transform and its own derivatives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import j1
from torch import Tensor

from dsacq.physics.optics import Optics
from dsacq.physics.psf import bead_blur_px, psf, psf_and_gradient
from dsacq.physics.pupil import PsfModel, pupil

DOUBLE = torch.float64
MODELS = [
    PsfModel(),
    PsfModel(amplitude="aplanatic", oversample=2, blur_px=0.8),
    PsfModel(kind="vectorial", blur_px=0.5),
    PsfModel(kind="vectorial", polarisation="x"),
    PsfModel(kind="deepstorm3d"),
]


def at(*xyz_um: tuple[float, float, float]) -> Tensor:
    return torch.tensor(xyz_um, dtype=DOUBLE)


def rough_mask(size: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return 2 * torch.rand((size, size), generator=draw, dtype=DOUBLE)


@pytest.fixture(scope="module")
def coarse_optics(telomere_optics: Optics) -> Optics:
    """A pupil of about 13 samples across, for derivatives by finite differences."""
    return replace(telomere_optics, mask_pixel_um=320.0)


def test_derived_lengths(telomere_optics: Optics, storm_optics: Optics) -> None:
    assert telomere_optics.pupil_diameter_um / 8 == pytest.approx(543.81, abs=0.01)
    assert telomere_optics.pupil_diameter_um / 24 == pytest.approx(181.27, abs=0.01)
    assert storm_optics.pupil_diameter_um / 30 == pytest.approx(96.68, abs=0.01)
    assert telomere_optics.pixel_um == pytest.approx(0.11)


@pytest.mark.parametrize(
    ("xyz_um", "total", "peak", "squares", "centroid_px"),
    [
        ((0, 0, 3.475), 0.867782, 0.112129, 3.62175e-2, (0, 0)),
        ((0.02, -0.03, 3.0), 0.906388, 0.022839, 7.66049e-3, (0.1758, -0.2637)),
        ((0, 0, 5.0), 0.672547, 0.003276, 7.49091e-4, (0, 0)),
    ],
)
def test_reference_vectors_without_a_mask(
    telomere_optics: Optics,
    xyz_um: tuple[float, float, float],
    total: float,
    peak: float,
    squares: float,
    centroid_px: tuple[float, float],
) -> None:
    image = psf(torch.zeros((329, 329), dtype=DOUBLE), at(xyz_um), telomere_optics, (41, 41))[0]
    place = torch.arange(41) - 20
    assert image.sum().item() == pytest.approx(total, rel=2e-6)
    assert image.max().item() == pytest.approx(peak, rel=2e-4)
    assert (image**2).sum().item() == pytest.approx(squares, rel=1e-5)
    along_x = (image.sum(0) @ place.double() / image.sum()).item()
    along_y = (image.sum(1) @ place.double() / image.sum()).item()
    assert (along_x, along_y) == pytest.approx(centroid_px, abs=1e-4)


def test_energy_is_one_on_a_large_camera(telomere_optics: Optics) -> None:
    image = psf(torch.zeros((329, 329), dtype=DOUBLE), at((0, 0, 4)), telomere_optics, (329, 329))
    assert image.sum().item() == pytest.approx(0.99967, abs=1e-5)


def test_in_focus_profile_is_the_airy_pattern() -> None:
    wavelength, na, samples, pixel = 0.5, 0.8, 201, 0.01
    magnification, focal = 1000.0, 1e5
    relay = (magnification**2 - na**2) ** 0.5
    optics = Optics(
        wavelength_um=wavelength,
        na=na,
        index_immersion=1.0,
        index_sample=1.0,
        magnification=magnification,
        focal_4f_um=focal,
        camera_pixel_um=pixel * magnification,
        mask_pixel_um=2 * na / (samples - 1) * focal / relay,
    )
    image = psf(
        torch.zeros((samples + 6, samples + 6), dtype=DOUBLE), at((0, 0, 0)), optics, (101, 101)
    )
    profile = (image[0, 50] / image.max()).numpy()
    radius = (np.arange(101) - 50) * pixel
    v = 2 * np.pi * na / wavelength * radius
    airy = np.ones(101)
    airy[v != 0] = (2 * j1(v[v != 0]) / v[v != 0]) ** 2
    assert np.abs(profile - airy).max() < 2e-4
    first_zero = radius[50:][np.argmin(profile[50:99])]
    assert first_zero == pytest.approx(0.60983 * wavelength / na, abs=0.005)


@pytest.mark.parametrize(
    ("focus_um", "z_um", "strehl"), [(1.5, 1.077, 0.850), (2.5, 1.860, 0.707), (4.5, 3.475, 0.561)]
)
def test_best_focus_with_index_mismatch(
    telomere_optics: Optics, focus_um: float, z_um: float, strehl: float
) -> None:
    heights = torch.arange(z_um - 0.05, z_um + 0.05, 0.005, dtype=DOUBLE)
    places = torch.stack((torch.zeros_like(heights), torch.zeros_like(heights), heights), 1)
    flat = torch.zeros((329, 329), dtype=DOUBLE)
    on_axis = psf(flat, places, telomere_optics, (1, 1), focus_um=focus_um).flatten()
    assert heights[on_axis.argmax()].item() == pytest.approx(z_um, abs=0.01)
    light = pupil(telomere_optics, (329, 329), 24.0, PsfModel(), dtype=DOUBLE)
    samples = light.weight.sum()
    assert (on_axis.max() * light.pixels**2 / samples).item() == pytest.approx(strehl, abs=2e-3)


def test_symmetries(telomere_optics: Optics) -> None:
    mask, place, shape = rough_mask(329), at((0, 0, 3.0)), (41, 41)
    image = psf(mask, place, telomere_optics, shape)
    mirrored = psf(mask.flip(1), place, telomere_optics, shape)
    turned = psf(torch.rot90(mask), place, telomere_optics, shape)
    negated = psf(-mask, -place, telomere_optics, shape, focus_um=-telomere_optics.focus_um)
    assert torch.allclose(mirrored, image.flip(2), atol=1e-15)
    assert torch.allclose(turned, torch.rot90(image, dims=(1, 2)), atol=1e-15)
    assert torch.allclose(negated, image.flip(1, 2), atol=1e-15)


def test_an_emitter_moved_by_a_pixel_moves_its_image(telomere_optics: Optics) -> None:
    mask, pixel = rough_mask(329), telomere_optics.pixel_um
    central, moved = psf(mask, at((0, 0, 4), (3 * pixel, -2 * pixel, 4)), telomere_optics, (41, 41))
    assert torch.allclose(moved[:39, 3:], central[2:, :38], atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_matrix_products_equal_a_zero_padded_fft(
    telomere_optics: Optics, dtype: torch.dtype
) -> None:
    """On the one pixel size that a transform of length 400 hits; the phase written out anew."""
    length = 400
    step = 24 * telomere_optics.relay_magnification / telomere_optics.focal_4f_um
    pixel = telomere_optics.wavelength_um / (length * step)
    optics = replace(telomere_optics, camera_pixel_um=100 * pixel)
    mask = rough_mask(329)
    x, y, z = 0.13, -0.21, 2.7

    k = 2 * np.pi / optics.wavelength_um
    axis = (np.arange(329) - 164) * step
    u, v = np.meshgrid(axis, axis)
    square = u**2 + v**2
    inside = square < 1.33**2
    w_sample = np.sqrt(np.where(inside, 1.33**2 - square, 0))
    w_oil = np.sqrt(1.518**2 - np.where(inside, square, 0))
    phase = mask.numpy() + k * (z * w_sample - 4.5 * w_oil + u * x + v * y)
    padded = np.zeros((length, length), complex)
    padded[:329, :329] = inside * np.exp(1j * phase)
    spectrum = np.fft.fft2(np.roll(padded, (-164, -164), (0, 1)))
    wanted = np.abs(np.fft.fftshift(spectrum)) ** 2 / (length**2 * inside.sum())

    image = psf(mask.to(dtype), at((x, y, z)).to(dtype), optics, (61, 61))[0].double().numpy()
    crop = wanted[200 - 30 : 200 + 31, 200 - 30 : 200 + 31]
    assert np.linalg.norm(image - crop) / np.linalg.norm(crop) < 1e-5


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.kind}-{model.oversample}")
def test_analytic_gradient_equals_central_differences(
    coarse_optics: Optics, model: PsfModel
) -> None:
    mask, place, h = rough_mask(21), at((0.05, -0.02, 0.15), (-0.4, 0.3, 3.0)), 1e-5
    _, gradient = psf_and_gradient(mask, place, coarse_optics, (15, 13), model)
    for axis, step in enumerate(h * torch.eye(3, dtype=DOUBLE)):
        above = psf(mask, place + step, coarse_optics, (15, 13), model)
        below = psf(mask, place - step, coarse_optics, (15, 13), model)
        numeric = (above - below) / (2 * h)
        assert (numeric - gradient[:, axis]).abs().max() < 5e-7 * gradient[:, axis].abs().max()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.kind}-{model.oversample}")
def test_differentiable_in_mask_position_focus_blur_and_optics(
    coarse_optics: Optics, model: PsfModel
) -> None:
    inputs = (
        rough_mask(15),
        at((0.05, -0.02, 0.6)),
        torch.tensor([2.0], dtype=DOUBLE),
        torch.tensor([0.7], dtype=DOUBLE),
        torch.tensor([0.58, 1.33, 1.518, 100.0], dtype=DOUBLE),
    )
    for tensor in inputs:
        tensor.requires_grad_()

    def image(mask: Tensor, place: Tensor, focus: Tensor, blur: Tensor, optics: Tensor) -> Tensor:
        names = ("wavelength_um", "index_sample", "index_immersion", "magnification")
        values = dict(zip(names, optics, strict=True))
        return psf(
            mask, place, coarse_optics, (5, 6), model, focus_um=focus, blur_px=blur, values=values
        )

    assert torch.autograd.gradcheck(image, inputs, eps=1e-6, atol=1e-6, rtol=1e-4)


def test_mask_gradient_closed_form(coarse_optics: Optics) -> None:
    """dL/dpsi for L = sum(I^2) against central differences in single mask pixels."""
    mask = rough_mask(15).requires_grad_()
    place = at((0.1, 0.0, 3.0))

    def loss(phase: Tensor) -> Tensor:
        return (psf(phase, place, coarse_optics, (21, 21)) ** 2).sum()

    (gradient,) = torch.autograd.grad(loss(mask), mask)
    step = torch.zeros_like(mask)
    step[6, 8] = 1e-5
    with torch.no_grad():
        numeric = (loss(mask + step) - loss(mask - step)) / 2e-5
    assert gradient[6, 8].item() == pytest.approx(numeric.item(), rel=1e-6)


def test_single_precision_and_batches_agree_with_double(telomere_optics: Optics) -> None:
    mask = rough_mask(329)
    draw = torch.Generator().manual_seed(3)
    places = torch.rand((40, 3), generator=draw, dtype=DOUBLE) + at((0, 0, 3))
    exact = psf(mask, places, telomere_optics, (41, 41))
    single = psf(mask.float(), places.float(), telomere_optics, (41, 41)).double()
    assert ((single - exact).norm() / exact.norm()).item() < 1e-5
    alone = psf(mask, places[17:18], telomere_optics, (41, 41))[0]
    assert torch.allclose(alone, exact[17], atol=1e-14)


def test_blur_keeps_photons_and_adds_variances(telomere_optics: Optics) -> None:
    flat, place = torch.zeros((329, 329), dtype=DOUBLE), at((0, 0, 3.475))
    sharp = psf(flat, place, telomere_optics, (61, 61))
    blurred = psf(flat, place, telomere_optics, (61, 61), PsfModel(blur_px=1.2))
    assert blurred.sum().item() == pytest.approx(sharp.sum().item(), rel=1e-3)
    once = psf(flat, place, telomere_optics, (61, 61), PsfModel(blur_px=0.9))
    kernel = torch.exp(
        -0.5 * ((torch.arange(13, dtype=DOUBLE) - 6) / (1.2**2 - 0.9**2) ** 0.5) ** 2
    )
    kernel = kernel / kernel.sum()
    twice = torch.nn.functional.conv2d(once[:, None], torch.outer(kernel, kernel)[None, None])
    assert (twice[0, 0] - blurred[0, 6:-6, 6:-6]).abs().max() < 2e-3 * blurred.max()


def test_oversampling_converges(telomere_optics: Optics) -> None:
    mask, place = torch.zeros((329, 329), dtype=DOUBLE), at((0, 0, 3.2))
    images = {
        m: psf(mask, place, telomere_optics, (41, 41), PsfModel(oversample=m))
        for m in (1, 2, 4, 12)
    }
    errors = {m: ((images[m] - images[12]).norm() / images[12].norm()).item() for m in (1, 2, 4)}
    assert 0.03 < errors[1] < 0.09
    assert errors[2] < 0.3 * errors[1]
    assert errors[4] < 0.3 * errors[2]


@pytest.mark.parametrize(
    ("z_um", "share"), [(0, 0.425), (0.05, 0.334), (0.1, 0.259), (0.2, 0.155), (0.5, 0.043)]
)
def test_supercritical_share(telomere_optics: Optics, z_um: float, share: float) -> None:
    light = pupil(telomere_optics, (329, 329), 24.0, PsfModel(kind="vectorial"), dtype=DOUBLE)
    power = (light.weight.abs() ** 2).sum(0) * torch.exp(-2 * z_um * light.on_grid(light.decay))
    beyond = light.on_grid(light.decay) > 0
    assert (power[beyond].sum() / power.sum()).item() == pytest.approx(share, abs=2e-3)


def test_vectorial_equals_scalar_for_small_apertures(telomere_optics: Optics) -> None:
    optics = replace(telomere_optics, na=0.1, mask_pixel_um=2.0, focal_4f_um=150_000.0)
    mask, place = rough_mask(201), at((0.2, 0.0, 2.0))
    scalar = psf(mask, place, optics, (41, 41))
    vectorial = psf(mask, place, optics, (41, 41), PsfModel(kind="vectorial"))
    assert ((vectorial - scalar).norm() / scalar.norm()).item() < 5e-3


def test_vectorial_photons_are_detected_photons_at_any_height(telomere_optics: Optics) -> None:
    flat = torch.zeros((329, 329), dtype=DOUBLE)
    model = PsfModel(kind="vectorial")
    images = psf(flat, at((0, 0, 0), (0, 0, 0.3)), telomere_optics, (301, 301), model, focus_um=0.2)
    assert images.sum((1, 2)).tolist() == pytest.approx([1.0, 1.0], abs=0.01)


def test_crops_of_any_size_and_no_emitters(telomere_optics: Optics) -> None:
    mask = rough_mask(200)
    place = at((0, 0, 3.0))
    even = psf(mask, place, telomere_optics, (10, 24))
    half = telomere_optics.pixel_um / 2  # from the centre of an even crop to a pixel's centre
    odd = psf(mask, place + at((half, half, 0)), telomere_optics, (9, 23))
    assert torch.allclose(even[:, :-1, :-1], odd, atol=1e-12)
    assert psf(mask, place[:0], telomere_optics, (7, 9)).shape == (0, 7, 9)
    assert psf_and_gradient(mask, place[:0], telomere_optics, (7, 9))[1].shape == (0, 3, 7, 9)


def test_bead_size_adds_to_the_blur() -> None:
    assert bead_blur_px(0.8, 0.1, 0.11) == pytest.approx((0.64 + (0.1 / 0.11) ** 2 / 5) ** 0.5)
    assert bead_blur_px(0.0, 0.1, 0.1, surface=True) == pytest.approx(3**-0.5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.kind}-{model.oversample}")
def test_cuda_equals_cpu(telomere_optics: Optics, model: PsfModel) -> None:
    mask, place = rough_mask(329).float(), at((0.1, -0.2, 3.0)).float()
    here = psf_and_gradient(mask, place, telomere_optics, (41, 41), model)
    there = psf_and_gradient(mask.cuda(), place.cuda(), telomere_optics, (41, 41), model)
    for a, b in zip(here, there, strict=True):
        assert (b.cpu() - a).norm() / a.norm() < 1e-4


@pytest.mark.parametrize(
    ("phase", "places", "said"),
    [
        (torch.zeros(5), torch.zeros((1, 3)), "phase_rad"),
        (torch.zeros((99, 99)), torch.zeros((1, 2)), "xyz_um"),
        (torch.zeros((1, 99)), torch.zeros((1, 3)), "samples"),
    ],
)
def test_wrong_shapes_are_named(
    telomere_optics: Optics, phase: Tensor, places: Tensor, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        psf(phase, places, telomere_optics, (9, 9))
