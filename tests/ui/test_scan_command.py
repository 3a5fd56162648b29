"""`dsacq calibrate scan` and `calibrate stack`: how far it goes, what it keeps, what it doubts."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from running import Run
from test_calibrate_command import BENCH, OPTICS

from calibration.scan_files import kept_scan, read_scan
from calibration.z_scan import ZScanSettings
from dsacq.files.masks import write_mask
from dsacq.physics.masks import astigmatism
from hardware.protocols import DeviceError
from hardware.rig import open_rig
from hardware.rig_file import read_rig
from hardware.simulated import SimulatedStage

Floats = NDArray[np.float64]

LIMITS = '[focus]\nkind = "simulated"\nlimits_um = [-60.0, 60.0]\n'
STOOD_UM = 4.5
USED = ("--side-px", "31")


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.toml"
    text = BENCH.replace('[focus]\nkind = "simulated"\n', LIMITS).replace("tetrapod", "astigmatism")
    path.write_text(text.replace("[camera]", f"focus_um = {STOOD_UM}\n[camera]"), encoding="utf-8")
    return path


def scan(rig: Path, *options: object) -> tuple[object, ...]:
    return ("calibrate", "scan", "--rig", rig, "--frames", "1", "--step-um", "0.25", *options)


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Where the focus is sent."""
    sent: list[float] = []
    move = SimulatedStage.move_to
    monkeypatch.setattr(
        SimulatedStage, "move_to", lambda self, um: (sent.append(um), move(self, um))
    )
    return sent


def test_it_goes_around_where_the_focus_stands(
    dsacq: Run, rig: Path, tmp_path: Path, moves: list[float]
) -> None:
    made = dsacq(*scan(rig, "--around-um=-0.5:0.25", "-o", "beads", "--json"))
    assert made.json == {"folder": "beads", "planes": 4}, made.err
    expected = STOOD_UM + np.array([-0.5, -0.25, 0.0, 0.25])
    np.testing.assert_allclose(read_scan(tmp_path / "beads").focus_um, expected)
    assert min(moves) == pytest.approx(STOOD_UM - 1.5)  # each position is reached from below
    assert max(moves) == pytest.approx(STOOD_UM + 0.25)
    assert moves[-1] == STOOD_UM


def test_the_simulated_bench_is_understood(dsacq: Run, tmp_path: Path) -> None:
    options = ("--rig", "simulated", "--around-um=-0.1:0.1", "--frames", "1", "-o", "some")
    made = dsacq("calibrate", "scan", *options)
    assert made.code == 0, made.err
    assert "3 planes written to some" in made.err
    assert len(read_scan(tmp_path / "some").planes) == 3


def test_a_mask_beside_a_rig_file_elsewhere(dsacq: Run, rig: Path, tmp_path: Path) -> None:
    """It is relative to the rig file, wherever the command runs."""
    there = tmp_path / "rigs"
    there.mkdir()
    text = rig.read_text(encoding="utf-8").replace('design = "astigmatism"', 'file = "mine.tif"')
    (there / "rig.toml").write_text(text, encoding="utf-8")
    write_mask(astigmatism(read_rig(rig).optics), there / "mine.tif")
    options = ("--around-um=-0.25:0.25", "-o", "beads")
    made = dsacq(*scan(Path("rigs/rig.toml"), *options))
    assert made.code == 0, made.err
    assert dsacq("rig", "check", "rigs/rig.toml").out.splitlines()[-1].endswith("astigmatism")


@pytest.mark.parametrize("ends", ["30:31", "-25:-24.5", "4:25"])
def test_a_long_way_is_not_gone_unasked(
    dsacq: Run, rig: Path, tmp_path: Path, moves: list[float], ends: str
) -> None:
    told = dsacq.fails(*scan(rig, f"--focus-um={ends}", "-o", "beads"))
    assert "focus stands at 4.50 um" in told
    assert "give --far if it is meant" in told
    assert moves == []
    assert not (tmp_path / "beads").exists()


def test_what_was_meant_is_gone(dsacq: Run, rig: Path, moves: list[float]) -> None:
    made = dsacq(*scan(rig, "--focus-um=30:30.5", "--far", "-o", "beads", "--json"))
    assert made.json["planes"] == 3, made.err
    assert max(moves) == 30.5
    assert moves[-1] == STOOD_UM
    beyond = dsacq.fails(*scan(rig, "--focus-um=90:91", "--far", "-o", "more"))
    assert "leaves the limits of focus, -60 to 60 um" in beyond


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="has no pseudo-terminals")
@pytest.mark.parametrize(("answer", "goes"), [("y", True), ("n", False), ("", False)])
def test_on_a_terminal_it_is_asked(
    dsacq: Run, rig: Path, monkeypatch: pytest.MonkeyPatch, answer: str, goes: bool
) -> None:
    keyboard, terminal = os.openpty()
    os.write(keyboard, f"{answer}\n".encode())
    with os.fdopen(terminal, encoding="utf-8") as typed:
        monkeypatch.setattr(sys, "stdin", typed)
        made = dsacq(*scan(rig, "--focus-um=30:30.5", "-o", "beads"))
    os.close(keyboard)
    assert "focus stands at 4.50 um" in made.out + made.err
    assert "takes it 26 um away. Go on? [y/N]" in made.out + made.err
    assert (made.code == 0) is goes
    assert ("Not done, as was answered" in made.err) is not goes
    assert Path("beads").exists() is goes


