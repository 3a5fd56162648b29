"""What is to be trained: settings from the rig, from a file, or measured on a recording."""

from collections.abc import Generator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dsacq.config import read_toml
from dsacq.errors import FileError, SettingsError

if TYPE_CHECKING:
    from dsacq.physics.camera import Camera
    from dsacq.physics.masks import PhaseMask
    from dsacq.training.settings import TrainingSettings
    from hardware.rig_file import RigSettings

_DENSITY_PER_UM2 = 0.35
_PHOTONS = 1500.0, 60_000.0
_BACKGROUND = 5.0, 120.0
_STEPS = 12_000
_SHIFT_PX = 0.3  # by which a learned mask may lie off the pupil, samples of the mask


@dataclass(frozen=True, eq=False)
class Plan:
    """settings: where they name a mask, `mask` is meant. comments: on values, by dotted key.
    remarks: sentences that the user should read. source: where the priors come from."""

    settings: "TrainingSettings"
    mask: "PhaseMask"
    source: str
    comments: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def learns_mask(self) -> bool:
        """Whether the mask is learned too."""
        from dsacq.design.settings import DesignSettings

        return isinstance(self.settings, DesignSettings)


@dataclass(frozen=True)
class Examining:
    """Parts of frames examined, of how many."""

    done: int
    total: int


def plan_of_rig(rig: "RigSettings", noise: "Camera | None", mask: "PhaseMask") -> Plan:
    """For this rig and a mask on its SLM, with priors that hold for many samples."""
    from dsacq.physics.camera import ScmosCamera, without_maps
    from dsacq.simulation.background import Constant
    from dsacq.simulation.brightness import LogUniform
    from dsacq.simulation.settings import MaskChoice
    from dsacq.training.settings import MixtureChoice, Priors, Schedule, TrainingSettings

    remarks = ["Photons, density and background are guesses; take them from a recording."]
    if noise is None:
        remarks.append("The rig file has no [noise]; a usual sCMOS camera is assumed.")
    settings = TrainingSettings(
        optics=rig.optics,
        mask=MaskChoice(file=Path("mask.tif")),
        psf=rig.psf,
        camera=ScmosCamera() if noise is None else without_maps(noise),
        network=MixtureChoice(preset="nano"),
        priors=Priors(
            density_per_um2=_DENSITY_PER_UM2,
            photons=LogUniform(low=_PHOTONS[0], high=_PHOTONS[1]),
            background=Constant(photons=_BACKGROUND, roughness=0.5, roughness_px=40.0),
        ),
        training=Schedule(steps=_STEPS),
    )
    return Plan(settings, mask, "the rig", remarks=tuple(remarks))


def plan_of_file(path: Path) -> Plan:
    """As a file of `dsacq train`, `estimate` or `design` says. Raises FileError, SettingsError."""
    from dsacq.design.settings import DesignSettings, FisherDesign, read_training_or_design
    from dsacq.simulation.settings import chosen_mask

    settings = read_training_or_design(path)
    if isinstance(settings, DesignSettings) and isinstance(settings.design, FisherDesign):
        raise SettingsError(
            f"{path.name}: design.kind = 'fisher' trains no network; "
            "use Design in the Mask tab, or dsacq design."
        )
    mask = chosen_mask(settings.mask, settings.optics, path.parent)
    if (start := settings.training.start) is not None:
        settings = replace(
            settings, training=replace(settings.training, start=(path.parent / start).resolve())
        )
    return Plan(settings, mask, path.name)


def measured_plan(plan: Plan, recording: Path) -> "Generator[Examining | Plan]":
    """A plan with the priors that a recording of the same microscope shows; it comes last.

    Raises FileError or SettingsError.
    """
    from dsacq.device import chosen_device
    from dsacq.files.movies import open_movie
    from dsacq.microscope import Microscope, microscope_behind
    from dsacq.training.chosen_priors import chosen_priors, comments, remarks
    from dsacq.training.estimate_movie import estimate_movie, parts_of
    from dsacq.training.examine import Examined

    settings = plan.settings
    wanted = Microscope(
        plan.mask, settings.optics, settings.psf, settings.camera, "what is to be trained"
    )
    with open_movie(recording) as movie:
        behind, told = microscope_behind(movie, wanted=wanted)
        microscope = replace(behind, psf=settings.psf)
        indices = range(len(movie))
        total, done = len(parts_of(movie, indices)), 0
        yield Examining(0, total)
        for item in estimate_movie(movie, indices, microscope, chosen_device("auto")):
            if isinstance(item, Examined):
                done += 1
                yield Examining(done, total)
            else:
                yield replace(
                    plan,
                    settings=replace(settings, priors=chosen_priors(item)),
                    source=recording.name,
                    comments=comments(item),
                    remarks=(*told, *remarks(item, microscope.camera)),
                )


def with_learned_mask(plan: Plan, learned: bool) -> Plan:
    """The plan of a training alone, or of one that changes the mask as well."""
    from dsacq.design.settings import DesignSettings, LearnedDesign, Panel
    from dsacq.training.settings import TrainingSettings

    if learned == plan.learns_mask:
        return plan
    own = plan.settings
    tables = {one.name: getattr(own, one.name) for one in fields(TrainingSettings)}
    if not learned:
        return replace(plan, settings=TrainingSettings(**tables))
    design = LearnedDesign(kind="learned", slm=Panel(shift_px=_SHIFT_PX))
    return replace(plan, settings=DesignSettings(**tables, design=design))


def learns_mask(config: Path) -> bool:
    """Whether a file, written by `write_plan`, is of a training that changes the mask as well."""
    try:
        return "design" in read_toml(config)
    except FileError:  # what is wrong is told by the command that reads it
        return False


def write_plan(plan: Plan, config: Path) -> None:
    """Settings and mask beside each other, for `dsacq train` or `design`. Raises FileError."""
    from dsacq.files.masks import write_mask
    from dsacq.simulation.settings import MaskChoice
    from dsacq.training.config_file import write_training

    mask = config.with_name(f"{config.stem}.mask.tif")
    write_mask(plan.mask, mask)
    settings = replace(plan.settings, mask=MaskChoice(file=Path(mask.name)))
    command, made = ("design", ".tif") if plan.learns_mask else ("train", ".safetensors")
    heading = (
        f"Priors from {plan.source}.\n\n  dsacq {command} {config.name} -o {config.stem}{made}"
    )
    write_training(settings, config, plan.comments, heading)
