"""Phase masks as files: a TIFF of ours that says all, MATLAB, NumPy, tables, and SLM patterns."""

import io
import json
import warnings
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from dsacq.errors import FileError
from dsacq.files.atomic import replacing
from dsacq.files.grey_levels import linear_table, nearest_levels, read_table
from dsacq.files.mask_checks import (
    SMALLEST,
    Pitch,
    Wavelength,
    checked_phase,
    remark_on_size,
    require_below,
    require_fit,
    require_shape,
)
from dsacq.files.matlab import read_matlab
from dsacq.files.names import check_file
from dsacq.files.reading import mapped_array, reading, require_size
from dsacq.files.tiff_pages import check_page
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics

Array = NDArray[Any]

_KIND: Final = "dsacq phase mask"
_STEEPEST_RAD = 1e4  # of files that do not say what they hold
_LONGEST_TABLE = 1 << 28  # bytes of a .csv file
_TIFF = (".tif", ".tiff")
_PATTERN = (".png", ".bmp")


@dataclass(frozen=True)
class _Description:
    """What our TIFF says of its mask, as JSON in its ImageDescription."""

    kind: Literal["dsacq phase mask"]
    pixel_um: Pitch
    wavelength_um: Wavelength
    name: str
    origin: dict[str, Any]


def read_mask(path: Path, *, optics: Optics | None = None, lut: Path | None = None) -> PhaseMask:
    """A phase mask from .tif, .mat, .npy, .csv (rad) or .png, .bmp (8-bit pattern of an SLM).

    optics: gives pitch and wavelength to files that do not say them, which all but our own TIFF
        do not, and must fit the mask: its light has to pass through it.
    lut: CSV of the 256 phases, rad, of the grey levels of a pattern; by default grey/256 * 2 pi.
    Of several arrays in a .mat file, that named mask or phase is taken. Raises FileError.
    """
    with reading(path, "a phase mask"):
        stored, description, origin = _read(path, lut)
    phase = checked_phase(path, stored)
    told = _described(path, description)
    if told is None:
        if optics is None:
            raise FileError(
                f"{path}: does not say its pitch and wavelength; "
                "give the optics file that has mask_pixel_um and wavelength_um."
            )
        _require_radians(path, phase)
        told = _Description(_KIND, optics.mask_pixel_um, optics.wavelength_um, path.stem, origin)
    mask = PhaseMask(phase, told.pixel_um, told.wavelength_um, told.name, told.origin)
    if optics is not None:
        require_fit(path, mask, optics)
        remark_on_size(path, mask, optics)
    return mask


def read_phase(path: Path) -> NDArray[np.float32]:
    """A phase (rows, columns), rad, from any file that `read_mask` reads. Raises FileError."""
    with reading(path, "a phase"):
        stored, _, _ = _read(path, None)
    return checked_phase(path, stored)


def check_mask_file(path: Path) -> None:
    """Refuse what `write_mask` could not write, before the work for it. Raises FileError."""
    if path.suffix.lower() not in _TIFF:
        raise FileError(f"{path}: masks are written as {' or '.join(_TIFF)}; choose that ending.")
    check_file(path)


def write_mask(mask: PhaseMask, path: Path) -> None:
    """Write a float32 TIFF that `read_mask` reads back exactly. Raises FileError, as
    `check_mask_file` too."""
    check_mask_file(path)
    description = json.dumps(
        {
            "kind": _KIND,
            "pixel_um": mask.pixel_um,
            "wavelength_um": mask.wavelength_um,
            "name": mask.name,
            "origin": mask.origin,
        }
    )
    with replacing(path) as partial:
        tifffile.imwrite(
            partial,
            np.asarray(mask.phase_rad, dtype=np.float32),
            photometric="minisblack",
            description=description,
            metadata=None,
        )


def write_slm_pattern(mask: PhaseMask, path: Path, *, levels_per_2pi: int = 256) -> None:
    """Write the phase modulo 2 pi as an 8-bit .png or .bmp, a pixel per sample of the mask.

    A longer optical path is a higher grey level; `levels_per_2pi` (2 to 256) levels make 2 pi, at
    the wavelength of the mask. Raises FileError.
    """
    if not 2 <= levels_per_2pi <= 256:
        raise ValueError(f"levels_per_2pi={levels_per_2pi}: expected 2 to 256")
    if path.suffix.lower() not in _PATTERN:
        raise FileError(f"{path}: patterns are written as {' or '.join(_PATTERN)}.")
    grey = nearest_levels(mask.phase_rad, linear_table(levels_per_2pi))
    with replacing(path) as partial:
        Image.fromarray(grey).save(partial, format=path.suffix[1:].upper())


