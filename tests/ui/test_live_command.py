"""dsacq live and dsacq rig check as a user runs them, on the simulated bench and on Micro-Manager's
simulated devices."""

import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from model_samples import tiny_mixture
from rig_samples import CAMERA, EXAMPLES, SMALL, write_rig
from running import Run

from dsacq.files.masks import read_mask, write_mask
from dsacq.files.movies import open_movie
from dsacq.networks.model_file import save_model
from dsacq.physics.camera import ScmosCamera
from dsacq.physics.masks import astigmatism, tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.training.settings import read_training
from hardware.rig import Rig

BENCH = EXAMPLES / "rig-simulated.toml"


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    return write_rig(tmp_path)


def refusal(dsacq: Run, *options: object) -> str:
    """The sentence that `dsacq live` fails with, behind its remarks."""
    result = dsacq("live", *options)
    assert (result.code, result.out) == (1, "")
    *remarks, error = result.err.strip().splitlines()
    assert all(line.startswith("Remark: ") for line in remarks if line.strip())
    assert error.startswith("Error: ")
    return error


def about(folder: Path) -> dict[str, object]:
    """What recording.json tells."""
    facts = json.loads((folder / "recording.json").read_text(encoding="utf-8"))
    return {**facts, **facts["about"]}


def test_a_movie_is_recorded(dsacq: Run, rig: Path, tmp_path: Path) -> None:
    made = dsacq("live", "--rig", rig, "--frames", 5, "-o", "bead")
    assert made.code == 0
    assert made.out == "bead: complete; 5 of 5 frames received, 5 written, 0 lost.\n"
    assert "no model is given" in made.err
    told = about(tmp_path / "bead")
    assert told["state"] == "complete"
    assert told["lasers_mw"] == {"561": 20.0}
    assert told["exposure_s"] == 0.02
    assert told["mask"] is None
    movie = open_movie(tmp_path / "bead")
    assert (len(movie), *movie.shape) == (5, 48, 64)
    movie.close()


def test_what_is_said_beats_the_rig_file(dsacq: Run, rig: Path, tmp_path: Path) -> None:
    options = ["--laser", "640=5", "--laser", "561=2.5", "--exposure-ms", 30, "--mask", "tetrapod"]
    made = dsacq("live", "--rig", rig, "--frames", 2, "-o", "bead", "--json", *options)
    assert made.code == 0
    assert made.json == {
        "asked": 2,
        "received": 2,
        "written": 2,
        "analysed": 0,
        "lost_in_core": 0,
        "lost_in_camera": 0,
        "state": "complete",
        "reason": "",
        "localizations": 0,
        "analysis_failure": "",
    }
    told = about(tmp_path / "bead")
    assert told["lasers_mw"] == {"640": 5.0, "561": 2.5}
    assert told["exposure_s"] == 0.03
    shown = read_mask(tmp_path / "bead" / "mask.tif", optics=STANDARD_OPTICS)
    assert np.array_equal(shown.phase_rad, tetrapod(STANDARD_OPTICS).phase_rad)


def test_a_recording_tells_all_that_localizing_it_takes(dsacq: Run, tmp_path: Path) -> None:
    shallow = SMALL.replace("focus_um = 4.5", "focus_um = 0.6").replace("[2.0, 6.0]", "[-0.4, 1.4]")
    rig = write_rig(tmp_path, shallow + '[psf]\nkind = "vectorial"\nblur_px = 0.9\n')
    options = ("--mask", "astigmatism", "--laser", "561=100")
    assert dsacq("live", "--rig", rig, "--frames", 2, "-o", "bead", *options).code == 0
    found = dsacq("localize", "bead", "--method", "pursuit", "-o", "found.csv")
    assert found.code == 0
    assert "Remark" not in found.err
    scores = dsacq("evaluate", "found.csv", "bead/truth.parquet", "--json").json
    assert scores["jaccard"] == 1.0
    assert float(str(scores["rmse_3d_nm"])) < 40
    told = dsacq("overlay", "bead", "found.csv", "--json").json
    assert float(str(told["median_correlation"])) > 0.95
    assert dsacq("estimate", "bead", "-o", "priors.toml").code == 0
    priors = read_training(Path("priors.toml"))
    assert priors.camera.kind == "scmos"
    assert priors.mask.file == Path("bead/mask.tif")


