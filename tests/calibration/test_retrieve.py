"""Phase retrieval against scans whose phase is known, and against measured ones."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tifffile
import torch

from calibration.bead_scan import BeadScan
from calibration.retrieve import Retrieved, RetrieveSettings, retrieve
from dsacq.errors import SettingsError
from dsacq.physics.masks import PhaseMask, tetrapod
from dsacq.physics.optics import STANDARD_OPTICS, Optics
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel

PITCH_UM = 60.0
OPTICS = replace(STANDARD_OPTICS, mask_pixel_um=PITCH_UM)
FOCUS_UM = np.linspace(-2, 2, 17)
CENTRE_UM, RADIUS_UM, BLUR_PX = (0.04, -0.03), 0.05, 0.8
QUICK = RetrieveSettings(passes=120, pupil_pixel_um=PITCH_UM)


def found(scan: BeadScan, optics: Optics, model: PsfModel, settings: RetrieveSettings) -> Retrieved:
    search = retrieve(scan, optics, model, settings=settings)
    while True:
        try:
            next(search)
        except StopIteration as end:
            result: Retrieved = end.value
            return result


def images(mask: PhaseMask, centre_um: tuple[float, float], blur_px: float) -> torch.Tensor:
    xyz_um = torch.tensor([[*centre_um, RADIUS_UM]], dtype=torch.float32).expand(len(FOCUS_UM), 3)
    return psf(
        torch.from_numpy(mask.phase_rad),
        xyz_um,
        OPTICS,
        (55, 55),
        PsfModel(blur_px=blur_px),
        focus_um=torch.from_numpy(FOCUS_UM).float(),
        mask_pixel_um=mask.pixel_um,
    )


@cache
def truth() -> torch.Tensor:
    return images(tetrapod(OPTICS), CENTRE_UM, BLUR_PX)


@pytest.fixture(scope="module")
def retrieved() -> Retrieved:
    photons = np.linspace(1e6, 5e5, len(FOCUS_UM))[:, None, None]
    random = np.random.default_rng(3)
    planes = random.poisson(photons * truth().numpy() + 50) * 2.0 + 100
    scan = BeadScan(planes=planes, focus_um=FOCUS_UM, counts_per_photon=2.0, radius_um=RADIUS_UM)
    return found(scan, OPTICS, PsfModel(blur_px=0.5), QUICK)


def test_the_psf_is_found_from_no_phase_at_all(retrieved: Retrieved) -> None:
    again = images(retrieved.mask, tuple(retrieved.centre_um[0]), retrieved.blur_px)
    true = truth()
    again = again * (true.sum((1, 2)) / again.sum((1, 2)))[:, None, None]
    error = (again - true).flatten(1).norm(dim=1) / true.flatten(1).norm(dim=1)
    assert float(error.median()) < 0.03
    assert float(error.max()) < 0.08


def test_place_blur_and_brightness(retrieved: Retrieved) -> None:
    assert retrieved.centre_um == pytest.approx(np.array([CENTRE_UM]), abs=0.03)
    assert retrieved.blur_px == pytest.approx(BLUR_PX, abs=0.03)
    photons = np.linspace(1e6, 5e5, len(FOCUS_UM))
    assert retrieved.photons / photons == pytest.approx(1.0, abs=0.1)
    assert retrieved.background == pytest.approx(100.0, abs=25)  # with the offset, in photons
    assert np.median(retrieved.correlation) > 0.999
    assert retrieved.chi_square < 1.8  # 1 on a finer pupil, with more passes


def test_the_phase_has_no_piston_and_no_tilt(retrieved: Retrieved) -> None:
    phasor = np.exp(1j * retrieved.mask.phase_rad)
    lit = retrieved.mask.phase_rad != 0
    assert abs(np.angle(phasor[lit].sum())) < 1e-3
    for axis in (0, 1):
        both = lit & np.roll(lit, 1, axis)
        assert abs(np.angle((phasor * np.roll(phasor, 1, axis).conj())[both].sum())) < 0.01


def test_a_known_drift_is_followed() -> None:
    share = np.linspace(-0.5, 0.5, len(FOCUS_UM))
    mask, drift_um = tetrapod(OPTICS), (0.1, -0.05)
    planes = np.stack(
        [
            images(mask, (drift_um[0] * part, drift_um[1] * part), BLUR_PX)[n]
            for n, part in enumerate(share)
        ]
    )
    counts = np.random.default_rng(3).poisson(1e6 * planes + 50)
    scan = BeadScan(planes=counts, focus_um=FOCUS_UM, radius_um=RADIUS_UM)
    drift_px = (drift_um[0] / OPTICS.pixel_um, drift_um[1] / OPTICS.pixel_um)
    followed = found(replace(scan, drift_px=drift_px), OPTICS, PsfModel(), QUICK)
    ignored = found(scan, OPTICS, PsfModel(), QUICK)
    assert followed.chi_square < 0.95 * ignored.chi_square


def test_beads_at_other_places_and_heights_give_one_phase() -> None:
    mask, random = tetrapod(OPTICS), np.random.default_rng(5)
    heights, places = np.array([0.15, -0.05, -0.1]), [(0.0, 0.0), (0.05, -0.02), (-0.04, 0.03)]
    singles = []
    for height, place in zip(heights, places, strict=True):
        truth = psf(
            torch.from_numpy(mask.phase_rad),
            torch.tensor([[*place, RADIUS_UM]]).expand(len(FOCUS_UM), 3),
            OPTICS,
            (55, 55),
            PsfModel(blur_px=BLUR_PX),
            focus_um=torch.from_numpy(FOCUS_UM - height).float(),
        )
        planes = random.poisson(3e5 * truth.numpy() + 50).astype(float)
        singles.append(BeadScan(planes=planes, focus_um=FOCUS_UM, radius_um=RADIUS_UM))
    scan = BeadScan.joined(singles)
    assert [len(one.planes) for one in scan.singles] == [len(FOCUS_UM)] * 3
    together = found(scan, OPTICS, PsfModel(), replace(QUICK, passes=40))
    assert together.height_um == pytest.approx(heights, abs=0.02)
    places_um = together.centre_um - together.centre_um[0]
    assert places_um == pytest.approx(np.array(places), abs=0.01)
    assert np.median(together.correlation) > 0.998


def test_two_planes_are_too_few() -> None:
    with pytest.raises(SettingsError, match="at least 3 positions"):
        BeadScan(planes=np.zeros((2, 9, 9)), focus_um=np.zeros(2))


def test_positions_and_planes_belong_together() -> None:
    with pytest.raises(ValueError, match="5 positions"):
        BeadScan(planes=np.zeros((4, 9, 9)), focus_um=np.zeros(5))


def test_a_measured_tetrapod(shared_data: Path) -> None:
    folder = shared_data / "beads_tetrapod"
    planes = tifffile.imread(folder / "TP_im.tif").astype(float)
    told = scipy.io.loadmat(str(folder / "NFP_pos_TP_images.mat"))
    focus_um = next(value for name, value in told.items() if not name.startswith("_"))
    optics = replace(
        OPTICS, wavelength_um=0.605, camera_pixel_um=16.0, mask_pixel_um=20.0, focus_um=0.0
    )
    scan = BeadScan(
        planes=planes[::2],
        focus_um=focus_um.ravel()[::2].astype(float),
        counts_per_photon=8.0,
        radius_um=0.023,
    )
    result = found(scan, optics, PsfModel(blur_px=0.6), RetrieveSettings(passes=120))
    assert np.median(result.correlation) > 0.98
    assert result.correlation.min() > 0.953
    assert np.median(result.residual) < 0.19


def test_a_measured_double_helix_tells_the_direction_of_its_focus(shared_data: Path) -> None:
    planes = tifffile.imread(
        shared_data / "double_helix" / "zscan_DH1_580nm_1um_-1um_50nm.tif"
    ).astype(float)[::2]
    optics = replace(
        OPTICS, wavelength_um=0.58, na=1.49, camera_pixel_um=15.9, focal_4f_um=80_000, focus_um=0.0
    )
    scan = BeadScan(planes=planes, focus_um=np.linspace(1, -1, 21), counts_per_photon=20)
    model = PsfModel(kind="vectorial", blur_px=0.6)
    settings = RetrieveSettings(passes=60, pupil_pixel_um=24.0)
    as_told = found(scan, optics, model, settings)
    reversed_ = found(scan.reversed(), optics, model, settings)
    assert np.median(as_told.correlation) > 0.992
    assert np.median(reversed_.correlation) > 0.992
    assert reversed_.chi_square < as_told.chi_square
