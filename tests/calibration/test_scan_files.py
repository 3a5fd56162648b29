"""The folder of a z scan: whole, ended early in every way, and damaged."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from test_z_scan import SETTINGS, SMALL, left_as_it_was, opened

from calibration.finding import best_beads
from calibration.scan_files import is_scan, kept_scan, read_scan
from calibration.z_scan import on_coverslip
from dsacq.errors import FileError, SettingsError, UserError
from dsacq.physics.masks import astigmatism
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.pupil import PsfModel
from hardware.protocols import DeviceError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan") / "beads-1"
    with opened(**SMALL) as rig:
        rig.show(astigmatism(rig.optics))
        planes = list(kept_scan(rig, SETTINGS, folder))
        offset = rig.noise().offset_adu
        scan = read_scan(folder)
        np.testing.assert_array_equal(
            scan.planes, [plane.counts - np.float32(2 * offset) for plane in planes]
        )
        with pytest.raises(FileError, match="beads-1"):
            next(kept_scan(rig, SETTINGS, folder))
    return folder


def test_its_files_give_it_back(whole: Path) -> None:
    scan = read_scan(whole)
    np.testing.assert_array_equal(scan.focus_um, [-1.0, -0.5, 0.0, 0.5, 1.0])
    assert scan.optics == SMALL["optics"]
    assert scan.psf == PsfModel()
    assert scan.mask_name == "astigmatism"
    assert scan.counts_per_photon == pytest.approx(0.82 * 2.17)
    assert scan.drift_px == pytest.approx((0, 0), abs=0.05)
    assert (scan.planned, scan.stood_um, scan.shortfall) == (5, STANDARD_OPTICS.focus_um, "")
    assert (whole / "mask.tif").exists()
    on_glass = on_coverslip(scan, 0.5)
    assert (on_glass.focus_um[0], on_glass.stood_um) == (-1.5, 4.0)
    assert tifffile.imread(whole / "scan.tif", key=range(5)).shape == (5, 64, 64)


def ended_by_closing(rig: Any, folder: Path) -> None:
    scan = kept_scan(rig, SETTINGS, folder)
    for _ in range(3):
        next(scan)
    scan.close()


def ended_by_control_c(rig: Any, folder: Path) -> None:
    scan = kept_scan(rig, SETTINGS, folder)
    for _ in range(3):
        next(scan)
    with pytest.raises(KeyboardInterrupt):
        scan.throw(KeyboardInterrupt())


def ended_by_the_stage(rig: Any, folder: Path) -> None:
    move = rig.focus.move_to

    def stuck(um: float) -> None:
        if um == 0.5:
            raise DeviceError("focus", "did not arrive.")
        move(um)

    rig.focus.move_to = stuck
    with pytest.raises(DeviceError, match="did not arrive"):
        list(kept_scan(rig, SETTINGS, folder))


def ended_by_the_camera(rig: Any, folder: Path) -> None:
    scan = kept_scan(rig, SETTINGS, folder)
    for _ in range(3):
        next(scan)
    rig.bench.faults = replace(rig.bench.faults, raise_at=1)
    with pytest.raises(DeviceError, match="failed, as its faults say"):
        next(scan)


def ended_by_the_disk(rig: Any, folder: Path) -> None:
    scan = kept_scan(rig, SETTINGS, folder)
    for _ in range(3):
        next(scan)
    (folder / "scan.json.partial").mkdir()  # nothing can be written there
    with pytest.raises(FileError, match=r"scan.json: cannot be written"):
        next(scan)


@pytest.mark.parametrize(
    "end",
    [
        ended_by_closing,
        ended_by_control_c,
        ended_by_the_stage,
        ended_by_the_camera,
        ended_by_the_disk,
    ],
)
def test_planes_are_kept_when_it_ends_early(
    end: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    with opened(**SMALL) as rig:
        end(rig, tmp_path / "beads-1")
        assert left_as_it_was(rig)
    scan = read_scan(tmp_path / "beads-1")
    np.testing.assert_array_equal(scan.focus_um, [-1.0, -0.5, 0.0])
    assert scan.planes.shape == (3, 64, 64)
    assert scan.drift_px is None
    assert scan.shortfall == "The scan ended early: 3 of 5 planes were taken."
    assert best_beads(scan, 31, 0.05).planes.shape == (3, 31, 31)


def test_one_plane_is_kept_too(tmp_path: Path) -> None:
    with opened(**SMALL) as rig:
        scan = kept_scan(rig, SETTINGS, tmp_path / "beads-1")
        next(scan)
        scan.close()
    assert read_scan(tmp_path / "beads-1").planes.shape == (1, 64, 64)
    with pytest.raises(SettingsError, match="too few planes, 3 are needed"):
        best_beads(read_scan(tmp_path / "beads-1"), 31, 0.05)


def test_nothing_is_left_where_nothing_was_taken(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "beads-1"
    with opened(**SMALL) as rig:
        rig.show(astigmatism(rig.optics))
        with pytest.raises(SettingsError, match="limits"):
            list(kept_scan(rig, replace(SETTINGS, last_um=9.0), folder))
        rig.bench.faults = replace(rig.bench.faults, raise_at=0)
        with pytest.raises(DeviceError):
            list(kept_scan(rig, SETTINGS, folder))
        assert not folder.exists()
        assert left_as_it_was(rig)


def test_an_earlier_scan_is_read(whole: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(whole, tmp_path / "old")
    facts = json.loads((copy / "scan.json").read_text())
    for name in ("planned", "taken", "stood_um"):
        del facts[name]
    (copy / "scan.json").write_text(json.dumps(facts))
    planes = read_scan(whole).planes
    tifffile.imwrite(copy / "scan.tif", planes, metadata={"axes": "ZYX"})
    np.testing.assert_array_equal(read_scan(copy).planes, planes)
    assert read_scan(copy).shortfall == ""
    tifffile.imwrite(copy / "scan.tif", planes[:-1], photometric="minisblack")
    with pytest.raises(FileError, match="do not belong together"):
        read_scan(copy)


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("focus_um",), [-1.0, -0.5, 0.0, 0.5], "do not belong together"),
        (("focus_um",), [-1.0, -0.5, math.nan, 0.5, 1.0], "value 3 of focus_um"),
        (("focus_um",), [-1.0, -0.5, 1e30, 0.5, 1.0], "value 3 of focus_um"),
        (("focus_um",), [], "focus_um"),
        (("counts_per_photon",), math.nan, "counts_per_photon"),
        (("counts_per_photon",), 0.0, "counts_per_photon"),
        (("counts_per_photon",), -math.inf, "counts_per_photon"),
        (("saturated",), math.nan, "saturated"),
        (("drift_px",), [math.nan, 0.0], "drift_px"),
        (("drift_px",), [1.0], "drift_px"),
        (("stood_um",), math.inf, "stood_um"),
        (("planned",), 10**400, "planned"),
        (("slm", "shape"), [10**9, 10**9], "slm.shape"),
        (("slm", "pixel_um"), math.nan, "slm.pixel_um"),
        (("psf", "blur_px"), math.nan, "psf.blur_px"),
        (("psf", "oversample"), 10**9, "psf.oversample"),
        (("optics", "wavelength_um"), 1e20, "optics.wavelength_um"),
        (("optics", "magnification"), 1e308, "optics"),
        (("optics", "index_sample"), math.nan, "index_sample"),
        (("alignment", "rotation_rad"), 1e308, "alignment.rotation_rad"),
        (("alignment", "centre_px"), [1e12, 0.0], "alignment.centre_px"),
        (("kind",), "something else", "kind"),
    ],
)
def test_facts_that_cannot_be_are_refused_in_a_sentence(
    whole: Path, tmp_path: Path, place: tuple[str, ...], value: Any, says: str
) -> None:
    copy = shutil.copytree(whole, tmp_path / "copy")
    facts = json.loads((copy / "scan.json").read_text())
    table = facts
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = value
    (copy / "scan.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=says) as told:
        read_scan(copy)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["", "{}", "[]", "3", "\x00\x01", '{"kind": ' + "[" * 100_000])
def test_files_that_are_none_are_refused(whole: Path, tmp_path: Path, text: str) -> None:
    copy = shutil.copytree(whole, tmp_path / "copy")
    (copy / "scan.json").write_text(text)
    with pytest.raises(UserError, match=r"scan\.json"):
        read_scan(copy)


def test_planes_that_are_none_are_refused(whole: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(whole, tmp_path / "copy")
    planes = read_scan(whole).planes
    planes[2, 3, 4] = np.nan
    tifffile.imwrite(copy / "scan.tif", planes)
    with pytest.raises(FileError, match="no finite numbers"):
        read_scan(copy)
    tifffile.imwrite(copy / "scan.tif", np.zeros((5, 20, 20, 3), np.uint8), photometric="rgb")
    with pytest.raises(FileError, match="colour image"):
        read_scan(copy)
    (copy / "scan.tif").write_bytes((whole / "scan.tif").read_bytes()[:50_000])
    with pytest.raises(FileError, match=r"scan.tif"):
        read_scan(copy)
    (copy / "scan.tif").unlink()
    assert is_scan(copy)
    with pytest.raises(FileError, match=r"scan.tif"):
        read_scan(copy)


def test_of_a_rig_without_slm_and_noise(tmp_path: Path) -> None:
    with opened(**SMALL | {"slm": None}) as rig:
        list(kept_scan(rig, SETTINGS, tmp_path / "beads-1"))
    scan = read_scan(tmp_path / "beads-1")
    assert (scan.panel, scan.mask_name) == (None, "none")
