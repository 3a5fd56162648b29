"""Masks whose images tell most about where emitters are, by the Cramer-Rao bound.

Shechtman et al., PRL 113, 133902 (2014), minimise the mean bound over depth of a single emitter.
"""

from collections.abc import Generator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from dsacq.design.lone import LoneEmitter
from dsacq.design.phase import SearchedPhase
from dsacq.design.settings import FisherDesign, Panel
from dsacq.physics.fisher import bounds, crlb, emitter_jacobian, information
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf_and_gradient
from dsacq.physics.pupil import PsfModel
from dsacq.physics.tetrapod import crop_shape

_DEPTHS = 17
_PAIRS = 24  # per step, drawn anew
_ZERNIKE_STEP_RAD, _PIXEL_STEP_RAD = 0.08, 0.03
_SPREAD_RAD = 0.5  # of the coefficients that starts begin from
_TRIAL = 0.2  # of the steps, for each start
_PIXEL_STEPS = 0.5  # of the steps, for the samples
_LARGEST_NM = 1e5  # of a bound, where an image says nothing


@dataclass(frozen=True, eq=False)
class FisherStep:
    """cost_nm: mean or worst bound over x, y, z. mask: the best so far."""

    step: int
    of: int
    cost_nm: float
    best_nm: float
    mask: PhaseMask


def fisher_design(
    start: PhaseMask,
    optics: Optics,
    model: PsfModel,
    design: FisherDesign,
    emitter: LoneEmitter,
    panel: Panel,
) -> Generator[FisherStep]:
    """Search from a mask; yields each step, the last with the best of all.

    As a mask without structure is the same seen from both sides of the focus, a saddle of the
    cost, several random starts are tried first and the best goes on.
    """
    draw = torch.Generator().manual_seed(design.seed)
    made_for = {"optics": asdict(optics), "emitter": asdict(emitter)}
    trial = max(1, int(_TRIAL * design.steps)) if design.starts > 1 else 0
    last = int(_PIXEL_STEPS * design.steps) if design.pixels else 0
    of = trial * design.starts + design.steps + last
    best_nm, best = float("inf"), start
    done = 0
    found: list[tuple[float, Tensor]] = []

    def descend(
        phase: SearchedPhase, steps: int, step_rad: float, roughness: float = 0.0
    ) -> Generator[FisherStep]:
        nonlocal best_nm, best, done
        optimiser = torch.optim.Adam([phase.searched], lr=step_rad)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, step_rad / 16)
        for _ in range(steps):
            optimiser.zero_grad()
            cost = cost_nm(phase(), start.pixel_um, optics, model, design, emitter, draw)
            if float(cost.detach()) < best_nm:
                best_nm = float(cost.detach())
                best = phase.mask(panel, "fisher", design="fisher", cost_nm=best_nm, **made_for)
            whole = cost + roughness * phase.roughness()
            whole.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            done += 1
            yield FisherStep(done, of, float(cost.detach()), best_nm, best)

    for _ in range(design.starts if trial else 0):
        phase = SearchedPhase(start, optics, design.order)
        with torch.no_grad():
            phase.searched.add_(_SPREAD_RAD * torch.randn(phase.searched.shape, generator=draw))
        reached = float("inf")
        for step in descend(phase, trial, 2 * _ZERNIKE_STEP_RAD):
            reached = step.cost_nm
            yield step
        found.append((reached, phase.searched.detach().clone()))
    phase = SearchedPhase(start, optics, design.order)
    if found:
        with torch.no_grad():
            phase.searched.copy_(min(found, key=lambda one: one[0])[1])
    yield from descend(phase, design.steps, _ZERNIKE_STEP_RAD)
    if last:
        yield from descend(
            SearchedPhase(best, optics, None), last, _PIXEL_STEP_RAD, design.roughness
        )


def cost_nm(
    phase_rad: Tensor,
    pixel_um: float,
    optics: Optics,
    model: PsfModel,
    design: FisherDesign,
    emitter: LoneEmitter,
    draw: torch.Generator,
) -> Tensor:
    """Mean over x, y, z, and mean or largest over depth, of the bound, ()."""
    if design.pair_um is not None:
        bound = pair_bounds(
            phase_rad,
            pixel_um,
            optics,
            model,
            distance_um=design.pair_um,
            pairs=_PAIRS,
            photons=emitter.photons,
            background=emitter.background,
            draw=draw,
        )
    else:
        xyz_um = torch.zeros(_DEPTHS, 3, device=phase_rad.device)
        xyz_um[:, 2] = torch.linspace(*optics.z_range_um, _DEPTHS)
        bound = crlb(
            phase_rad,
            xyz_um,
            optics,
            crop_shape(optics),
            model,
            photons=emitter.photons,
            background=emitter.background,
            mask_pixel_um=pixel_um,
        )[:, :3]
    own = 1e3 * bound.mean(1).clamp_max(_LARGEST_NM)
    # A soft largest value has a gradient for every depth that is near to it.
    return torch.logsumexp(own, 0) if design.worst else own.mean()


def pair_bounds(
    phase_rad: Tensor,
    pixel_um: float,
    optics: Optics,
    model: PsfModel,
    *,
    distance_um: float,
    pairs: int,
    photons: float,
    background: float,
    draw: torch.Generator,
) -> Tensor:
    """(pairs, 3) um: bounds in x, y, z of one of two emitters that shine together.

    Both are anywhere in the optics' z range, apart in the plane by a distance of the given mean
    (that of nearest neighbours at random places) in any direction. Nine parameters: the background
    is common.
    """
    low, high = optics.z_range_um
    xyz_um = torch.rand(pairs, 2, 3, generator=draw)
    xyz_um[..., 2] = low + (high - low) * xyz_um[..., 2]
    angle = 2 * torch.pi * torch.rand(pairs, generator=draw)
    # The nearest neighbour's distance is Rayleigh distributed.
    scale = distance_um / (torch.pi / 2) ** 0.5
    apart = scale * (2 * torch.empty(pairs).exponential_(generator=draw)).sqrt()
    xyz_um[:, 0, :2] = torch.stack((apart * angle.cos(), apart * angle.sin()), 1) / 2
    xyz_um[:, 1, :2] = -xyz_um[:, 0, :2]
    images, gradient = psf_and_gradient(
        phase_rad, xyz_um.flatten(0, 1), optics, crop_shape(optics), model, mask_pixel_um=pixel_um
    )
    bright = torch.full((len(images),), photons)
    own = emitter_jacobian(images, gradient, bright).view(pairs, 2, 5, *images.shape[1:])
    jacobian = torch.cat((own[:, 0], own[:, 1, :4]), 1)
    light = photons * images.view(pairs, 2, *images.shape[1:]).sum(1)
    return bounds(information(jacobian, light + background))[:, :3]
