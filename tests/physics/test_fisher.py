"""Fisher information against closed forms and against precisions computed elsewhere."""

from dataclasses import replace
from math import log, pi, sqrt
from pathlib import Path

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from dsacq.files.masks import read_mask
from dsacq.physics.fisher import (
    bounds,
    crlb,
    emccd_information_factor,
    emitter_jacobian,
    information,
)
from dsacq.physics.masks import PhaseMask, astigmatism, double_helix, flat, zernike_mask
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf_and_gradient
from dsacq.physics.pupil import PsfModel

DOUBLE = torch.float64
EVERY_HALF_UM = torch.linspace(2, 6, 9)
T = {(2, 0): 0.68, (2, 2): 0.58, (4, 0): 0.76, (4, 2): -1.83, (6, 0): 0.30}

# Bounds of x, y, z in nm at 2, 2.5 ... 6 um for 10 000 photons on 50 per pixel.
TABLE = {
    "tetrapod": (
        (8.7, 7.4, 12.3),
        (7.4, 5.8, 12.4),
        (7.7, 6.4, 11.7),
        (7.4, 9.0, 11.7),
        (7.1, 6.4, 13.6),
        (8.9, 8.5, 10.8),
        (5.9, 6.9, 10.0),
        (5.5, 7.6, 11.2),
        (7.7, 11.4, 16.0),
    ),
    "learned": (
        (9.1, 10.1, 13.3),
        (8.4, 9.1, 11.2),
        (8.1, 8.9, 12.6),
        (4.5, 5.6, 18.6),
        (7.9, 5.1, 21.5),
        (8.4, 8.2, 17.2),
        (7.6, 9.5, 17.8),
        (9.9, 8.4, 15.7),
        (10.3, 9.5, 19.5),
    ),
    "none": (
        (17.1, 17.1, 10.0),
        (8.4, 8.4, 8.1),
        (6.1, 6.1, 6.0),
        (2.6, 2.6, 21.7),
        (4.1, 4.1, 15.2),
        (10.8, 10.8, 24.2),
        (25.8, 25.8, 51.3),
        (49.6, 49.6, 95.7),
        (82, 82, 155),
    ),
    "astigmatic": (
        (17.2, 13.8, 10.4),
        (11.9, 9.5, 7.5),
        (6.5, 3.9, 6.9),
        (4.0, 3.2, 9.3),
        (3.3, 6.4, 21.3),
        (7.2, 14.7, 24.5),
        (18.6, 31.9, 48.3),
        (39.4, 58.1, 91.5),
        (69, 93, 151),
    ),
    "double helix": (
        (10.0, 8.2, 10.0),
        (7.6, 8.0, 11.1),
        (6.5, 7.2, 11.9),
        (6.8, 6.5, 12.9),
        (7.9, 6.3, 15.1),
        (9.4, 7.5, 20.3),
        (10.9, 10.6, 26.4),
        (14.3, 14.9, 33.2),
        (22.0, 20.5, 37.6),
    ),
}
# Photons, background, read variance; rms bounds over 17 depths.
CONDITIONS = {
    (3e4, 150.0, 0.0): {
        "tetrapod": (4.4, 4.4, 6.9),
        "learned": (4.8, 4.8, 9.4),
        "double helix": (6.4, 6.1, 12.4),
        "printed": (5.4, 5.3, 9.4),
    },
    (35e3, 75.0, 0.0): {
        "tetrapod": (3.1, 3.2, 5.0),
        "learned": (3.5, 3.6, 6.8),
        "double helix": (4.5, 4.2, 8.6),
        "printed": (3.7, 3.7, 6.5),
    },
    (1e4, 50.0, 0.0): {
        "tetrapod": (7.6, 7.6, 12.0),
        "learned": (8.3, 8.4, 16.3),
        "double helix": (11.0, 10.5, 21.6),
        "printed": (9.3, 9.2, 16.2),
    },
    (9e3, 30.0, 100.0): {
        "tetrapod": (12.0, 12.0, 19.0),
        "learned": (12.8, 12.9, 25.5),
        "double helix": (17.9, 17.1, 35.4),
        "printed": (15.1, 15.0, 26.6),
    },
}
FILES = {
    "tetrapod": "mask_tetrapod.mat",
    "learned": "mask_learned.mat",
    "printed": "mask_tetrapod_printed.mat",
}
DESIGNED = {"none": flat, "astigmatic": astigmatism, "double helix": double_helix}


