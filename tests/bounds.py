"""How precisely emitters behind a mask can be localized, in one number per axis."""

import torch
from torch import Tensor

from dsacq.physics.fisher import crlb
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel


def mean_bounds_nm(mask: PhaseMask, optics: Optics) -> Tensor:
    """Means over 17 depths of the bounds of x, y, z for 10 000 photons on 50 per pixel."""
    xyz_um = torch.zeros(17, 3)
    xyz_um[:, 2] = torch.linspace(*optics.z_range_um, 17)
    bound = crlb(
        torch.from_numpy(mask.phase_rad),
        xyz_um,
        optics,
        (61, 61),
        PsfModel(blur_px=1.0),
        photons=1e4,
        background=50.0,
        mask_pixel_um=mask.pixel_um,
    )
    return 1000 * bound[:, :3].mean(0)
