"""Accuracy against density: the same simulated frames through several localizers.

Source of the figures: Nehme et al., Nature Methods 17, 734 (2020), Fig. 2 and 4d-f.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsacq.analysis.metrics import Scores, evaluate
from dsacq.data import Gathered, Localizations
from dsacq.errors import SettingsError
from dsacq.localize.localizer import FrameStack, localize
from dsacq.localize.pursuit import pursue
from dsacq.localize.refine import refine_movie
from dsacq.networks.model_file import Model
from dsacq.physics.camera import expected_electrons, read_variance_electrons, response
from dsacq.physics.fisher import crlb
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics, differing_fields
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel
from dsacq.physics.tetrapod import crop_shape
from dsacq.simulation.settings import SimulationSettings, area
from dsacq.simulation.simulate import simulate

# Correlation of images: 0.97 with half a radian of other phase, 0.8 of a stranger.
_SAME_MASK = 0.95
_COMPARED = 5  # depths


@dataclass(frozen=True)
class Scene(FrameStack):
    """Frames and their emitters."""

    truth: Localizations


Way = Callable[[Scene], Iterator[Localizations]]  # a table per frame, in their order


@dataclass(frozen=True, kw_only=True)
class Point:
    """How one way of localizing did at one density.

    emitters: per frame. bound_lateral_nm, bound_axial_nm: medians over the emitters of their
    Cramer-Rao bounds, each as if it were alone.
    """

    name: str
    emitters: int
    density_per_um2: float
    frames: int
    scores: Scores
    bound_lateral_nm: float
    bound_axial_nm: float

    @property
    def false_positives(self) -> int:
        """Emitters found that are none, over all frames."""
        return self.scores.found - self.scores.true_positives

    def row(self) -> dict[str, Any]:
        """All of it by column name."""
        scores = asdict(self.scores)
        values = {key: value for key, value in asdict(self).items() if key != "scores"}
        return values | {"false_positives": self.false_positives} | scores


def accuracy(
    settings: SimulationSettings,
    mask: PhaseMask,
    ways: Mapping[str, Way],
    densities: Sequence[int],
    *,
    frames: int,
    radius_um: float,
    device: torch.device | str = "cpu",
) -> Generator[Point | None]:
    """Localize the same frames in all ways, at each of the densities (emitters per frame).

    Yields once for every frame, density and way: the Point with the last frame of a density and
    way, None before. radius_um: in 3D, of a pair. Raises SettingsError.
    """
    box = area(settings)
    area_um2 = (box.right_um - box.left_um) * (box.bottom_um - box.top_um)
    for emitters in densities:
        scene = simulated(settings, mask, emitters, frames, device)
        lateral_nm, axial_nm = np.median(bounds_nm(scene, settings, mask), axis=0).tolist()
        for name, way in ways.items():
            found = Gathered()
            for number, part in enumerate(way(scene), 1):
                found.add(part)
                if number < frames:
                    yield None
            yield Point(
                name=name,
                emitters=emitters,
                density_per_um2=emitters / area_um2,
                frames=frames,
                scores=evaluate(found.joined(), scene.truth, radius_um=radius_um),
                bound_lateral_nm=lateral_nm,
                bound_axial_nm=axial_nm,
            )


def simulated(
    settings: SimulationSettings,
    mask: PhaseMask,
    emitters: int,
    frames: int,
    device: torch.device | str = "cpu",
) -> Scene:
    """Frames with this many emitters, new ones in each, from the seed of the settings."""
    crowded = replace(
        settings,
        frames=replace(settings.frames, count=frames),
        emitters=replace(
            settings.emitters,
            count=emitters,
            density_per_um2=None,
            blinking=None,
            diffusion_um2_per_s=None,
        ),
    )
    parts = list(simulate(crowded, mask, device))
    return Scene(
        np.concatenate([part.pixels for part in parts]),
        Localizations.joined(part.truth for part in parts),
    )


def bounds_nm(scene: Scene, settings: SimulationSettings, mask: PhaseMask) -> NDArray[np.float64]:
    """(K, 2) lateral and axial Cramer-Rao bound of each true emitter, as if it were alone.

    Lateral is the root of the sum of the variances of x and y, as an RMSE is. The light is that
    which falls within the frame near the emitter; read noise is the mean over a camera's pixels.
    """
    optics, made = settings.optics, response(settings.camera)
    shape = tuple(
        min(wanted, there) for wanted, there in zip(crop_shape(optics), scene.shape, strict=True)
    )
    size = np.array(shape[::-1])
    xyz_um = scene.truth.positions_um().copy()
    first = xyz_um[:, :2] / optics.pixel_um - size / 2
    corner = np.floor(first + 0.5).clip(0, np.array(scene.shape[::-1]) - size)
    xyz_um[:, :2] = (first - corner) * optics.pixel_um
    table = scene.truth.table
    limits = crlb(
        torch.tensor(mask.phase_rad),
        torch.tensor(xyz_um, dtype=torch.float32),
        optics,
        (shape[0], shape[1]),
        settings.psf,
        photons=torch.tensor(table["photons"].to_numpy() * made.quantum_efficiency),
        background=expected_electrons(
            settings.camera, torch.tensor(table["background"].to_numpy())
        ),
        read_variance=float(np.mean(read_variance_electrons(settings.camera))),
        excess=made.excess,
        mask_pixel_um=mask.pixel_um,
    )
    x, y, z = 1000 * limits[:, :3].double().numpy().T
    return np.column_stack((np.hypot(x, y), z))


def by_network(model: Model, settings: SimulationSettings, device: torch.device) -> Way:
    """By a model."""
    return lambda scene: localize(
        scene, model, range(len(scene)), camera=settings.camera, device=device
    )


def refined(way: Way, settings: SimulationSettings, mask: PhaseMask, device: torch.device) -> Way:
    """By another way, and a fit of what it found."""
    return lambda scene: refine_movie(
        scene,
        way(scene),
        mask,
        settings.optics,
        settings.psf,
        camera=settings.camera,
        device=device,
    )


def by_pursuit(settings: SimulationSettings, mask: PhaseMask, device: torch.device) -> Way:
    """By matching pursuit, with no model."""
    return lambda scene: pursue(
        scene,
        mask,
        settings.optics,
        settings.psf,
        range(len(scene)),
        camera=settings.camera,
        device=device,
    )


def check_fits(model: Model, settings: SimulationSettings, mask: PhaseMask) -> None:
    """Whether a model was made for the simulated optics and mask. Raises SettingsError."""
    card = model.card
    if different := differing_fields(settings.optics, card.optics):
        raise SettingsError(
            f"the model {card.name} was made for other optics than those simulated: "
            f"{'; '.join(different)}. Leave it out, or simulate its optics."
        )
    alike = _likeness(mask, model.mask, settings.optics)
    if alike < _SAME_MASK:
        raise SettingsError(
            f"the model {card.name} was made for another mask ({model.mask.name}) than that "
            f"simulated ({mask.name}): their images correlate by {alike:.2f} only. Leave it out, "
            "or simulate its mask."
        )


def _likeness(first: PhaseMask, second: PhaseMask, optics: Optics) -> float:
    """The least correlation of two masks' images over the depths, however they are sampled."""
    xyz_um = torch.zeros(_COMPARED, 3)
    xyz_um[:, 2] = torch.linspace(*optics.z_range_um, _COMPARED)
    model = PsfModel(blur_px=1.0)

    def images(mask: PhaseMask) -> Tensor:
        phase_rad = torch.tensor(mask.phase_rad)
        drawn = psf(
            phase_rad, xyz_um, optics, crop_shape(optics), model, mask_pixel_um=mask.pixel_um
        )
        flat = drawn.flatten(1)
        centred = flat - flat.mean(1, keepdim=True)
        unit: Tensor = centred / torch.linalg.vector_norm(centred, dim=1, keepdim=True)
        return unit

    return float((images(first) * images(second)).sum(1).min())