def mask_named(name: str, optics: Optics, request: pytest.FixtureRequest) -> PhaseMask:
    """A design of ours, or a published mask where the data are there."""
    if name in DESIGNED:
        return DESIGNED[name](optics)
    folder: Path = request.getfixturevalue("shared_data") / "deepstorm3d" / "masks"
    return read_mask(folder / FILES[name], optics=optics)


def bounds_nm(
    mask: PhaseMask,
    optics: Optics,
    z_um: Tensor,
    *,
    photons: float = 1e4,
    background: float = 50.0,
    read_variance: float = 0.0,
    width: int = 81,
    model: PsfModel = PsfModel(blur_px=1.0),  # noqa: B008 - frozen
) -> Tensor:
    """(N, 3) bounds of x, y, z."""
    xyz_um = torch.zeros(len(z_um), 3)
    xyz_um[:, 2] = z_um
    limits = crlb(
        torch.from_numpy(mask.phase_rad),
        xyz_um,
        optics,
        (width, width),
        model,
        photons=photons,
        background=background,
        read_variance=read_variance,
        mask_pixel_um=mask.pixel_um,
    )
    return 1000 * limits[:, :3]


def gaussian_spot(photons: float, background: float) -> tuple[Tensor, Tensor]:
    """Jacobian in x (1, 21, 21) and expected photons of a pixel-integrated spot of 1.3 px."""
    edges = torch.arange(22, dtype=DOUBLE) - 10.5
    share = torch.special.erf(edges / (1.3 * sqrt(2))) / 2
    density = torch.exp(-((edges / 1.3) ** 2) / 2) / (1.3 * sqrt(2 * pi))
    x, y = share.diff(), share.diff()
    slope = -photons * y[:, None] * density.diff()[None, :]
    return slope[None], photons * y[:, None] * x[None, :] + background


@pytest.mark.parametrize(
    ("background", "expected_px"), [(0, 0.04211), (1, 0.04517), (5, 0.05111), (20, 0.06428)]
)
def test_gaussian_spot(background: float, expected_px: float) -> None:
    """Mortensen et al., Nat. Methods 7, 377 (2010), equation 5, for the closed form."""
    jacobian, expected = gaussian_spot(1000, background)
    reached = float(bounds(information(jacobian, expected)))
    assert reached == pytest.approx(expected_px, abs=1e-5)
    square = 1.3**2 + 1 / 12
    tau = 2 * pi * square * background / 1000
    integral, _ = quad(lambda t: log(t) / (1 + t / tau) if tau else 0.0, 0, 1)
    assert reached == pytest.approx(sqrt(square / 1000 / (1 + integral)), rel=1e-3)


@pytest.mark.parametrize(
    ("coefficients", "expected_nm"),
    [
        (T, [[6.69, 5.57, 9.19], [7.06, 7.72, 10.12], [5.77, 7.70, 10.99]]),
        ({(2, 2): 1.0}, [[6.52, 3.88, 6.87], [3.27, 6.41, 21.58], [18.59, 31.89, 51.04]]),
    ],
)
def test_zernike_masks(
    telomere_optics: Optics,
    coefficients: dict[tuple[int, int], float],
    expected_nm: list[list[float]],
) -> None:
    mask = zernike_mask(telomere_optics, coefficients)
    reached = bounds_nm(mask, telomere_optics, torch.tensor([3.0, 4.0, 5.0]), width=61)
    torch.testing.assert_close(reached, torch.tensor(expected_nm), rtol=3e-3, atol=0)


@pytest.mark.parametrize("name", TABLE)
def test_expected_precision_through_depth(
    telomere_optics: Optics, name: str, request: pytest.FixtureRequest
) -> None:
    mask = mask_named(name, telomere_optics, request)
    reached = bounds_nm(mask, telomere_optics, EVERY_HALF_UM)
    torch.testing.assert_close(reached, torch.tensor(TABLE[name]), rtol=0.008, atol=0.051)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("name", ["tetrapod", "learned", "double helix", "printed"])
