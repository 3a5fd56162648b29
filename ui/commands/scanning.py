"""dsacq calibrate scan and precision: the focus stage moves, the camera looks on."""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from dsacq.errors import SettingsError, UserError
from dsacq.files.names import check_folder
from ui.commands.calibrating import RadiusUm, SidePx, ZeroUm, focus_ends
from ui.commands.rigs import SIMULATED, RigFile, rig_settings, screens
from ui.commands.used import used_mask
from ui.console import Json, outcome, print_json, require_agreed, say, tracked

if TYPE_CHECKING:
    from calibration.z_scan import Plane, ZScanSettings
    from hardware.rig import Rig
    from hardware.rig_file import RigSettings

_MOST_BYTES = 2e9  # of frames held at once

AroundUm = Annotated[
    str | None,
    typer.Option(metavar="FIRST:LAST", help="From where the focus stage stands, um."),
]
FocusUm = Annotated[
    str | None,
    typer.Option(metavar="FIRST:LAST", help="Instead: positions of the focus stage, um."),
]
Far = Annotated[
    bool, typer.Option("--far", help="Go farther than 20 um from where it stands, unasked.")
]


def scan(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")],
    rig: RigFile,
    around_um: AroundUm = None,
    focus_um: FocusUm = None,
    step_um: Annotated[float, typer.Option(help="Between planes.")] = 0.1,
    frames: Annotated[int, typer.Option(help="Added up in each plane.")] = 5,
    far: Far = False,
    as_json: Json = False,
) -> None:
    """Take images of beads at many positions of the focus, with the rig file's mask and lasers.

    The focus goes from 2 um below where it stands to 2 um above, if nothing else is said, and is
    put back. Planes are kept as they come: one that ends early, also by Ctrl+C, can be used.

    Example: `dsacq calibrate scan --rig rig.toml --around-um=-1.5:1.5 -o beads-1`
    """
    from calibration.scan_files import kept_scan

    check_folder(output, new=True)
    wanted = _wanted(around_um, focus_um, "-2:2", step_um, frames)
    taken = 0
    with ExitStack() as stack:
        opened = _opened(rig_settings(rig), stack)
        settings = wanted.on(opened)
        farthest_um = _allowed_um(opened, settings, far)
        of = len(settings.positions_um)
        try:
            with (
                closing(kept_scan(opened, settings, output, farthest_um=farthest_um)) as planes,
                tracked(of, "scanning") as advance,
            ):
                for _ in planes:
                    taken += 1
                    advance()
        except (UserError, KeyboardInterrupt):
            say(f"{output}: {taken} of {of} planes are kept." if taken else "Nothing was kept.")
            raise
    if as_json:
        print_json({"folder": output, "planes": taken})
    else:
        say(f"{taken} planes written to {output}; now: dsacq calibrate beads {output}")


def precision(
    psf: Annotated[Path, typer.Argument(help="Mask file that calibrate beads or pupil wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Page to write (.png or .pdf).")],
    rig: RigFile,
    around_um: AroundUm = None,
    focus_um: FocusUm = None,
    step_um: Annotated[float, typer.Option(help="Between positions.")] = 0.25,
    frames: Annotated[int, typer.Option(help="At each position.")] = 50,
    far: Far = False,
    radius_um: RadiusUm = 0.05,
    side_px: SidePx = 61,
    zero_um: ZeroUm = 0.0,
    as_json: Json = False,
) -> None:
    """Localize a bead again and again at each focus: spread against the Cramer-Rao bound, and bias.

    The focus goes from 1.5 um below where it stands to 1.5 um above, if nothing else is said. When
    rig or stage fail on the way, the positions up to there are judged.

    Example: `dsacq calibrate precision psf.tif --rig rig.toml --around-um=-1:1 -o precision.png`
    """
    import numpy as np

    from calibration.finding import usable_beads
    from calibration.precision import held_bead, localized, precision_page
    from calibration.z_scan import on_coverslip, scan_of
    from dsacq.files.figures import check_figure
    from dsacq.files.masks import read_mask
    from dsacq.files.measured_psf import read_measured_psf
    from dsacq.files.outputs import check_outputs
    from dsacq.physics.camera import IdealCamera

    check_figure(output)
    check_outputs(output, reads=(psf, None if rig == SIMULATED else Path(rig)))
    settings = rig_settings(rig)
    mask = read_mask(psf, optics=settings.optics)
    model = read_measured_psf(psf).psf or settings.psf
    wanted = _wanted(around_um, focus_um, "-1.5:1.5", step_um, frames)
    with ExitStack() as stack:
        opened = _opened(settings, stack)
        _require_room(opened, wanted.settings)
        positions = wanted.on(opened)
        farthest_um = _allowed_um(opened, positions, far)
        planes, failure = _held(opened, positions, farthest_um)
        scan = on_coverslip(scan_of(opened, planes, positions), zero_um)
        noise = opened.noise() or IdealCamera()
    bead = usable_beads(scan, side_px)[0]
    if bead.doubt:
        say(f"Warning: {bead.doubt}")
    held = held_bead(planes, bead, side_px, zero_um)
    fits = localized(held, mask, scan.optics, model, noise, radius_um)
    with tracked(len(held), "localizing") as advance:
        found = outcome(fits, lambda _: advance())
    ratio = np.median([one.ratio for one in found], axis=0).tolist()
    bias_nm = [1e3 * float(max(abs(one.bias_um[axis]) for one in found)) for axis in range(3)]
    told = (
        f"Spread over bound, median: x {ratio[0]:.2f}, y {ratio[1]:.2f}, z {ratio[2]:.2f}; largest "
        f"bias: x {bias_nm[0]:.1f}, y {bias_nm[1]:.1f}, z {bias_nm[2]:.1f} nm."
    )
    precision_page(found, output, f"{psf.name}: {told}")
    if as_json:
        print_json(
            {
                "file": output,
                "focus_um": [one.focus_um for one in found],
                "std_nm": [(1e3 * one.std_um).tolist() for one in found],
                "bound_nm": [(1e3 * one.bound_um).tolist() for one in found],
                "bias_nm": [(1e3 * one.bias_um).tolist() for one in found],
                "photons": [one.photons for one in found],
                "median_ratio": ratio,
                "largest_bias_nm": bias_nm,
            }
        )
    else:
        say(told)
        say(f"Page written to {output}.")
    if failure is not None:
        say(f"The page is of {len(planes)} of {len(positions.positions_um)} positions.")
        raise failure