def write_height_map(mask: PhaseMask, index: float, path: Path) -> None:
    """Write the height, um, of a transparent plate in air that makes the phase modulo 2 pi.

    A plate of refractive index n makes 2 pi (n - 1) height/wavelength, so heights are from 0 to
    wavelength/(n - 1). A float32 TIFF with a pixel per sample, for ImageJ with its scale. Raises
    FileError.
    """
    if index <= 1:
        raise ValueError(f"index={index}: expected more than 1, that of air")
    if path.suffix.lower() not in _TIFF:
        raise FileError(f"{path}: height maps are written as {' or '.join(_TIFF)}.")
    turns = mask.phase_rad.astype(np.float64) / (2 * np.pi)
    height_um = (turns - np.floor(turns)) * mask.wavelength_um / (index - 1)
    with replacing(path) as partial:
        tifffile.imwrite(
            partial,
            height_um.astype(np.float32),
            imagej=True,
            resolution=(1 / mask.pixel_um, 1 / mask.pixel_um),
            metadata={"unit": "um"},
        )


def _read(path: Path, lut: Path | None) -> tuple[Array, str, dict[str, Any]]:
    """Phase in rad, the ImageDescription of a TIFF, where the phase comes from."""
    origin: dict[str, Any] = {"file": path.name}
    ending = path.suffix.lower()
    if ending in _PATTERN:
        phases = linear_table() if lut is None else read_table(lut)
        origin["lut"] = "grey/256 * 2 pi" if lut is None else lut.name
        return phases[_read_pattern(path)], "", origin
    if lut is not None:
        raise FileError(f"{path}: holds phases, so the grey levels in {lut} do not apply to it.")
    if ending in _TIFF:
        return *_read_tiff(path), origin
    if ending == ".mat":
        phase, origin["variable"] = _read_mat(path)
        return phase, "", origin
    if ending == ".npy":
        return _read_npy(path), "", origin
    if ending == ".csv":
        return _read_csv(path), "", origin
    known = " ".join((*_TIFF, ".mat", ".npy", ".csv", *_PATTERN))
    raise FileError(f"{path}: is not a kind of mask file known here ({known}).")


def _read_npy(path: Path) -> Array:
    array = mapped_array(path)
    require_shape(path, array.shape)
    return np.array(array)


def _read_mat(path: Path) -> tuple[Array, str]:
    """The phase and the name of its variable."""
    maps = {
        name: array
        for name, array in read_matlab(path).items()
        if array.ndim == 2 and min(array.shape) >= SMALLEST
    }
    named = [name for name in maps if name.lower() in ("mask", "phase")]
    if not maps:
        raise FileError(
            f"{path}: has no two-dimensional array of real numbers "
            f"of at least {SMALLEST} x {SMALLEST} samples."
        )
    if len(maps) > 1 and len(named) != 1:
        raise FileError(
            f"{path}: has several arrays ({', '.join(maps)}); "
            "save the mask alone or under the name mask."
        )
    name = (named or list(maps))[0]
    return maps[name], name


def _read_tiff(path: Path) -> tuple[Array, str]:
    """The phase and the ImageDescription."""
    with tifffile.TiffFile(path) as file:
        if len(file.pages) > 1:
            raise FileError(f"{path}: has {len(file.pages)} planes; a mask is one.")
        page = file.pages.first
        require_shape(path, page.shape)
        if page.dtype is None or page.dtype.kind != "f":
            raise FileError(
                f"{path}: holds whole numbers; save the phase in rad as 32-bit float, "
                "or a pattern for the SLM as .png or .bmp."
            )
        check_page(page, path)  # what it announces against what it holds
        return page.asarray(), page.description


def _read_csv(path: Path) -> Array:
    require_size(path, _LONGEST_TABLE)
    text = path.read_text(encoding="utf-8-sig")
    head = text[: 1 << 16]
    separator = next((mark for mark in ";\t," if mark in head), None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an empty file: told with its shape
        return np.loadtxt(io.StringIO(text), delimiter=separator, ndmin=2)


def _read_pattern(path: Path) -> NDArray[np.uint8]:
    """Grey levels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(path, formats=("PNG", "BMP"))
    with image:
        require_shape(path, image.size[::-1])
        if image.mode not in ("L", "P", "RGB", "RGBA"):
            raise FileError(f"{path}: is no picture of 8 bits per colour; save it as 8-bit grey.")
        colours = np.asarray(image.convert("RGB"))
    if (colours != colours[..., :1]).any():
        raise FileError(f"{path}: is coloured; a pattern for the SLM is grey.")
    return colours[..., 0]


def _require_radians(path: Path, phase: NDArray[np.float32]) -> None:
    require_below(path, phase, _STEEPEST_RAD)
    high = float(phase.max())
    if high > 2 * np.pi and (phase == np.round(phase)).all():
        raise FileError(
            f"{path}: holds whole numbers up to {high:g}, grey levels rather than rad; "
            "save them as an 8-bit .png."
        )


def _described(path: Path, description: str) -> _Description | None:
    """What a TIFF says of its mask; None when we did not write it."""
    if _KIND not in description:
        return None
    try:
        return TypeAdapter(_Description).validate_json(description)
    except ValidationError:
        raise FileError(f"{path}: its description of the mask is damaged.") from None