def test_expected_precision_in_several_conditions(
    telomere_optics: Optics,
    storm_optics: Optics,
    name: str,
    condition: tuple[float, float, float],
    request: pytest.FixtureRequest,
) -> None:
    optics = storm_optics if name == "printed" else telomere_optics
    mask = mask_named(name, optics, request)
    photons, background, read_variance = condition
    reached = bounds_nm(
        mask,
        optics,
        torch.linspace(*optics.z_range_um, 17),
        photons=photons,
        background=background,
        read_variance=read_variance,
    )
    rms = (reached**2).mean(0).sqrt()
    assert rms.tolist() == pytest.approx(CONDITIONS[condition][name], abs=0.051, rel=0.008)


@pytest.mark.parametrize(
    ("model", "name", "expected_nm"),
    [
        (PsfModel(blur_px=1.0), "tetrapod", (4.3, 4.4, 7.0)),
        (PsfModel(blur_px=1.0), "learned", (4.8, 4.8, 9.5)),
        (PsfModel(kind="vectorial", blur_px=1.0), "tetrapod", (6.0, 6.2, 9.3)),
        (PsfModel(kind="vectorial", blur_px=1.0), "learned", (7.0, 6.9, 12.3)),
        (PsfModel(kind="vectorial", polarisation="x", blur_px=1.0), "tetrapod", (6.4, 5.8, 9.2)),
        (PsfModel(kind="vectorial", polarisation="x", blur_px=1.0), "learned", (7.3, 6.5, 12.2)),
    ],
)
def test_vectorial_light_is_less_precise(
    telomere_optics: Optics,
    model: PsfModel,
    name: str,
    expected_nm: tuple[float, float, float],
    request: pytest.FixtureRequest,
) -> None:
    mask = mask_named(name, telomere_optics, request)
    reached = bounds_nm(
        mask, telomere_optics, EVERY_HALF_UM, photons=3e4, background=150.0, model=model
    )
    assert reached.mean(0).tolist() == pytest.approx(expected_nm, abs=0.055)


@pytest.mark.parametrize(
    ("width", "blur_px", "expected_nm"),
    [
        (21, 1.0, (8.37, 9.31, 15.64)),
        (31, 1.0, (7.40, 7.75, 11.84)),
        (61, 1.0, (7.30, 7.69, 11.52)),
        (81, 1.0, (7.30, 7.69, 11.52)),
        (61, 0.0, (3.4, 3.7, 7.2)),
        (61, 0.75, (5.7, 6.0, 9.8)),
        (61, 1.25, (9.0, 9.5, 13.5)),
    ],
)
def test_crop_and_blur_cost_precision(
    telomere_optics: Optics,
    width: int,
    blur_px: float,
    expected_nm: tuple[float, float, float],
    request: pytest.FixtureRequest,
) -> None:
    reached = bounds_nm(
        mask_named("tetrapod", telomere_optics, request),
        telomere_optics,
        torch.tensor([2.5, 3.5, 4.5, 5.5]),
        width=width,
        model=PsfModel(blur_px=blur_px),
    )
    assert reached.mean(0).tolist() == pytest.approx(expected_nm, abs=0.055)


def test_unknown_photons_and_background_cost_little(telomere_optics: Optics) -> None:
    fisher = tetrapod_information(telomere_optics, torch.float32)
    together, alone = bounds(fisher)[:, :3], bounds(fisher[:, :3, :3])
    assert (together >= alone).all()
    assert (together.mean(0) < 1.015 * alone.mean(0)).all()


def tetrapod_information(optics: Optics, dtype: torch.dtype) -> Tensor:
    """(3, 5, 5) at 3, 4 and 5 um."""
    phase = torch.from_numpy(zernike_mask(optics, T).phase_rad).to(dtype)
    xyz_um = torch.tensor([[0.02, -0.03, 3.0], [0, 0, 4], [0, 0, 5]], dtype=dtype)
    photons = torch.full((3,), 1e4, dtype=dtype)
    images, gradient = psf_and_gradient(phase, xyz_um, optics, (61, 61), PsfModel(blur_px=1.0))
    expected = images * photons[:, None, None] + 50
    return information(emitter_jacobian(images, gradient, photons), expected)


def test_single_precision_suffices(telomere_optics: Optics) -> None:
    single = bounds(tetrapod_information(telomere_optics, torch.float32))
    double = bounds(tetrapod_information(telomere_optics, DOUBLE))
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=0)


