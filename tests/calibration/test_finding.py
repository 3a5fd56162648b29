"""Beads in planes of which it is known where they lie, and what else is in them."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from calibration.finding import Bead, best_beads, find_beads, usable_beads
from calibration.z_scan import ZScan
from dsacq.errors import SettingsError
from dsacq.physics.masks import PhaseMask, astigmatism, double_helix, flat, tetrapod
from dsacq.physics.optics import STANDARD_OPTICS, Optics
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel

OPTICS = replace(STANDARD_OPTICS, mask_pixel_um=80.0, focus_um=0.0, z_range_um=(0.0, 2.0))
FOCUS_UM = np.linspace(-1.5, 1.5, 9)
MASKS: dict[str, Callable[[Optics], PhaseMask]] = {
    "flat": flat,
    "astigmatism": astigmatism,
    "double helix": double_helix,
    "tetrapod": tetrapod,
}
EVERY_MASK = pytest.mark.parametrize("name", MASKS)
SIZE, SIDE_PX = 140, 51


@cache
def image(name: str) -> np.ndarray:
    """(K, 81, 81), of the sum 1 over all pixels."""
    made = MASKS[name](OPTICS)
    return psf(
        torch.from_numpy(made.phase_rad),
        torch.tensor([[0.0, 0.0, 0.05]]).expand(len(FOCUS_UM), 3),
        OPTICS,
        (81, 81),
        PsfModel(blur_px=0.8),
        focus_um=torch.from_numpy(FOCUS_UM).float(),
        mask_pixel_um=made.pixel_um,
    ).numpy()


def planes(name: str, *beads: tuple[int, int, float | np.ndarray]) -> np.ndarray:
    """Beads at (row, column) of this many photons in a plane, on nothing."""
    total = np.zeros((len(FOCUS_UM), SIZE + 80, SIZE + 80))
    for row, column, photons in beads:
        light = np.broadcast_to(photons, len(FOCUS_UM))[:, None, None]
        total[:, row : row + 81, column : column + 81] += light * image(name)
    return total[:, 40:-40, 40:-40]


def scan(light: np.ndarray, saturated: float = 60_000.0, seed: int = 0) -> ZScan:
    """With the noise of the photons and of a camera."""
    draw = np.random.default_rng(seed)
    counts = draw.poisson(light) + draw.normal(0, 2, light.shape)
    return ZScan(
        planes=counts.clip(max=saturated).astype(np.float32),
        focus_um=FOCUS_UM,
        counts_per_photon=1.0,
        saturated=saturated,
        optics=OPTICS,
        psf=PsfModel(),
        mask_name="some",
    )


def only(beads: list[Bead]) -> Bead:
    (bead,) = beads
    return bead


def is_good(bead: Bead, row: int, column: int) -> bool:
    near = np.hypot(bead.row - row, bead.column - column) < 2.5
    return bool(near) and not bead.problem and not bead.doubt


SLOPE = 20 + 300 * np.arange(SIZE) / 160
BUMP = 20 + 600 * np.exp(-(((np.indices((SIZE, SIZE)) - 50) / 60.0) ** 2).sum(0))


@EVERY_MASK
@pytest.mark.parametrize(
    "background",
    [np.array(20.0), SLOPE, SLOPE[::-1, None], BUMP],
    ids=["even", "x", "y", "bump"],
)
def test_a_bead_is_found_on_every_background(name: str, background: np.ndarray) -> None:
    light = planes(name, (66, 74, 3e4)) + background
    bead = only(find_beads(scan(light), SIDE_PX))
    assert is_good(bead, 66, 74)
    if background is not BUMP:  # which is no slope
        inside = image(name)[:, 15:-15, 15:-15].sum((1, 2))
        assert bead.photons == pytest.approx(3e4 * np.median(inside), rel=0.15)
    assert find_beads(scan(light - planes(name, (66, 74, 3e4))), SIDE_PX) == []


@EVERY_MASK
@pytest.mark.parametrize("seed", range(3))
def test_hot_pixels_are_no_beads_and_disturb_none(name: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    seen = scan(planes(name, (66, 74, 3e4)) + 20)
    for row, column in draw.integers(0, SIZE, (12, 2)):
        seen.planes[:, row, column] += draw.choice([300.0, 3000.0, 70_000.0])
    seen.planes[:, 70, 80] = 60_000.0
    assert is_good(only(find_beads(seen, SIDE_PX)), 66, 74)
    cut = best_beads(seen, SIDE_PX, 0.05).planes
    assert cut.max() < 20_000


@pytest.mark.parametrize("seed", range(3))
def test_hot_pixels_alone_are_nothing(seed: int) -> None:
    draw = np.random.default_rng(seed)
    seen = scan(np.full((len(FOCUS_UM), SIZE, SIZE), 700.0), seed=seed)
    for row, column in draw.integers(0, SIZE, (8, 2)):
        flicker = draw.uniform(0.8, 1.2, len(FOCUS_UM))
        seen.planes[:, row, column] += draw.choice([300.0, 3000.0, 20_000.0]) * flicker
    assert find_beads(seen, SIDE_PX) == []


@EVERY_MASK
@pytest.mark.parametrize("left", [0.1, 0.2, 0.3])
def test_a_bead_that_bleaches_is_told_as_that(name: str, left: float) -> None:
    photons = 1e5 * np.geomspace(1, left, len(FOCUS_UM))
    bead = only(find_beads(scan(planes(name, (66, 74, photons)) + 20), SIDE_PX))
    assert np.hypot(bead.row - 66, bead.column - 74) < 2.5
    assert not bead.problem
    assert "it bleached" in bead.doubt


@EVERY_MASK
@pytest.mark.parametrize(("rows", "columns"), [(9, 0), (0, -12), (11, 10)])
def test_two_that_look_like_one_are_doubted(name: str, rows: int, columns: int) -> None:
    light = planes(name, (64, 70, 1e5), (64 + rows, 70 + columns, 6e4)) + 20
    for bead in find_beads(scan(light), SIDE_PX):
        assert bead.problem.startswith("another one") or "two beads" in bead.doubt


@EVERY_MASK
def test_those_without_doubts_come_first(name: str) -> None:
    light = planes(name, (35, 35, 2e5), (35, 45, 2e5), (105, 100, 3e4)) + 20
    beads = find_beads(scan(light), SIDE_PX)
    assert is_good(beads[0], 105, 100)
    assert "two beads" in beads[1].doubt
    assert usable_beads(scan(light), SIDE_PX) == beads[:1]
    assert best_beads(scan(light), SIDE_PX, 0.05, 5).bead is None


@EVERY_MASK
def test_beads_that_cannot_be_used_are_named(name: str) -> None:
    light = planes(name, (32, 32, 2e4), (32, 78, 2e4), (105, 40, 1.4e3), (110, 128, 3e4)) + 1
    told = {
        (round(bead.row, -1), round(bead.column, -1)): bead.problem
        for bead in find_beads(scan(light), SIDE_PX)
    }
    assert told[30, 30].startswith("another one 4")
    assert told[30, 80].startswith("another one 4")
    assert told[100, 40].startswith("too dim, about 1")
    assert told[110, 130] == "too near to the edge"


@EVERY_MASK
def test_a_clipped_bead_is_named(name: str) -> None:
    light = planes(name, (66, 74, 2e5)) + 20
    top = float(light.max()) / 2
    bead = find_beads(scan(light, saturated=top), SIDE_PX)[0]
    assert bead.problem.startswith("saturated in plane")
    with pytest.raises(SettingsError, match=r"None of the \d beads can be used: saturated in"):
        usable_beads(scan(light, saturated=top), SIDE_PX)


def test_a_crowded_field_gives_those_that_stand_alone() -> None:
    crowd = [(row, column, 4e4) for row in (8, 20, 30) for column in (10, 30, 52, 75, 100)]
    beads = find_beads(scan(planes("astigmatism", *crowd, (100, 95, 3e4)) + 20), 31)
    good = [bead for bead in beads if not bead.problem and not bead.doubt]
    assert is_good(only(good), 100, 95)


def test_where_there_is_nothing_nothing_is_found() -> None:
    for seed in range(3):
        seen = scan(np.full((len(FOCUS_UM), SIZE, SIZE), 50.0), seed=seed)
        with pytest.raises(SettingsError, match="No bead stands out"):
            best_beads(seen, SIDE_PX, 0.05)


def test_few_different_problems_are_told() -> None:
    beads = [(row, column, 2e4) for row in (30, 48, 70, 103) for column in (28, 51, 80, 106)]
    with pytest.raises(SettingsError, match=r"None of the 16 beads") as told:
        usable_beads(scan(planes("flat", *beads) + 20), 41)
    assert str(told.value).count(";") == 2
