"""Scans that cannot be trusted are refused or doubted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from calibration.bead_scan import BeadScan
from calibration.beads import doubts, require_usable, retrieve_checked
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


def test_two_beads_are_doubted() -> None:
    alone = planes(BRIGHT)
    both = alone + np.roll(alone, (5, -6), (1, 2)) * np.linspace(0.5, 1, 11)[:, None, None]
    found, _ = run(BeadScan(planes=both, focus_um=FOCUS_UM))
    assert doubts(found)


def test_saturation_is_named() -> None:
    scan = scan_of(BRIGHT)
    top = float(np.percentile(scan.planes[5], 99.5))
    with pytest.raises(SettingsError, match="saturated"):
        require_usable(replace(scan, planes=scan.planes.clip(max=top)))


def test_a_dim_bead_is_named() -> None:
    with pytest.raises(SettingsError, match="photons per plane"):
        require_usable(scan_of(np.full(len(FOCUS_UM), 300.0)))


def test_positions_that_go_back_and_forth_are_named() -> None:
    mixed = FOCUS_UM.copy()
    mixed[[3, 4]] = mixed[[4, 3]]
    with pytest.raises(SettingsError, match="back and forth"):
        require_usable(scan_of(BRIGHT, mixed))
