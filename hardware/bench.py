"""The simulated bench: a specimen, and all that lies between it and the camera.

The simulated devices act on one `Bench`; the camera exposes it. Light follows dsacq's own physics:
the pattern on the SLM, through the true grey levels and alignment, the bench's aberrations, the
focus and the specimen make the expected photons of a frame.
"""

import math
from dataclasses import dataclass, replace
from threading import Lock
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic import dataclasses as pydantic_dataclasses
from torch import Tensor

from dsacq.bounds import bounded
from dsacq.errors import SettingsError
from dsacq.physics.camera import Camera, ScmosCamera
from dsacq.physics.optics import STANDARD_OPTICS, Optics, Pitch, Positive
from dsacq.physics.pupil import PsfModel
from dsacq.physics.zernike import noll
from dsacq.simulation.emitters import Emission
from dsacq.simulation.frames import FrameRenderer
from dsacq.simulation.places import Area, Finite
from hardware.faults import Faults
from hardware.scene import Scene
from hardware.seen_pupil import SeenPupil, seen_pupil
from hardware.slm_pattern import GreyLevels, Panel, PupilAlignment
from hardware.specimens import SpecimenSettings, TelomereSettings

_Pixels = Annotated[int, Field(ge=16, le=4096)]
_Samples = Annotated[int, Field(ge=64, le=8192)]
_Seed = Annotated[int, Field(ge=0, lt=2**62)]
_Noll = Annotated[int, Field(ge=1, le=200)]
_Aberration = Annotated[Finite, bounded(-100, 100, "rad")]  # no image is left long before

REFERENCE_EXPOSURE_S = 0.1
_ENTERING_PX = 20  # how far outside the frame emitters still shine into it


@pydantic_dataclasses.dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class BenchSettings:
    """The table [bench] of a rig file.

    noise: of the camera's sensor. slm_shape, slm_pixel_um: (rows, columns) and pitch of the SLM.
    true_alignment, true_levels, aberration_rad (Zernike coefficients, rad rms, by Noll's index):
        what a calibration has to find.
    reference_mw: the power at which an exposure of 0.1 s brings the specimen's photons; they and
        the background go with power and exposure.
    half_life_s: time in that light after which half of a lasting label's brightness is left; None
        for labels that do not bleach.
    """

    specimen: SpecimenSettings = TelomereSettings()
    shape_px: tuple[_Pixels, _Pixels] = (256, 256)
    psf: PsfModel = PsfModel(kind="vectorial", blur_px=0.9)
    noise: Annotated[Camera, Field(discriminator="kind")] = ScmosCamera(
        quantum_efficiency=0.82,
        offset_adu=100.0,
        gain_adu_per_electron=2.17,
        read_variance_adu2=12.0,
    )
    seed: _Seed = 0
    slm_shape: tuple[_Samples, _Samples] = (1080, 1920)
    slm_pixel_um: Pitch = 8.0
    true_alignment: PupilAlignment = PupilAlignment()
    true_levels: GreyLevels = GreyLevels()
    aberration_rad: dict[_Noll, _Aberration] = Field(default_factory=dict)
    reference_mw: Positive = 50.0
    half_life_s: Positive | None = None
    faults: Faults = Faults()

    def __post_init__(self) -> None:
        if self.psf.kind == "deepstorm3d":
            raise ValueError("psf.kind='deepstorm3d': expected scalar or vectorial")


@dataclass(frozen=True, eq=False)
class View:
    """How the devices stand. pattern: on the SLM, or None for one without phase."""

    focus_um: float
    power_mw: float
    pattern: NDArray[np.uint8] | None = None
    x_um: float = 0.0
    y_um: float = 0.0
    emitting: bool = True
    shutter_opened: bool = True

    @property
    def light_mw(self) -> float:
        """What reaches the specimen."""
        return self.power_mw if self.emitting and self.shutter_opened else 0.0


@dataclass(frozen=True, eq=False)
class Exposure:
    """Expected photons (H, W) of one frame: all of them, and those of the background alone.

    emission: who sends the rest, x and y from the frame's upper-left corner.
    """

    photons: Tensor
    background: Tensor
    emission: Emission
    view: View


