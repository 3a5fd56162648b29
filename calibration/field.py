"""How the aberrations change over the field, from the beads of one z scan.

Each bead's images tell its difference from the common phase, as a few Zernike coefficients; a plane
through each coefficient over the field keeps what several beads agree on.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from calibration.bead_scan import BeadScan
from calibration.beads import require_usable
from calibration.retrieve import (
    Progress,
    RetrieveSettings,
    Search,
    Wavefront,
    pupil_samples,
)
from dsacq.errors import SettingsError
from dsacq.files.figures import save_figure
from dsacq.physics.masks import PhaseMask, resampled
from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel
from dsacq.physics.zernike import mask_disc, noll, zernike_modes

Floats = NDArray[np.float64]

MODES = (5, 6, 7, 8, 9, 10, 11)  # Noll's indices: astigmatism, coma, trefoil, spherical
LEAST_BEADS = 4  # a plane through three tells nothing of its error
_STEP_RAD = 0.02
_ROUGHNESS = 2e-4
_SHOWN_UM = 41


@dataclass(frozen=True, eq=False)
class FieldMap:
    """Zernike coefficients (rad rms, by MODES) beside the common phase, as planes over the field.

    places_um (B, 2): of the beads, x and y in the frame; bead_rad (B, M): found for each.
    at_centre_rad (M,); slope_rad_per_um (M, 2), along x and y from centre_um. error_rad (M,): rms
    of what beads differ by from the planes. span_waves: rms change of the phase over the beads'
    field by the planes.
    """

    places_um: Floats
    bead_rad: Floats
    centre_um: Floats
    at_centre_rad: Floats
    slope_rad_per_um: Floats
    error_rad: Floats

    def at(self, places_um: Floats) -> Floats:
        """(N, M) coefficients at places (N, 2)."""
        return self.at_centre_rad + (places_um - self.centre_um) @ self.slope_rad_per_um.T

    @property
    def span_waves(self) -> float:
        beside = self.at(self.places_um) - self.at_centre_rad
        return float(np.sqrt((beside**2).sum(1)).max()) / (2 * np.pi)

    def told(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "modes": list(MODES),
            "places_um": self.places_um.tolist(),
            "bead_rad": self.bead_rad.tolist(),
            "centre_um": self.centre_um.tolist(),
            "at_centre_rad": self.at_centre_rad.tolist(),
            "slope_rad_per_um": self.slope_rad_per_um.tolist(),
            "error_rad": self.error_rad.tolist(),
            "largest_change_waves": self.span_waves,
        }


def field_map(
    beads: list[BeadScan],
    places_um: Floats,
    common: PhaseMask,
    optics: Optics,
    model: PsfModel,
    settings: RetrieveSettings,
    device: torch.device | str = "cpu",
) -> Generator[Progress, None, FieldMap]:
    """Search each bead's aberrations beside a common phase; yields after each pass.

    Raises SettingsError for too few beads, and as `require_usable`.
    """
    if len(beads) < LEAST_BEADS:
        raise SettingsError(
            f"{len(beads)} usable beads are too few to tell how aberrations change over the field; "
            f"{LEAST_BEADS} or more are needed, spread over it."
        )
    for bead in beads:
        require_usable(bead)
    settings = replace(settings, roughness=_ROUGHNESS)
    found, of = [], len(beads) * settings.passes
    for number, bead in enumerate(beads):
        wavefront = _Beside(common, optics, settings.pupil_pixel_um, device)
        search = Search(bead, optics, model, wavefront, settings, device)
        for one in range(settings.passes):
            chi_square = search.go_on(one)
            yield Progress(number * settings.passes + one + 1, of, chi_square)
        found.append(wavefront.coefficients())
    return fitted_field(places_um, np.array(found))


def fitted_field(places_um: Floats, bead_rad: Floats) -> FieldMap:
    """Planes through the coefficients (B, M) of beads at places (B, 2), by least squares."""
    centre = places_um.mean(0)
    basis = np.column_stack((np.ones(len(places_um)), places_um - centre))
    planes, *_ = np.linalg.lstsq(basis, bead_rad, rcond=None)
    free = max(len(places_um) - 3, 1)
    error = np.sqrt(((bead_rad - basis @ planes) ** 2).sum(0) / free)
    return FieldMap(places_um, bead_rad, centre, planes[0], planes[1:].T, error)


def field_page(field: FieldMap, path: Path, headline: str) -> None:
    """Each coefficient over the field: beads as dots on the plane through them.

    Raises FileError.
    """
    names = ("astigmatism 45°", "astigmatism 0°", "coma y", "coma x", "trefoil y", "trefoil x")
    figure = Figure(figsize=(13, 6.2), layout="constrained")
    figure.suptitle(headline, fontsize=11)
    low, high = field.places_um.min(0) - 1, field.places_um.max(0) + 1
    x, y = np.meshgrid(
        np.linspace(low[0], high[0], _SHOWN_UM), np.linspace(low[1], high[1], _SHOWN_UM)
    )
    everywhere = field.at(np.column_stack((x.ravel(), y.ravel())))
    limit = float(max(abs(everywhere).max(), abs(field.bead_rad).max(), 1e-3))
    panels = figure.subplots(2, 4).ravel()
    for axes, mode, name in zip(panels, range(len(MODES)), (*names, "spherical"), strict=False):
        shown = axes.imshow(
            everywhere[:, mode].reshape(x.shape),
            extent=(low[0], high[0], high[1], low[1]),
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
        )
        colours = field.bead_rad[:, mode]
        dots = {"c": colours, "cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "edgecolors": "k"}
        axes.scatter(*field.places_um.T, s=50, **dots)
        axes.set_title(f"{name}, ± {field.error_rad[mode]:.3f} rad", fontsize=9)
        axes.set_xlabel("x, um", fontsize=8)
        axes.set_ylabel("y, um", fontsize=8)
    panels[-1].set_axis_off()
    figure.colorbar(shown, ax=panels[-1], label="rad rms, beside the common phase")
    save_figure(figure, path)


class _Beside(Wavefront):
    """The common phase and a sum of Zernike polynomials."""

    def __init__(
        self, common: PhaseMask, optics: Optics, pixel_um: float, device: torch.device | str
    ) -> None:
        samples = pupil_samples(optics, pixel_um)
        phase = resampled(common, pixel_um, (samples, samples)).phase_rad
        self._common = torch.tensor(phase, device=device)
        own = replace(optics, mask_pixel_um=pixel_um)
        radius, azimuth = mask_disc(own, (samples, samples), pixel_um)
        modes = zernike_modes(map(noll, MODES), radius.clamp_max(1.0), azimuth)
        self._modes = modes.float().to(device)
        self._coefficients = torch.zeros(len(MODES), device=device, requires_grad=True)

    def parameters(self) -> list[dict[str, Any]]:
        return [{"params": [self._coefficients], "lr": _STEP_RAD}]

    def phase(self) -> Tensor:
        return self._common + (self._coefficients[:, None, None] * self._modes).sum(0)

    def roughness(self) -> Tensor:
        return (self._coefficients**2).sum() / 2

    def coefficients(self) -> Floats:
        return self._coefficients.detach().cpu().double().numpy()
