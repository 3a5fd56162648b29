"""`dsacq design`, and masks beside each other."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from running import Run

from dsacq.files.masks import read_mask
from dsacq.networks.model_file import load_model

COMMON = """
[optics]
wavelength_um = 0.58
na = 1.45
index_immersion = 1.518
index_sample = 1.33
magnification = 100
focal_4f_um = 150000
camera_pixel_um = 16
mask_pixel_um = 160
focus_um = 0.6
z_range_um = [0.0, 1.0]
[mask]
design = "flat"
[camera]
kind = "ideal"
[priors]
density_per_um2 = 0.6
photons = { kind = "fixed", photons = 5000 }
background = { kind = "constant", photons = 10.0 }
[training]
steps = 60
batch = 2
crop_px = 16
[network]
kind = "mixture"
preset = "nano"
"""
LEARNED = COMMON + '[design]\nkind = "learned"\n'
FISHER = COMMON + '[design]\nkind = "fisher"\nsteps = 8\nstarts = 2\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "learned.toml").write_text(LEARNED, encoding="utf-8")
    (tmp_path / "fisher.toml").write_text(FISHER, encoding="utf-8")
    (tmp_path / "plain.toml").write_text(COMMON, encoding="utf-8")
    return tmp_path


def test_a_fisher_design_leaves_a_mask_and_how_it_came(folder: Path, dsacq: Run) -> None:
    made = dsacq("design", "fisher.toml", "-o", "fisher.tif", "--json")
    assert made.code == 0, made.err
    mask = read_mask(folder / "fisher.tif")
    assert mask.phase_rad.any()
    assert mask.origin["cost_nm"] == pytest.approx(made.json["cost_nm"])
    with Image.open(folder / "fisher.gif") as moving:
        assert moving.n_frames > 3
    assert "nothing to go on from" in dsacq.fails(
        "design", "fisher.toml", "-o", "fisher.tif", "--resume"
    )


def test_a_learned_design_stops_and_goes_on(folder: Path, dsacq: Run) -> None:
    first = ("design", "learned.toml", "-o", "learned.tif")
    part = dsacq(*first, "--max-minutes", "0.01", "--json")
    assert part.code == 0, part.err
    assert part.json["finished"] is False
    assert "--resume" in dsacq.fails(*first)
    whole = dsacq(*first, "--resume", "--json")
    assert whole.code == 0, whole.err
    assert (whole.json["steps"], whole.json["finished"]) == (60, True)
    mask, model = read_mask(folder / "learned.tif"), load_model(folder / "learned.safetensors")
    assert np.array_equal(mask.phase_rad, model.mask.phase_rad)
    assert mask.phase_rad.any()
    assert (folder / "learned.gif").stat().st_size > 5000


def test_mistakes_are_told(folder: Path, dsacq: Run) -> None:
    assert "masks are written as .tif" in dsacq.fails("design", "learned.toml", "-o", "mask.png")
    assert "design is missing" in dsacq.fails("design", "plain.toml", "-o", "mask.tif")
    assert "make it first" in dsacq.fails("design", "learned.toml", "-o", "no/mask.tif")
    none = ("design", "learned.toml", "-o", "mask.tif", "--max-minutes", "0")
    assert "not above 0" in dsacq.fails(*none)


def test_masks_are_compared(folder: Path, dsacq: Run) -> None:
    (folder / "optics.toml").write_text(COMMON.partition("[mask]")[0], encoding="utf-8")
    wanted = ("masks", "compare", "flat", "astigmatism", "--optics", "optics.toml")
    made = dsacq(*wanted, "-o", "masks.png", "--json")
    assert made.code == 0, made.err
    assert (folder / "masks.png").stat().st_size > 10_000
    with (folder / "masks.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["mask"] for row in rows] == ["flat", "astigmatism"]
    assert float(rows[1]["mean_nm"]) < float(rows[0]["mean_nm"])
    assert "neither a file nor" in dsacq.fails("masks", "compare", "nonsense", "-o", "m.png")


def test_a_mask_becomes_a_plate(folder: Path, dsacq: Run) -> None:
    made = dsacq("masks", "--show", "vortex", "-o", "v.tif", "--plate", "plate.tif")
    assert made.code == 0, made.err
    height_um = tifffile.imread(folder / "plate.tif")
    phase = read_mask(folder / "v.tif").phase_rad
    again = 2 * np.pi * 0.46 * height_um / 0.58
    assert np.cos(again - phase).min() > 0.9999
    assert height_um.max() <= 0.58 / 0.46
    wrong = dsacq("masks", "--show", "flat", "--plate", "p.png")
    assert wrong.code == 1
    assert "height maps are written" in wrong.err


def test_masks_are_compared_by_networks_of_equal_training(folder: Path, dsacq: Run) -> None:
    wanted = ("masks", "compare", "flat", "astigmatism", "--train", "learned.toml")
    made = dsacq(*wanted, "-o", "alike.png", "--json")
    assert made.code == 0, made.err
    with (folder / "alike.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, told in zip(rows, made.json["masks"], strict=True):
        most = told["crowded"][-1]
        assert float(row[f"jaccard_at_{most['density_per_um2']:.3g}_per_um2"]) == pytest.approx(
            most["scores"]["jaccard"]
        )
    flat, astigmatic = (told["crowded"] for told in made.json["masks"])
    # The same emitters behind both.
    assert [one["scores"]["truth"] for one in flat] == [
        one["scores"]["truth"] for one in astigmatic
    ]
    assert load_model(folder / "alike-astigmatism.safetensors").mask.name == "astigmatism"
    # What is there is taken.
    again = dsacq(*wanted, "-o", "alike.png", "--json")
    assert again.code == 0, again.err
    assert again.json == made.json
    assert "the optics are those" in dsacq.fails(*wanted, "--optics", "x.toml", "-o", "alike.png")
    (folder / "alike-flat.checkpoint").unlink()
    assert "from elsewhere" in dsacq.fails(*wanted, "-o", "alike.png")
    same = ("masks", "compare", "flat", "flat.tif", "--train", "learned.toml", "-o", "same.png")
    assert "same name" in dsacq.fails(*same)
