"""What a specimen under the simulated microscope is, and what it must know of the bench."""

from typing import Annotated, NamedTuple, Protocol

from pydantic import Field

from dsacq.simulation.emitters import Emission
from dsacq.simulation.places import Area

Count = Annotated[int, Field(ge=0, le=1_000_000)]


class Scene(NamedTuple):
    """What a specimen must know of the bench. field: what the camera sees, stages x and y at 0.

    blur_px: of the PSF model. half_life_s: of the labels in the reference light, or inf.
    """

    field: Area
    pixel_um: float
    blur_px: float
    half_life_s: float


class Specimen(Protocol):
    """Emitters that live from frame to frame."""

    @property
    def z_range_um(self) -> tuple[float, float]:
        """Lowest and highest emitter there can be."""

    def next_frame(self, field: Area, interval_s: float, dose_s: float) -> Emission:
        """What shines in the next frame (all `frame` are 0), and move on by its interval.

        field: what the camera sees now. dose_s: time spent before in the reference light.
        """


def require_room(z_range_um: tuple[float, float], least_um: float) -> None:
    if z_range_um[1] - z_range_um[0] < least_um:
        raise ValueError(
            f"z_range_um = {list(z_range_um)}: expected the lower one first, and {least_um:g} um "
            "or more between"
        )
