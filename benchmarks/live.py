"""The whole live path on the simulated bench, against its truth: is it right, is memory flat?

    python -m benchmarks.live [--frames 500] [--folder DIR]
    python -m benchmarks.live --minutes 10

48 telomeres at 10 frames per second are recorded, localized by bench-nano and linked. Told are the
frames recorded and analysed, recall, precision and errors of what was localized live, what became
of the tracks, and the memory that this process holds.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.recording import resident_bytes
from dsacq.analysis.metrics import evaluate
from dsacq.data import Localizations
from dsacq.files.localizations import read_localizations
from dsacq.files.recording import LOCALIZATIONS, TRUTH
from dsacq.files.recording_check import check
from dsacq.localize.as_they_come import LiveLocalizer
from dsacq.networks.model_file import load_model
from dsacq.physics.masks import tetrapod
from hardware.acquire import acquire
from hardware.rig import open_rig
from hardware.rig_file import simulated_rig
from ui.commands.models import find_model

RADII_NM = (100.0, 250.0)
TOLD_S = 15.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--minutes", type=float, help="in place of --frames, at 10 per second")
    parser.add_argument("--folder", type=Path, help="keep the recording here")
    chosen = parser.parse_args()
    frames = chosen.frames if chosen.minutes is None else round(chosen.minutes * 600)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run(frames, chosen.folder or Path(folder) / "recording")


def run(frames: int, folder: Path) -> None:
    settings = simulated_rig()
    with open_rig(settings) as rig:
        link = replace(settings.use.link, frame_interval_s=rig.camera.exposure_s)
        model = load_model(find_model(Path("bench-nano")))
        localizer = LiveLocalizer(model, link, camera=rig.noise())
        told_s, fullest = 0.0, 0.0
        mask = tetrapod(rig.optics)
        for update in acquire(rig, frames, folder=folder, mask=mask, localizer=localizer):
            fullest = max(fullest, update.buffer_fill, update.queue_fill)
            if update.elapsed_s >= told_s:
                print(f"{update.elapsed_s:6.0f} s  {resident_bytes() / 1e6:6.0f} MB", flush=True)
                told_s += TOLD_S
        print(f"{update.state} {update.reason}: {update.counters}")
        print(f"{frames / update.elapsed_s:.2f} frames/s; buffers at most {fullest:.1%} full")
    report = check(folder)
    print(f"{report.frames} frames can be read; {'; '.join(report.problems) or 'sound'}")
    score(read_localizations(folder / LOCALIZATIONS), read_localizations(folder / TRUTH))


def score(found: Localizations, truth: Localizations) -> None:
    """Against the truth of the frames that were analysed."""
    for radius_nm in RADII_NM:
        scores = evaluate(found, truth, radius_um=radius_nm / 1000)
        print(
            f"within {radius_nm:.0f} nm: Jaccard {scores.jaccard:.3f}, "
            f"recall {scores.recall:.3f}, precision {scores.precision:.3f}, "
            f"RMSE lateral {scores.rmse_lateral_nm:.1f} nm, axial {scores.rmse_axial_nm:.1f} nm"
        )
    lengths = found.table.groupby("track").size()
    long = lengths[lengths >= 10]
    print(
        f"{len(lengths)} tracks; {len(long)} of 10 frames or more hold "
        f"{long.sum() / max(lengths.sum(), 1):.1%} of {lengths.sum()} localizations; median length "
        f"of these {np.median(long) if len(long) else 0:.0f}, of the true ones "
        f"{truth.table.groupby('track').size().median():.0f}"
    )


if __name__ == "__main__":
    main()
