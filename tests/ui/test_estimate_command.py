"""dsacq estimate: a movie in, a config to train with and a picture out; one sentence when wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from running import SHALLOW_OPTICS, Run

from dsacq.simulation.settings import chosen_mask
from dsacq.training.priors import Sampler
from dsacq.training.settings import read_training

OPTICS = SHALLOW_OPTICS + "[psf]\nblur_px = 0.8\n"
CAMERA = """
[camera]
kind = "scmos"
quantum_efficiency = 0.8
offset_adu = 100
gain_adu_per_electron = 2.0
read_variance_adu2 = 10
"""
MOVIE = """
[mask]
design = "astigmatism"
[frames]
count = 4
shape_px = [64, 70]
seed = 4
[emitters]
density_per_um2 = 0.05
[photons]
kind = "lognormal"
median = 6000
sigma = 0.5
[background]
kind = "constant"
photons = 20
"""


@pytest.fixture
def movie(dsacq: Run) -> Path:
    """movie.tif, its optics.toml and masks/mask.tif in the working folder."""
    Path("simulate.toml").write_text(OPTICS + CAMERA + MOVIE, encoding="utf-8")
    Path("optics.toml").write_text(OPTICS + CAMERA, encoding="utf-8")
    Path("masks").mkdir()
    assert dsacq("simulate", "simulate.toml", "-o", "movie.tif", "--truth", "t.csv").code == 0
    shown = ("masks", "--show", "astigmatism", "--optics", "optics.toml", "-o", "masks/mask.tif")
    assert dsacq(*shown).code == 0
    return Path("movie.tif")


def test_estimate(dsacq: Run, movie: Path) -> None:
    Path("configs").mkdir()
    given = ("estimate", movie, "--mask", "masks/mask.tif", "--optics", "optics.toml")
    result = dsacq(*given, "-o", "configs/mine.toml", "--json")
    assert result.code == 0, result.err
    told: Any = result.json
    assert told["background"]["median"] == pytest.approx(20, rel=0.1)
    assert told["gain_adu_per_electron"] == pytest.approx(2, rel=0.15)
    assert told["emitters"] > 0
    assert told["priors"]["density_per_um2"] > told["density_per_um2"]
    config = Path("configs/mine.toml")
    assert Path("configs/mine.png").read_bytes().startswith(b"\x89PNG")
    settings = read_training(config)
    assert settings.mask.file is not None
    assert settings.mask.file.as_posix() == "../masks/mask.tif"
    mask = chosen_mask(settings.mask, settings.optics, config.parent)
    assert Sampler(settings, mask).batch(0).counts.shape[0] == settings.training.batch

    part = dsacq(*given, "-o", "part.toml", "--frames", "1:2", "--roi", "4,5,40,36")
    assert part.code == 0, part.err
    assert "1 part of 1 frame" in part.out
    assert "could not be checked" in " ".join(part.err.split())
    assert "part.png" in part.err


def test_what_the_user_should_know(dsacq: Run, movie: Path) -> None:
    wrong = CAMERA.replace("electron = 2.0", "electron = 1.0")
    for name, camera, expected in (
        ("wrong", wrong, "gain looks wrong"),
        ("none", "", "counts are taken as photons"),
    ):
        Path("other.toml").write_text(OPTICS + camera, encoding="utf-8")
        given = ("--mask", "masks/mask.tif", "--optics", "other.toml", "--roi", "0,0,50,50")
        result = dsacq("estimate", movie, *given, "-o", f"{name}.toml")
        assert result.code == 0, result.err
        assert expected in " ".join(result.err.split())
    assert read_training(Path("none.toml")).camera.kind == "ideal"


def test_wrong_input_is_one_sentence(dsacq: Run, movie: Path) -> None:
    def fails(*arguments: object, output: str = "x.toml") -> str:
        told = dsacq.fails("estimate", *arguments, "-o", output)
        assert not Path("x.toml").exists()
        return told

    mask, optics = ("--mask", "masks/mask.tif"), ("--optics", "optics.toml")
    assert "no such" in fails("none.tif", *mask, *optics)
    assert "gone.tif" in fails(movie, "--mask", "gone.tif", *optics)
    assert "gone.toml" in fails(movie, *mask, "--optics", "gone.toml")
    tifffile.imwrite("nan.tif", np.full((2, 40, 40), np.nan, np.float32), photometric="minisblack")
    assert "not finite numbers" in fails("nan.tif", *mask, *optics)
    assert "frames 9:" in fails(movie, *mask, *optics, "--frames", "9:")
    assert "70 wide and 64 high" in fails(movie, *mask, *optics, "--roi", "0,0,99,9")
    assert ".toml" in fails(movie, *mask, *optics, output="x.png")
    assert "does not exist" in fails(movie, *mask, *optics, output="nowhere/x.toml")
    assert "is read by this command" in fails(movie, *mask, *optics, output="optics.toml")


def test_real_frames(dsacq: Run, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "deepstorm3d"
    pixels = tifffile.imread(folder / "storm" / "1.tif")[100:200, 200:300]
    tifffile.imwrite("storm.tif", np.stack([pixels]), photometric="minisblack")
    examples = Path(__file__).resolve().parents[2] / "docs" / "examples"
    mask = folder / "masks" / "mask_tetrapod_printed.mat"
    given = ("storm.tif", "--mask", mask, "--optics", examples / "optics-storm.toml")
    text = (examples / "optics-storm.toml").read_text()
    assert "[input]" in text  # of imported networks: it must not get into the config
    result = dsacq("estimate", *given, "-o", "storm.toml", "--json")
    assert result.code == 0, result.err
    told: Any = result.json
    assert 20 < told["background"]["median"] < 80
    assert told["photons"] is None or 2000 < told["photons"]["median"] < 30_000
    assert "[input]" not in Path("storm.toml").read_text(encoding="utf-8")
