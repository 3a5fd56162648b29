"""A movie's frames explained by emitters and background, without a network, to take priors from.

Emitters are found by matching pursuit. The PSF is hardly ever exact, and what it misses of a bright
emitter must not count as more emitters; so a share of the light is taken as noise beside the
camera's, and so is any noise that the camera does not explain.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn.functional import pad

from dsacq.data import Roi
from dsacq.errors import FileError
from dsacq.localize.fitted_frame import FittedFrame, reach_px
from dsacq.localize.localizer import FrameSource
from dsacq.localize.refine import psf_source, refined
from dsacq.localize.search import add_missing
from dsacq.localize.smooth import smooth_background
from dsacq.localize.templates import Templates
from dsacq.microscope import Microscope
from dsacq.physics.camera import (
    IdealCamera,
    read_variance_electrons,
    response,
    to_electrons,
)
from dsacq.physics.fisher import bounds, emitter_jacobian, information
from dsacq.physics.psf import psf_and_gradient
from dsacq.training.photon_transfer import PAIRS, noise_variance

EXAMINED = 8  # frames, or parts of large ones
_LARGEST_PX = 256  # of a part along an axis
_THRESHOLD = 9.0  # signal to noise of the emitters found
_SURELY = 1.3  # times that: blur and neighbours take their share of the signal
_MODEL_ERROR = 0.2  # of the light, where PSF and data may differ
Region = tuple[slice, slice]
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Examined:
    """A part of a frame, explained. All light in photons at the sensor.

    number: of the frame. image, background (H, W). places_px (K, 2): row and column of the emitters
    in it. photons (K,): theirs. noise: variance of the dark pixels over what the camera explains.
    variance: of the noise between the emitters, electrons^2. reach_px: of an emitter's image.
    """

    number: int
    image: NDArray[np.float32]
    background: NDArray[np.float32]
    places_px: Values
    photons: Values
    noise: float
    variance: float
    reach_px: int


def examinations(
    indices: Sequence[int], shape: tuple[int, int], roi: Roi | None = None
) -> list[tuple[int, Region]]:
    """Frames spread over the movie and the part (rows, columns) of each to examine.

    Large frames are looked at in parts, another one each time. Raises SettingsError for a region
    outside the frames.
    """
    rows, columns = (slice(0, size) for size in shape) if roi is None else roi.slices(shape)
    parts = [
        (row, column) for row in split(rows, _LARGEST_PX) for column in split(columns, _LARGEST_PX)
    ]
    order = np.random.default_rng(0).permutation(len(parts))
    visits = min(EXAMINED, len(indices) * len(parts))
    # As many visits to each frame as must be, one after the other: each sees another part.
    numbers = [indices[k * len(indices) // visits] for k in range(visits)]
    return [(number, parts[order[k % len(parts)]]) for k, number in enumerate(numbers)]


def consecutive_pairs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of neighbouring frames, spread over the movie, for `photon_transfer`."""
    starts = np.linspace(0, len(indices) - 2, min(PAIRS, max(0, len(indices) - 1))).round()
    return [(indices[int(k)], indices[int(k) + 1]) for k in np.unique(starts)]


