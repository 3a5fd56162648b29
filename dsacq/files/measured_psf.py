"""What stands beside a phase that was measured on beads: the optics and the PSF model it is for."""

from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from dsacq.config import validated
from dsacq.errors import FileError
from dsacq.files.paths import is_there
from dsacq.files.reading import read_json
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel

KIND = "dsacq psf"
T = TypeVar("T")


class MeasuredPsf(NamedTuple):
    """None for what is not told, and for a mask that was not measured. psf: with its blur."""

    optics: Optics | None = None
    psf: PsfModel | None = None


def measured_file(mask: Path) -> Path:
    """Where it stands."""
    return mask.with_suffix(".json")


def read_measured_psf(mask: Path) -> MeasuredPsf:
    """Of a mask file. Raises FileError and SettingsError for a file beside it that is damaged."""
    beside = measured_file(mask)
    if not is_there(beside, Path.is_file):
        return MeasuredPsf()
    told = read_json(beside, "the result of a calibration")
    if told.get("kind", KIND) != KIND:
        return MeasuredPsf()
    return MeasuredPsf(
        _table(Optics, told, "optics", beside), _table(PsfModel, told, "psf", beside)
    )


def _table(kind: type[T], told: dict[str, Any], name: str, path: Path) -> T | None:
    if name not in told:
        return None
    if not isinstance(told[name], dict):
        raise FileError(f"{path}: its {name} is no table of settings; the file is damaged.")
    return validated(kind, told[name], f"{path}: {name}")
