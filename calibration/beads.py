"""What a bead scan must be to be trusted, and which way its focus moved."""

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibration.bead_scan import BeadScan
from calibration.retrieve import Progress, Retrieved, RetrieveSettings, retrieve
from dsacq.errors import SettingsError
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel

SATURATED_PX = 4  # pixels of one plane at the same highest value
LEAST_PHOTONS = 2000.0
_FALL = 0.25  # of the photons of the median plane
_GOOD_CORRELATION, _GOOD_CHI_SQUARE = 0.98, 1.3
_DRIFT_NM = 100.0
_TRIAL = 0.25  # of the passes, for each direction of the focus
_SUSPICIOUS = 0.95  # chi-square of the other direction over that of the one told


def retrieve_settings(optics: Optics, passes: int = RetrieveSettings.passes) -> RetrieveSettings:
    """As fine as 100 samples across the pupil; the mask's own pitch where that is coarser."""
    pitch_um = max(optics.pupil_diameter_um / 100, optics.mask_pixel_um)
    return RetrieveSettings(passes=passes, pupil_pixel_um=pitch_um)


def require_usable(scan: BeadScan) -> None:
    """Raises SettingsError for a scan that cannot give a PSF: saturated, dark, unordered, or with
    the same picture at several positions. For whatever is made of its images."""
    for one in scan.singles:
        _require_usable(one)


def _require_usable(scan: BeadScan) -> None:
    if not (np.isfinite(scan.planes).all() and np.isfinite(scan.focus_um).all()):
        raise SettingsError(
            "The bead scan has values that are no finite numbers; give pictures and positions."
        )
    top = scan.planes.max()
    at_top = (scan.planes == top).sum((1, 2))
    if at_top.max() >= SATURATED_PX:
        raise SettingsError(
            f"Plane {int(at_top.argmax())} of the bead scan is saturated: {int(at_top.max())} "
            f"pixels have the highest value, {top:g}; take it again with less light."
        )
    steps = np.diff(scan.focus_um)
    if not (np.all(steps > 0) or np.all(steps < 0)):
        raise SettingsError(
            "The positions of the focus go back and forth; give them in the order of the planes."
        )
    same = np.flatnonzero((np.diff(scan.planes, axis=0) == 0).all((1, 2)))
    if len(same):
        raise SettingsError(
            f"Planes {same[0]} and {same[0] + 1} of the bead scan are the same picture, as when a "
            "frame is lost; take it again."
        )
    photons = above_background(scan.planes) / scan.counts_per_photon
    if np.median(photons) < LEAST_PHOTONS:
        raise SettingsError(
            f"The bead gives about {max(np.median(photons), 0):.0f} photons per plane; a scan "
            f"needs {LEAST_PHOTONS:.0f}, better 100 000."
        )


def light_doubt(photons: NDArray[np.floating]) -> str:
    """What is odd about a bead's light (K,) in the planes of its scan, in a sentence, or ""."""
    faint = np.flatnonzero(photons < _FALL * np.median(photons))
    if not len(faint):
        return ""
    return (
        f"In {len(faint)} planes, the first is {faint[0]}, the bead has less than a quarter of its "
        "usual light: it bleached, left, or the shutter was closed."
    )


def scan_doubts(scan: BeadScan) -> list[str]:
    """What speaks against images that are used as they are, each in a sentence."""
    told = [light_doubt(above_background(one.planes)) for one in scan.singles]
    return [
        f"Bead {number}: {doubt}" if len(told) > 1 else doubt
        for number, doubt in enumerate(told)
        if doubt
    ]


def retrieve_checked(
    scan: BeadScan, optics: Optics, model: PsfModel, settings: RetrieveSettings
) -> Generator[Progress, None, tuple[Retrieved, float]]:
    """Retrieve, after shorter searches with the focus as told and the other way.

    Returns what was found with the focus as told, and the chi-square of the other direction over
    that of this one in the shorter searches. A scalar PSF with its bead on the coverslip fits both
    ways equally well, with the phase turned by 180 degrees and negated; only the vectorial model
    tells them apart.
    """
    short = replace(settings, passes=max(1, int(_TRIAL * settings.passes)))
    of, done = 2 * short.passes + settings.passes, 0
    chi_square = []
    for images in (scan, scan.reversed()):
        tried = yield from _counted(retrieve(images, optics, model, settings=short), done, of)
        chi_square.append(tried.chi_square)
        done += short.passes
    found = yield from _counted(retrieve(scan, optics, model, settings=settings), done, of)
    return found, chi_square[1] / chi_square[0]


def _counted(
    search: Generator[Progress, None, Retrieved], before: int, of: int
) -> Generator[Progress, None, Retrieved]:
    """The search as a part of a longer one."""
    while True:
        try:
            progress = next(search)
        except StopIteration as end:
            found: Retrieved = end.value
            return found
        yield Progress(before + progress.passes, of, progress.chi_square)


def doubts(found: Retrieved, other_direction: float = 1.0, moved_nm: float = 0.0) -> list[str]:
    """What speaks against a result, each in a sentence; nothing for a good one.

    other_direction: chi-square of the other direction over that of this one. moved_nm: the drift
    of the sample during the scan.
    """
    told = []
    if moved_nm > _DRIFT_NM:
        told.append(
            f"The sample moved sideways by {moved_nm:.0f} nm during the scan, which was taken into "
            "account as an even drift: let the stage come to rest, and scan again."
        )
    if other_direction < _SUSPICIOUS:
        told.append(
            f"The images fit better (chi-square {other_direction:.2f} times this) if the focus "
            "moved the other way than was told: check it, as a wrong direction turns z around."
        )
    correlation = float(np.median(found.correlation))
    if correlation < _GOOD_CORRELATION:
        told.append(
            f"The model explains the planes poorly (median correlation {correlation:.3f}, expected "
            f"{_GOOD_CORRELATION} or more for a bright bead): check optics, focus positions, and "
            "that one bead alone is in the images."
        )
    if found.chi_square > _GOOD_CHI_SQUARE:
        told.append(
            "The images differ from the model by more than noise (chi-square per pixel "
            f"{found.chi_square:.2f}): check the counts per photon, or try the vectorial model."
        )
    # Of each bead its own planes.
    faint = map(light_doubt, np.split(found.photons, len(found.centre_um)))
    told += [doubt for doubt in faint if doubt][:1]
    return told


def above_background(planes: NDArray[np.floating]) -> NDArray[np.float64]:
    """(K,) counts above the median of each plane's border."""
    planes = planes.astype(np.float64)
    sides = (planes[:, :2], planes[:, -2:], planes[:, 2:-2, :2], planes[:, 2:-2, -2:])
    border = np.concatenate([side.reshape(len(planes), -1) for side in sides], 1)
    above = (planes - np.median(border, 1)[:, None, None]).sum((1, 2))
    return np.asarray(above)
