"""A file that another program has open costs no work: what was measured or trained is there."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from held_files import Held
from model_samples import tiny_mixture
from rig_samples import write_rig
from running import Run
from test_train_command import CONFIG

from dsacq.files.localizations import read_localizations
from dsacq.files.recording_check import check
from dsacq.networks.model_file import load_model, save_model
from dsacq.physics.camera import ScmosCamera
from dsacq.physics.masks import tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.training.checkpoint import read_checkpoint


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = tiny_mixture(tetrapod(STANDARD_OPTICS), STANDARD_OPTICS, camera=ScmosCamera())
    save_model(model, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.mark.parametrize(
    "name", ["localizations.parquet", "localizations.parquet.partial", "localizations.arrows"]
)
def test_a_live_table(
    name: str,
    dsacq: Run,
    tiny: Path,
    tmp_path: Path,
    held: Held,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = write_rig(tmp_path)
    held.refusals[name] = 1000
    options = ("--threshold", 0.01, "--model", tiny, "--device", "cpu")
    made = dsacq("live", "--rig", rig, "--frames", 5, "-o", "run", *options)
    assert made.code == 0, made.err
    assert made.out.startswith("run: complete; 5 of 5 frames received, 5 written, 0 lost")
    (told,) = (line for line in caplog.messages if "another program has it open" in line)
    assert name.removesuffix(".partial") in told
    folder = tmp_path / "run"
    assert check(folder).problems == ("Its localizations are not in their final form.",)
    held.refusals.clear()
    assert dsacq("recording", "repair", folder).code == 0
    assert check(folder).sound
    whole = read_localizations(folder / "localizations.parquet")
    if name != "localizations.arrows":
        kept = read_localizations(folder / "localizations-kept.parquet")
        pd.testing.assert_frame_equal(kept.table, whole.table)


@pytest.mark.parametrize("name", ["m.progress.csv", "m.checkpoint"])
def test_a_training(
    name: str, dsacq: Run, tmp_path: Path, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "train.toml").write_text(CONFIG, encoding="utf-8")
    held.refusals[name] = 1000
    made = dsacq("train", "train.toml", "-o", "m.safetensors", "--device", "cpu", "--json")
    assert made.code == 0, made.err
    assert made.json["finished"]
    assert load_model(tmp_path / "m.safetensors").card.training["steps_done"] == 4
    kept = tmp_path / name.replace("m.", "m-kept.")
    assert f"is in {kept.name} beside it" in caplog.text
    if name == "m.progress.csv":
        assert len(pd.read_csv(kept)) == 1
        assert read_checkpoint(tmp_path / "m.checkpoint")[1]["step"] == 4
    else:
        assert read_checkpoint(kept)[1]["step"] == 4


def test_a_model(dsacq: Run, tmp_path: Path, held: Held) -> None:
    (tmp_path / "train.toml").write_text(CONFIG, encoding="utf-8")
    held.refusals["m.safetensors"] = 1000
    failed = dsacq("train", "train.toml", "-o", "m.safetensors", "--device", "cpu", "--json")
    assert failed.code == 1
    assert "is in m-kept.safetensors beside it" in " ".join(failed.err.split())
    assert load_model(tmp_path / "m-kept.safetensors").card.training["steps_done"] == 4


def test_a_table(dsacq: Run, tiny: Path, tmp_path: Path, held: Held) -> None:
    """Excel shows the table that is to be written anew."""
    assert dsacq("live", "--rig", write_rig(tmp_path), "--frames", 2, "-o", "run").code == 0
    held.refusals["found.csv"] = 1000
    words = ("localize", "run", "--model", tiny, "--threshold", 0.01)
    told = dsacq(*words, "-o", "found.csv")
    assert told.code == 1
    assert "is in found-kept.csv beside it" in " ".join(told.err.split())
    assert (tmp_path / "found-kept.csv").exists()
    assert not (tmp_path / "found.csv").exists()
