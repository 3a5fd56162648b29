"""The commands as a user runs them: files in, files and numbers out, one sentence when wrong."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from running import SIMULATE, Run

from dsacq.networks.model_file import Model, save_model
from ui.commands.models import model_folder


@pytest.fixture
def model(random_model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "random.safetensors"
    save_model(random_model, path)
    return path


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "noise.tif"
    pixels = np.random.default_rng(0).integers(0, 4000, (4, 40, 44), dtype=np.uint16)
    tifffile.imwrite(path, pixels, photometric="minisblack")
    return path


def test_simulate_localize_evaluate_overlay(dsacq: Run, model: Path, tmp_path: Path) -> None:
    config = tmp_path / "simulate.toml"
    config.write_text(SIMULATE)
    made = dsacq("simulate", config, "-o", "m.tif", "--truth", "t.csv", "--json")
    assert made.code == 0
    assert made.json["emitters"] == 12

    found = dsacq("localize", "m.tif", "--model", model, "-o", "l.parquet", "--threshold", 150)
    assert found.code == 0
    table = pd.read_parquet("l.parquet")
    assert set(table["frame"]) == {0, 1, 2}

    perfect = dsacq("evaluate", "t.csv", "t.csv", "--json").json
    assert (perfect["jaccard"], perfect["rmse_3d_nm"], perfect["found"]) == (1.0, 0.0, 12)
    one = dsacq("evaluate", "l.parquet", "t.csv", "--frames", "1:2", "--per-density", "--json").json
    assert one["truth"] == 4
    assert one["per_density"][0]["emitters"] == 4  # type: ignore[index]
    spoken = dsacq("evaluate", "t.csv", "t.csv", "--per-density")
    assert "12 of 12 emitters found" in spoken.out
    assert "4 emitters in 3 frames" in spoken.out

    save = dsacq("masks", "--show", "tetrapod", "-o", "mask.tif")
    assert save.code == 0
    checked = dsacq("overlay", "m.tif", "t.csv", "--model", model, "-o", "check", "--json")
    assert checked.code == 0
    assert len(checked.json["frames"]) == 3  # type: ignore[arg-type]
    assert {path.suffix for path in Path("check").iterdir()} == {".png", ".csv"}
    assert len(list(Path("check").glob("*.png"))) == 3


def test_pursuit_and_refinement(dsacq: Run, model: Path, tmp_path: Path) -> None:
    config = tmp_path / "simulate.toml"
    config.write_text(SIMULATE + "[psf]\nblur_px = 1.0\n")
    assert dsacq("simulate", config, "-o", "m.tif", "--truth", "t.csv").code == 0
    optics = tmp_path / "optics.toml"
    optics.write_text(SIMULATE.split("[mask]")[0] + '[camera]\nkind = "ideal"\n')
    given = ("--optics", optics)
    assert dsacq("masks", "--show", "tetrapod", *given, "-o", "mask.tif").code == 0
    pursuit = ("localize", "m.tif", "-o", "p.csv", "--frames", "0:1")
    assert dsacq(*pursuit, "--mask", "mask.tif", *given).code == 0
    scores = dsacq("evaluate", "p.csv", "t.csv", "--frames", "0:1", "--json").json
    assert scores["jaccard"] == 1.0
    assert float(str(scores["rmse_3d_nm"])) < 25
    table = pd.read_csv("p.csv")
    assert table["photons"].between(15_000, 35_000).all()
    assert table["sigma_z_um"].between(0.001, 0.05).all()

    one = ("localize", "m.tif", "--model", model, "--frames", "0:1", "--threshold", 500)
    assert dsacq(*one, "-o", "n.csv").code == 0
    refined = dsacq(*one, "-o", "r.csv", "--refine")
    assert refined.code == 0
    assert "counts are taken as photons" in refined.err
    network = ("--method", "network")
    assert "give its --model" in dsacq.fails("localize", "m.tif", "-o", "x.csv", *network)
    assert "does not tell the phase mask" in dsacq.fails(*pursuit)


def test_localize_options(dsacq: Run, model: Path, movie: Path) -> None:
    arguments = ("localize", movie, "--model", model, "--threshold", 150, "--json")
    whole = dsacq(*arguments, "-o", "whole.csv").json
    part = dsacq(*arguments, "-o", "part.csv", "--frames", "1:3", "--roi", "4,5,30,20").json
    tiled = dsacq(*arguments, "-o", "tiled.csv", "--tile", 16).json
    assert whole["frames"] == 4
    assert part["frames"] == 2
    assert tiled["localizations"] == whole["localizations"]
    table = pd.read_csv("part.csv")
    assert set(table["frame"]) == {1, 2}
    assert table["x_um"].between(4 * 0.11 - 0.2, 34 * 0.11 + 0.2).all()


def test_what_was_localized_is_kept(dsacq: Run, model: Path, movie: Path) -> None:
    pixels = tifffile.imread(movie)
    folder = movie.parent / "frames"
    folder.mkdir()
    for index, frame in enumerate(pixels):
        tifffile.imwrite(folder / f"{index}.tif", frame, photometric="minisblack")
    damaged = folder / "2.tif"
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    result = dsacq("localize", folder, "--model", model, "-o", "l.csv", "--threshold", 150)
    assert result.code == 1
    assert "Kept:" in result.err
    assert "2.tif" in result.err
    assert set(pd.read_csv("l.csv")["frame"]) == {0, 1}


def test_wrong_input_is_one_sentence(dsacq: Run, model: Path, movie: Path, tmp_path: Path) -> None:
    rgb = tmp_path / "rgb.tif"
    tifffile.imwrite(rgb, np.zeros((20, 20, 3), np.uint8), photometric="rgb")
    text = tmp_path / "text.tif"
    text.write_text("no image")
    good = ("--model", model, "-o", "l.csv")
    assert "no such" in dsacq.fails("localize", "none.tif", *good)
    assert "text.tif" in dsacq.fails("localize", text, *good)
    assert "rgb" in dsacq.fails("localize", rgb, *good).lower()
    assert "no such model" in dsacq.fails("localize", movie, "--model", "x", "-o", "l.csv")
    assert "text.tif" in dsacq.fails("localize", movie, "--model", text, "-o", "l.csv")
    assert "l.xyz" in dsacq.fails("localize", movie, "--model", model, "-o", "l.xyz")
    assert "frames 9:" in dsacq.fails("localize", movie, *good, "--frames", "9:")
    assert "A:B" in dsacq.fails("localize", movie, *good, "--frames", "one")
    assert "X,Y,W,H" in dsacq.fails("localize", movie, *good, "--roi", "1,2")
    assert "44 wide and 40 high" in dsacq.fails("localize", movie, *good, "--roi", "0,0,99,9")
    assert not Path("l.csv").exists()


def test_a_model_for_other_optics_is_refused_by_name(
    dsacq: Run, model: Path, movie: Path, tmp_path: Path
) -> None:
    optics = tmp_path / "mine.toml"
    optics.write_text(SIMULATE.split("[mask]")[0].replace("0.58", "0.67"))
    said = dsacq.fails("localize", movie, "--model", model, "-o", "l.csv", "--optics", optics)
    assert "wavelength_um 0.67 (model 0.58)" in said

    config = tmp_path / "simulate.toml"
    config.write_text(SIMULATE.replace("focus_um = 4.5", "focus_um = 3.0"))
    assert dsacq("simulate", config, "-o", "m.tif", "--truth", "t.csv").code == 0
    said = dsacq.fails("localize", "m.tif", "--model", model, "-o", "l.csv")
    assert "focus_um 3 (model 4.5)" in said


def test_a_misspelt_key_is_named(dsacq: Run, tmp_path: Path) -> None:
    config = tmp_path / "simulate.toml"
    config.write_text(SIMULATE.replace("seed = 4", "sed = 4"))
    said = dsacq.fails("simulate", config, "-o", "m.tif", "--truth", "t.csv")
    assert "frames.sed is not a known key" in said
    assert not Path("m.tif").exists()


def test_convert(dsacq: Run, tmp_path: Path) -> None:
    Path("a.csv").write_text(
        "frame,x_um,y_um,z_um,photons\n0,1.5,2.5,0.25,1000\n3,4,5,1,900\n", encoding="utf-8"
    )
    assert dsacq("convert", "a.csv", "b.thunderstorm.csv").code == 0
    assert dsacq("convert", "b.thunderstorm.csv", "c.hdf5", "--pixel-um", 0.1).code == 0
    assert dsacq("convert", "c.hdf5", "d.parquet").code == 0
    table = pd.read_parquet("d.parquet")
    assert table["frame"].tolist() == [0, 3]
    assert table["x_um"].tolist() == pytest.approx([1.5, 4.0], abs=1e-5)
    assert "pixel" in dsacq.fails("convert", "b.thunderstorm.csv", "e.hdf5")


def test_models_are_listed_and_found_by_name(dsacq: Run, model: Path, movie: Path) -> None:
    listed = dsacq("models", model.parent)
    assert "random" in listed.out
    assert "wavelength" not in listed.err
    assert "bench-nano" in dsacq("models").out
    model_folder().mkdir(parents=True)
    model.rename(model_folder() / "mine.safetensors")
    assert dsacq("models", "--json").json["models"][0]["name"] == "random"  # type: ignore[index]
    found = dsacq("localize", movie, "--model", "mine", "-o", "l.csv", "--threshold", 150)
    assert found.code == 0


def test_masks(dsacq: Run) -> None:
    listed = dsacq("masks")
    assert "double_helix" in listed.out
    assert dsacq("masks", "--show", "vortex").code == 0
    assert Path("vortex.png").read_bytes().startswith(b"\x89PNG")
    assert dsacq("masks", "--show", "tetrapod", "-o", "t.tif", "--pattern", "slm.png").code == 0
    assert dsacq("masks", "--show", "t.tif", "-o", "again.png").code == 0
    assert "nothing" in dsacq.fails("masks", "--show", "nothing")


def test_help_and_version(dsacq: Run) -> None:
    for command in ("localize", "overlay", "evaluate", "simulate", "convert", "masks", "design"):
        shown = dsacq(command, "--help")
        assert shown.code == 0
        assert "Example" in shown.out
    assert dsacq("--version").out.startswith("dsacq")


def test_an_inner_failure_is_recorded_not_shown(
    dsacq: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("dsacq.physics.masks.flat.__code__", broken.__code__)
    said = dsacq.fails("masks", "--show", "flat")
    assert "dsacq itself failed (RuntimeError: a defect)" in said
    recorded = next(tmp_path.rglob("last-failure.txt"))
    assert "Traceback" in recorded.read_text()