def examine(
    frames: FrameSource,
    chosen: Sequence[tuple[int, Region]],
    microscope: Microscope,
    device: torch.device | str = "cpu",
) -> Generator[Examined]:
    """Explain the chosen parts of frames by emitters and background; yields them in their order.

    Raises FileError for frames that hold what is not a number.
    """
    camera = microscope.camera or IdealCamera()
    made = response(camera)
    source = psf_source(microscope.mask, microscope.optics, microscope.psf, device)
    reach = reach_px(source)
    templates = Templates(source, reach)
    whole_read = torch.tensor(read_variance_electrons(camera), dtype=torch.float32)
    for number, (rows, columns) in chosen:
        counts = torch.from_numpy(frames.frame(number).astype(np.float32))
        if not bool(counts.isfinite().all()):
            raise FileError(
                f"Frame {number}: has pixels that are not finite numbers; take others by --frames."
            )
        electrons = to_electrons(camera, counts)[rows, columns]
        electrons = electrons - made.spurious_electrons
        read = whole_read.expand(frames.shape)[rows, columns]
        expected, noise = _dark_noise(electrons, read, made.excess)
        read = read + max(0.0, noise - expected)
        first = smooth_background(electrons, (_shot(electrons, made.excess) + read).clamp_min(1))
        light = (_smoothed(electrons, 1) - first).clamp_min(0)
        frame = FittedFrame(
            electrons.to(device),
            source,
            read_variance=(read + (_MODEL_ERROR * light) ** 2).to(device),
            excess=made.excess,
            reach=reach,
        )
        # Without a look at other explanations: quick, and good enough for counts and photons.
        add_missing(frame, templates, _THRESHOLD, _THRESHOLD)
        frame.settle(_THRESHOLD, 10, 2)
        found = refined(frame)
        places_px = found.xyz_um[:, [1, 0]].double().cpu().numpy() / microscope.optics.pixel_um
        inside = ((places_px >= 0) & (places_px < electrons.shape)).all(1)
        surface = frame.surface.cpu()
        yield Examined(
            number=number,
            image=(electrons / made.quantum_efficiency).numpy(),
            background=(surface / made.quantum_efficiency).numpy(),
            places_px=places_px[inside],
            photons=found.electrons.double().cpu().numpy()[inside] / made.quantum_efficiency,
            noise=noise / max(expected, 1e-3),
            variance=float((_shot(surface, made.excess) + read).median()),
            reach_px=reach,
        )


def visible_photons(microscope: Microscope, variance: float, reach: int) -> float:
    """What an emitter alone needs to be found at the median depth, over a noise of this variance
    (electrons^2) per pixel; reach: of its image."""
    optics, made = microscope.optics, response(microscope.camera or IdealCamera())
    z_um = torch.linspace(*optics.z_range_um, 9)
    images, gradient = psf_and_gradient(
        torch.from_numpy(microscope.mask.phase_rad),
        pad(z_um[:, None], (2, 0)),
        optics,
        (2 * reach + 1, 2 * reach + 1),
        microscope.psf,
        mask_pixel_um=microscope.mask.pixel_um,
    )
    trials = torch.logspace(1, 6, 101)  # electrons
    excess = 2 if made.excess else 1
    certainty = []
    for electrons in trials:
        jacobian = emitter_jacobian(images, gradient, electrons.expand(len(images)))
        error = bounds(information(jacobian, electrons * images * excess + max(variance, 1e-3)))
        certainty.append(float((electrons / error[:, 3]).median()))
    least = np.interp(_SURELY * _THRESHOLD, certainty, trials.numpy())
    return float(least) / made.quantum_efficiency


def _shot(electrons: Tensor, excess: bool) -> Tensor:
    """Variance of the noise of light."""
    return electrons.clamp_min(0) * (2 if excess else 1)


def split(whole: slice, largest: float) -> list[slice]:
    """Equal parts, none longer than `largest`."""
    size = whole.stop - whole.start
    parts = int(np.ceil(size / largest))
    edges = np.linspace(whole.start, whole.stop, parts + 1).round().astype(int).tolist()
    return [slice(first, last) for first, last in pairwise(edges)]


def _dark_noise(electrons: Tensor, read: Tensor, excess: bool) -> tuple[float, float]:
    """Variance that the camera explains in the darker half of a frame, and the variance there."""
    smooth = _smoothed(electrons, 3)
    dark = smooth <= smooth.median()
    expected = _shot(smooth[dark].mean(), excess) + read[dark].mean()
    return float(expected), noise_variance(electrons.numpy(), dark.numpy())


def _smoothed(image: Tensor, sigma_px: float) -> Tensor:
    return torch.from_numpy(gaussian_filter(image.numpy(), sigma_px))
