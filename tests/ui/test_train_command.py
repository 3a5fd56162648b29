"""dsacq train as a user runs it, alone and with torch's launcher."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from running import SHALLOW_OPTICS, Run

from dsacq.networks.model_file import load_model, read_card
from dsacq.training.checkpoint import read_checkpoint

ROOT = Path(__file__).parents[2]
CONFIG = (
    SHALLOW_OPTICS
    + """
[mask]
design = "astigmatism"
[camera]
kind = "scmos"
[network]
kind = "mixture"
preset = "nano"
[priors]
density_per_um2 = 0.5
z_margin_um = 0.1
[priors.photons]
kind = "log_uniform"
low = 2000
high = 8000
[priors.background]
kind = "constant"
photons = [5, 20]
[training]
steps = 4
batch = 4
crop_px = 32
"""
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "train.toml"
    path.write_text(CONFIG)
    return path


def test_train_then_resume(config: Path, tmp_path: Path, dsacq: Run) -> None:
    output = tmp_path / "m.safetensors"
    words = ("train", config, "-o", output, "--device", "cpu", "--json")
    stopped = dsacq(*words, "--max-minutes", "0.00001")
    assert stopped.code == 0, stopped.err
    assert not stopped.json["finished"]
    assert "--resume" in dsacq.fails(*words)
    done = dsacq(*words, "--resume")
    assert done.code == 0, done.err
    assert done.json["finished"]
    assert done.json["steps"] == 4
    assert set(done.json["accuracy"]) >= {"jaccard", "ratio_lateral", "false_positives"}  # type: ignore[call-overload]
    card = load_model(output).card
    assert card.name == "m"
    assert card.training["steps_done"] == 4
    assert card.training["priors"]["density_per_um2"] == 0.5
    assert len(pd.read_csv(tmp_path / "m.progress.csv")) == 1
    assert "mixture, 1 frame, 32 and 64 channels" in dsacq("models", output).out


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("preset", "presett", "network.presett is not a known key"),
        ("steps = 4", "steps = 0", "training.steps"),
        ("density_per_um2 = 0.5", "density_per_um2 = 0.5\nborder_px = 16", "leaves no room"),
        ('preset = "nano"', 'preset = "nano"\nframes = 3', "priors.motion"),
        ("[training]", '[training]\nstart = "none.safetensors"', "no such model"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    before: str,
    after: str,
    said: str,
    config: Path,
    tmp_path: Path,
    dsacq: Run,
) -> None:
    config.write_text(CONFIG.replace(before, after, 1), encoding="utf-8")
    output = tmp_path / "m.safetensors"
    assert said in dsacq.fails("train", config, "-o", output)
    assert not output.exists()


def test_impossible_output(config: Path, tmp_path: Path, dsacq: Run) -> None:
    assert "ends in .safetensors" in dsacq.fails("train", config, "-o", tmp_path / "m.pt")
    nowhere = tmp_path / "none" / "m.safetensors"
    assert "does not exist" in dsacq.fails("train", config, "-o", nowhere)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking")
def test_a_request_to_end_keeps_what_was_trained(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("steps = 4", "steps = 1000"), encoding="utf-8")
    output = tmp_path / "m.safetensors"
    words = (sys.executable, "-m", "ui.cli", "train", str(config), "-o", str(output))
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        progress = tmp_path / "m.progress.csv"
        for _ in range(1200):
            if progress.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        process.terminate()
        _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, told
    assert "Stopped." in told
    _, kept = read_checkpoint(tmp_path / "m.checkpoint")
    assert kept["step"] >= 25


@pytest.mark.skipif(
    not torch.distributed.is_available() or sys.platform == "win32",
    reason="torch's launcher needs distributed torch",
)
def test_two_processes_train_one_network(config: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.safetensors"
    launched = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "ui.cli", "train"),
            *(str(config), "-o", str(output), "--device", "cpu"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert launched.returncode == 0, launched.stderr[-2000:]
    assert launched.stderr.count("Model written") == 1
    assert read_card(output).training["steps_done"] == 4
    _, told = read_checkpoint(tmp_path / "m.checkpoint")
    assert told["step"] == 4


def test_watched_it_ends_with_its_watcher(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("steps = 4", "steps = 100000"), encoding="utf-8")
    output = tmp_path / "m.safetensors"
    words = (sys.executable, "-m", "ui.cli", "train", str(config), "-o", str(output), "--watched")
    process = subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert first == {"steps": 100000, "begun_at": 0}
    assert json.loads(process.stdout.readline())["step"] == 25
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()
    assert read_checkpoint(output.with_suffix(".checkpoint"))[1]["step"] >= 25
    assert not output.exists()