class Bench:
    """Until devices that say otherwise look at it, the bench is lit with the reference power, in
    the focus of the optics, through an SLM without phase.

    faults: those of the camera's next sequence; may be set. Time goes on with exposures only.
    Raises SettingsError, or FileError for the table of grey levels.
    """

    def __init__(self, settings: BenchSettings, optics: Optics = STANDARD_OPTICS) -> None:
        _check_noise(settings)
        self.settings, self.optics = settings, optics
        self.faults = settings.faults
        self.view = View(focus_um=optics.focus_um, power_mw=settings.reference_mw)
        self._lights_mw: dict[str, float] = {}  # of the lasers that emit
        self._changing, self._exposing = Lock(), Lock()

        rows, columns = settings.shape_px
        field = Area(0, 0, columns * optics.pixel_um, rows * optics.pixel_um, optics.z_range_um)
        scene = Scene(
            field, optics.pixel_um, settings.psf.blur_px, settings.half_life_s or math.inf
        )
        draw = torch.Generator().manual_seed(settings.seed)
        self._draw, self._field = draw, field
        self._specimen = settings.specimen.placed(scene, draw)
        self._steady = settings.specimen.background.sample(1, settings.shape_px, draw)[0]
        self._dose_s = 0.0
        self._levels = settings.true_levels.table(optics.wavelength_um)
        self._pupil: tuple[NDArray[np.uint8] | None, SeenPupil] | None = None
        self._renderer: tuple[SeenPupil, float, FrameRenderer] | None = None

    def change(self, **fields: Any) -> None:
        """Change fields of the view, all at once."""
        with self._changing:
            self.view = replace(self.view, **fields)

    def light(self, laser: str, power_mw: float, emitting: bool) -> None:
        """What a laser does now; those that emit shine together."""
        with self._changing:
            self._lights_mw.pop(laser, None)
            if emitting:
                self._lights_mw[laser] = power_mw
            together_mw = sum(self._lights_mw.values()) if self._lights_mw else power_mw
            self.view = replace(self.view, emitting=bool(self._lights_mw), power_mw=together_mw)

    def expose(self, exposure_s: float, interval_s: float) -> Exposure:
        """The next frame, at the devices' present state; the next after it comes interval_s later.

        The first with a new pattern or focus takes a second or two, some more with a steep pattern.
        """
        with self._exposing:
            view = self.view
            light = view.light_mw / self.settings.reference_mw
            field = self._field._replace(
                left_um=self._field.left_um + view.x_um,
                right_um=self._field.right_um + view.x_um,
                top_um=self._field.top_um + view.y_um,
                bottom_um=self._field.bottom_um + view.y_um,
            )
            emission = self._specimen.next_frame(field, interval_s, self._dose_s)
            self._dose_s += light * interval_s
            share = light * exposure_s / REFERENCE_EXPOSURE_S
            emission = _lit(emission, share, view)
            background = self._next_background() * share
            if not len(emission.photons):
                return Exposure(background, background, emission, view)
            drawn = self._ready_renderer(view).render(
                emission.frame, emission.xyz_um, emission.photons, 1, emission.blur_px
            )[0]
            return Exposure(background + drawn, background, emission, view)

    def _next_background(self) -> Tensor:
        kind = self.settings.specimen.background
        if kind.steady:
            return self._steady
        return kind.sample(1, self.settings.shape_px, self._draw)[0]

    def _seen(self, pattern: NDArray[np.uint8] | None) -> SeenPupil:
        made = self.settings
        panel = Panel(made.slm_shape, made.slm_pixel_um)
        grey = np.zeros(panel.shape, np.uint8) if pattern is None else pattern
        coefficients = {noll(index): rad for index, rad in made.aberration_rad.items()}
        return seen_pupil(grey, self.optics, panel, made.true_alignment, self._levels, coefficients)

    def _ready_renderer(self, view: View) -> FrameRenderer:
        if self._pupil is None or self._pupil[0] is not view.pattern:
            self._pupil = view.pattern, self._seen(view.pattern)
        pupil = self._pupil[1]
        if (
            self._renderer is None
            or self._renderer[0] is not pupil
            or self._renderer[1] != view.focus_um
        ):
            renderer = FrameRenderer(
                pupil.phase_rad,
                self.optics,
                self.settings.shape_px,
                self.settings.psf,
                mask_pixel_um=pupil.pixel_um,
                focus_um=view.focus_um,
                z_range_um=self._specimen.z_range_um,
                margin_px=_ENTERING_PX,
                reach_px=pupil.reach_px,
            )
            self._renderer = pupil, view.focus_um, renderer
        return self._renderer[2]


def _lit(emission: Emission, share: float, view: View) -> Emission:
    """Photons in this light, places in this field; nothing at all in the dark."""
    emission = emission._replace(
        xyz_um=emission.xyz_um - torch.tensor([view.x_um, view.y_um, 0.0]),
        photons=emission.photons * share,
    )
    if share > 0:
        return emission
    track = None if emission.track is None else emission.track[:0]
    return Emission(emission.frame[:0], emission.xyz_um[:0], emission.photons[:0], track, None)


def _check_noise(settings: BenchSettings) -> None:
    if not isinstance(settings.noise, ScmosCamera):
        return
    for name in ("offset_adu", "gain_adu_per_electron", "read_variance_adu2"):
        size = np.shape(getattr(settings.noise, name))
        if size not in ((), settings.shape_px):
            raise SettingsError(
                f"bench.noise.{name} is a map of {size}, but bench.shape_px is "
                f"{list(settings.shape_px)}: give a map of that shape, or one number."
            )
