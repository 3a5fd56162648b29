"""Designs against known images and precision."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from bounds import mean_bounds_nm
from torch import Tensor

from dsacq.physics.masks import (
    DESIGNS,
    PhaseMask,
    astigmatism,
    double_helix,
    fitted,
    flat,
    resampled,
    tetrapod,
    vortex,
    zernike_mask,
)
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.tetrapod import crop_shape, tetrapod_coefficients, tetrapod_design
from dsacq.physics.zernike import mask_disc

T = {(2, 0): 0.68, (2, 2): 0.58, (4, 0): 0.76, (4, 2): -1.83, (6, 0): 0.30}

# Mask; x, y, z in um; sum, maximum and sum of squares of the fractions; centroid x, y in pixels.
IMAGES = [
    ({(2, 2): 1.0}, (0, 0, 3.475), 0.866356, 0.058436, 1.64162e-2, (0, 0)),
    ({(2, 2): 1.0}, (0.02, -0.03, 3.0), 0.905519, 0.027688, 9.11250e-3, (0.1771, -0.2612)),
    (T, (0, 0, 3.475), 0.890953, 0.016036, 4.47938e-3, (0, 0)),
    (T, (0.02, -0.03, 3.0), 0.884082, 0.018360, 4.45438e-3, (0.1739, -0.2222)),
    (T, (0, 0, 5.0), 0.751025, 0.010724, 2.61194e-3, (0, 0)),
]


@pytest.fixture(scope="module")
def four_um(telomere_optics: Optics) -> Optics:
    return replace(telomere_optics, focus_um=3.90, z_range_um=(1.0, 5.0))


@pytest.fixture(scope="module")
def air(telomere_optics: Optics) -> Optics:
    return replace(
        telomere_optics,
        na=0.8,
        index_immersion=1.0,
        magnification=40,
        focus_um=5.0,
        z_range_um=(0.0, 10.0),
    )


def image(mask: PhaseMask, optics: Optics, z_um: float, shape: tuple[int, int]) -> Tensor:
    return psf(torch.from_numpy(mask.phase_rad), torch.tensor([[0, 0, z_um]]), optics, shape)[0]


@pytest.mark.parametrize(("mask", "xyz_um", "total", "peak", "squares", "centroid"), IMAGES)
def test_known_images(
    telomere_optics: Optics,
    mask: dict[tuple[int, int], float],
    xyz_um: tuple[float, float, float],
    total: float,
    peak: float,
    squares: float,
    centroid: tuple[float, float],
) -> None:
    phase = torch.from_numpy(zernike_mask(telomere_optics, mask).phase_rad)
    fractions = psf(phase, torch.tensor([xyz_um]), telomere_optics, (41, 41))[0].double()
    assert float(fractions.sum()) == pytest.approx(total, rel=1e-5)
    assert float(fractions.max()) == pytest.approx(peak, rel=2e-4)
    assert float((fractions**2).sum()) == pytest.approx(squares, rel=1e-5)
    from_centre = torch.arange(41) - 20.0
    x = float((fractions.sum(0) * from_centre).sum() / fractions.sum())
    y = float((fractions.sum(1) * from_centre).sum() / fractions.sum())
    assert (x, y) == pytest.approx(centroid, abs=1e-4)


def test_designs_cover_the_pupil_and_say_how_they_were_made(storm_optics: Optics) -> None:
    for name, (design, description) in DESIGNS.items():
        mask = design(storm_optics)
        assert mask.name == name
        assert description
        assert mask.phase_rad.dtype == np.float32
        assert mask.phase_rad.shape == (101, 101)  # the pupil is 96.68 samples wide
        assert np.isfinite(mask.phase_rad).all()
        assert (mask.pixel_um, mask.wavelength_um) == (30, 0.67)
        assert json.loads(json.dumps(mask.origin))["design"] == name
    assert zernike_mask(storm_optics, {(2, 0): 1.0}, shape=(64, 80)).phase_rad.shape == (64, 80)


def test_a_mask_for_the_same_optics_stays(telomere_optics: Optics) -> None:
    mask = tetrapod(telomere_optics)
    same = fitted(mask, telomere_optics, telomere_optics)
    assert same.phase_rad.shape == mask.phase_rad.shape
    assert np.cos(same.phase_rad - mask.phase_rad).min() > 1 - 1e-6


def test_behind_another_relay_a_mask_shows_the_same_image(telomere_optics: Optics) -> None:
    other = replace(telomere_optics, focal_4f_um=100_000, mask_pixel_um=10)
    mask = fitted(tetrapod(telomere_optics), telomere_optics, other)
    assert mask.pixel_um == 10
    here, there = (
        image(one, optics, 3.0, (41, 41))
        for one, optics in ((tetrapod(telomere_optics), telomere_optics), (mask, other))
    )
    assert float((here - there).norm() / here.norm()) < 0.02


def test_another_objective_gets_the_mask_in_its_own_pupil(
    telomere_optics: Optics, storm_optics: Optics
) -> None:
    mask = fitted(tetrapod(telomere_optics), telomere_optics, storm_optics)
    assert mask.wavelength_um == storm_optics.wavelength_um
    assert mask.phase_rad.shape == (101, 101)
    # The same polynomials on another grid.
    again = zernike_mask(storm_optics, tetrapod_coefficients(telomere_optics))
    radius, _ = mask_disc(storm_optics, mask.phase_rad.shape, mask.pixel_um)
    lit = (radius < 0.97).numpy()
    assert np.cos(mask.phase_rad - again.phase_rad)[lit].min() > 0.95


def test_more_samples_show_the_same_image(telomere_optics: Optics) -> None:
    for design in (tetrapod, double_helix):
        wide = design(telomere_optics, shape=(329, 329))
        difference = image(wide, telomere_optics, 3.0, (41, 41)) - image(
            design(telomere_optics), telomere_optics, 3.0, (41, 41)
        )
        assert difference.abs().max() < 1e-6


def test_astigmatism_stretches_along_one_axis_then_the_other(telomere_optics: Optics) -> None:
    def stretch(z_um: float) -> float:
        seen = image(astigmatism(telomere_optics), telomere_optics, z_um, (15, 15))
        square = (torch.arange(15) - 7.0) ** 2
        return float((seen.sum(0) * square).sum() / (seen.sum(1) * square).sum())

    assert stretch(3.0) > 1.5
    assert stretch(4.2) < 1 / 1.5


def test_double_helix_turns_with_depth(telomere_optics: Optics) -> None:
    def angle(z_um: float) -> float:
        seen = image(double_helix(telomere_optics), telomere_optics, z_um, (15, 15))
        moment = torch.arange(15) - 7.0
        seen = seen * (seen > 0.4 * seen.max())
        across = (seen.sum(0) * moment**2).sum() - (seen.sum(1) * moment**2).sum()
        diagonal = 2 * (seen * moment[:, None] * moment).sum()
        return float(torch.atan2(diagonal, across)) / 2

    angles = [angle(z_um) for z_um in np.arange(2.0, 5.01, 0.25)]
    turns = (np.diff(angles) + np.pi / 2) % np.pi - np.pi / 2  # an axis repeats after half a turn
    assert (turns < 0).all() or (turns > 0).all()
    assert abs(turns.sum()) > 0.6 * np.pi
    with pytest.raises(ValueError, match="rings=0"):
        double_helix(telomere_optics, rings=0)


def test_vortex_is_dark_at_the_centre(telomere_optics: Optics) -> None:
    for charge in (1, 2, -1):
        seen = image(vortex(telomere_optics, charge), telomere_optics, 3.5, (21, 21))
        assert seen[10, 10] < 1e-4 * seen.max()
    assert image(flat(telomere_optics), telomere_optics, 3.5, (21, 21)).argmax() == 10 * 21 + 10


@pytest.mark.parametrize(
    ("focus_um", "z_high_um", "coefficients", "bounds_nm"),
    [
        (
            3.29,
            4.0,
            {(4, 2): -1.37, (4, 0): 0.62, (2, 2): 0.50, (2, 0): 0.26, (6, 0): 0.24},
            (5.7, 5.8, 9.1),
        ),
        (3.90, 5.0, T, (6.7, 6.8, 10.5)),
        (
            4.55,
            6.0,
            {(4, 2): -2.25, (4, 0): 0.81, (2, 2): 0.79, (2, 0): 0.42, (6, 0): 0.29},
            (7.7, 7.8, 12.1),
        ),
    ],
)
def test_known_optima(
    telomere_optics: Optics,
    focus_um: float,
    z_high_um: float,
    coefficients: dict[tuple[int, int], float],
    bounds_nm: tuple[float, float, float],
) -> None:
    optics = replace(telomere_optics, focus_um=focus_um, z_range_um=(1.0, z_high_um))
    known = mean_bounds_nm(zernike_mask(optics, coefficients), optics)
    assert known.tolist() == pytest.approx(bounds_nm, rel=0.015)
    # What the design offers at once is no worse.
    assert mean_bounds_nm(tetrapod(optics), optics).mean() < 1.01 * known.mean()


def test_tetrapod_design_reaches_the_optimum(four_um: Optics) -> None:
    steps = list(tetrapod_design(four_um, steps=25))
    best = min(steps, key=lambda step: step.cost_um)
    assert [step.index for step in steps] == list(range(25))
    assert best.cost_um < steps[0].cost_um
    mask = zernike_mask(four_um, best.coefficients_rad)
    reached = float(mean_bounds_nm(mask, four_um).mean())
    assert reached < 8.0
    # Fewer samples and another crop, as used while designing, hardly matter.
    assert reached == pytest.approx(1000 * best.cost_um, rel=0.01)


@pytest.mark.parametrize(
    ("fixture", "tolerance"), [("telomere_optics", 1.02), ("storm_optics", 1.03), ("air", 1.1)]
)
def test_tetrapod_at_once_is_close_to_the_designed_one(
    fixture: str, tolerance: float, request: pytest.FixtureRequest
) -> None:
    optics = request.getfixturevalue(fixture)
    steps = list(tetrapod_design(optics, steps=12))
    assert steps[0].cost_um < tolerance * steps[-1].cost_um
    assert steps[0].coefficients_rad[4, 2] == pytest.approx(tetrapod_coefficients(optics)[4, 2])


def test_design_responds_to_the_conditions(storm_optics: Optics) -> None:
    dim = next(tetrapod_design(storm_optics, photons=1000, background=5, blur_px=0.7))
    bright = next(tetrapod_design(storm_optics, photons=1e5, background=5, blur_px=0.7))
    assert bright.cost_um < 0.12 * dim.cost_um
    with pytest.raises(ValueError, match="steps=0"):
        next(tetrapod_design(storm_optics, steps=0))


def test_crop_holds_the_light_of_a_tetrapod(
    telomere_optics: Optics, storm_optics: Optics, air: Optics
) -> None:
    for optics in (telomere_optics, storm_optics, air):
        shape = crop_shape(optics)
        assert shape[0] % 2 == shape[1] % 2 == 1
        for z_um in optics.z_range_um:
            assert image(tetrapod(optics), optics, z_um, shape).sum() > 0.7


def test_resampled_to_its_own_grid_is_the_mask(storm_optics: Optics) -> None:
    mask = tetrapod(storm_optics)
    same = resampled(mask, mask.pixel_um, (101, 101))
    np.testing.assert_allclose(np.exp(1j * same.phase_rad), np.exp(1j * mask.phase_rad), atol=1e-5)
    assert (same.name, same.wavelength_um, same.origin) == ("tetrapod", 0.67, mask.origin)
    with pytest.raises(ValueError, match="pixel_um"):
        resampled(mask, 0, (101, 101))


@pytest.mark.parametrize(("pixel_um", "samples"), [(15.0, 203), (8.0, 381), (15.0, 202)])
def test_resampled_finer_makes_the_same_image(
    storm_optics: Optics, pixel_um: float, samples: int
) -> None:
    mask = astigmatism(storm_optics, 1.5)
    wrapped = replace(mask, phase_rad=np.angle(np.exp(1j * mask.phase_rad)).astype(np.float32))
    fine = resampled(wrapped, pixel_um, (samples, samples))
    seen = psf(
        torch.from_numpy(fine.phase_rad),
        torch.tensor([[0.0, 0.0, 1.5]]),
        storm_optics,
        (31, 31),
        mask_pixel_um=pixel_um,
    )[0]
    expected = image(mask, storm_optics, 1.5, (31, 31))
    assert (seen - expected).norm() < 0.03 * expected.norm()
