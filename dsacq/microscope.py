"""The microscope behind a movie, from all that tells of it.

An optics file comes first, then what the movie says, which is everything for a recording of dsacq,
then what is to be used on the movie: a model, say. What stands beside a mask that was measured on
beads tells the PSF model first of all, and the optics last: the beads may have had another focus.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dsacq.config import validated
from dsacq.errors import FileError, SettingsError
from dsacq.files.camera_maps import with_maps
from dsacq.files.change_remarks import change_remarks
from dsacq.files.masks import read_mask
from dsacq.files.measured_psf import measured_file, read_measured_psf
from dsacq.files.movies import Movie
from dsacq.files.recording import FACTS, MASK, changes_of, is_recording, read_facts
from dsacq.networks.model_file import Model
from dsacq.physics.camera import Camera
from dsacq.physics.masks import LIKE, PhaseMask, likeness
from dsacq.physics.optics import Optics, differing_fields
from dsacq.physics.optics_file import USUAL_PSF, OpticsFile, read_optics
from dsacq.physics.pupil import PsfModel

_PIXEL_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class Microscope:
    """What takes the frames. camera: None where nothing tells it. name: of what is made for it."""

    mask: PhaseMask
    optics: Optics
    psf: PsfModel
    camera: Camera | None
    name: str = ""


def microscope_of(model: Model) -> Microscope:
    """That the model was made for."""
    card = model.card
    return Microscope(model.mask, card.optics, card.psf, card.camera, f"the model {card.name}")


@dataclass(frozen=True, eq=False)
class _Told:
    """What one source tells. mask: its file."""

    source: Path
    optics: Optics | None = None
    psf: PsfModel | None = None
    camera: Camera | None = None
    mask: Path | None = None


def microscope_behind(
    movie: Movie,
    *,
    wanted: Microscope | None = None,
    mask: Path | None = None,
    optics: Path | None = None,
) -> tuple[Microscope, list[str]]:
    """The microscope, and sentences on what the user should know of how it was found.

    wanted: by what is to be used on the movie, as a model is; its mask is taken, unless another is
    given. mask, optics: files. Raises FileError; SettingsError where mask or optics are not told,
    and where the optics are not those wanted.
    """
    remarks: list[str] = []
    recorded = _recorded(movie, remarks)
    remarks_on_camera = bool(remarks)
    if is_recording(movie.path):
        remarks += change_remarks(changes_of(movie.path, read_facts(movie.path)))
    told = [recorded] if optics is None else [_of_file(optics), recorded]
    camera = next((one.camera for one in told if one.camera is not None), None)
    if camera is None and wanted is not None:
        camera = wanted.camera
        # Where its maps cannot be read that is said already.
        if camera is not None and is_recording(movie.path) and not remarks_on_camera:
            remarks.append(
                f"{_name(movie)} does not tell its camera's noise: that which {wanted.name} was "
                "made for is taken; measure it with `dsacq calibrate camera`, and new recordings "
                "will tell it."
            )
    if wanted is not None:
        told.append(_Told(movie.path, wanted.optics, wanted.psf))
    measured = None
    if mask is not None:
        measured = read_measured_psf(mask)
        told.append(_Told(measured_file(mask), measured.optics))
    source, own = next(
        ((one.source, one.optics) for one in told if one.optics is not None), (None, None)
    )
    if own is None or source is None:
        raise SettingsError(
            f"{_name(movie)} does not tell the optics that took it: give an optics file, a mask "
            "measured on beads, or a model."
        )
    if wanted is not None and (different := differing_fields(own, wanted.optics)):
        raise SettingsError(
            f"{wanted.name} was made for other optics than {source.name}: {'; '.join(different)}. "
            "Use one made for these optics."
        )
    if mask is not None and source == measured_file(mask):
        remarks.append(
            f"{_name(movie)} does not tell its optics: those of the beads are taken, "
            f"focus_um = {own.focus_um:g} and z_range_um = {list(own.z_range_um)} among them; give "
            "an optics file where the movie had others."
        )
    stated = movie.metadata.get("pixel_um")
    if isinstance(stated, float) and abs(stated / own.pixel_um - 1) > _PIXEL_TOLERANCE:
        remarks.append(
            f"{_name(movie)} states a pixel of {stated:.4g} um, but {own.pixel_um:.4g} um is "
            "used; positions are wrong if the file is right."
        )
    psf = next((one.psf for one in (measured, *told) if one and one.psf), USUAL_PSF)
    if wanted is not None and mask is None and recorded.mask is not None:
        remarks += _of_another_mask(movie, wanted, recorded.mask, own)
    return Microscope(_mask(movie, mask, wanted, recorded, own), own, psf, camera), remarks


def _name(movie: Movie) -> str:
    return movie.path.resolve().name  # "." has none


def _of_another_mask(movie: Movie, wanted: Microscope, file: Path, optics: Optics) -> list[str]:
    """A sentence where a recording was taken through another mask than what it is used with."""
    try:
        shown = read_mask(file, optics=optics)
    except FileError as error:  # it is compared only
        return [f"{error} Whether {wanted.name} was made for this mask is not known."]
    if likeness(wanted.mask, shown) >= LIKE:
        return []
    return [
        f"{wanted.name} was made for the mask {wanted.mask.name}, but {_name(movie)} was taken "
        f"through {shown.name}: positions are wrong unless the two are alike."
    ]


def _mask(
    movie: Movie, given: Path | None, wanted: Microscope | None, recorded: _Told, optics: Optics
) -> PhaseMask:
    if given is None and wanted is not None:
        return wanted.mask
    if (file := given or recorded.mask) is not None:
        return read_mask(file, optics=optics)
    raise SettingsError(
        f"{_name(movie)} does not tell the phase mask that it was taken through: give the "
        "mask's file, or a model."
    )


def _of_file(path: Path) -> _Told:
    told = read_optics(path)
    return _Told(path, told.optics, told.psf, told.camera)


def _recorded(movie: Movie, remarks: list[str]) -> _Told:
    """What the movie tells."""
    path = movie.path
    if not is_recording(path):
        optics = movie.metadata.get("optics")
        known = validated(Optics, optics, str(path)) if isinstance(optics, dict) else None
        return _Told(path, known)
    about = read_facts(path).about
    rig, noise = about.get("rig"), about.get("noise")
    if not isinstance(rig, dict):
        return _Told(path)
    values = {name: rig[name] for name in ("optics", "psf") if rig.get(name) is not None}
    if isinstance(noise, dict):
        values["camera"] = _with_maps(path, noise, movie.shape, remarks)
    told = validated(OpticsFile, values, str(path / FACTS))
    binning = about.get("binning", 1)
    optics = replace(told.optics, camera_pixel_um=told.optics.camera_pixel_um * binning)
    mask = path / MASK
    return _Told(path, optics, told.psf, told.camera, mask if mask.is_file() else None)


def _with_maps(
    folder: Path, table: dict[str, Any], shape_px: tuple[int, int], remarks: list[str]
) -> dict[str, Any] | None:
    """The camera's table with its maps; None, with a remark, where one is not there."""
    try:
        camera = with_maps(table, folder)
        for name, value in camera.items():
            if isinstance(value, np.ndarray) and value.shape != shape_px:
                raise FileError(f"{folder}: {name} is not a map of the frames' pixels.")
    except FileError as error:
        remarks.append(f"{error} The camera's noise is not taken from the recording.")
        return None
    return camera
