"""A mask on the SLM: where it lands, which way its phase goes, and what the light makes of it."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsacq.config import validated
from dsacq.errors import FileError, SettingsError
from dsacq.files.grey_levels import largest_gap_rad, linear_table, nearest_levels
from dsacq.files.masks import read_mask
from dsacq.physics.masks import PhaseMask, flat, tetrapod
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from hardware.slm_pattern import (
    Carrier,
    GreyLevels,
    Panel,
    PupilAlignment,
    checkerboard,
    panel_phase,
    seen_phase,
    slm_pattern,
    staircase,
    to_mask,
    to_panel,
)

PANEL = Panel((1080, 1920), 8.0)
SMALL = Panel((600, 640), 8.0)  # a pupil of 544 pixels fits
STRAIGHT = PupilAlignment()
LINEAR = linear_table()


def images(
    phase: np.ndarray, pixel_um: float, optics: Optics, *xyz_um: tuple[float, float, float]
) -> np.ndarray:
    """(N, 61, 61)."""
    return psf(
        torch.as_tensor(phase), torch.tensor(xyz_um), optics, (61, 61), mask_pixel_um=pixel_um
    ).numpy()


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def difference_rms(first: np.ndarray, second: np.ndarray, inside: np.ndarray) -> float:
    """Of two phases modulo 2 pi, less their mean difference."""
    field = np.exp(1j * (first - second))[inside]
    return float(np.sqrt(np.mean(np.angle(field * np.conj(field.mean())) ** 2)))


def disc(samples: int, optics: Optics, pixel_um: float) -> np.ndarray:
    axis = (np.arange(samples) - (samples - 1) / 2) * pixel_um
    return np.hypot(axis[:, None], axis) < optics.focal_4f_um * optics.na_sample / 100


ANGLES = st.floats(-6.28, 6.28)
PLACES = st.floats(-5000, 5000)


@given(
    st.tuples(st.floats(-100, 1200), st.floats(-100, 2000)),
    ANGLES,
    st.booleans(),
    st.booleans(),
    st.floats(0.5, 2),
    st.floats(-0.5, 0.5),
    PLACES,
    PLACES,
)
def test_there_and_back(
    centre: tuple[float, float],
    rotation: float,
    flip_x: bool,
    flip_y: bool,
    scale: float,
    incidence: float,
    x: float,
    y: float,
) -> None:
    alignment = PupilAlignment(
        centre_px=centre,
        rotation_rad=rotation,
        flip_x=flip_x,
        flip_y=flip_y,
        scale=scale,
        incidence_rad=incidence,
    )
    rows, columns = to_panel(np.array([x]), np.array([y]), PANEL, alignment)
    back = to_mask(rows, columns, PANEL, alignment)
    np.testing.assert_allclose(np.ravel(back), (x, y), atol=1e-8)  # um: 1e-9 pixels
    again = to_panel(*back, PANEL, alignment)
    np.testing.assert_allclose(np.ravel(again), np.ravel((rows, columns)), atol=1e-9)


def test_the_pupil_on_a_common_slm(telomere_optics: Optics) -> None:
    unit_um = telomere_optics.focal_4f_um / telomere_optics.relay_magnification
    (row,), (column,) = to_panel(np.array([unit_um]), np.array([0.0]), PANEL, STRAIGHT)
    assert (row, column - 959.5) == pytest.approx((539.5, 187.52), abs=0.01)
    turned = PupilAlignment(rotation_rad=np.pi / 2, centre_px=(500.0, 900.0))
    (row,), (column,) = to_panel(np.array([8.0]), np.array([0.0]), PANEL, turned)
    assert (row, column) == pytest.approx((501, 900))
    oblique = PupilAlignment(incidence_rad=np.pi / 3)
    (row,), (column,) = to_panel(np.array([8.0]), np.array([8.0]), PANEL, oblique)
    assert (row - 539.5, column - 959.5) == pytest.approx((1, 2))


@pytest.mark.parametrize(
    "alignment",
    [
        STRAIGHT,
        PupilAlignment(centre_px=(290.3, 330.8), rotation_rad=0.3, flip_x=True, scale=1.04),
        PupilAlignment(rotation_rad=-2.0, flip_y=True, incidence_rad=0.2),
    ],
)
def test_the_light_gets_the_designed_psf(
    alignment: PupilAlignment, telomere_optics: Optics
) -> None:
    optics = telomere_optics
    design = tetrapod(optics)
    depths = [(0.0, 0.0, z) for z in (2.2, 3.5, 4.8, 6.0)]
    wanted = images(design.phase_rad, design.pixel_um, optics, *depths)
    pattern = slm_pattern(design, optics, SMALL, alignment, LINEAR)
    for pixel_um in (8.0, 24.0):
        seen = seen_phase(pattern, optics, SMALL, alignment, LINEAR, pixel_um=pixel_um)
        for one, other in zip(images(seen, pixel_um, optics, *depths), wanted, strict=True):
            assert correlation(one, other) > 0.999
            assert one.sum() == pytest.approx(other.sum(), rel=0.02)


def test_a_flipped_mask_gives_the_flipped_image(telomere_optics: Optics) -> None:
    optics = telomere_optics
    design = tetrapod(optics)
    slope = np.linspace(0, 9, len(design.phase_rad), dtype=np.float32)
    skewed = replace(design, phase_rad=design.phase_rad + slope + slope[:, None] / 2)
    emitter = (0.0, 0.0, 2.5)
    (wanted,) = images(skewed.phase_rad, 24.0, optics, emitter)
    for flips, mirrored in (
        ({"flip_x": True}, wanted[:, ::-1]),
        ({"flip_y": True}, wanted[::-1]),
        ({"flip_x": True, "flip_y": True}, wanted[::-1, ::-1]),
        ({"rotation_rad": np.pi / 2}, np.rot90(wanted, -1)),  # from columns towards rows
    ):
        pattern = slm_pattern(skewed, optics, SMALL, PupilAlignment(**flips), LINEAR)
        seen = seen_phase(pattern, optics, SMALL, STRAIGHT, LINEAR)
        (image,) = images(seen, 24.0, optics, emitter)
        assert correlation(image, mirrored) > 0.999
        assert correlation(image, wanted) < 0.9


@pytest.mark.parametrize(
    ("period_px", "shift_um"), [(4, 27.2), (8, 13.6), (10, 10.9), (16, 6.8), (20, 5.4)]
)
def test_a_carrier_moves_the_image(
    period_px: float, shift_um: float, telomere_optics: Optics
) -> None:
    optics = telomere_optics
    computed = optics.focal_4f_um * optics.wavelength_um / (period_px * 8) / optics.magnification
    assert computed == pytest.approx(shift_um, abs=0.06)
    mask = flat(optics)
    for direction_rad, x_um, y_um in ((0.0, computed, 0.0), (np.pi / 2, 0.0, computed)):
        carrier = Carrier(period_px=period_px, direction_rad=direction_rad)
        pattern = slm_pattern(mask, optics, SMALL, STRAIGHT, LINEAR, carrier=carrier)
        seen = seen_phase(pattern, optics, SMALL, STRAIGHT, LINEAR, pixel_um=8.0)
        moved, left = images(seen, 8.0, optics, (-x_um, -y_um, 3.5), (x_um, y_um, 3.5))
        assert np.unravel_index(moved.argmax(), moved.shape) == (30, 30)
        assert correlation(moved, images(mask.phase_rad, 24.0, optics, (0.0, 0.0, 3.5))[0]) > 0.99
        assert left.sum() < 0.1 * moved.sum()


def test_a_longer_path_is_a_higher_level_and_focuses_higher_emitters(
    telomere_optics: Optics,
) -> None:
    optics = telomere_optics
    samples, pixel_um = 187, 24.0
    axis = (np.arange(samples) - 93) * pixel_um * optics.relay_magnification / optics.focal_4f_um
    axial = np.sqrt(np.clip(optics.index_sample**2 - axis[:, None] ** 2 - axis**2, 0, None))
    added = 2 * np.pi / optics.wavelength_um * 0.6 * axial  # as 0.6 um more height does
    mask = PhaseMask(added.astype(np.float32), pixel_um, optics.wavelength_um, "raised", {})
    pattern = slm_pattern(mask, optics, SMALL, STRAIGHT, LINEAR)
    seen = seen_phase(pattern, optics, SMALL, STRAIGHT, LINEAR)
    (image,) = images(seen, pixel_um, optics, (0.0, 0.0, 3.0))
    higher, lower = images(0 * seen, pixel_um, optics, (0.0, 0.0, 3.6), (0.0, 0.0, 2.4))
    assert correlation(image, higher) > 0.999 > 0.99 > correlation(image, lower)

    falling = -LINEAR  # an SLM whose higher levels are the shorter path shows the same phase
    reversed_pattern = slm_pattern(mask, optics, SMALL, STRAIGHT, falling)
    assert not np.array_equal(reversed_pattern, pattern)
    again = seen_phase(reversed_pattern, optics, SMALL, STRAIGHT, falling)
    assert difference_rms(again, seen, disc(samples, optics, pixel_um)) < 0.01


def test_one_pixel_off_axis(telomere_optics: Optics, shared_data: Path) -> None:
    """The published Tetrapod changes by 0.05 to 0.07 rad rms per SLM pixel."""
    optics = telomere_optics
    design = read_mask(shared_data / "deepstorm3d" / "masks" / "mask_tetrapod.mat", optics=optics)
    pattern = slm_pattern(design, optics, SMALL, STRAIGHT, LINEAR)
    seen = seen_phase(pattern, optics, SMALL, STRAIGHT, LINEAR)
    inside = disc(len(seen), optics, 24.0)
    for pixels, low, high in ((1, 0.04, 0.08), (10, 0.4, 0.8)):
        shifted = PupilAlignment(centre_px=(299.5, 319.5 + pixels))
        other = seen_phase(pattern, optics, SMALL, shifted, LINEAR)
        assert low < difference_rms(other, seen, inside) < high


@pytest.mark.parametrize(
    ("levels", "efficiency"), [(4, 0.811), (8, 0.950), (16, 0.987), (256, 0.99995)]
)
def test_efficiency_of_a_blaze_with_few_levels(levels: int, efficiency: float) -> None:
    wanted = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    table = linear_table(levels)
    shown = table[nearest_levels(wanted, table)]
    assert abs(np.exp(1j * (shown - wanted)).mean()) ** 2 == pytest.approx(efficiency, abs=6e-4)
    if levels == 256:
        assert np.sqrt(np.mean(np.angle(np.exp(1j * (shown - wanted))) ** 2)) < 0.0072


def test_levels_of_a_linear_slm() -> None:
    phase = np.random.default_rng(1).uniform(-40, 40, 5000)
    for levels in (256, 200):
        grey = nearest_levels(phase, linear_table(levels))
        assert np.array_equal(grey, np.round(levels * (phase / (2 * np.pi) % 1)) % levels)
    assert nearest_levels(np.array([-1e-20, 0.0, 2 * np.pi]), LINEAR).tolist() == [0, 0, 0]


def test_phases_out_of_reach_go_to_the_nearer_end(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert GreyLevels(wavelength_um=0.58).table(0.56).max() > 2 * np.pi
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        table = GreyLevels(wavelength_um=0.58).table(0.67)
    assert "0.87 rad of 2 pi at 0.67 um" in caplog.text
    reach = 255 / 256 * 2 * np.pi * 0.58 / 0.67
    gap = 2 * np.pi - reach
    assert largest_gap_rad(table) == pytest.approx(gap)
    assert nearest_levels(reach + gap * np.array([0.1, 0.45, 0.55, 0.9]), table).tolist() == [
        255,
        255,
        0,
        0,
    ]


def test_a_table_from_a_file(tmp_path: Path, telomere_optics: Optics) -> None:
    curve = 2.4 * np.pi * (np.arange(256) / 255) ** 1.4 + 0.3
    path = tmp_path / "lut.csv"
    path.write_text("\n".join(f"{phase:.6f}" for phase in curve))
    table = GreyLevels(lut=path).table(0.58)
    mask = tetrapod(telomere_optics)
    pattern = slm_pattern(mask, telomere_optics, SMALL, STRAIGHT, table)
    assert curve[pattern.max()] - curve[0] < 2 * np.pi  # no level beyond the first 2 pi
    error = np.exp(1j * (table[pattern] - panel_phase(mask, telomere_optics, SMALL, STRAIGHT)))
    assert np.abs(np.angle(error)).max() < 0.04


def test_outside_the_pupil_and_correction(telomere_optics: Optics) -> None:
    optics = telomere_optics
    alignment = PupilAlignment(centre_px=(300.0, 310.0))
    correction = np.random.default_rng(2).normal(size=SMALL.shape)
    plain = panel_phase(flat(optics), optics, SMALL, alignment)
    both = panel_phase(flat(optics), optics, SMALL, alignment, correction_rad=correction)
    np.testing.assert_allclose(both - plain, correction, atol=1e-12)
    assert not plain[300, 310 - 272 : 310 + 273].any()  # the pupil is flat
    np.testing.assert_allclose(plain[:8, :8], np.pi * checkerboard((8, 8), levels=(0, 1)))
    carrier = panel_phase(
        flat(optics), optics, SMALL, alignment, carrier=Carrier(period_px=5, direction_rad=0.4)
    )
    rows, columns = np.indices(SMALL.shape)
    tilt = np.cos(0.4) * (columns - 310) + np.sin(0.4) * (rows - 300)
    np.testing.assert_allclose(carrier, 2 * np.pi / 5 * tilt, atol=1e-9)
    with pytest.raises(ValueError, match="correction_rad"):
        panel_phase(flat(optics), optics, SMALL, alignment, correction_rad=correction[1:])


def test_patterns_to_look_at() -> None:
    steps = staircase((3, 64), 4)
    assert steps.dtype == np.uint8
    assert steps[0, ::16].tolist() == [0, 85, 170, 255]
    assert (np.diff(steps[1].astype(int)) > 0).sum() == 3
    board = checkerboard((4, 6), 2, (10, 200))
    assert board.dtype == np.uint8
    assert board.tolist() == [[10, 10, 200, 200, 10, 10]] * 2 + [[200, 200, 10, 10, 200, 200]] * 2


def test_settings_as_files_give_them() -> None:
    alignment = {"centre_px": [540.5, 960], "flip_x": True, "rotation_rad": 0.01}
    assert validated(PupilAlignment, alignment, "rig.toml").centre_px == (540.5, 960.0)
    assert validated(GreyLevels, {"lut": "lut.csv"}, "rig.toml").lut == Path("lut.csv")
    for kind, values, words in (
        (PupilAlignment, {"scale": 0}, "scale = 0"),
        (PupilAlignment, {"center_px": [1, 2]}, "center_px is not a known key"),
        (GreyLevels, {"levels_per_2pi": 1}, "levels_per_2pi = 1"),
        (Carrier, {"period_px": 1.5}, "period_px=1.5"),
    ):
        with pytest.raises(SettingsError, match=words):
            validated(kind, values, "rig.toml")
    with pytest.raises(FileError, match=r"lut\.csv"):
        GreyLevels(lut=Path("lut.csv")).table(0.58)


@pytest.mark.parametrize("period_px", [2.25, 2.5, 3, 4, 8, 20.5])
def test_the_share_of_light_that_a_carrier_steers(period_px: float) -> None:
    sub = 64  # samples of the light's field in each pixel, which has one phase
    columns = np.arange(int(period_px * 128))  # whole periods
    steps = np.repeat(2 * np.pi * columns / period_px, sub)
    slope = 2 * np.pi / period_px * (np.arange(len(steps)) + 0.5) / sub
    steered = abs(np.exp(1j * (steps - slope)).mean()) ** 2
    assert Carrier(period_px=period_px).share == pytest.approx(steered, abs=1e-3)


@pytest.mark.parametrize("period_px", [2.0, 1.0, 0.0, -8.0, float("nan")])
def test_a_carrier_that_steers_to_both_sides_is_none(period_px: float) -> None:
    with pytest.raises(SettingsError, match="period_px"):
        validated(Carrier, {"period_px": period_px}, "rig.toml")
