"""Images of beads at many positions of the focus."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsacq.errors import SettingsError

Floats = NDArray[np.floating[Any]]

LEAST_PLANES = 3


@dataclass(frozen=True, kw_only=True)
class BeadScan:
    """Images of one bead, or of several through which the light takes the same phase.

    planes: (K, H, W) counts, bead near the middle; the camera's offset may be left in, as it is
    part of the background. focus_um: (K,) travel of the objective, larger is deeper.
    counts_per_photon: of the camera, twice its gain for an EMCCD. radius_um: of the beads, which
    lie on the coverslip. bead: (K,) number of the bead in each plane, from 0; None for a single
    one. The planes of a bead come together, in the order in which they were taken. drift_px: (x, y)
    by which the sample moved from a bead's first plane to its last, evenly. saturated: least count
    of a saturated pixel, where it is known.
    """

    planes: Floats
    focus_um: Floats
    counts_per_photon: float = 1.0
    radius_um: float = 0.05
    bead: NDArray[np.intp] | None = None
    drift_px: tuple[float, float] = (0.0, 0.0)
    saturated: float | None = None

    def __post_init__(self) -> None:
        if self.planes.ndim != 3 or len(self.planes) != len(self.focus_um):
            raise ValueError(
                f"planes of shape {self.planes.shape}: expected (K, H, W) for "
                f"{len(self.focus_um)} positions of the focus"
            )
        if len(self.planes) < LEAST_PLANES:
            raise SettingsError(
                f"A bead scan needs at least {LEAST_PLANES} positions of the focus."
            )

    @property
    def numbers(self) -> NDArray[np.intp]:
        """(K,) of the bead in each plane."""
        return np.zeros(len(self.planes), np.intp) if self.bead is None else self.bead

    @property
    def singles(self) -> list["BeadScan"]:
        """One scan for each bead."""
        numbers = self.numbers
        return [
            replace(
                self,
                planes=self.planes[numbers == n],
                focus_um=self.focus_um[numbers == n],
                bead=None,
            )
            for n in range(int(numbers.max()) + 1)
        ]

    @classmethod
    def joined(cls, singles: list["BeadScan"]) -> "BeadScan":
        """Several beads, whose images have the same shape, as one scan."""
        return replace(
            singles[0],
            planes=np.concatenate([one.planes for one in singles]),
            focus_um=np.concatenate([one.focus_um for one in singles]),
            bead=np.concatenate([np.full(len(one.planes), n) for n, one in enumerate(singles)]),
        )

    def reversed(self) -> "BeadScan":
        """The same images, had the focus moved the other way."""
        return replace(self, focus_um=-self.focus_um)
