"""Movies with known truth."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsacq.data import Localizations
from dsacq.errors import SettingsError
from dsacq.physics.camera import digitised, expose
from dsacq.physics.masks import PhaseMask
from dsacq.simulation.emitters import Emission, Molecules, new_emitters
from dsacq.simulation.frames import FrameRenderer
from dsacq.simulation.settings import SimulationSettings, area, check

_BATCH_PX = 1 << 22  # pixels simulated at once, in at most _BATCH frames
_BATCH = 16
_ENTERING_PX = 20  # how far outside the frame moving molecules still shine into it


@dataclass(frozen=True)
class SimulatedFrames:
    """Some frames of a movie: pixels (B, H, W) uint16, the first of them frame `first`.

    truth: emitters within these frames, with `track` where molecules last. `photons` are those
    expected at the sensor, `background` those of the emitter's pixel.
    """

    first: int
    pixels: NDArray[np.uint16]
    truth: Localizations


def simulate(
    settings: SimulationSettings, mask: PhaseMask, device: torch.device | str = "cpu"
) -> Generator[SimulatedFrames]:
    """Yield the movie in parts, so that its length needs no memory.

    The same settings, mask and kind of device give the same movie. Raises SettingsError.
    """
    check(settings)
    _check_mask(settings, mask)
    frames, emitters, optics = settings.frames, settings.emitters, settings.optics
    shape, box = frames.shape_px, area(settings)
    draw = torch.Generator(device).manual_seed(frames.seed)
    renderer = FrameRenderer(
        torch.tensor(mask.phase_rad, device=device),
        optics,
        shape,
        settings.psf,
        mask_pixel_um=mask.pixel_um,
        margin_px=max(-emitters.border_px, _ENTERING_PX if emitters.diffusion_um2_per_s else 0, 0),
    )
    molecules = (
        Molecules(emitters, settings.photons, box, frames.frame_interval_s, draw)
        if emitters.lasting
        else None
    )
    steady = settings.background.sample(1, shape, draw) if settings.background.steady else None

    batch = max(1, min(_BATCH, _BATCH_PX // (shape[0] * shape[1])))
    for first in range(0, frames.count, batch):
        count = min(batch, frames.count - first)
        shining = (
            new_emitters(emitters, settings.photons, box, count, draw)
            if molecules is None
            else molecules.next_frames(count)
        )
        background = settings.background.sample(count, shape, draw) if steady is None else steady
        background = background.expand(count, *shape)
        expected = background + renderer.render(
            shining.frame, shining.xyz_um, shining.photons, count, shining.blur_px
        )
        counts = digitised(expose(settings.camera, expected, draw))
        truth = _truth(shining, background, first, optics.pixel_um)
        yield SimulatedFrames(
            first,
            counts.cpu().numpy().astype(np.uint16),
            Localizations.from_columns(
                {"made_by": "simulation", "mask": mask.name, "seed": frames.seed}, **truth
            ),
        )


def _check_mask(settings: SimulationSettings, mask: PhaseMask) -> None:
    optics, samples = settings.optics, mask.phase_rad.shape[1]
    light_um = optics.wavelength_um * optics.focal_4f_um
    wanted = light_um / (mask.pixel_um * optics.magnification * optics.pixel_um)
    if settings.psf.kind == "deepstorm3d" and abs(samples / wanted - 1) > 0.01:
        raise SettingsError(
            f"psf.kind = 'deepstorm3d' draws pixels of the right size only with a mask of about "
            f"{wanted:.0f} samples, and {mask.name} has {samples}: choose another kind or mask."
        )


def _truth(
    shining: Emission, background: Tensor, first: int, pixel_um: float
) -> dict[str, NDArray[Any]]:
    """The columns of the emitters within the frame."""
    pixel = (shining.xyz_um[:, :2] / pixel_um).floor().long()
    size = torch.tensor([background.shape[2], background.shape[1]], device=pixel.device)
    inside = ((pixel >= 0) & (pixel < size)).all(1).nonzero().flatten()
    column, row = pixel[inside].unbind(1)
    frame, xyz_um = shining.frame[inside], shining.xyz_um[inside]
    columns = {
        "frame": frame + first,
        "x_um": xyz_um[:, 0],
        "y_um": xyz_um[:, 1],
        "z_um": xyz_um[:, 2],
        "photons": shining.photons[inside],
        "background": background[frame, row, column],
    }
    if shining.track is not None:
        columns["track"] = shining.track[inside]
    return {name: values.cpu().numpy() for name, values in columns.items()}
