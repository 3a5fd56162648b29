"""What a localizer finds in a batch of frames."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dsacq.data import POSITION


@dataclass(frozen=True)
class Detections:
    """K emitters: image (K,) in the batch, and columns (K,) of a Localizations table by name.

    x_um, y_um, z_um are from the frame's upper-left corner and the coverslip.
    """

    image: Tensor
    columns: dict[str, Tensor]

    @property
    def xyz_um(self) -> Tensor:
        """(K, 3)."""
        return torch.stack([self.columns[name] for name in POSITION], 1)
