"""What a bead scan must be to be trusted, and which way its focus moved."""

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibration.bead_scan import BeadScan
from calibration.retrieve import Progress, Retrieved, RetrieveSettings, retrieve
from calibration.twin import twin_px
from dsacq.errors import SettingsError
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel

Floats = NDArray[np.float64]

LEAST_PHOTONS = 2000.0  # in the median plane

_SAME_PX = 4  # pixels of one plane at the same highest value
_ROUNDING = 1e-6
_FALL = 0.25  # of the photons of the median plane
_BLEACHED = 0.6  # of the light of the first third of the planes, in the last
_SURELY = 3.0  # standard errors
_GOOD_CORRELATION, _GOOD_CHI_SQUARE = 0.98, 1.3
_DRIFT_NM = 100.0
_TRIAL = 0.25  # of the passes, for each direction of the focus
_SUSPICIOUS = 0.95  # chi-square of the other direction over that of the one told


def retrieve_settings(optics: Optics, passes: int = RetrieveSettings.passes) -> RetrieveSettings:
    """As fine as 100 samples across the pupil; the mask's own pitch where that is coarser."""
    pitch_um = max(optics.pupil_diameter_um / 100, optics.mask_pixel_um)
    return RetrieveSettings(passes=passes, pupil_pixel_um=pitch_um)


def require_usable(scan: BeadScan) -> None:
    """Raises SettingsError for a scan that cannot give a PSF, as `problem_of` says. For whatever is
    made of its images."""
    for one in scan.singles:
        problem = problem_of(one)
        if problem:
            raise SettingsError(f"The bead scan cannot be used: {problem}.")


def problem_of(scan: BeadScan) -> str:
    """Why the images of a bead cannot give a PSF, for a sentence; "" where they can."""
    if not (np.isfinite(scan.planes).all() and np.isfinite(scan.focus_um).all()):
        return "it has values that are no finite numbers; give pictures and positions"
    plane = saturated_plane(scan.planes, scan.saturated)
    if plane is not None:
        return f"saturated in plane {plane}, take less light"
    steps = np.diff(scan.focus_um)
    if not (np.all(steps > 0) or np.all(steps < 0)):
        return "the focus goes back and forth; give its positions in the order of the planes"
    same = np.flatnonzero((np.diff(scan.planes, axis=0) == 0).all((1, 2)))
    if len(same):
        return (
            f"planes {same[0]} and {same[0] + 1} are the same picture, as when a frame is lost; "
            "take it again"
        )
    photons = max(float(np.median(bead_light(scan)[0])), 0.0)
    if photons < LEAST_PHOTONS:
        return (
            f"too dim, about {photons:.0f} photons in a plane; {LEAST_PHOTONS:.0f} are needed, "
            "better 100 000"
        )
    return ""


def saturated_plane(planes: NDArray[np.floating], saturated: float | None = None) -> int | None:
    """The first of the planes (K, H, W) with a pixel at `saturated`, or with several at the highest
    value of all, which chance does not make: cameras clip below what their counts could hold."""
    clipped = (planes == planes.max()).sum((1, 2)) >= _SAME_PX
    if saturated is not None:
        clipped |= (planes >= saturated * (1 - _ROUNDING)).any((1, 2))
    return int(clipped.argmax()) if clipped.any() else None


def light_doubt(photons: NDArray[np.floating], error: Floats | float = 0.0) -> str:
    """What is odd about a bead's light (K,) in the planes of its scan, in a sentence, or ""."""
    doubtful = _SURELY * np.broadcast_to(error, photons.shape)
    faint = np.flatnonzero(photons + doubtful < _FALL * np.median(photons))
    if len(faint):
        return (
            f"In {len(faint)} planes, the first is {faint[0]}, the bead has less than a quarter of "
            "its usual light: it bleached, left, or the shutter was closed."
        )
    third = max(len(photons) // 3, 1)
    first, last = photons[:third], photons[-third:]
    if np.median(last + doubtful[-third:]) < _BLEACHED * np.median(first - doubtful[:third]):
        left = max(float(np.median(last) / np.median(first)), 0.0)
        return (
            f"The bead's light falls to {100 * left:.0f} % from the first planes to the last: it "
            "bleached, or its images are larger than the square."
        )
    return ""


def scan_doubts(scan: BeadScan) -> list[str]:
    """What speaks against images that can be used, each in a sentence."""
    told = [light_doubt(*bead_light(one)) for one in scan.singles]
    return _numbered(told) + twin_doubts(scan)


def twin_doubts(scan: BeadScan) -> list[str]:
    """Where one bead should be and two are, each in a sentence."""
    told = []
    for one in scan.singles:
        away_px = twin_px(levelled(one.planes, curved=True)[0])
        told.append(
            ""
            if away_px is None
            else f"At every focus there is the same image once more, {away_px:.0f} px away: two "
            "beads, or the scan is too short to tell."
        )
    return _numbered(told)


def _numbered(told: list[str]) -> list[str]:
    """What was told of beads, "" for nothing, with the bead's number where there are several."""
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
            f"{found.chi_square:.2f}): check the counts per photon, that one bead alone is in the "
            "images, or try the vectorial model."
        )
    of_each = np.split(found.photons, len(found.centre_um))
    return told + _numbered([light_doubt(photons) for photons in of_each])


def levelled(planes: NDArray[np.floating], *, curved: bool = False) -> tuple[Floats, Floats]:
    """Planes (K, H, W) above the slope through each one's border, or the paraboloid, which takes
    away what is wide of the image too; and the noise (K,) of a pixel of the border."""
    values = planes.astype(np.float64)
    rows, columns = values.shape[1:]
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    border = np.ones((rows, columns), bool)
    border[2:-2, 2:-2] = False
    basis = np.stack((np.ones_like(x), x, y, x**2, x * y, y**2)[: 6 if curved else 3])
    found, *_ = np.linalg.lstsq(basis[:, border].T, values[:, border].T, rcond=None)
    above = values - np.tensordot(found.T, basis, 1)
    above -= np.median(above[:, border], 1)[:, None, None]
    return above, 1.4826 * np.median(abs(above[:, border]), 1)


def bead_light(scan: BeadScan) -> tuple[Floats, Floats]:
    """(K,) photons above the border of each plane, and their standard errors."""
    above, noise = levelled(scan.planes)
    rows, columns = above.shape[1:]
    pixels, border = rows * columns, rows * columns - (rows - 4) * (columns - 4)
    error = noise * np.sqrt(pixels + pixels**2 * (np.pi / 2) / border)  # pi / 2: of a median
    return above.sum((1, 2)) / scan.counts_per_photon, error / scan.counts_per_photon