def test_a_mask_from_a_file(dsacq: Run, rig: Path, tmp_path: Path) -> None:
    mask = astigmatism(STANDARD_OPTICS)
    write_mask(mask, tmp_path / "mine.tif")
    made = dsacq("live", "--rig", rig, "--frames", 1, "-o", "bead", "--mask", "mine.tif")
    assert made.code == 0
    assert np.array_equal(read_mask(tmp_path / "bead" / "mask.tif").phase_rad, mask.phase_rad)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models: one for the optics of the rig, one for others."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    others = {"camera": ScmosCamera()}
    tiny = tiny_mixture(tetrapod(STANDARD_OPTICS), STANDARD_OPTICS, **others)
    save_model(tiny, folder / "tiny.safetensors")
    shorter = replace(STANDARD_OPTICS, na=1.3, wavelength_um=0.67)
    save_model(tiny_mixture(tetrapod(shorter), shorter, **others), folder / "other.safetensors")
    return folder


def test_it_localizes_while_it_records(dsacq: Run, rig: Path, models: Path, tmp_path: Path) -> None:
    made = dsacq(
        *("live", "--rig", rig, "--frames", 5, "-o", "bead", "--json", "--device", "cpu"),
        *("--model", models / "tiny.safetensors", "--threshold", 0.01),
    )
    assert made.code == 0
    assert made.json["analysed"] == 5
    found = pd.read_parquet(tmp_path / "bead" / "localizations.parquet")
    assert len(found) == made.json["localizations"]
    assert "track" in found
    assert len(pd.read_parquet(tmp_path / "bead" / "truth.parquet")) > 0


def test_nothing_found_is_told_too(dsacq: Run, rig: Path, models: Path) -> None:
    model = ("--model", models / "tiny.safetensors", "--threshold", 0.999)
    made = dsacq("live", "--rig", rig, "--frames", 2, "-o", "bead", "--laser", "561=0", *model)
    assert made.out.endswith("0 lost; 2 localized, 0 localizations.\n")


def test_a_threshold_is_judged_before_there_is_light(
    dsacq: Run, rig: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rig, "light", lambda *_: pytest.fail("there is light"))
    model = ("--model", models / "tiny.safetensors")
    for threshold, told in (
        ("7", "threshold 7: the model tiny gives prob"),
        ("-1", "not a number"),
    ):
        options = ("--frames", 2, "-o", "bead", *model, f"--threshold={threshold}")
        assert told in refusal(dsacq, "--rig", rig, *options)
    assert not (tmp_path / "bead").exists()


def test_a_model_of_other_optics_is_refused_by_name(
    dsacq: Run, rig: Path, models: Path, tmp_path: Path
) -> None:
    model = models / "other.safetensors"
    told = refusal(dsacq, "--rig", rig, "--frames", 5, "-o", "bead", "--model", model)
    assert "wavelength_um 0.58 (model 0.67)" in told
    assert "na 1.45 (model 1.3)" in told
    assert not (tmp_path / "bead").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--laser", "488=5"], "the rig has no laser '488'; there is 561, 640."),
        (["--laser", "561"], "laser '561' is not of the form NAME=MW"),
        (["--laser", "561=101"], "561: power 101 mW is outside its limits, 0 to 100."),
        (["--laser", "561=nan"], "--laser 561=nan: 'nan' is no number."),
        (["--exposure-ms", "0"], "camera: exposure 0 s is outside its limits"),
        (["--mask", "tetrapodd"], "tetrapodd: is neither a mask file nor a design; those are flat"),
        (["--mask", "rig.toml"], "rig.toml: is not a kind of mask file"),
        (["--model", "nope"], "nope: there is no such model file"),
        (["--rig", "nope.toml"], "nope.toml: cannot be read"),
        (["--rig", "missing/rig.toml"], "rig.toml: cannot be read (No such file or directory)."),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_recorded(
    dsacq: Run, rig: Path, tmp_path: Path, options: list[str], told: str
) -> None:
    assert told in refusal(dsacq, "--rig", rig, "--frames", 2, "-o", "bead", *options)
    assert not (tmp_path / "bead").exists()


def test_a_mask_needs_an_slm(dsacq: Run, tmp_path: Path) -> None:
    rig = write_rig(tmp_path, CAMERA)
    told = refusal(dsacq, "--rig", rig, "--frames", 2, "-o", "bead", "--mask", "tetrapod")
    assert "the rig has no SLM to show a mask on" in told


def test_what_was_recorded_is_not_overwritten(dsacq: Run, rig: Path, tmp_path: Path) -> None:
    (tmp_path / "bead").mkdir()
    (tmp_path / "bead" / "notes.txt").touch()
    assert "bead: is not empty" in refusal(dsacq, "--rig", rig, "--frames", 2, "-o", "bead")
    assert [path.name for path in (tmp_path / "bead").iterdir()] == ["notes.txt"]
    (tmp_path / "file").touch()
    told = refusal(dsacq, "--rig", rig, "--frames", 2, "-o", "file")
    assert "file: cannot be made, as file is not a folder" in told


