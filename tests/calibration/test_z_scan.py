"""A z scan on the simulated bench, its files, and the beads in it."""

from dataclasses import replace
from pathlib import Path
from threading import Event, Timer
from typing import Any

import numpy as np
import pytest

from calibration.finding import bead_scan, best_beads, find_beads
from calibration.scan_files import kept_scan, read_scan
from calibration.z_scan import ZScan, ZScanSettings, _added, scan_of, z_scan
from dsacq.config import validated
from dsacq.errors import SettingsError
from dsacq.physics.masks import astigmatism
from dsacq.physics.optics import STANDARD_OPTICS
from hardware.protocols import DeviceError
from hardware.rig import open_rig
from hardware.rig_file import RigSettings

SETTINGS = ZScanSettings(first_um=-1.0, last_um=1.0, step_um=0.5, frames=2)
RIG: dict[str, Any] = {
    "optics": STANDARD_OPTICS,
    "camera": {"kind": "simulated", "exposure_s": 0.005},
    "focus": {"kind": "simulated", "limits_um": [-3.0, 6.0]},
    "slm": {"kind": "simulated"},
    "lasers": {"561": {"kind": "simulated"}},
    "bench": {
        "specimen": {
            "kind": "beads",
            "spacing_um": 9.0,
            "photons": {"kind": "fixed", "photons": 4e5},
        },
        "shape_px": (160, 160),
        "slm_shape": (600, 640),
        "psf": {"kind": "scalar"},
        "reference_mw": 10.0,
    },
    "use": {"lasers_mw": {"561": 50.0}},
}


SMALL: dict[str, Any] = {
    "optics": replace(STANDARD_OPTICS, mask_pixel_um=120.0),
    "bench": RIG["bench"]
    | {"shape_px": (64, 64), "specimen": RIG["bench"]["specimen"] | {"spacing_um": 7.04}},
}


def opened(**changed: Any) -> Any:
    return open_rig(validated(RigSettings, RIG | changed, "test rig"))


def test_it_goes_upwards_and_leaves_all_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened() as rig:
        moves: list[float] = []
        move = rig.focus.move_to
        monkeypatch.setattr(rig.focus, "move_to", lambda um: (moves.append(um), move(um)))
        before = rig.focus.position_um()
        planes = list(z_scan(rig, SETTINGS))
        assert moves == [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, -2.0, -1.0, before]
        assert [plane.focus_um for plane in planes] == [-1.0, -0.5, 0.0, 0.5, 1.0]
        assert [plane.number for plane in planes] == list(range(5))
        assert planes[0].counts.shape == (160, 160)
        offset = rig.noise().offset_adu
        assert 2 * offset < np.median(planes[0].counts) < 4 * offset
        assert not any(laser.emitting for laser in rig.lasers.values())


def test_a_sample_that_moves_is_noticed() -> None:
    stages = {"stage_x": {"kind": "simulated", "axis": "x"}}
    with opened(**stages) as rig:
        still = scan_of(rig, list(z_scan(rig, SETTINGS)), SETTINGS)
        assert still.drift_px == pytest.approx((0, 0), abs=0.02)
        planes = []
        for plane in z_scan(rig, SETTINGS):
            planes.append(plane)
            # As the last position is followed by the first once more, before it is told.
            rig.stage_x.move_to(rig.stage_x.position_um() + 0.022)
        moved = scan_of(rig, planes, SETTINGS)
        # Four steps of 0.2 px, seen after the last plane: 4/5 of that by then.
        assert moved.drift_px == pytest.approx((-0.8 * 0.8, 0), abs=0.05)
        assert best_beads(moved, 31, 0.05).drift_px == moved.drift_px


def test_what_cannot_be_is_refused_before_anything_moves() -> None:
    with opened() as rig:
        with pytest.raises(SettingsError, match="leaves the limits of focus, -3 to 6 um"):
            list(z_scan(rig, replace(SETTINGS, first_um=-4.0)))
        with pytest.raises(SettingsError, match=r"goes 5.5 um away from where focus stands, 4.50"):
            list(z_scan(rig, SETTINGS, farthest_um=5.0))
        assert rig.focus.position_um() == STANDARD_OPTICS.focus_um
    with opened(focus=None) as rig, pytest.raises(SettingsError, match="focus"):
        list(z_scan(rig, SETTINGS))


