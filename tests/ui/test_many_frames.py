"""Many frames: their tables are not kept one by one."""

import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from running import SIMULATE, Run

from dsacq.data import Gathered, Localizations
from dsacq.networks.model_file import Model, save_model
from ui.reanalysis import Progress, Wanted, open_recording, run_again

FRAMES, MOST = 150, 80  # frames, and tables of single ones at a time


@pytest.fixture
def most_kept(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The most tables of single frames that there were at a time, as the only item."""
    most, kept = [0], []
    add = Gathered.add

    def counting(self: Gathered, part: Localizations) -> None:
        add(self, part)
        kept.append(weakref.ref(part.table))
        most[0] = max(most[0], sum(one() is not None for one in kept))

    monkeypatch.setattr(Gathered, "add", counting)
    return most


@pytest.fixture
def files(random_model: Model, tmp_path: Path) -> tuple[Path, Path]:
    """A movie and a model."""
    movie, model = tmp_path / "noise.tif", tmp_path / "random.safetensors"
    pixels = np.random.default_rng(0).integers(0, 4000, (FRAMES, 20, 20), dtype=np.uint16)
    tifffile.imwrite(movie, pixels, photometric="minisblack")
    save_model(random_model, model)
    return movie, model


def test_localize(dsacq: Run, files: tuple[Path, Path], most_kept: list[int]) -> None:
    movie, model = files
    done = dsacq("localize", movie, "--model", model, "-o", "l.parquet", "--threshold", 150)
    assert done.code == 0
    assert pd.read_parquet("l.parquet")["frame"].nunique() > 0.9 * FRAMES
    assert 0 < most_kept[0] < MOST


def test_reanalyse(files: tuple[Path, Path], most_kept: list[int]) -> None:
    movie, model = files
    opened = open_recording(movie)
    *others, made = run_again(opened, Wanted(name="again", model=model, threshold=150, link=False))
    opened.movie.close()
    assert not isinstance(made, Progress)
    assert made.found.table["frame"].nunique() > 0.9 * FRAMES
    assert isinstance(others[-1], Progress)
    assert others[-1].done == FRAMES
    assert 0 < most_kept[0] < MOST


def test_simulate(dsacq: Run, tmp_path: Path, most_kept: list[int]) -> None:
    config = tmp_path / "simulate.toml"
    config.write_text(
        SIMULATE.replace("count = 3", f"count = {FRAMES}").replace("60, 70", "32, 32")
    )
    made = dsacq("simulate", config, "-o", "m.tif", "--truth", "t.parquet", "--json")
    assert made.json["emitters"] == 4 * FRAMES
    assert pd.read_parquet("t.parquet")["frame"].tolist() == np.repeat(range(FRAMES), 4).tolist()
    assert 0 < most_kept[0] < MOST