def test_nothing_is_left_of_what_cannot_be_recorded(
    dsacq: Run, rig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for folder in ("there", "new", "deep/new", "."):
        if folder == ".":
            (tmp_path / "empty").mkdir()
            monkeypatch.chdir(tmp_path / "empty")
        told = refusal(dsacq, "--rig", rig, "--frames", 10**9, "-o", folder)
        assert "1000000000 frames need 7.7 TB with what is kept free" in told
    (tmp_path / "empty").rmdir()
    assert sorted(tmp_path.rglob("*")) == before
    monkeypatch.chdir(tmp_path)
    too_many = dsacq("live", "--rig", rig, "--frames", "9" * 20, "-o", "new")
    assert too_many.code == 2
    assert not (tmp_path / "new").exists()
    assert dsacq("live", "--rig", rig, "--frames", 2, "-o", "there").code == 0


@pytest.mark.parametrize(
    ("fault", "kept", "told"),
    [
        ("drop = [3]", 4, "lost frames before frame 4, 1 on the way and 0 in the camera"),
        ("drop_in_camera = [3]", 4, "lost frames before frame 3, 0 on the way and 1 in the camera"),
        ("duplicate = [2]", 3, "frame 2 after frame 2"),
        ("resize_at = 4", 4, "after frames of"),
        ("raise_at = 4", 4, "failed, as its faults say"),
        ("overflow_at = 4", 4, "its buffer overflowed after 4 frames"),
    ],
)
def test_a_camera_that_fails_leaves_a_recording(
    dsacq: Run, tmp_path: Path, fault: str, kept: int, told: str
) -> None:
    rig = write_rig(tmp_path, f"{SMALL}[bench.faults]\n{fault}\n")
    made = dsacq("live", "--rig", rig, "--frames", 8, "-o", "bead")
    assert made.code == 1
    assert made.out.startswith(f"bead: failed; {kept} of 8 frames received, {kept} written")
    error = made.err.strip().splitlines()[-1]
    assert error.startswith("Error: camera: ")
    assert told in error
    assert about(tmp_path / "bead")["state"] == "failed"
    checked = dsacq("recording", "check", "bead", "--json")
    assert checked.code == 1
    assert checked.json["readable"] == kept


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="Ctrl+C is ignored: run in background"
)
def test_ctrl_c_keeps_what_was_recorded(dsacq: Run, rig: Path, tmp_path: Path) -> None:
    def press() -> None:
        lines = tmp_path / "bead" / "frames.jsonl"
        deadline_s = time.monotonic() + 30
        while time.monotonic() < deadline_s and not (lines.is_file() and lines.stat().st_size):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    made = dsacq("live", "--rig", rig, "--frames", 100_000, "-o", "bead")
    presser.join()
    assert made.code == 130
    assert "Stopped." in made.err
    assert about(tmp_path / "bead")["state"] == "stopped"
    assert dsacq("recording", "check", "bead").code == 0


def test_the_simulated_bench_says_that_it_is_one(dsacq: Run) -> None:
    assert (
        "this is the simulated bench"
        in dsacq("live", "--frames", 1, "-o", "a", "--laser", "x=1").err
    )
    assert dsacq("rig", "check", "simulated").code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("live", "--rig", BENCH, "--frames", 1, "-o", "a", "--model", "LONG"),
            "LONG: there is no such model",
        ),
        (
            ("live", "--rig", BENCH, "--frames", 1, "-o", "a", "--mask", "LONG"),
            "LONG: is neither a mask file nor",
        ),
        (("masks", "--show", "LONG"), "LONG is neither a file nor a mask design"),
        (("models", "LONG"), "LONG: there is no such model"),
        (("rig", "check", "LONG"), "LONG: cannot be read"),
    ],
)
def test_a_name_too_long_for_the_system(
    dsacq: Run, arguments: tuple[object, ...], told: str
) -> None:
    name = "n" * 259
    failed = dsacq.fails(*(name if one == "LONG" else one for one in arguments))
    assert told.replace("LONG", name) in failed


def test_a_rig_that_is_unusual_is_noted(dsacq: Run, tmp_path: Path) -> None:
    rig = write_rig(tmp_path, SMALL.replace("561 = 20.0", "561 = 0.02"))
    checked = dsacq("rig", "check", rig)
    assert checked.code == 0
    first, second, *devices = checked.out.splitlines()
    assert first == "ok    rig          settings     possible, but unusual"
    assert second.startswith(
        "note  rig          use.lasers_mw.561 = 0.02 is very little; if it was"
    )
    assert len(devices) == 6
    told = dsacq("rig", "check", rig, "--json").json["devices"]
    assert isinstance(told, list)
    assert len(told[0]["remarks"]) == 1

    cut = write_rig(tmp_path, SMALL.replace("4f_um = 150000", "4f_um = 400000"))
    failed = dsacq("rig", "check", cut)
    assert failed.code == 1
    assert "cuts the NA to" in failed.out
    assert failed.err == "Error: 1 of 6 failed: slm.\n"
    slipped = write_rig(tmp_path, SMALL.replace("wavelength_um = 0.58", "wavelength_um = 580"))
    for command in (
        ("rig", "check", slipped),
        ("live", "--rig", slipped, "--frames", 1, "-o", "a"),
    ):
        assert "if 580 was meant in nm, give 0.58." in dsacq.fails(*command)