@pytest.mark.parametrize(
    ("first_um", "last_um", "step_um", "says"),
    [
        (0.0, 0.1, 0.1, "fewer than 3 planes"),
        (0.0, 10.0, 0.001, "A z scan of 10001 planes is more than 1000; take larger steps"),
        (-1e308, 1e308, 0.1, "is more than 1000"),
        (0.0, 1.0, 5e-324, "is more than 1000"),
        (1.0, 0.0, 0.1, "give the lower end first"),
        (float("nan"), 2.0, 0.1, "give finite numbers"),
        (-2.0, float("inf"), 0.1, "give finite numbers"),
        (-2.0, 2.0, float("nan"), "give finite numbers"),
        (-2.0, 2.0, 0.0, "a step above 0"),
        (-2.0, 2.0, -0.1, "a step above 0"),
    ],
)
def test_numbers_that_make_no_scan(
    first_um: float, last_um: float, step_um: float, says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        ZScanSettings(first_um=first_um, last_um=last_um, step_um=step_um)


def test_a_range_around_where_the_stage_stands() -> None:
    around = ZScanSettings(first_um=-0.3, last_um=0.3, step_um=0.1).around(123.4)
    np.testing.assert_allclose(around.positions_um, np.linspace(123.1, 123.7, 7))


def test_a_stage_that_stalls_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened() as rig:
        monkeypatch.setattr(rig.focus, "position_um", lambda: -1.0)
        with pytest.raises(DeviceError, match=r"stands at -1.000 um where .* asked for -0.500 um"):
            list(z_scan(rig, SETTINGS))
        assert not any(laser.emitting for laser in rig.lasers.values())


def left_as_it_was(rig: Any) -> bool:
    dark = not any(laser.emitting for laser in rig.lasers.values())
    return dark and not rig.camera.running and rig.focus.position_um() == STANDARD_OPTICS.focus_um


def test_closed_in_the_middle_it_is_dark() -> None:
    with opened(**SMALL) as rig:
        scan = z_scan(rig, SETTINGS)
        next(scan)
        scan.close()
        assert left_as_it_was(rig)
        unbegun = z_scan(rig, SETTINGS)
        unbegun.close()
        assert left_as_it_was(rig)


@pytest.mark.parametrize("planes", [1, 5])
def test_what_is_thrown_into_it_leaves_all_as_it_was(planes: int) -> None:
    with opened(**SMALL) as rig:
        scan = z_scan(rig, SETTINGS)
        for _ in range(planes):
            next(scan)
        with pytest.raises(KeyboardInterrupt):
            scan.throw(KeyboardInterrupt())
        assert left_as_it_was(rig)


def test_stopped_between_two_frames_of_a_plane() -> None:
    stop = Event()
    with opened(**SMALL) as rig:
        frames = replace(SETTINGS, frames=1_000_000)
        Timer(0.5, stop.set).start()
        assert list(z_scan(rig, frames, stop=stop)) == []
        assert left_as_it_was(rig)


def test_what_fails_at_its_end_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(**SMALL) as rig:
        dark, move = rig.dark, rig.focus.move_to

        def stuck(um: float) -> None:
            if um == STANDARD_OPTICS.focus_um:
                raise DeviceError("focus", "is stuck.")
            move(um)

        monkeypatch.setattr(rig.focus, "move_to", stuck)
        with pytest.raises(DeviceError, match="focus: is stuck"):
            list(z_scan(rig, SETTINGS))
        assert not any(laser.emitting for laser in rig.lasers.values())

        def lit() -> None:
            raise DeviceError("561", "is still on.")

        monkeypatch.setattr(rig, "dark", lit)
        move(STANDARD_OPTICS.focus_um)
        with pytest.raises(DeviceError, match=r"focus: is not back at 4.5 um. 561: is still on"):
            list(z_scan(rig, SETTINGS))
        move(STANDARD_OPTICS.focus_um)
        # The failure that led here is what is raised; the others are told beside it.
        monkeypatch.setattr(rig.camera, "start", lambda _: (_ for _ in ()).throw(OSError("dead")))
        with pytest.raises(OSError, match="dead"):
            list(z_scan(rig, SETTINGS))
        assert "is still on" in caplog.text
        monkeypatch.setattr(rig.focus, "move_to", move)
        move(STANDARD_OPTICS.focus_um)
        with pytest.raises(OSError, match="dead"):
            list(z_scan(rig, SETTINGS))
        assert rig.focus.position_um() == STANDARD_OPTICS.focus_um
        monkeypatch.setattr(rig, "dark", dark)


def test_a_stage_that_does_not_know_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(**SMALL) as rig:
        monkeypatch.setattr(rig.focus, "position_um", lambda: float("nan"))
        with pytest.raises(DeviceError, match="does not tell where it stands"):
            list(z_scan(rig, SETTINGS))


def test_a_pixel_clipped_in_one_frame_counts_as_clipped() -> None:
    frames = np.full((3, 2, 2), 100.0, np.float32)
    frames[1, 0, 1] = 4095.0
    np.testing.assert_array_equal(_added(frames, 4095), [[300, 3 * 4095], [300, 300]])


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ZScan]:
    folder = tmp_path_factory.mktemp("scan") / "beads-1"
    with opened() as rig:
        rig.show(astigmatism(rig.optics))
        list(kept_scan(rig, SETTINGS, folder))
    return folder, read_scan(folder)


def test_beads_are_found_where_they_lie(scanned: tuple[Path, ZScan]) -> None:
    _, scan = scanned
    beads = find_beads(scan, 31)
    usable = [bead for bead in beads if not bead.problem]
    assert len(usable) >= 2
    assert {bead.problem for bead in beads} <= {"", "too near to the edge"} | {
        bead.problem for bead in beads if "another one" in bead.problem
    }
    for bead in usable:
        # twice 4e5 photons in each frame at 50 mW of 10 mW in 5 ms of 100 ms, and its window
        assert bead.photons == pytest.approx(2 * 4e5 * 5 * 0.05, rel=0.35)
    cut = bead_scan(scan, usable[0], 31, 0.05)
    assert cut.planes.shape == (5, 31, 31)
    assert best_beads(scan, 31, 0.05).planes.shape == (5, 31, 31)
    both = best_beads(scan, 31, 0.05, 2)
    assert len(both.singles) == min(2, len(usable))
