"""The settings of a simulated movie, as its TOML file holds them."""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.config import read_settings
from dsacq.errors import SettingsError
from dsacq.files.mask_library import MASKS
from dsacq.files.masks import read_mask
from dsacq.physics.camera import Camera, ScmosCamera
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics, Positive
from dsacq.physics.pupil import PsfModel
from dsacq.simulation.background import Background
from dsacq.simulation.brightness import Brightness
from dsacq.simulation.emitters import EmitterSettings
from dsacq.simulation.places import Area

_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_Pixels = Annotated[int, Field(ge=4, le=8192)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MaskChoice:
    """The phase mask: a file, relative to the settings' folder, or a design by name."""

    file: Path | None = None
    design: str | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.design is None):
            raise ValueError("file, design: expected one of them")
        if self.design is not None and self.design not in MASKS:
            raise ValueError(f"design={self.design!r}: expected one of {', '.join(MASKS)}")

    def file_in(self, folder: Path) -> Path | None:
        """The file, if it is one, as settings in that folder mean it."""
        return None if self.file is None else folder / self.file


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class FrameSettings:
    """How many frames, of (rows, columns) pixels, from which seed."""

    count: Annotated[int, Field(ge=1)]
    shape_px: tuple[_Pixels, _Pixels]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    frame_interval_s: Positive = 0.1


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SimulationSettings:
    """A simulated movie. Every field is a table of the TOML file."""

    optics: Optics
    mask: MaskChoice
    frames: FrameSettings
    emitters: EmitterSettings
    photons: Brightness
    background: Background
    camera: Annotated[Camera, Field(discriminator="kind")]
    psf: PsfModel = PsfModel()


def read_simulation(path: Path) -> SimulationSettings:
    """Read and check the settings of a movie. Raises FileError or SettingsError."""
    settings = read_settings(SimulationSettings, path)
    try:
        check(settings)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return settings


def check(settings: SimulationSettings) -> None:
    """Whether the tables fit together. Raises SettingsError."""
    shape, border = settings.frames.shape_px, settings.emitters.border_px
    if min(shape) <= 2 * border:
        raise SettingsError(
            f"emitters.border_px = {border} leaves no room in frames.shape_px = {list(shape)}: "
            "choose a smaller border or larger frames."
        )
    low, high = settings.emitters.place.heights_um(area(settings))
    if low < settings.optics.z_range_um[0] - 1e-6 or high > settings.optics.z_range_um[1] + 1e-6:
        raise SettingsError(
            f"emitters.place reaches from z = {low:.3g} to {high:.3g} um, outside "
            f"optics.z_range_um = {list(settings.optics.z_range_um)}: widen that range or move "
            "the emitters."
        )
    if isinstance(settings.camera, ScmosCamera):
        for name in ("offset_adu", "gain_adu_per_electron", "read_variance_adu2"):
            size = np.shape(getattr(settings.camera, name))
            if size not in ((), shape):
                raise SettingsError(
                    f"camera.{name} is a map of {size}, but frames.shape_px is {list(shape)}: "
                    "give a map of the frames' shape, or one number."
                )


def area(settings: SimulationSettings) -> Area:
    """The box of the emitters."""
    rows, columns = settings.frames.shape_px
    pixel, border = settings.optics.pixel_um, settings.emitters.border_px
    return Area(
        border * pixel,
        border * pixel,
        (columns - border) * pixel,
        (rows - border) * pixel,
        settings.optics.z_range_um,
    )


def chosen_mask(choice: MaskChoice, optics: Optics, folder: Path) -> PhaseMask:
    """The mask that the settings name; `folder` holds the settings. Raises FileError."""
    if choice.file is not None:
        return read_mask(folder / choice.file, optics=optics)
    assert choice.design is not None
    make, _ = MASKS[choice.design]
    return make(optics)
