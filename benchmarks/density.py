"""Emitters found in ever more crowded frames of the published simulator, method by method.

    python -m benchmarks.density ../shared/data [--frames 3] [--emitters 1,35] [--masks tetrapod]

The published networks (or those given by --model, as benchmarks.train_density makes them), their
localizations refined, also thoroughly, and matching pursuit from the mask alone, in the stored
density frames, on one thread; beside each what the published code gives there (over all ten
frames). A localization within 100 nm of an emitter is right.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.reference import imported
from dsacq.analysis.metrics import evaluate
from dsacq.data import Localizations
from dsacq.localize.localizer import FrameStack, localize
from dsacq.localize.pursuit import pursue
from dsacq.localize.refine import refine_movie
from dsacq.networks.model_file import Model, load_model
from dsacq.physics.pupil import PsfModel

RADIUS_NM = 100
PSF = PsfModel(kind="deepstorm3d", blur_px=1.0)
WEIGHTS = {"tetrapod": "Tetrapod_demo3", "learned": "Learned_demo5"}
METHODS = ("network", "refined", "thorough", "pursuit")


def stored(path: Path, frames: int) -> tuple[FrameStack, Localizations]:
    """Frames and what is in them."""
    with np.load(path) as data:
        stack, xyz_um = FrameStack(data["frames"][:frames]), data["xyz_um"][:frames]
    corner_px = np.array([stack.shape[1] / 2, stack.shape[0] / 2, 0.0])
    x_um, y_um, z_um = (xyz_um.reshape(-1, 3) + corner_px * 0.11).T
    number = np.repeat(np.arange(len(xyz_um)), xyz_um.shape[1])
    return stack, Localizations.from_columns(frame=number, x_um=x_um, y_um=y_um, z_um=z_um)


def row(
    name: str, method: str, found: Localizations, truth: Localizations, frames: int, spent: float
) -> str:
    """One line of the table."""
    scores = evaluate(found, truth, radius_um=RADIUS_NM / 1e3)
    return (
        f"{name:13} {method:9}  Jaccard {scores.jaccard:.3f} (precision {scores.precision:.3f}, "
        f"recall {scores.recall:.3f})  lateral {scores.rmse_lateral_nm or 0:5.1f}  "
        f"axial {scores.rmse_axial_nm or 0:5.1f} nm  {spent / frames:6.2f} s per frame"
    )


def measure(model: Model, path: Path, frames: int, methods: list[str], published: str) -> None:
    """All methods at one density."""
    stack, truth = stored(path, frames)
    numbers = range(len(stack))
    mask, optics = model.mask, model.card.optics
    print(f"{path.stem:13} published  {published}", flush=True)

    def show(method: str, found: Localizations, spent: float) -> None:
        print(row(path.stem, method, found, truth, len(stack), spent), flush=True)

    if {"network", "refined", "thorough"} & set(methods):
        begun = time.perf_counter()
        parts = list(localize(stack, model, numbers))
        found, spent = Localizations.joined(parts), time.perf_counter() - begun
        show("network", found, spent)
        for method in [one for one in ("refined", "thorough") if one in methods]:
            fits = refine_movie(stack, parts, mask, optics, PSF, thorough=method == "thorough")
            begun = time.perf_counter()
            found = Localizations.joined(fits)
            show(method, found, time.perf_counter() - begun)
    if "pursuit" in methods:
        begun = time.perf_counter()
        found = Localizations.joined(pursue(stack, mask, optics, PSF, numbers))
        show("pursuit", found, time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--frames", type=int, default=3, help="of each number of emitters, to 10")
    parser.add_argument("--emitters", default="1,10,20,35,50,75")
    parser.add_argument("--masks", default="tetrapod,learned")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--model", type=Path, action="append", help="in place of the published")
    given = parser.parse_args()
    models = {
        model.mask.name.removeprefix("mask_"): model for model in map(load_model, given.model or ())
    }
    torch.set_num_threads(1)
    reference = json.loads((given.data / "density" / "reference_scores.json").read_text())
    for mask in models or given.masks.split(","):
        model = models.get(mask) or imported(given.data, WEIGHTS[mask])
        for emitters in given.emitters.split(","):
            path = given.data / "density" / f"{mask}_n{int(emitters):02d}.npz"
            own = reference[f"{path.stem}_r{RADIUS_NM}"]
            published = (
                f"Jaccard {own['jaccard']:.3f}  lateral {own['rmse_lateral_nm']}  "
                f"axial {own['rmse_axial_nm']} nm"
            )
            measure(model, path, given.frames, given.methods.split(","), published)


if __name__ == "__main__":
    main()
