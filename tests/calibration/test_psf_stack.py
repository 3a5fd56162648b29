"""The average of beads, of which the true image is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from calibration.bead_scan import BeadScan
from calibration.psf_stack import average_psf, stack_doubts, write_psf_stack
from dsacq.errors import SettingsError
from dsacq.physics.masks import astigmatism
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel

OPTICS = replace(STANDARD_OPTICS, mask_pixel_um=60.0, focus_um=0.0)
FOCUS_UM = np.linspace(-1, 1, 21)


def true(x_um: float, y_um: float) -> np.ndarray:
    return psf(
        torch.from_numpy(astigmatism(OPTICS).phase_rad),
        torch.tensor([[x_um, y_um, 0.05]]).expand(len(FOCUS_UM), 3),
        OPTICS,
        (41, 41),
        PsfModel(blur_px=0.8),
        focus_um=torch.tensor(FOCUS_UM).float(),
    ).numpy()


def scan() -> BeadScan:
    draw = np.random.default_rng(4)
    places = [(0.0, 0.0), (0.09, -0.04), (-0.13, 0.02), (0.05, 0.16)]
    beads = [
        BeadScan(planes=draw.poisson(4e4 * true(*place) + 30).astype(float), focus_um=FOCUS_UM)
        for place in places
    ]
    return BeadScan.joined(beads)


def error(planes: np.ndarray) -> float:
    expected = true(0.0, 0.0)
    expected = expected / expected.sum((1, 2), keepdims=True)
    off = np.linalg.norm(planes - expected, axis=(1, 2)) / np.linalg.norm(expected, axis=(1, 2))
    return float(np.median(off))


def test_four_beads_give_a_better_image_than_one() -> None:
    beads = scan()
    together, alone = error(average_psf(beads)[0]), error(average_psf(beads.singles[0])[0])
    assert together < 0.06
    assert together < 0.75 * alone


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    beads = scan()
    planes, _ = average_psf(beads)
    write_psf_stack(planes, beads, OPTICS, "beads-1", tmp_path / "psf.tif")
    with tifffile.TiffFile(tmp_path / "psf.tif") as file:
        assert file.asarray() == pytest.approx(planes, abs=1e-7)
        assert file.imagej_metadata is not None
        assert file.imagej_metadata["spacing"] == pytest.approx(0.1)
    told = json.loads((tmp_path / "psf.json").read_text())
    assert told["beads"] == 4
    assert told["focus_um"] == pytest.approx(FOCUS_UM)


def test_beads_at_other_positions_do_not_belong_together() -> None:
    beads = scan()
    moved = replace(beads, focus_um=beads.focus_um + (beads.numbers == 1) * 0.3)
    with pytest.raises(ValueError, match="same positions"):
        average_psf(moved)


def light(place: tuple[float, float], photons: float, seed: int) -> BeadScan:
    planes = np.random.default_rng(seed).poisson(photons * true(*place) + 30).astype(float)
    return BeadScan(planes=planes, focus_um=FOCUS_UM)


def test_beads_that_agree_are_not_doubted() -> None:
    beads = scan()
    _, agreement = average_psf(beads)
    assert agreement.shape == (4,)
    assert agreement.min() > 0.98
    assert stack_doubts(beads, agreement) == []
    alone = beads.singles[0]
    assert average_psf(alone)[1].tolist() == [1.0]
    assert stack_doubts(alone, average_psf(alone)[1]) == []


@pytest.mark.parametrize(("away_px", "part"), [((4, 0), 0.4), ((0, 4), 1.0), ((3, -4), 0.3)])
def test_the_one_that_is_two_is_told_by_its_number(away_px: tuple[int, int], part: float) -> None:
    singles = scan().singles
    second = part * np.roll(light((0.0, 0.0), 4e4, 9).planes, away_px, (1, 2))
    singles[2] = replace(singles[2], planes=singles[2].planes + second)
    beads = BeadScan.joined(singles)
    _, agreement = average_psf(beads)
    assert agreement.argmin() == 2
    assert "Bead 2 is unlike the average of the others" in " ".join(stack_doubts(beads, agreement))


def test_a_slope_of_the_background_is_no_part_of_the_psf() -> None:
    sloped = scan().singles[0]
    even = average_psf(sloped)[0]
    sloped = replace(sloped, planes=sloped.planes + 2.0 * np.arange(41))
    assert average_psf(sloped)[0] == pytest.approx(even, abs=1e-3 * even.max())


def spoilt(change: str) -> BeadScan:
    beads = scan()
    planes = beads.planes.copy()
    if change == "clipped":
        planes = planes.clip(max=planes.max() / 3)
    if change == "dim":
        planes *= 0.01
    if change == "twice":
        planes[30] = planes[31]
    return replace(beads, planes=planes)


@pytest.mark.parametrize(
    ("change", "says"),
    [("clipped", "saturated in plane"), ("dim", "too dim"), ("twice", "planes 9 and 10 are the")],
)
def test_what_cannot_be_used_is_not_averaged(change: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        average_psf(spoilt(change))
