"""What a network is trained for and how, as the TOML file of `dsacq train` holds it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.config import read_settings
from dsacq.errors import SettingsError
from dsacq.physics.camera import Camera
from dsacq.physics.optics import Optics, Positive
from dsacq.physics.pupil import PsfModel
from dsacq.simulation.background import Background
from dsacq.simulation.brightness import Brightness
from dsacq.simulation.places import NotNegative
from dsacq.simulation.settings import MaskChoice

_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_Count = Annotated[int, Field(ge=1)]
_Fraction = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Motion:
    """What emitters do over the frames that a network sees together.

    on_s: mean time in the bright state, exponential. diffusion_um2_per_s: free, in x, y and z.
    """

    frame_interval_s: Positive
    on_s: Positive
    diffusion_um2_per_s: NotNegative = 0.0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Priors:
    """What frames can look like; each training step draws new ones.

    density_per_um2: the most; each frame draws its own, from a fiftieth of that, log-uniform.
    empty_fraction: of frames without any emitter.
    border_px: kept free of emitters; negative: they lie outside the frame too.
    z_margin_um: emitters beyond the optics' z range, which shine but are not to be found.
    blur_px: range over emitters, by default 0.8 to 1.2 times the PSF model's.
    aberration_rad: rms of a random wavefront error (Zernike modes 5 to 15), of each PSF.
    focus_um: standard deviation of the focus around the optics'.
    """

    density_per_um2: Positive
    photons: Brightness
    background: Background
    empty_fraction: _Fraction = 0.07
    border_px: int = -20
    z_margin_um: NotNegative = 0.2
    blur_px: tuple[NotNegative, NotNegative] | None = None
    aberration_rad: NotNegative = 0.1
    focus_um: NotNegative = 0.03
    motion: Motion | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MixtureChoice:
    """A mixture network: nano for live use on a CPU, small for more precision, full for a GPU.

    frames: how many consecutive ones it sees.
    """

    kind: Literal["mixture"] = "mixture"
    preset: Literal["nano", "small", "full"] = "small"
    frames: Literal[1, 3] = 1


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class VoxelChoice:
    """The voxel network of DeepSTORM3D."""

    kind: Literal["voxel"]
    depth: Annotated[int, Field(ge=1, le=1024)] = 81


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Schedule:
    """How long and how hard.

    steps: in all; the learning rate rises, then falls to nothing along a cosine over them.
    start: a model file to go on from, relative to the settings' folder.
    """

    steps: _Count = 20_000
    batch: _Count = 16
    crop_px: Annotated[int, Field(ge=16, le=1024)] = 96
    learning_rate: Positive = 5e-3
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    start: Path | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TrainingSettings:
    """Every field is a table of the TOML file."""

    optics: Optics
    mask: MaskChoice
    camera: Annotated[Camera, Field(discriminator="kind")]
    priors: Priors
    psf: PsfModel = PsfModel(blur_px=1.0)
    network: Annotated[MixtureChoice | VoxelChoice, Field(discriminator="kind")] = MixtureChoice()
    training: Schedule = Schedule()


def read_training(path: Path) -> TrainingSettings:
    """Read and check the settings of a training. Raises FileError or SettingsError."""
    settings = read_settings(TrainingSettings, path)
    require_consistent(settings, path)
    return settings


def require_consistent(settings: TrainingSettings, path: Path) -> None:
    """Raises SettingsError where tables of a file do not fit together."""
    problem = _problem(settings)
    if problem:
        raise SettingsError(f"{path}: {problem}")


def _problem(settings: TrainingSettings) -> str | None:
    priors, crop = settings.priors, settings.training.crop_px
    if crop <= 2 * priors.border_px:
        return (
            f"priors.border_px = {priors.border_px} leaves no room in training.crop_px = {crop}: "
            "choose a smaller border or larger crops."
        )
    if isinstance(settings.network, MixtureChoice):
        if settings.network.frames > 1 and priors.motion is None:
            return (
                "network.frames = 3 needs a table [priors.motion] that says how long emitters "
                "shine and how they move."
            )
        if settings.network.frames == 1 and priors.motion is not None:
            return "[priors.motion] is for network.frames = 3; a single frame sees no motion."
    return None
