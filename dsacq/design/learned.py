"""Mask and network trained together, through a differentiable microscope and camera.

Nehme et al., Nature Methods 17, 734 (2020). The images of all depths are computed, and
differentiated, once per step, whatever the number of emitters.
"""

from collections.abc import Generator
from dataclasses import asdict, replace
from threading import Event
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsacq.design.fisher import cost_nm
from dsacq.design.lone import usual_emitter
from dsacq.design.phase import SearchedPhase, shown, with_gaps
from dsacq.design.settings import DesignSettings, FisherDesign, LearnedDesign
from dsacq.networks.model_file import Model
from dsacq.physics.camera import Camera, expose_differentiably
from dsacq.physics.masks import PhaseMask, zernike_mask
from dsacq.simulation.frames import FrameRenderer
from dsacq.training.priors import Sampler, aberrated
from dsacq.training.train import Progress, Training
from dsacq.training.validation import Validation

_STRUCTURE_RAD = 1e-3
_KICKED = ((2, 2), (2, -2), (3, 1), (3, -1), (3, 3), (3, -3), (4, 2), (4, -2))


class LearnedTraining(Training):
    """A network and the mask before it, at some step; stops and goes on as any `Training`.

    settings.design must be a LearnedDesign. start: the mask to begin with.
    """

    settings: DesignSettings

    def __init__(self, settings: DesignSettings, start: PhaseMask, device: torch.device) -> None:
        assert isinstance(settings.design, LearnedDesign)
        self._design = settings.design
        start = _kicked(start, settings)
        self._phase = SearchedPhase(start, settings.optics, self._design.order).to(device)
        self._phase.requires_grad_(False)
        sampler = _ThroughPhase(settings, start, self._phase, device)
        super().__init__(settings, start, device, sampler=sampler)
        self._alone = usual_emitter(settings)
        self._descent = torch.optim.Adam(self._phase.parameters(), lr=self._design.step_rad)
        self.mask = self._present()

    @property
    def moving(self) -> bool:
        """Whether the mask is searched at this step."""
        part = self.step / self.settings.training.steps
        return self._design.still <= part < self._design.fixed

    def run(
        self, max_seconds: float = float("inf"), stop: Event | None = None
    ) -> Generator[Progress]:
        """As `Training.run`; `mask` follows."""
        for report in super().run(max_seconds, stop):
            self.mask = self._present()
            yield report

    def model(self, name: str) -> Model:
        """As `Training.model`, for the mask as it is now."""
        self._look_again()
        return super().model(name)

    def _backward(self, loss: Tensor) -> None:
        self._phase.requires_grad_(self.moving)
        if not self.moving:
            super()._backward(loss)
            return
        self._descent.zero_grad(set_to_none=True)
        design = self._design
        whole = loss + design.roughness * self._phase.roughness()
        if design.bound > 0:
            whole = whole + design.bound * self._bound_nm().log()
        super()._backward(whole)
        # Down along a cosine to nothing where it is fixed, as the network's own.
        steps = self.settings.training.steps
        first, last = self._design.still * steps, self._design.fixed * steps
        falling = (1 + np.cos(np.pi * (self.step - first) / (last - first))) / 2
        for group in self._descent.param_groups:
            group["lr"] = self._design.step_rad * falling
        self._descent.step()

    def _capture(self) -> None:
        """Not here: the mask learns through the network's input."""

    def _bound_nm(self) -> Tensor:
        """Mean bound of a single usual emitter over depth, ()."""
        settings = self.settings
        cost: Tensor = cost_nm(
            self._phase(),
            self._phase.pixel_um,
            settings.optics,
            settings.psf,
            FisherDesign(kind="fisher"),
            self._alone,
            torch.Generator(),
        )
        return cost

    def _one_step(self) -> float:
        self._phase.requires_grad_(self.moving)
        return super()._one_step()

    def _measured(self) -> dict[str, Any]:
        self._look_again()
        return super()._measured()

    def _look_again(self) -> None:
        """Frames to measure on, behind the mask as it is now."""
        self.mask = self._present()
        self._validation = Validation(
            self.settings, self.mask, Sampler(self.settings, self.mask, self.device)
        )

    def _present(self) -> PhaseMask:
        return self._phase.mask(
            self._design.slm,
            "learned",
            design="learned",
            start=self.settings.mask.design or str(self.settings.mask.file),
            steps=self.step,
            optics=asdict(self.settings.optics),
        )

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, told = super()._state()
        tensors["phase"] = self._phase.searched.detach().clone()
        for number, kept in self._descent.state_dict()["state"].items():
            tensors |= {f"descent.{number}.{key}": value.clone() for key, value in kept.items()}
        return tensors, told

    def _state_shapes(self) -> dict[str, list[dict[str, tuple[int, ...]]]]:
        searched = tuple(self._phase.searched.shape)
        adam = {"step": (), "exp_avg": searched, "exp_avg_sq": searched}
        return super()._state_shapes() | {"descent": [adam]}

    def _restore(self, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        super()._restore(tensors, told)
        with torch.no_grad():
            self._phase.searched.copy_(tensors["phase"])
        state = self._descent.state_dict()
        state["state"] = {}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "descent":
                number, _, key = rest.partition(".")
                state["state"].setdefault(int(number), {})[key] = value
        self._descent.load_state_dict(state)
        self.mask = self._present()


def _kicked(start: PhaseMask, settings: DesignSettings) -> PhaseMask:
    """The mask, with a random smooth phase if it has no structure."""
    assert isinstance(settings.design, LearnedDesign)
    if start.phase_rad.std() > _STRUCTURE_RAD:
        return start
    draw = np.random.default_rng(settings.training.seed)
    amounts = draw.standard_normal(len(_KICKED))
    amounts *= settings.design.kick_rad / max(float(np.linalg.norm(amounts)), 1e-9)
    kick = zernike_mask(
        replace(settings.optics, mask_pixel_um=start.pixel_um),
        dict(zip(_KICKED, amounts.tolist(), strict=True)),
        shape=(start.phase_rad.shape[0], start.phase_rad.shape[1]),
    )
    return replace(start, phase_rad=start.phase_rad + kick.phase_rad)


class _ThroughPhase(Sampler):
    """Batches through a phase that is searched, by whose gradient they can be changed."""

    def __init__(
        self,
        settings: DesignSettings,
        start: PhaseMask,
        phase: SearchedPhase,
        device: torch.device,
    ) -> None:
        super().__init__(settings, start, device)
        assert isinstance(settings.design, LearnedDesign)
        self._phase, self._panel = phase, settings.design.slm

    def _renderer(self, number: int) -> FrameRenderer:
        """Behind the phase as it is, with the wavefront error, shift and focus of this number."""
        settings, seed = self._settings, self._settings.training.seed
        draw = np.random.default_rng([seed, number, 1])
        none = replace(self._mask, phase_rad=np.zeros_like(self._mask.phase_rad))
        error = aberrated(none, settings.optics, settings.priors.aberration_rad, draw).phase_rad
        focus_um = settings.optics.focus_um + settings.priors.focus_um * draw.standard_normal()
        jitter = torch.Generator(self.device).manual_seed(int(draw.integers(2**62)))
        phase, transmission = shown(self._phase(), self._panel, jitter), None
        if self._panel.fill < 1:
            phase, transmission = with_gaps(phase, self._panel.fill)
        phase = phase + torch.tensor(error, device=self.device)
        crop = settings.training.crop_px
        return FrameRenderer(
            phase,
            replace(settings.optics, focus_um=focus_um),
            (crop, crop),
            settings.psf,
            mask_pixel_um=self._mask.pixel_um,
            transmission=transmission,
            z_range_um=self._z_range_um(),
            margin_px=max(0, -settings.priors.border_px),
        )

    def _counts(self, camera: Camera, photons: Tensor, draw: torch.Generator) -> Tensor:
        return expose_differentiably(camera, photons, draw)
