"""How near refinement comes to the Cramer-Rao bound, and what matching pursuit finds without a net.

    python benchmarks/precision.py [--repeats 40] [--pursuit 1,5,10,22,35] [--mask FILE]
    python benchmarks/precision.py --network tetrapod-4um

Isolated emitters behind the 4 um Tetrapod at every quarter micrometre of depth, 10 000 photons on
50 per pixel; overlapping pairs against their joint bound; and, when asked for, crowded frames of
30 000 photons on 150, found by matching pursuit from the mask (by default the same Tetrapod), on
one thread. With --network, the same isolated emitters by a network alone, behind its own mask and
camera.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsacq.analysis.metrics import evaluate
from dsacq.data import Localizations
from dsacq.files.masks import read_mask
from dsacq.localize.fitted_frame import reach_px
from dsacq.localize.localizer import FrameStack, localize
from dsacq.localize.pursuit import pursue
from dsacq.localize.refine import psf_source, refine
from dsacq.networks.model_file import Model, load_model
from dsacq.physics.camera import digitised, expose, response
from dsacq.physics.fisher import bounds, crlb, information
from dsacq.physics.image_series import ImageSource
from dsacq.physics.masks import PhaseMask, tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.psf import psf_and_gradient
from dsacq.physics.pupil import PsfModel
from dsacq.simulation.frames import render_exact
from dsacq.training.fixed_frames import SIGMAS, pairs
from ui.commands.models import find_model

MODEL = PsfModel(blur_px=1.0)
PIXEL_UM = STANDARD_OPTICS.pixel_um
STARTS_UM = 0.025  # standard deviation of the starts about the truth, on each axis
ROW = "{:>22}  {:>17}  {:>17}  {:>17}"


@dataclass
class Frames:
    """A movie in memory."""

    images: NDArray[np.float32]
    shape: tuple[int, int] = (121, 121)

    def __len__(self) -> int:
        return len(self.images)

    def frame(self, index: int) -> NDArray[np.float32]:
        """By number."""
        frame: NDArray[np.float32] = self.images[index]
        return frame


def joint_bound(source: ImageSource, xyz_um: Tensor, mean: Tensor, photons: float) -> Tensor:
    """(K, 3) um, from all pixels of a frame: positions, photons and one background unknown."""
    shape = (mean.shape[0], mean.shape[1])
    centre = torch.tensor([shape[1], shape[0], 0]) / 2 * PIXEL_UM
    images, gradient = psf_and_gradient(
        source.phase_rad, xyz_um - centre, STANDARD_OPTICS, shape, MODEL
    )
    own = torch.cat((gradient * photons, images[:, None]), 1).flatten(0, 1)
    jacobian = torch.cat((own, torch.ones_like(images[:1])))
    return bounds(information(jacobian, mean))[:-1].view(-1, 4)[:, :3]


def expected(source: ImageSource, xyz_um: Tensor, shape: tuple[int, int], photons: float) -> Tensor:
    """Photons (H, W) of emitters of one frame."""
    frame = torch.zeros(len(xyz_um), dtype=torch.long)
    light = torch.full((len(xyz_um),), photons)
    model, phase_rad = source.model, source.phase_rad
    return render_exact(phase_rad, STANDARD_OPTICS, shape, model, frame, xyz_um, light, 1)[0]


def fitted(
    source: ImageSource, scene_um: Tensor, repeats: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Errors, own estimates of them and bounds (repeats * K, 3) um, and seconds per frame."""
    size, errors, sigmas, limits, spent = 81, [], [], [], 0.0
    reach = reach_px(source)
    for _ in range(repeats):
        shift = torch.rand(1, 3, generator=generator) - 0.5
        xyz_um = scene_um + shift * torch.tensor([PIXEL_UM, PIXEL_UM, 0]) + size / 2 * PIXEL_UM
        xyz_um[:, 2] = scene_um[:, 2]
        mean = expected(source, xyz_um, (size, size), 10_000.0) + 50
        frame = torch.poisson(mean, generator=generator)
        start = xyz_um + STARTS_UM * torch.randn(xyz_um.shape, generator=generator)
        begun = time.perf_counter()
        found = refine(frame, start, source, reach=reach)
        spent += time.perf_counter() - begun
        errors.append(found.xyz_um - xyz_um[found.start])
        sigmas.append(found.sigma_um)
        limits.append(joint_bound(source, xyz_um, mean, 10_000.0)[found.start])
    return torch.cat(errors), torch.cat(sigmas), torch.cat(limits), spent / repeats


def triple(values: Tensor, digits: int) -> str:
    """x, y, z."""
    return " ".join(f"{value:5.{digits}f}" for value in values.tolist())


def report(name: str, error: Tensor, sigma: Tensor, limit: Tensor) -> None:
    """One row."""
    rmse = (error**2).mean(0).sqrt()
    bound = (limit**2).mean(0).sqrt()
    spread = (error / sigma).square().mean(0).sqrt()
    print(ROW.format(name, triple(1000 * rmse, 1), triple(rmse / bound, 3), triple(spread, 3)))