class _Wanted(NamedTuple):
    """Positions as they were asked for; relative: to where the stage stands."""

    settings: "ZScanSettings"
    relative: bool

    def on(self, rig: "Rig") -> "ZScanSettings":
        """Those of the stage."""
        from calibration.z_scan import focus_of

        return self.settings.around(focus_of(rig)[1]) if self.relative else self.settings


def _wanted(
    around_um: str | None, focus_um: str | None, usual: str, step_um: float, frames: int
) -> _Wanted:
    """Raises SettingsError for positions that make no scan."""
    from calibration.z_scan import ZScanSettings

    if around_um is not None and focus_um is not None:
        raise SettingsError("Give --around-um or --focus-um, not both.")
    if focus_um is not None:
        ends = focus_ends(focus_um)
    else:
        ends = focus_ends(around_um or usual, "--around-um")
    settings = ZScanSettings(first_um=min(ends), last_um=max(ends), step_um=step_um, frames=frames)
    return _Wanted(settings, relative=focus_um is None)


def _opened(settings: "RigSettings", stack: ExitStack) -> "Rig":
    """The open rig, the mask of its file on the SLM."""
    from hardware.rig import open_rig

    mask = used_mask(settings)
    opened = stack.enter_context(open_rig(settings, screens(stack)))
    if mask is not None:
        opened.show(mask)
    return opened


def _allowed_um(rig: "Rig", settings: "ZScanSettings", far: bool) -> float:
    """How far the focus may go. Asks before a long way; raises SettingsError when it is not meant,
    and for positions outside the limits."""
    import math

    from calibration.z_scan import FARTHEST_UM, farthest, require_reachable

    focus, stands_um = require_reachable(rig, settings)
    way_um = farthest(settings, stands_um)
    if way_um <= FARTHEST_UM:
        return FARTHEST_UM
    if not far:
        require_agreed(
            f"{focus.name} stands at {stands_um:.2f} um; the scan from {settings.first_um:g} to "
            f"{settings.last_um:g} um takes it {way_um:.4g} um away.",
            "--far",
        )
    return math.inf


def _require_room(rig: "Rig", wanted: "ZScanSettings") -> None:
    roi, count = rig.camera.roi, len(wanted.positions_um) * wanted.frames
    if 4 * count * roi.width * roi.height > _MOST_BYTES:
        raise SettingsError(
            f"{count} frames of {roi.width} x {roi.height} pixels are too many to be held; "
            "choose a smaller region of the camera, or fewer frames."
        )


def _held(
    rig: "Rig", wanted: "ZScanSettings", farthest_um: float
) -> "tuple[list[Plane], UserError | None]":
    """The planes with their frames, and what ended them early. Raises it where there is none."""
    from calibration.z_scan import z_scan

    planes: list[Plane] = []
    scan = z_scan(rig, wanted, keep_frames=True, farthest_um=farthest_um)
    try:
        with closing(scan), tracked(len(wanted.positions_um), "scanning") as advance:
            for plane in scan:
                planes.append(plane)
                advance()
    except UserError as error:
        if not planes:
            raise
        return planes, error
    return planes, None