def test_two_emitters_disturb_each_other_only_when_they_overlap(telomere_optics: Optics) -> None:
    def first_of_two(distance_um: float) -> Tensor:
        phase = torch.from_numpy(zernike_mask(telomere_optics, T).phase_rad).double()
        xyz_um = torch.tensor([[-distance_um, 0, 4], [distance_um, 0, 4]], dtype=DOUBLE) / 2
        xyz_um[:, 2] = 4.0
        photons = torch.full((2,), 1e4, dtype=DOUBLE)
        images, gradient = psf_and_gradient(phase, xyz_um, telomere_optics, (61, 161))
        each = emitter_jacobian(images, gradient, photons)
        joint = torch.cat((each[0, :4], each[1, :4], each[0, 4:]))  # one common background
        return bounds(information(joint, 1e4 * images.sum(0) + 50))[:3]

    alone, apart, near = first_of_two(16.0), first_of_two(9.0), first_of_two(0.5)
    torch.testing.assert_close(apart, alone, rtol=0.02, atol=0)
    assert (near > 1.05 * alone).any()
    assert (near > 0.99 * alone).all()


def test_read_noise_acts_as_background(telomere_optics: Optics) -> None:
    mask = zernike_mask(telomere_optics, T)
    z_um = torch.tensor([4.0])
    quiet = bounds_nm(mask, telomere_optics, z_um, background=75.0)
    noisy = bounds_nm(mask, telomere_optics, z_um, background=50.0, read_variance=25.0)
    torch.testing.assert_close(noisy, quiet)
    # Mean 5 and 20 electrons at 1.6 read: information times mean.
    for mean, expected in ((5.0, 0.6614), (20.0, 0.8865), (1.0, 0.281)):
        jacobian, level = torch.ones(1, 1, 1, dtype=DOUBLE), torch.full((1, 1), mean, dtype=DOUBLE)
        assert mean * float(information(jacobian, level, 1.6**2)) == pytest.approx(
            expected, abs=5e-4
        )


def test_emccd_information_factor() -> None:
    mean = torch.tensor([0.5, 2, 10, 50, 200], dtype=DOUBLE)
    expected = torch.tensor([0.814, 0.605, 0.514, 0.5025, 0.5006], dtype=DOUBLE)
    torch.testing.assert_close(emccd_information_factor(mean), expected, atol=6e-4, rtol=0)
    ends = emccd_information_factor(torch.tensor([1e-5, 1e6], dtype=DOUBLE))
    torch.testing.assert_close(ends, torch.tensor([1.0, 0.5], dtype=DOUBLE), atol=2e-3, rtol=0)


def test_em_gain_costs_half_the_photons(telomere_optics: Optics) -> None:
    fisher = tetrapod_information(telomere_optics, torch.float32)
    phase = torch.from_numpy(zernike_mask(telomere_optics, T).phase_rad)
    xyz_um = torch.tensor([[0.02, -0.03, 3.0], [0, 0, 4], [0, 0, 5]])
    amplified = crlb(
        phase,
        xyz_um,
        telomere_optics,
        (61, 61),
        PsfModel(blur_px=1.0),
        photons=1e4,
        background=50.0,
        excess=True,
    )
    ratio = amplified / bounds(fisher)
    torch.testing.assert_close(ratio, torch.full_like(ratio, sqrt(2)), rtol=0.01, atol=0)


def test_differentiable_in_the_mask(telomere_optics: Optics) -> None:
    coarse = replace(telomere_optics, mask_pixel_um=320.0)
    phase = torch.from_numpy(zernike_mask(coarse, T).phase_rad).double().requires_grad_()

    def cost(mask: Tensor) -> Tensor:
        xyz_um = torch.tensor([[0.0, 0.0, 4.0]], dtype=DOUBLE)
        return crlb(mask, xyz_um, coarse, (15, 15), photons=1e4, background=50.0)[0, :3].sum()

    (slope,) = torch.autograd.grad(cost(phase), phase)
    step = torch.zeros_like(phase)
    step[7, 9] = 1e-4
    with torch.no_grad():
        numeric = (cost(phase + step) - cost(phase - step)) / 2e-4
    assert float(slope[7, 9]) == pytest.approx(float(numeric), rel=1e-4)
    assert slope[7, 9] != 0
