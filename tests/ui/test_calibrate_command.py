"""`dsacq calibrate beads`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from rig_samples import LIT, write_rig
from running import Run

from dsacq.files.masks import read_mask
from dsacq.physics.camera import ScmosCamera
from dsacq.physics.masks import astigmatism, flat
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel
from hardware.rig_file import read_rig

OPTICS = """
[optics]
wavelength_um = 0.58
na = 1.45
index_immersion = 1.518
index_sample = 1.33
magnification = 100
focal_4f_um = 150000
camera_pixel_um = 11
mask_pixel_um = 24
[psf]
blur_px = 0.8
"""
PLANES = 9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    focus_um = np.linspace(-1, 1, PLANES)
    mask = astigmatism(STANDARD_OPTICS)
    images = psf(
        torch.from_numpy(mask.phase_rad),
        torch.tensor([[0.0, 0.0, 0.05]]).expand(PLANES, 3),
        STANDARD_OPTICS,
        (35, 35),
        PsfModel(blur_px=0.8),
        focus_um=torch.from_numpy(focus_um).float(),
    ).numpy()
    planes = np.random.default_rng(1).poisson(1e5 * images + 20) + 100
    tifffile.imwrite(tmp_path / "scan.tif", planes.astype(np.uint16), photometric="minisblack")
    (tmp_path / "optics.toml").write_text(OPTICS, encoding="utf-8")
    np.savetxt(tmp_path / "focus.txt", focus_um)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


def test_a_scan_gives_a_mask_and_a_page(run: Run, folder: Path) -> None:
    mask, page = folder / "psf.tif", folder / "page.png"
    result = run(
        *("calibrate", "beads", folder / "scan.tif", "--optics", folder / "optics.toml"),
        *("--positions", folder / "focus.txt", "--passes", 60, "-o", mask, "--report", page),
        "--json",
    )
    assert result.code == 0, result.err
    assert float(str(result.json["median_correlation"])) > 0.97
    assert result.json["file"] == str(mask)
    found = read_mask(mask)
    assert found.wavelength_um == 0.58
    assert found.phase_rad.std() > 0.3
    assert page.read_bytes().startswith(b"\x89PNG")


def test_what_was_measured_localizes(run: Run, folder: Path, tmp_path: Path) -> None:
    """By the command that is told, which needs nothing else."""
    mask, movie, table = folder / "psf.tif", folder / "scan.tif", tmp_path / "found.csv"
    given = ("--optics", folder / "optics.toml", "--positions", folder / "focus.txt")
    made = run("calibrate", "beads", movie, *given, "--passes", 60, "-o", mask)
    command = made.err.strip().splitlines()[-1]
    assert command == f"dsacq localize MOVIE --mask {mask} -o positions.csv"
    _, *words = command.replace("MOVIE", str(movie)).replace("positions.csv", str(table)).split()
    middle = PLANES // 2
    assert run(*words, "--frames", f"{middle}:{middle + 1}").code == 0
    found = pd.read_csv(table)
    assert len(found) == 1
    assert abs(found["z_um"][0] - 0.05) < 0.05


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--focus-um or by --positions"),
        (("--focus-um", "1"), "expected two numbers"),
        (("--focus-um", "1:1"), "the same"),
        (("--positions", "missing.txt"), "no list of numbers"),
    ],
)
def test_mistakes_are_told(run: Run, folder: Path, options: tuple[object, ...], says: str) -> None:
    told = run.fails(
        *("calibrate", "beads", folder / "scan.tif", "--optics", folder / "optics.toml"),
        *("-o", folder / "psf.tif", *options),
    )
    assert says in told
    assert not (folder / "psf.tif").exists()


BENCH = """
[optics]
wavelength_um = 0.58
na = 1.45
index_immersion = 1.518
index_sample = 1.33
magnification = 100
focal_4f_um = 150000
camera_pixel_um = 11
mask_pixel_um = 120
z_range_um = [0.0, 1.2]
[camera]
kind = "simulated"
exposure_s = 0.005
[focus]
kind = "simulated"
[slm]
kind = "simulated"
[lasers.561]
kind = "simulated"
[use]
mask = { design = "tetrapod" }
lasers_mw = { 561 = 50.0 }
[bench]
shape_px = [96, 96]
slm_shape = [600, 640]
reference_mw = 10.0
psf = { kind = "scalar" }
[bench.specimen]
kind = "beads"
spacing_um = 12.0
photons = { kind = "fixed", photons = 1e6 }
"""


def test_from_a_scan_on_the_bench_to_the_alignment(tmp_path: Path, dsacq: Run) -> None:
    rig = tmp_path / "rig.toml"
    rig.write_text(BENCH)
    scan = ("calibrate", "scan", "--rig", rig, "--focus-um", "0.5:-0.5", "--step-um", "0.25")
    made = dsacq(*scan, "--frames", "2", "-o", "beads", "--json")
    assert made.code == 0, made.err
    assert made.json["planes"] == 5
    assert "is not empty" in dsacq.fails(*scan, "-o", "beads")
    used = ("beads", "--side-px", "31", "--passes", "2")
    psf = dsacq("calibrate", "beads", *used, "-o", "phase.tif", "--json")
    assert psf.code == 0, psf.err
    pupil = dsacq("calibrate", "pupil", *used, "--rig", rig, "-o", "psf.tif", "--json")
    assert pupil.code == 0, pupil.err
    found = read_rig(rig).pattern.alignment
    assert list(found.centre_px or ()) == pupil.json["alignment"]["centre_px"]
    assert read_mask(tmp_path / "psf.tif").phase_rad.any()
    told = json.loads((tmp_path / "psf.json").read_text())
    assert told["quality"]["aberration_rad"].keys() >= {"5", "11"}
    held = ("calibrate", "precision", "phase.tif", "--rig", rig, "--focus-um", "0.25:-0.25")
    page = dsacq(*held, "--frames", "5", "--side-px", "31", "-o", "page.png", "--json")
    assert page.code == 0, page.err
    assert np.shape(page.json["std_nm"]) == (3, 3)
    assert (tmp_path / "page.png").stat().st_size > 10_000
    few = dsacq.fails("calibrate", "field", "beads", "psf.tif", "--side-px", "31", "-o", "f.png")
    assert "usable beads are too few" in few
    plain = dsacq("calibrate", "stack", "beads", "--side-px", "31", "-o", "stack.tif", "--json")
    assert plain.json["planes"] == 5, plain.err
    assert "is no z scan" in dsacq.fails("calibrate", "stack", tmp_path, "-o", "s.tif")
    assert "is no z scan" in dsacq.fails("calibrate", "field", tmp_path, "psf.tif", "-o", "f.png")
    (tmp_path / "beads" / "mask.tif").unlink()
    assert "no mask was on the SLM" in dsacq.fails("calibrate", "pupil", "beads", "-o", "p.tif")
    assert "is no z scan" in dsacq.fails("calibrate", "pupil", tmp_path, "-o", "p.tif")


def test_a_camera_from_recordings_and_on_the_rig(tmp_path: Path, dsacq: Run) -> None:
    rig = write_rig(tmp_path, LIT)
    draw = np.random.default_rng(0)

    def recording(name: str, electrons: float) -> str:
        light = 2.0 * draw.poisson(electrons, (60, 60, 70)) + draw.normal(100, 3, (60, 60, 70))
        tifffile.imwrite(tmp_path / name, light.round().astype(np.uint16))
        return name

    files = ("--dark", recording("dark.tif", 0), "--flat", recording("flat.tif", 300))
    one = dsacq("calibrate", "camera", *files, "-o", "camera-1", "--json")
    assert one.code == 0, one.err
    noise = one.json["noise"]
    assert isinstance(noise, dict)
    assert noise["gain_adu_per_electron"] == pytest.approx(2.0, rel=0.03)
    assert (tmp_path / "camera-1/camera.png").stat().st_size > 10_000
    again = ("calibrate", "camera", "--rig", rig, "--frames", "50", "--exposures-ms", "20,60")
    two = dsacq(*again, "-o", "camera-2", "--json")
    assert two.code == 0, two.err
    assert isinstance(read_rig(rig).noise, ScmosCamera)
    assert "is not empty" in dsacq.fails(*again, "-o", "camera-2")
    assert "expected two or more" in dsacq.fails(*again[:-1], "20", "-o", "camera-3")
    camera = ("calibrate", "camera", "-o", "camera-3")
    assert "Give both" in dsacq.fails(*camera, "--dark", "dark.tif")
    assert "or a rig by --rig" in dsacq.fails(*camera)
    swapped = ("--dark", "flat.tif", "--flat", "dark.tif")
    assert "too little light" in dsacq.fails(*camera, *swapped)


def test_heights_from_a_stack_and_their_comparison(tmp_path: Path, dsacq: Run) -> None:
    focus_um = np.linspace(-1, 3, 41)
    optics = replace(STANDARD_OPTICS, z_range_um=(0.0, 2.0))
    planes = np.full((41, 60, 60), 20.0)
    places = ((-1.7, -1.6, 0.3), (1.6, -1.5, 0.8), (-1.5, 1.7, 1.3), (1.5, 1.5, 1.7))
    for place in places:
        planes += (
            2e4
            * psf(
                torch.from_numpy(flat(optics).phase_rad),
                torch.tensor([place]).expand(41, 3),
                optics,
                (60, 60),
                PsfModel(blur_px=0.8),
                focus_um=torch.from_numpy(focus_um).float(),
            ).numpy()
        )
    tifffile.imwrite(tmp_path / "stack.tif", np.random.default_rng(0).poisson(planes).astype("u2"))
    text = OPTICS.replace("[psf]", "z_range_um = [0.0, 2.0]\n[psf]")
    (tmp_path / "optics.toml").write_text(text, encoding="utf-8")
    truth = ("calibrate", "truth", "stack.tif", "--optics", "optics.toml", "--focus-um=-1:3")
    one = dsacq(*truth, "-o", "truth.csv", "--json")
    assert one.code == 0, one.err
    assert one.json["emitters"] == 4
    two = dsacq(*truth, "-o", "again.csv", "--compare", "truth.csv", "--json")
    assert two.code == 0, two.err
    assert two.json["pairs"] == 4
    assert two.json["slope"] == pytest.approx(1.0, abs=1e-3)