def test_a_rig_that_works(dsacq: Run, rig: Path) -> None:
    checked = dsacq("rig", "check", rig)
    assert checked.code == 0
    assert checked.out.splitlines() == [
        "ok    561          simulated    dark, up to 100 mW",
        "ok    640          simulated    dark, up to 200 mW",
        "ok    illumination simulated    closed",
        "ok    slm          simulated    640 x 600 pixels of 8 um, the pupil 544 across",
        "ok    focus        simulated    at 4.50 um, limits -20 to 20 um",
        "ok    camera       simulated    64 x 48 pixels, exposure 20 ms",
    ]


@pytest.mark.parametrize(
    ("use", "code", "told"),
    [
        ('model = "nope"', 1, "FAIL  use.model    model        nope: there is no such model file"),
        ('model = "sub"', 1, "FAIL  use.model    model        sub: "),
        ('model = "tiny.safetensors"', 0, "ok    use.model    model        tiny"),
        ('model = "other.safetensors"', 1, "FAIL  use.model    model        the model tiny does"),
        ('mask = { file = "nope.tif" }', 1, "FAIL  use.mask     mask         "),
        ('mask = { design = "tetrapod" }', 0, "ok    use.mask     mask         tetrapod"),
        ('mask = { file = "rig.toml" }', 1, "FAIL  use.mask     mask         "),
    ],
)
def test_what_a_rig_uses_is_looked_at(
    dsacq: Run, models: Path, tmp_path: Path, use: str, code: int, told: str
) -> None:
    (tmp_path / "sub").mkdir()
    for model in models.iterdir():
        shutil.copy(model, tmp_path)
    rig = write_rig(tmp_path, f"{SMALL}{use}\n")
    checked = dsacq("rig", "check", rig)
    assert checked.code == code
    *devices, last = checked.out.splitlines()
    assert len(devices) == 6
    assert last.startswith(told)
    if code:
        assert checked.err == f"Error: 1 of 7 failed: use.{use.partition(' ')[0]}.\n"


def test_a_rig_with_a_device_that_fails(dsacq: Run, tmp_path: Path) -> None:
    text = CAMERA + '[focus]\nkind = "asi"\nport = "nowhere"\nlimits_um = [-5, 5]\n'
    rig = write_rig(tmp_path, text)
    checked = dsacq("rig", "check", rig)
    assert checked.code == 1
    focus, camera = checked.out.splitlines()
    assert focus.startswith("FAIL  focus        asi          focus: ")
    assert camera.startswith("ok    camera")
    assert checked.err == "Error: 1 of 2 failed: focus.\n"

    told = dsacq("rig", "check", rig, "--json")
    assert told.code == 1
    devices = told.json["devices"]
    assert isinstance(devices, list)
    assert [(one["device"], one["works"]) for one in devices] == [
        ("focus", False),
        ("camera", True),
    ]
    assert "nowhere" in devices[0]["told"]


def test_a_rig_file_that_is_wrong(dsacq: Run, tmp_path: Path) -> None:
    rig = write_rig(tmp_path, SMALL + "[slmm]\n")
    assert "rig.toml: slmm is not a known key." in dsacq.fails("rig", "check", rig)
    assert "nope.toml: cannot be read" in dsacq.fails("rig", "check", "nope.toml")


def test_micromanager_s_simulated_camera(dsacq: Run, tmp_path: Path) -> None:
    pytest.importorskip("mmpycorex")
    pytest.importorskip("mm_test_adapters")
    rig = EXAMPLES / "rig-demo.toml"
    checked = dsacq("rig", "check", rig)
    assert (checked.code, checked.err) == (0, "")
    assert checked.out.count("ok    ") == 5
    made = dsacq("live", "--rig", rig, "--frames", 50, "-o", "demo", "--json")
    assert made.code == 0
    assert (made.json["written"], made.json["state"]) == (50, "complete")
    assert dsacq("recording", "check", "demo").code == 0
    movie = open_movie(tmp_path / "demo")
    assert (len(movie), *movie.shape) == (50, 128, 256)
    assert movie.metadata["pixel_um"] == pytest.approx(0.11)
    movie.close()