def precision(repeats: int) -> None:
    """Isolated emitters at each depth, then pairs."""
    source = psf_source(tetrapod(STANDARD_OPTICS), STANDARD_OPTICS, MODEL)
    generator = torch.Generator().manual_seed(0)
    print(ROW.format("10k photons on 50", "RMSE x y z, nm", "over the bound", "error over sigma"))
    parts, seconds = [], []
    for z_um in torch.arange(2, 6.01, 0.25).tolist():
        *numbers, spent = fitted(source, torch.tensor([[0.0, 0.0, z_um]]), repeats, generator)
        report(f"z {z_um:.2f} um", *numbers)
        parts.append(numbers)
        seconds.append(spent)
    report("all depths", *(torch.cat(part) for part in zip(*parts, strict=True)))
    pairs = []
    for distance_um in (0.4, 0.8, 1.2):
        scene = torch.tensor([[0.0, 0.0, 3.0], [distance_um, 0.2, 4.2]])
        *numbers, _ = fitted(source, scene, repeats, generator)
        report(f"pair, {distance_um} um in x", *numbers)
        pairs.append(numbers)
    report("all pairs", *(torch.cat(part) for part in zip(*pairs, strict=True)))
    print(f"{1000 * np.mean(seconds):.0f} ms per isolated emitter")


def by_network(model: Model, repeats: int) -> None:
    """Isolated emitters at each depth, by a network alone."""
    card, size, generator = model.card, 121, torch.Generator().manual_seed(0)
    assert card.camera is not None
    made, pixel_um = response(card.camera), card.optics.pixel_um
    phase_rad = torch.tensor(model.mask.phase_rad)
    low, high = card.optics.z_range_um
    print(ROW.format("10k photons on 50", "RMSE x y z, nm", "over the bound", "error over sigma"))
    parts = []
    for z_um in torch.arange(low + 0.125, high, 0.25).tolist():
        from_centre = (torch.rand(repeats, 3, generator=generator) - 0.5) * pixel_um
        from_centre[:, 2] = z_um
        xyz_um = from_centre + torch.tensor([size / 2, size / 2, 0]) * pixel_um
        mean = render_exact(
            phase_rad,
            card.optics,
            (size, size),
            card.psf,
            torch.arange(repeats),
            xyz_um,
            torch.full((repeats,), 10_000.0),
            repeats,
            mask_pixel_um=model.mask.pixel_um,
        )
        counts = digitised(expose(card.camera, mean + 50, generator))
        limit = crlb(
            phase_rad.double(),
            from_centre.double(),
            card.optics,
            (size, size),
            card.psf,
            photons=10_000 * made.quantum_efficiency,
            background=50 * made.quantum_efficiency,
            read_variance=float(np.mean(made.read_variance_electrons)),
            excess=made.excess,
            mask_pixel_um=model.mask.pixel_um,
        )[:, :3]
        found = Localizations.joined(localize(FrameStack(counts.numpy()), model, range(repeats)))
        x_um, y_um, z_true_um = xyz_um.numpy().T
        truth = Localizations.from_columns(
            frame=np.arange(repeats), x_um=x_um, y_um=y_um, z_um=z_true_um
        )
        own, partner, error_um = pairs(found, truth)
        sigma_um = found.table[list(SIGMAS)].to_numpy(dtype=np.float64)[own]
        numbers = torch.tensor(error_um), torch.tensor(sigma_um), limit[torch.tensor(partner)]
        report(f"z {z_um:.2f} um", *numbers)
        parts.append(numbers)
    everything = [torch.cat(part) for part in zip(*parts, strict=True)]
    report("all depths", *everything)
    print(f"found {len(everything[0])} of {len(parts) * repeats}")


def crowded(mask: PhaseMask, emitters: int, frames: int) -> None:
    """Matching pursuit in frames of 121 x 121 pixels with emitters in the central 81 x 81."""
    source = psf_source(mask, STANDARD_OPTICS, MODEL)
    generator = torch.Generator().manual_seed(emitters)
    scale = torch.tensor([81 * PIXEL_UM, 81 * PIXEL_UM, 4.0])
    places = torch.rand(frames, emitters, 3, generator=generator) * scale
    places = places + torch.tensor([20 * PIXEL_UM, 20 * PIXEL_UM, 2.0])
    means = [expected(source, xyz_um, (121, 121), 30_000.0) + 150 for xyz_um in places]
    movie = Frames(torch.poisson(torch.stack(means), generator=generator).numpy())
    x_um, y_um, z_um = places.flatten(0, 1).numpy().T
    number = np.arange(frames).repeat(emitters)
    truth = Localizations.from_columns(frame=number, x_um=x_um, y_um=y_um, z_um=z_um)
    begun = time.perf_counter()
    found = Localizations.joined(pursue(movie, mask, STANDARD_OPTICS, MODEL, range(frames)))
    spent = (time.perf_counter() - begun) / frames
    scores = evaluate(found, truth, radius_um=0.15)
    print(
        f"{emitters:3} emitters: Jaccard {scores.jaccard:.3f}, lateral "
        f"{scores.rmse_lateral_nm or 0:.1f} nm, axial {scores.rmse_axial_nm or 0:.1f} nm, "
        f"{spent:.2f} s per frame"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40, help="frames at each depth")
    parser.add_argument("--pursuit", default="", help="numbers of emitters, as in 1,10,35")
    parser.add_argument("--frames", type=int, default=6, help="crowded frames of each number")
    parser.add_argument("--mask", type=Path, help="for the crowded frames")
    parser.add_argument("--network", type=Path, help="a model's name or file, in place of fits")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.network is not None:
        by_network(load_model(find_model(given.network)), given.repeats)
    elif given.repeats:
        precision(given.repeats)
    mask = tetrapod(STANDARD_OPTICS)
    if given.mask is not None:
        mask = read_mask(given.mask, optics=STANDARD_OPTICS)
    for emitters in (int(number) for number in given.pursuit.split(",") if number):
        crowded(mask, emitters, given.frames)


if __name__ == "__main__":
    main()