def test_planes_of_a_scan_that_fails_are_kept_and_used(
    dsacq: Run, rig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = SimulatedStage.move_to

    def stuck(stage: SimulatedStage, um: float) -> None:
        if um == 0.25:
            raise DeviceError(stage.name, "did not arrive.")
        move(stage, um)

    monkeypatch.setattr(SimulatedStage, "move_to", stuck)
    failed = dsacq(*scan(rig, "--focus-um=-0.5:0.5", "-o", "beads"))
    assert failed.code == 1
    told = " ".join((failed.out + failed.err).split())
    assert "beads: 3 of 5 planes are kept." in told
    assert "focus: did not arrive." in told
    psf = dsacq("calibrate", "beads", "beads", *USED, "--passes", "2", "-o", "psf.tif", "--json")
    assert psf.code == 0, psf.err
    assert Path("psf.tif").exists()


def test_nothing_is_left_of_a_scan_that_took_nothing(dsacq: Run, rig: Path, tmp_path: Path) -> None:
    rig.write_text(rig.read_text() + "\n[bench.faults]\nraise_at = 0\n")
    failed = dsacq(*scan(rig, "--around-um=-0.5:0.5", "-o", "beads"))
    assert failed.code == 1
    assert "Nothing was kept" in failed.out + failed.err
    assert not (tmp_path / "beads").exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan of beads behind an astigmatic mask."""
    folder = tmp_path_factory.mktemp("scan")
    text = BENCH.replace("spacing_um = 12.0", "spacing_um = 8.0").replace("[96, 96]", "[128, 128]")
    (folder / "rig.toml").write_text(text, encoding="utf-8")
    settings = ZScanSettings(first_um=-0.9, last_um=0.9, step_um=0.3, frames=2)
    with open_rig(read_rig(folder / "rig.toml")) as rig:
        rig.focus.move_to(0.0)  # type: ignore[union-attr]
        rig.show(astigmatism(rig.optics))
        list(kept_scan(rig, settings, folder / "beads", {"561": 50.0}))
    return folder / "beads"


Change = Callable[[Floats], Floats]


def changed(whole: Path, tmp_path: Path, change: Change, **facts: object) -> Path:
    """A copy of the scan, its planes (K, H, W) and facts others."""
    copy = shutil.copytree(whole, tmp_path / "changed")
    planes = change(read_scan(whole).planes.astype(np.float64))
    tifffile.imwrite(copy / "scan.tif", planes.astype(np.float32), photometric="minisblack")
    told = json.loads((copy / "scan.json").read_text())
    (copy / "scan.json").write_text(json.dumps(told | facts))
    return copy


def clipped(planes: Floats) -> Floats:
    return planes.clip(max=planes.max() / 10)


def dark(planes: Floats) -> Floats:
    return planes * 0.003


def frozen(planes: Floats) -> Floats:
    return planes[[0, 1, 2, 2, 4, 5, 6]]


def bleached(planes: Floats) -> Floats:
    return planes * np.geomspace(1, 0.15, len(planes))[:, None, None]


def doubled(planes: Floats) -> Floats:
    return planes + 0.7 * np.roll(planes, (6, 7), (1, 2))


def the_same(planes: Floats) -> Floats:
    return planes


BOTH = pytest.mark.parametrize(
    "command", [("beads", "--passes", "2"), ("stack",)], ids=["beads", "stack"]
)


def of(folder: Path, command: tuple[str, ...]) -> tuple[object, ...]:
    return ("calibrate", command[0], folder, *USED, *command[1:], "-o", "made.tif", "--json")


@BOTH
@pytest.mark.parametrize(
    ("change", "says"),
    [(clipped, "saturated in plane"), (dark, "too dim"), (frozen, "planes 2 and 3 are the same")],
)
def test_what_cannot_be_used_is_refused_by_both(
    dsacq: Run, whole: Path, tmp_path: Path, command: tuple[str, ...], change: Change, says: str
) -> None:
    told = dsacq.fails(*of(changed(whole, tmp_path, change), command))
    assert says in told
    assert not Path("made.tif").exists()


@BOTH
def test_positions_in_disorder_are_refused_by_both(
    dsacq: Run, whole: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    focus_um = [-0.9, -0.6, 0.0, -0.3, 0.3, 0.6, 0.9]
    told = dsacq.fails(*of(changed(whole, tmp_path, the_same, focus_um=focus_um), command))
    assert "the focus goes back and forth" in told


@BOTH
@pytest.mark.parametrize(
    ("change", "says"), [(bleached, "it bleached"), (doubled, "the same image once more, ")]
)
def test_what_is_odd_is_told_by_both(
    dsacq: Run, whole: Path, tmp_path: Path, command: tuple[str, ...], change: Change, says: str
) -> None:
    made = dsacq(*of(changed(whole, tmp_path, change), command))
    assert made.code == 0, made.err
    assert says in str(made.json["doubts"])
    assert says in " ".join(made.err.split())
    assert Path("made.tif").exists()


def test_a_good_stack_is_not_doubted(dsacq: Run, whole: Path) -> None:
    made = dsacq(*of(whole, ("stack",)))
    assert made.json["doubts"] == [], made.err
    assert np.shape(made.json["agreement"]) == (made.json["beads"],)
    assert int(str(made.json["beads"])) > 1
    assert min(made.json["agreement"]) > 0.95  # type: ignore[call-overload]


def test_a_clipped_stack_of_emitters_is_told(dsacq: Run, tmp_path: Path) -> None:
    (tmp_path / "optics.toml").write_text(OPTICS, encoding="utf-8")
    draw = np.random.default_rng(0)
    planes = draw.poisson(20.0, (9, 60, 60)).clip(max=26)
    tifffile.imwrite(tmp_path / "stack.tif", planes.astype("u2"), photometric="minisblack")
    made = dsacq(
        *("calibrate", "truth", "stack.tif", "--optics", "optics.toml"),
        *("--focus-um=-1:1", "-o", "truth.csv"),
    )
    assert made.code == 0, made.err
    assert "Warning: plane 0 is saturated" in " ".join((made.out + made.err).split())
