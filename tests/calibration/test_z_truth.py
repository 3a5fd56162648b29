"""Heights from a z stack, of emitters whose heights are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from calibration.bead_scan import BeadScan
from calibration.z_truth import agreement, best_focus, heights
from dsacq.data import Localizations
from dsacq.errors import SettingsError
from dsacq.physics.masks import flat
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel

OPTICS = replace(STANDARD_OPTICS, z_range_um=(0.0, 4.0), mask_pixel_um=60.0)
MODEL = PsfModel(kind="vectorial", blur_px=0.8)
FOCUS_UM = np.arange(-0.8, 6.0, 0.1)
PLACES = np.array(
    [[15.2, 16.1], [45.6, 14.0], [75.0, 18.3], [17.4, 46.0], [47.0, 45.2], [74.1, 47.0]]
)
HEIGHTS = np.array([0.3, 1.0, 1.7, 2.4, 3.1, 3.7])
SHAPE = (62, 92)


@pytest.fixture(scope="module")
def scan() -> BeadScan:
    draw, mask = np.random.default_rng(2), torch.from_numpy(flat(OPTICS).phase_rad)
    planes = np.full((len(FOCUS_UM), *SHAPE), 20.0)
    focus = torch.tensor(FOCUS_UM).float()
    for (x, y), height in zip(PLACES, HEIGHTS, strict=True):
        place = (np.array([x, y]) - (np.array(SHAPE[::-1]) - 1) / 2) * OPTICS.pixel_um
        xyz = torch.tensor([[*place, height]]).float().expand(len(FOCUS_UM), 3)
        planes += 2e4 * psf(mask, xyz, OPTICS, SHAPE, MODEL, focus_um=focus).numpy()
    return BeadScan(planes=draw.poisson(planes).astype(float), focus_um=FOCUS_UM)


@pytest.fixture(scope="module")
def found(scan: BeadScan) -> Localizations:
    return heights(scan, OPTICS, MODEL)


def test_heights_are_those_of_the_emitters(found: Localizations) -> None:
    table = found.table.sort_values("z_um")
    assert table["z_um"].to_numpy() == pytest.approx(HEIGHTS, abs=0.04)
    places_um = (PLACES + 0.5) * OPTICS.pixel_um
    assert table[["x_um", "y_um"]].to_numpy() == pytest.approx(places_um, abs=0.04)
    assert (table["sigma_z_um"] < 0.05).all()


def test_the_order_of_the_planes_does_not_matter(scan: BeadScan, found: Localizations) -> None:
    turned = BeadScan(planes=scan.planes[::-1], focus_um=scan.focus_um[::-1])
    again = heights(turned, OPTICS, MODEL)
    assert np.sort(again.table["z_um"]) == pytest.approx(np.sort(found.table["z_um"]))


def test_emitters_in_focus_only_beyond_the_stack_are_left_out(scan: BeadScan) -> None:
    short = BeadScan(planes=scan.planes[:30], focus_um=scan.focus_um[:30])
    assert len(heights(short, OPTICS, MODEL)) == 2


def test_the_focus_goes_deeper_than_the_emitter() -> None:
    z_um, focus_um = best_focus(OPTICS, MODEL)
    slope = np.polyfit(z_um, focus_um, 1)[0]
    assert 1.1 < slope < 1.5  # the ratio of the indices, 1.14, and more at a high NA


def test_agreement_tells_scale_and_shift(found: Localizations) -> None:
    columns = {name: found.table[name].to_numpy() for name in ("x_um", "y_um", "z_um")}
    single = Localizations.from_columns(
        frame=np.arange(len(found)) % 2, **columns | {"z_um": 1.1 * columns["z_um"] - 0.2}
    )
    result = agreement(found, single)
    assert (result.pairs, result.slope, result.offset_um) == pytest.approx((6, 1.1, -0.2), abs=1e-5)
    assert result.spread_um < 1e-6
    with pytest.raises(SettingsError, match="3 or more"):
        agreement(found, Localizations.empty())
