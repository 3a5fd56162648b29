"""The optics file: what a user tells of the microscope behind a movie."""

from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.config import read_settings
from dsacq.physics.camera import Camera
from dsacq.physics.optics import InputScaling, Optics
from dsacq.physics.pupil import PsfModel

USUAL_PSF = PsfModel(blur_px=1.0)  # where nothing tells it


@dataclass(
    frozen=True,
    kw_only=True,
    config=ConfigDict(extra="forbid", arbitrary_types_allowed=True),
)
class OpticsFile:
    """Its tables: [optics], and where they are needed [psf], [camera] and [input].

    psf: the image model that fits use. camera: makes electrons of counts, for fits. input: how an
    imported network wants its frames.
    """

    optics: Optics
    psf: PsfModel | None = None
    camera: Annotated[Camera, Field(discriminator="kind")] | None = None
    input: InputScaling | None = None


def read_optics(path: Path) -> OpticsFile:
    """Read an optics file (TOML). Raises FileError or SettingsError."""
    return read_settings(OpticsFile, path)
