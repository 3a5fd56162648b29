"""dsacq benchmark: files, numbers, and one sentence where it cannot."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from model_samples import tiny_mixture
from running import SIMULATE, Run

from dsacq.networks.model_file import Model, save_model
from dsacq.physics.camera import IdealCamera
from dsacq.physics.masks import flat, tetrapod
from dsacq.physics.optics import STANDARD_OPTICS

OPTICS = replace(STANDARD_OPTICS, mask_pixel_um=72)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "simulate.toml"
    path.write_text(SIMULATE.replace("mask_pixel_um = 24", "mask_pixel_um = 72"))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small network of random weights."""
    torch.manual_seed(0)
    tiny = tiny_mixture(tetrapod(OPTICS), OPTICS, camera=IdealCamera())
    other = tiny_mixture(flat(OPTICS), OPTICS, camera=IdealCamera())
    save_model(tiny, tmp_path / "tiny.safetensors")
    card = replace(other.card, name="other")
    save_model(Model(card, other.mask, other.network), tmp_path / "other.safetensors")
    return tmp_path / "tiny.safetensors"


def test_accuracy(dsacq: Run, config: Path, model: Path) -> None:
    wanted = ("--method", "pursuit", "--refine", "--densities", "2,1", "--frames", 1)
    result = dsacq("benchmark", "accuracy", config, "--model", model, *wanted, "-o", "s", "--json")
    assert result.code == 0, result.err
    points = result.json["points"]
    assert isinstance(points, list)
    assert [(point["emitters"], point["name"]) for point in points] == [
        (emitters, name) for emitters in (1, 2) for name in ("tiny", "tiny + refine", "pursuit")
    ]
    for point in points[2::3]:
        assert point["jaccard"] == 1
        assert point["false_positives"] == 0
        assert 0 < point["rmse_lateral_nm"] < 5 * point["bound_lateral_nm"]
        assert point["efficiency_3d"] > 80
    with Path("s/accuracy.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["jaccard"]) for row in rows] == [point["jaccard"] for point in points]
    assert float(rows[5]["rmse_axial_nm"]) == points[5]["rmse_axial_nm"]
    assert Path("s/accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_accuracy_is_shown(dsacq: Run, config: Path) -> None:
    wanted = ("--method", "pursuit", "--densities", "1", "--frames", 1)
    result = dsacq("benchmark", "accuracy", config, *wanted, "-o", "sweep")
    assert result.code == 0
    heading, pursuit, bound = result.out.splitlines()
    assert heading.split()[:3] == ["emitters", "Jaccard", "precision"]
    assert pursuit.split()[:6] == ["1", "pursuit", "1.000", "1.000", "1.000", "0"]
    assert len(pursuit.split()) == 10
    assert bound.startswith(" " * 10 + "bound, alone")


def test_accuracy_is_refused_in_one_sentence(dsacq: Run, config: Path, model: Path) -> None:
    sweep = ("benchmark", "accuracy", config, "-o", "sweep")
    assert "give a --model" in dsacq.fails(*sweep)
    assert "without --refine" in dsacq.fails(*sweep, "--method", "pursuit", "--refine")
    assert "densities '1,x'" in dsacq.fails(*sweep, "--model", model, "--densities", "1,x")
    assert "densities '0,4'" in dsacq.fails(*sweep, "--model", model, "--densities", "0,4")
    assert "radius" in dsacq.fails(*sweep, "--model", model, "--radius-nm", 0)
    assert "given twice" in dsacq.fails(*sweep, "--model", model, "--model", model)
    assert "another mask (flat)" in dsacq.fails(*sweep, "--model", "other.safetensors")
    config.write_text(
        config.read_text(encoding="utf-8").replace("focus_um = 4.5", "focus_um = 3.0"),
        encoding="utf-8",
    )
    assert "focus_um 3 (model 4.5)" in dsacq.fails(*sweep, "--model", model)
    assert not Path("sweep").exists()
    inside = ("benchmark", "accuracy", config, "-o", config / "sweep", "--method", "pursuit")
    assert "cannot be made" in dsacq.fails(*inside)


def test_speed(dsacq: Run, model: Path) -> None:
    wanted = ("benchmark", "speed", "--model", model, "--model", "other.safetensors")
    small = ("--shape", "40x48", "--frames", 3, "--rounds", 2, "--device", "cpu")
    result = dsacq(*wanted, *small, "--json")
    assert result.code == 0, result.err
    values = result.json
    assert (values["device"], values["shape_px"], values["frames"]) == ("CPU", [40, 48], 3)
    timed = values["models"]
    assert isinstance(timed, list)
    assert [one["name"] for one in timed] == ["tiny", "other"]
    assert min(one["ratio"] for one in timed) == 1
    assert all(one["frames_per_second"] >= one["frames_per_second_median"] > 0 for one in timed)

    shown = dsacq(*wanted, *small).out.splitlines()
    assert [line.split()[0] for line in shown[1:3]] == ["tiny", "other"]
    assert shown[3].startswith("3 frames of 40 x 48 pixels, 2 rounds, on CPU with")
    assert "shape '40'" in dsacq.fails(*wanted, "--shape", "40")
    assert "shape '4x40'" in dsacq.fails(*wanted, "--shape", "4x40")


def test_help(dsacq: Run) -> None:
    for command in ("accuracy", "speed"):
        shown = dsacq("benchmark", command, "--help")
        assert shown.code == 0
        assert "Example" in shown.out
