"""Scans that cannot be trusted are refused or doubted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from calibration.bead_scan import BeadScan
from calibration.beads import (
    doubts,
    light_doubt,
    require_usable,
    retrieve_checked,
    scan_doubts,
)
from calibration.retrieve import Retrieved, RetrieveSettings
from dsacq.errors import SettingsError
from dsacq.physics.masks import tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel

OPTICS = replace(STANDARD_OPTICS, mask_pixel_um=80.0)
FOCUS_UM = np.linspace(-1.5, 1.5, 11)
PASSES = 120


def planes(photons: np.ndarray) -> np.ndarray:
    mask = tetrapod(OPTICS)
    xyz_um = torch.tensor([[0.0, 0.0, 0.05]]).expand(len(FOCUS_UM), 3)
    images = psf(
        torch.from_numpy(mask.phase_rad),
        xyz_um,
        OPTICS,
        (45, 45),
        PsfModel(blur_px=0.8),
        focus_um=torch.from_numpy(FOCUS_UM).float(),
        mask_pixel_um=mask.pixel_um,
    ).numpy()
    random = np.random.default_rng(0)
    return random.poisson(photons[:, None, None] * images + 20).astype(float)


def scan_of(photons: np.ndarray, focus_um: np.ndarray = FOCUS_UM) -> BeadScan:
    return BeadScan(planes=planes(photons), focus_um=focus_um)


def run(scan: BeadScan, model: PsfModel = PsfModel(blur_px=0.8)) -> tuple[Retrieved, float]:  # noqa: B008
    settings = RetrieveSettings(passes=PASSES, pupil_pixel_um=80.0)
    search = retrieve_checked(scan, OPTICS, model, settings)
    seen = []
    while True:
        try:
            seen.append(next(search))
        except StopIteration as end:
            assert [one.passes for one in seen] == list(range(1, seen[0].of + 1))
            result: tuple[Retrieved, float] = end.value
            return result


BRIGHT = np.full(len(FOCUS_UM), 2e5)


def test_a_good_scan_is_told_as_good() -> None:
    scan = scan_of(BRIGHT)
    require_usable(scan)
    found, _ = run(scan)
    assert doubts(found) == []


def test_the_scalar_model_cannot_tell_the_direction() -> None:
    phase = torch.from_numpy(tetrapod(OPTICS).phase_rad)
    phase = phase + 0.3 * torch.randn(phase.shape, generator=torch.Generator().manual_seed(1))
    on_coverslip = torch.zeros(3, 3)
    focus_um = torch.tensor([-1.0, 0.2, 0.9])

    def images(phase_rad: torch.Tensor, focus_um: torch.Tensor, model: PsfModel) -> torch.Tensor:
        return psf(phase_rad, on_coverslip, OPTICS, (31, 31), model, focus_um=focus_um)

    for kind, same in (("scalar", True), ("vectorial", False)):
        model = PsfModel(kind=kind)  # type: ignore[arg-type]
        one, other = images(phase, focus_um, model), images(-phase.flip(0, 1), -focus_um, model)
        assert (float((one - other).abs().max()) < 1e-5 * float(one.max())) is same


def test_a_better_fit_the_other_way_is_told() -> None:
    found, _ = run(scan_of(BRIGHT))
    assert any("other way" in doubt for doubt in doubts(found, 0.9))


def test_a_bead_that_leaves_is_named() -> None:
    photons = BRIGHT.copy()
    photons[8:] = 1000
    found, _ = run(scan_of(photons))
    assert any("In 3 planes, the first is 8" in doubt for doubt in doubts(found))


@pytest.mark.parametrize(
    ("away_px", "part"), [((5, -6), np.linspace(0.5, 1, 11)), ((4, 0), 0.3), ((0, -4), 1.0)]
)
def test_two_beads_are_doubted(away_px: tuple[int, int], part: float | np.ndarray) -> None:
    alone = planes(BRIGHT)
    second = np.roll(alone, away_px, (1, 2)) * np.broadcast_to(part, 11)[:, None, None]
    found, _ = run(BeadScan(planes=alone + second, focus_um=FOCUS_UM))
    assert any("one bead alone" in doubt for doubt in doubts(found))


def test_saturation_is_named() -> None:
    scan = scan_of(BRIGHT)
    top = float(np.percentile(scan.planes[5], 99.5))
    with pytest.raises(SettingsError, match="saturated in plane 0, take less light"):
        require_usable(replace(scan, planes=scan.planes.clip(max=top)))


def test_one_clipped_pixel_is_enough_where_its_count_is_known() -> None:
    scan = scan_of(BRIGHT)
    top = float(scan.planes.max())
    require_usable(replace(scan, saturated=top + 1))
    with pytest.raises(
        SettingsError, match=f"saturated in plane {scan.planes.max((1, 2)).argmax()}"
    ):
        require_usable(replace(scan, saturated=top))


@pytest.mark.parametrize(("number", "says"), [(0, "saturated"), (1, "saturated"), (2, "too dim")])
def test_each_of_several_beads_is_judged(number: int, says: str) -> None:
    singles = [scan_of(BRIGHT) for _ in range(3)]
    top = float(np.percentile(singles[0].planes[5], 99.5))
    bad = singles[number].planes
    bad = bad.clip(max=top) if says == "saturated" else bad * 0.003
    singles[number] = replace(singles[number], planes=bad)
    with pytest.raises(SettingsError, match=says):
        require_usable(BeadScan.joined(singles))


def test_a_picture_that_comes_twice_is_named() -> None:
    scan = scan_of(BRIGHT)
    scan.planes[4] = scan.planes[3]
    with pytest.raises(SettingsError, match="planes 3 and 4 are the same picture"):
        require_usable(scan)


@pytest.mark.parametrize("left", [0.1, 0.2, 0.4])
def test_bleaching_is_told_in_these_words(left: float) -> None:
    scan = scan_of(BRIGHT * np.geomspace(1, left, len(BRIGHT)))
    require_usable(scan)
    (doubt,) = scan_doubts(scan)
    assert "it bleached" in doubt


@pytest.mark.parametrize("left", [0.9, 1.0, 1.1])
def test_light_that_stays_is_not_doubted(left: float) -> None:
    assert scan_doubts(scan_of(BRIGHT * np.geomspace(1, left, len(BRIGHT)))) == []


def test_light_that_noise_hides_is_not_doubted() -> None:
    photons = np.array([3.0, 2, 3, 1, 2, 1, 1, 1.5, 1]) * 1e4
    assert "falls to 33 %" in light_doubt(photons)
    assert light_doubt(photons, 1e4) == ""
    assert light_doubt(np.array([1.0])) == ""


@pytest.mark.parametrize(
    ("away_px", "part"), [((9, 0), 0.5), ((7, -8), 1.0), ((-3, 14), 0.6), ((0, 15), 0.4)]
)
def test_two_beads_are_doubted_before_a_search(away_px: tuple[int, int], part: float) -> None:
    alone = planes(BRIGHT)
    (doubt,) = scan_doubts(
        BeadScan(planes=alone + part * np.roll(alone, away_px, (1, 2)), focus_um=FOCUS_UM)
    )
    assert f"the same image once more, {np.hypot(*away_px):.0f} px away" in doubt
    beads = [scan_of(BRIGHT), BeadScan(planes=alone + np.roll(alone, 12, 1), focus_um=FOCUS_UM)]
    (doubt,) = scan_doubts(BeadScan.joined(beads))
    assert doubt.startswith("Bead 1: At every focus")


def test_a_dim_bead_is_named() -> None:
    with pytest.raises(SettingsError, match=r"too dim, about \d{2,3} photons in a plane"):
        require_usable(scan_of(np.full(len(FOCUS_UM), 300.0)))


def test_positions_that_go_back_and_forth_are_named() -> None:
    mixed = FOCUS_UM.copy()
    mixed[[3, 4]] = mixed[[4, 3]]
    with pytest.raises(SettingsError, match="back and forth"):
        require_usable(scan_of(BRIGHT, mixed))
