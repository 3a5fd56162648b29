"""Fitting a network to simulated frames, so that it can stop at any time and go on.

With several processes, as torch's launcher starts them, each draws its part of every batch.
"""

import json
import math
import time
from collections.abc import Generator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, distributed

from dsacq.awake import while_awake
from dsacq.config import validated
from dsacq.device import half_pays
from dsacq.errors import FileError, SettingsError
from dsacq.networks.model_file import Model, ModelCard
from dsacq.physics.masks import PhaseMask
from dsacq.training.calibrate import calibrated
from dsacq.training.captured import capture
from dsacq.training.checkpoint import read_checkpoint, require_like, write_checkpoint
from dsacq.training.muon import Muon
from dsacq.training.objective import MixtureObjective, objective
from dsacq.training.priors import Sampler
from dsacq.training.settings import TrainingSettings
from dsacq.training.validation import Measured, Validation
from dsacq.version import software

_OPTIMISER = "muon"
_WARM_UP = 300  # steps, at most a twentieth of all
_WEIGHT_DECAY = 0.01
_LARGEST_GRADIENT = 1.0
_AVERAGED = 0.999  # share of the past in the averaged weights
_REPORTED = 25  # steps between reports of the loss
_MEASURED = 25  # times in a whole training that accuracy is measured
_DIVERGED = 20.0  # loss, beyond ten times the least so far
_RESTARTS = 5


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A moment of a training: mean loss since the last one, and accuracy where it was measured."""

    step: int
    loss: float
    seconds: float
    learning_rate: float
    restarts: int
    validation_loss: float | None = None
    measured: Measured | None = None


@dataclass(frozen=True, kw_only=True)
class _Reached:
    """What a checkpoint tells of where its training stands, among other things."""

    step: Annotated[int, Field(ge=0, lt=2**53)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    restarts: Annotated[int, Field(ge=0, le=_RESTARTS)]
    running: float  # at first, no number
    least: float  # at first, infinite
    history: tuple[Progress, ...]


class Training:
    """A network, its optimiser and averaged weights, at some step.

    Raises SettingsError when `start` is a model of another kind.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        mask: PhaseMask,
        device: torch.device,
        start: Model | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self.settings, self.mask, self.device = settings, mask, device
        self._sampler = Sampler(settings, mask, device) if sampler is None else sampler
        self._objective = objective(settings, self._sampler, start)
        self._network = self._objective.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = deepcopy(self._network).eval().requires_grad_(False)
        self._optimiser = Muon(self._network.parameters(), weight_decay=_WEIGHT_DECAY)
        self._validation: Validation | None = None
        self._captured = False
        self.history: list[Progress] = []
        self.step, self._seconds, self._restarts = 0, 0.0, 0
        self._running, self._least = math.nan, math.inf

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.settings.training.steps

    @while_awake("trains a network")
    def run(self, max_seconds: float = math.inf, stop: Event | None = None) -> Generator[Progress]:
        """Train until all steps are done, the time is over or `stop` is set; yields where it
        stands.

        Raises SettingsError when it diverges again and again.
        """
        if self._validation is None:
            self._validation = Validation(self.settings, self.mask, self._sampler)
        self._capture()
        schedule, begun = self.settings.training, time.perf_counter()
        earlier = self._seconds
        every = max(_REPORTED, schedule.steps // _MEASURED)
        good = self._state()
        losses: list[float] = []
        stop = stop or Event()
        while not (self.finished or stop.is_set()) and time.perf_counter() - begun < max_seconds:
            loss = self._one_step()
            if self._diverges(loss):
                self._restarts += 1
                if self._restarts > _RESTARTS:
                    raise SettingsError(
                        f"training diverged {self._restarts} times, last at step {self.step}: "
                        "choose a lower training.learning_rate or a larger training.batch."
                    )
                restarts = self._restarts
                self._restore(*good)
                self._restarts, losses = restarts, []
                continue
            losses.append(loss)
            measuring = self.step % every == 0 or self.finished
            if measuring or self.step % _REPORTED == 0:
                self._seconds = earlier + time.perf_counter() - begun
                report = Progress(
                    step=self.step,
                    loss=sum(losses) / len(losses),
                    seconds=self._seconds,
                    learning_rate=self._learning_rate(),
                    restarts=self._restarts,
                    **(self._measured() if measuring else {}),
                )
                losses = []
                if measuring:
                    self.history.append(report)
                    good = self._state()
                yield report
        self._seconds = earlier + time.perf_counter() - begun

    def model(self, name: str) -> Model:
        """The averaged network as it is now, calibrated, with what was measured of it."""
        model = calibrated(self._plain_model(name), self.settings, self._sampler, self.device)
        assert self._validation is not None
        measured = self._validation.measure(model, self.device)
        accuracy = {key: _rounded(value) for key, value in asdict(measured).items()}
        model.card.accuracy.update(accuracy)
        return model

    def save(self, path: Path) -> None:
        """Write the checkpoint. Raises FileError."""
        tensors, told = self._state()
        told["settings"] = _plain(self.settings)
        told["history"] = [asdict(report) for report in self.history]
        write_checkpoint(path, tensors, told)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same settings. Raises FileError or SettingsError.

        Only the number of steps may be another: to train longer, or to come to an end sooner.
        """
        tensors, told = read_checkpoint(path)
        if told.get("optimiser") != _OPTIMISER:
            raise SettingsError(
                f"{path}: was begun by another version of dsacq, with another optimiser; "
                "begin anew without --resume."
            )
        given, before = _plain(self.settings), told.get("settings")
        if not isinstance(before, dict) or not isinstance(before.get("training"), dict):
            raise FileError(f"{path}: does not tell its settings; the file is damaged.")
        before["training"]["steps"] = given["training"]["steps"]
        if changed := [key for key in given if given[key] != before.get(key)]:
            raise SettingsError(
                f"{path}: was begun with other settings in [{'], ['.join(changed)}]; give the "
                "settings it was begun with, or begin anew without --resume."
            )
        own = {
            name: one
            for name, one in self._state()[0].items()
            if name.partition(".")[0] not in self._state_shapes()
        }
        require_like(path, tensors, own, self._state_shapes())
        try:
            reached = validated(_Reached, told, str(path))
        except SettingsError as error:  # not the user's: the file's
            raise FileError(str(error)) from None
        self._restore(tensors, told)
        self.history = list(reached.history)

    def _one_step(self) -> float:
        rank, ranks = _place()
        for group in self._optimiser.param_groups:
            group["lr"] = self._learning_rate()
        self._network.train()
        batch = self._sampler.batch(self.step, part=rank, parts=ranks)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half_pays(self.device)):
            loss = self._objective.loss(batch)
        self._optimiser.zero_grad(set_to_none=True)
        self._backward(loss)
        _share([p.grad for p in self._network.parameters() if p.grad is not None], ranks)
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), _LARGEST_GRADIENT)
        self._optimiser.step()
        self.step += 1
        self._update_average()
        value = loss.detach()
        _share([value], ranks)
        return float(value)

    def _backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _update_average(self) -> None:
        past = min(_AVERAGED, self.step / (self.step + 10))
        ours, theirs = (
            [*network.parameters(), *(one for one in network.buffers() if one.is_floating_point())]
            for network in (self._average, self._network)
        )
        torch._foreach_lerp_(ours, theirs, 1 - past)
        for mine, other in zip(self._average.buffers(), self._network.buffers(), strict=True):
            if not mine.is_floating_point():
                mine.copy_(other)

    def _capture(self) -> None:
        """Make steps cheap to launch; a voxel network's volumes outweigh their launches."""
        small = isinstance(self._objective, MixtureObjective)
        if small and self.device.type == "cuda" and not self._captured:
            batch = self._sampler.batch(self.step, part=_place()[0], parts=_place()[1])
            capture(self._network, *self._objective.inputs(batch))
            self._captured = True

    def _learning_rate(self) -> float:
        schedule = self.settings.training
        rising = min(1.0, (self.step + 1) / min(_WARM_UP, 1 + schedule.steps // 20))
        falling = (1 + math.cos(math.pi * self.step / schedule.steps)) / 2
        return float(schedule.learning_rate * rising * falling / 2**self._restarts)

    def _diverges(self, loss: float) -> bool:
        if not math.isfinite(loss):
            return True
        self._running = loss if math.isnan(self._running) else 0.95 * self._running + 0.05 * loss
        self._least = min(self._least, self._running)
        return self._running > _DIVERGED + 10 * abs(self._least)

    def _measured(self) -> dict[str, Any]:
        assert self._validation is not None
        model = self._plain_model("")
        trained = self._objective.network
        self._objective.network = self._average
        loss = self._validation.loss(self._objective.loss)
        self._objective.network = trained
        return {
            "validation_loss": loss,
            "measured": self._validation.measure(model, self.device),
        }

    def _plain_model(self, name: str) -> Model:
        settings, mask = self.settings, self.mask
        card = ModelCard(
            name=name,
            architecture=self._objective.architecture,
            optics=settings.optics,
            psf=settings.psf,
            mask_name=mask.name,
            mask_pixel_um=mask.pixel_um,
            mask_wavelength_um=mask.wavelength_um,
            mask_origin=mask.origin,
            input=self._objective.input,
            camera=settings.camera,
            training={
                **{key: _plain(settings)[key] for key in ("priors", "network", "training")},
                "steps_done": self.step,
                "seconds": round(self._seconds),
            },
            accuracy={},
            software=software(),
        )
        return Model(card, mask, self._average)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"weights.{k}": v.clone() for k, v in self._network.state_dict().items()}
        tensors |= {f"average.{k}": v.clone() for k, v in self._average.state_dict().items()}
        for number, kept in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{key}": value.clone() for key, value in kept.items()}
        return tensors, {
            "step": self.step,
            "seconds": self._seconds,
            "restarts": self._restarts,
            "optimiser": _OPTIMISER,
            "running": self._running,
            "least": self._least,
            "architecture": asdict(self._objective.architecture),
            "input": asdict(self._objective.input),
        }

    def _state_shapes(self) -> dict[str, list[dict[str, tuple[int, ...]]]]:
        """Of what optimisers keep, as `_state` names them."""
        return {"optimiser": self._optimiser.state_shapes()}

    def _restore(self, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self._network.load_state_dict(part("weights."))
        self._average.load_state_dict(part("average."))
        state = self._optimiser.state_dict()
        state["state"] = {}
        for name, value in part("optimiser.").items():
            number, _, key = name.partition(".")
            state["state"].setdefault(int(number), {})[key] = value
        self._optimiser.load_state_dict(state)
        self.step, self._seconds = told["step"], told["seconds"]
        self._restarts, self._running, self._least = (
            told["restarts"],
            told["running"],
            told["least"],
        )


def _place() -> tuple[int, int]:
    """Number of this process among those that train together, and how many they are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def _share(tensors: list[Tensor], ranks: int) -> None:
    """Average over all processes, in place."""
    if ranks > 1:
        for tensor in tensors:
            distributed.all_reduce(tensor)
            tensor /= ranks


def _plain(settings: TrainingSettings) -> dict[str, Any]:
    """Settings as JSON gives them back."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=str))
    return plain


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
