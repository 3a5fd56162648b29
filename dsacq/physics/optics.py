"""The emission path: what every physics function needs to know of the microscope."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.bounds import bounded

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]

# As wide as any microscope of light needs; the units are those that such lengths come in.
Wavelength = Annotated[Positive, bounded(0.15, 4, "um", ("nm", "mm", "m"))]  # that glass lets pass
Pitch = Annotated[Positive, bounded(0.1, 1500, "um", ("mm", "nm", "m"))]  # of pixels
_Focal = Annotated[Positive, bounded(1e3, 1e7, "um", ("mm", "m", "cm", "nm"))]
_Index = Annotated[Positive, bounded(1, 3)]
_Magnification = Annotated[Positive, bounded(0.5, 2000)]
_Depth = Annotated[_Finite, bounded(-2000, 2000, "um", ("nm",))]  # an objective's way to the sample
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Optics:
    """Objective, 4f relay with a mask in its Fourier plane, camera.

    `focus_um` is the nominal focal plane: the mechanical travel of the objective from "focused on
    the coverslip" into the sample, a distance in the immersion medium. `z_range_um` are heights of
    emitters above the coverslip. Derived lengths are properties, so none is ever typed in twice.
    """

    wavelength_um: Wavelength  # in vacuum
    na: Positive
    index_immersion: _Index
    index_sample: _Index
    magnification: _Magnification
    focal_4f_um: _Focal
    camera_pixel_um: Pitch  # on the sensor
    mask_pixel_um: Pitch  # of the phase mask or of the SLM
    focus_um: _Depth = 0.0
    z_range_um: tuple[_Depth, _Depth] = (0.0, 4.0)

    def __post_init__(self) -> None:
        for name in ("index_immersion", "magnification"):
            if self.na >= (most := getattr(self, name)):
                raise ValueError(f"na = {self.na}: expected less than {name} = {most}")
        if self.z_range_um[0] >= self.z_range_um[1]:
            raise ValueError(f"z_range_um = {list(self.z_range_um)}: expected the lower one first")

    @property
    def pixel_um(self) -> float:
        """Camera pixel in the sample."""
        return self.camera_pixel_um / self.magnification

    @property
    def na_sample(self) -> float:
        """Largest direction cosine times index of light that propagates in the sample."""
        return min(self.na, self.index_sample)

    @property
    def relay_magnification(self) -> float:
        """M' = sqrt(M^2 - NA^2): pupil coordinate times focal length is mask position times M'."""
        return float((self.magnification**2 - self.na**2) ** 0.5)

    @property
    def pupil_diameter_um(self) -> float:
        """Diameter of the image of the objective's pupil (|u| < NA) on the mask."""
        return 2 * self.focal_4f_um * self.na / self.relay_magnification


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class InputScaling:
    """How an imported network wants its frames, and the threshold on its output."""

    normalise: Literal["minmax", "fixed"]
    offset: _Finite = 0.0  # counts, for "fixed"
    scale: Positive = 1.0  # counts, for "fixed"
    threshold: Positive = 40.0


def differing_fields(given: Optics, wanted: Optics, tolerance: float = 0.01) -> list[str]:
    """What makes two optics different to a localizer, each as "name given (model wanted)"."""
    names = (
        "wavelength_um",
        "na",
        "index_immersion",
        "index_sample",
        "pixel_um",
        "focal_4f_um",
        "mask_pixel_um",
        "focus_um",
    )
    return [
        f"{name} {getattr(given, name):.4g} (model {getattr(wanted, name):.4g})"
        for name in names
        if abs(getattr(given, name) - getattr(wanted, name))
        > tolerance * max(abs(getattr(wanted, name)), 0.1)
    ]


STANDARD_OPTICS = Optics(
    wavelength_um=0.58,
    na=1.45,
    index_immersion=1.518,
    index_sample=1.33,
    magnification=100,
    focal_4f_um=150_000,
    camera_pixel_um=11,
    mask_pixel_um=24,
    focus_um=4.5,
    z_range_um=(2.0, 6.0),
)
"""A 100x/1.45 oil objective looking into water, an SLM behind a 150 mm relay, depths 2 to 6 um."""
