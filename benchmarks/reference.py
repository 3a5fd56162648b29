"""How closely the imported published networks reproduce the reference results.

    python benchmarks/reference.py ../shared/data [--storm-frames 1]

Imports the three published weight files, localizes the real telomere and STORM frames and all
simulated density frames, and prints each beside what the published code gives.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsacq.analysis.metrics import evaluate, match
from dsacq.analysis.overlay import regenerate
from dsacq.data import Localizations
from dsacq.files.masks import read_mask
from dsacq.files.movies import open_movie
from dsacq.localize.deepstorm3d import import_checkpoint
from dsacq.localize.localizer import FrameStack, localize
from dsacq.networks.architectures import VoxelArchitecture
from dsacq.networks.model_file import Model
from dsacq.physics.optics_file import read_optics

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
PUBLISHED = {  # weights: mask, optics
    "Tetrapod_demo2": ("mask_tetrapod_printed", "optics-storm.toml"),
    "Tetrapod_demo3": ("mask_tetrapod", "optics-telomeres.toml"),
    "Learned_demo5": ("mask_learned", "optics-telomeres.toml"),
}


def imported(folder: Path, name: str) -> Model:
    """A published network as our model."""
    mask, optics = PUBLISHED[name]
    settings = read_optics(EXAMPLES / optics)
    return import_checkpoint(
        folder / "deepstorm3d" / "weights" / f"{name}_weights_best_loss.pkl",
        read_mask(folder / "deepstorm3d" / "masks" / f"{mask}.mat", optics=settings.optics),
        settings,
        name,
    )


def agreement(found: Localizations, reference_um: NDArray[np.float64], what: str) -> str:
    """One line: matched one to one within 50 nm, and how far apart."""
    positions = found.positions_um()
    ours, theirs = match(positions, reference_um, 0.05)
    apart_nm = 1e3 * np.linalg.norm(positions[ours] - reference_um[theirs], axis=1)
    return (
        f"{what:14} found {len(found):4d}  reference {len(reference_um):4d}  "
        f"matched {100 * len(ours) / max(len(reference_um), len(found), 1):6.2f} %  "
        f"median {np.median(apart_nm):.4f} nm  largest {apart_nm.max():.4f} nm"
    )


def from_corner(
    centred_um: NDArray[np.float64], shape: tuple[int, int], pixel_um: float
) -> NDArray[np.float64]:
    """The reference's x, y from the frame's centre as ours from its corner."""
    return centred_um + [shape[1] * pixel_um / 2, shape[0] * pixel_um / 2, 0.0]


def telomeres(folder: Path, model: Model) -> None:
    """The snapshot of telomeres, and its overlay."""
    table = pd.read_csv(folder / "deepstorm3d" / "reference_telomeres1.csv")
    with open_movie(folder / "deepstorm3d" / "telomeres" / "telomeres1.tif") as movie:
        found = next(localize(movie, model, [0]))
        reference_um = from_corner(
            table[["x_um_shift0", "y_um_shift0", "z_um"]].to_numpy(), movie.shape, 0.11
        )
        print(agreement(found, reference_um, "telomeres1"))
        card = model.card
        overlay = regenerate(
            movie.frame(0), found.positions_um(), model.mask, card.optics, card.psf
        )
        print(f"telomeres1     overlay correlation {overlay.correlation:.4f}")


def storm(folder: Path, model: Model, count: int) -> None:
    """The first `count` STORM frames."""
    table = pd.read_csv(folder / "deepstorm3d" / "reference_storm.csv")
    with open_movie(folder / "deepstorm3d" / "storm") as movie:
        for index, number in enumerate(sorted(table["frame"].unique())[:count]):
            start = time.perf_counter()
            found = next(localize(movie, model, [index]))
            seconds = time.perf_counter() - start
            own = table[table["frame"] == number][["x_um", "y_um", "z_um"]].to_numpy()
            reference_um = from_corner(own, movie.shape, 0.11)
            line = agreement(found, reference_um, f"storm {number}")
            print(f"{line}  in {seconds:.1f} s", flush=True)


def density(folder: Path, models: dict[str, Model]) -> None:
    """All frames of all densities, at both radii."""
    reference = json.loads((folder / "density" / "reference_scores.json").read_text())
    worst: dict[str, float] = {"jaccard": 0, "rmse_lateral_nm": 0, "rmse_axial_nm": 0}
    for path in sorted((folder / "density").glob("*.npz")):
        with np.load(path) as data:
            stack, xyz_um = FrameStack(data["frames"]), data["xyz_um"]
        model = models["Learned_demo5" if path.stem.startswith("learned") else "Tetrapod_demo3"]
        found = Localizations.joined(localize(stack, model, range(len(stack))))
        pixel_um = model.card.optics.pixel_um
        places = xyz_um.reshape(-1, 3) + [60.5 * pixel_um, 60.5 * pixel_um, 0.0]
        frame = np.repeat(np.arange(len(xyz_um)), xyz_um.shape[1])
        truth = Localizations.from_columns(
            frame=frame, x_um=places[:, 0], y_um=places[:, 1], z_um=places[:, 2]
        )
        for radius_nm in (100, 150):
            scores = evaluate(found, truth, radius_um=radius_nm / 1e3)
            published = reference[f"{path.stem}_r{radius_nm}"]
            print(
                f"{path.stem:14} {radius_nm} nm  Jaccard {scores.jaccard:.4f} "
                f"({published['jaccard']:.3f})  lateral {scores.rmse_lateral_nm:.2f} "
                f"({published['rmse_lateral_nm']})  axial {scores.rmse_axial_nm:.2f} "
                f"({published['rmse_axial_nm']}) nm",
                flush=True,
            )
            for name in worst:
                apart = abs(getattr(scores, name) - published[name])
                worst[name] = max(worst[name], apart)
    print("largest difference from the reference: ", {k: round(v, 4) for k, v in worst.items()})


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--storm-frames", type=int, default=10)
    given = parser.parse_args()
    models = {}
    for name in PUBLISHED:
        models[name] = imported(given.data, name)
        architecture = models[name].card.architecture
        assert isinstance(architecture, VoxelArchitecture)
        print(
            f"{name:14} dilations {architecture.dilations}, "
            f"label offset {architecture.label_offset_voxels}"
        )
    telomeres(given.data, models["Learned_demo5"])
    density(given.data, models)
    storm(given.data, models["Tetrapod_demo2"], given.storm_frames)


if __name__ == "__main__":
    main()
