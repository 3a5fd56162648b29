"""dsacq rig check, dsacq rig settle."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsacq.errors import SettingsError, UserError
from ui.commands.used import check_used
from ui.console import Json, print_json, say, tracked

if TYPE_CHECKING:
    from hardware.protocols import SLM
    from hardware.rig_file import RigSettings
    from hardware.slm_screen import ScreenSLMSettings

SIMULATED = "simulated"
RigFile = Annotated[
    str,
    typer.Option("--rig", metavar="FILE", help="Rig file; `simulated`: a bench that is computed."),
]
_GRATING_PX, _DELAYS = 20, 21
app = typer.Typer(no_args_is_help=True, help="Check the devices of a rig.")


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="Rig file, or `simulated`.", metavar="FILE")],
    as_json: Json = False,
) -> None:
    """Open each device of a rig, tell what it is, and close it; look at the files of [use], too.

    Nothing moves and lasers stay dark. The exit code is 0 only when all is well; what is unusual
    is noted.
    Example: `dsacq rig check my-rig.toml`
    """
    from hardware.rig import check_rig

    settings, findings = rig_settings(file), []
    with ExitStack() as stack:
        for one in chain(check_rig(settings, screens(stack)), check_used(settings)):
            findings.append(one)
            if not as_json:
                mark = "ok  " if one.works else "FAIL"
                typer.echo(f"{mark}  {one.device:12} {one.kind:12} {one.told}")
                for remark in one.remarks:
                    typer.echo(f"note  {one.device:12} {remark}")
    if as_json:
        print_json({"devices": [asdict(one) for one in findings]})
    if failed := [one.device for one in findings if not one.works]:
        looked_at = [one for one in findings if one.kind != "settings"]
        raise UserError(f"{len(failed)} of {len(looked_at)} failed: {', '.join(failed)}.")


@app.command()
def settle(
    file: Annotated[str, typer.Argument(help="Rig file, or `simulated`.", metavar="FILE")],
    longest_s: Annotated[
        float, typer.Option("--longest-s", min=0.05, help="Watch for so long after a change.")
    ] = 0.5,
    as_json: Json = False,
) -> None:
    """Measure how long the SLM takes to settle: the `settle_s` of its table.

    The pattern changes between none and a grating that moves the image; the camera looks on, with
    the lasers of [use] on. Choose a short exposure in the rig file, and a bright specimen that does
    not move, such as beads. It takes about a minute.
    Example: `dsacq rig settle my-rig.toml`
    """
    import numpy as np

    from dsacq.physics.masks import flat
    from hardware.rig import open_rig
    from hardware.settle import fitted_settle_time, measure_settle_time
    from hardware.simulated import SimulatedSLMSettings
    from hardware.slm_pattern import Carrier, Panel, slm_pattern

    settings = rig_settings(file)
    if settings.slm is None:
        raise SettingsError(f"{file}: has no table slm, so there is nothing to measure.")
    if not isinstance(settings.slm, SimulatedSLMSettings):
        settings = replace(settings, slm=replace(settings.slm, settle_s=0.0))
    with ExitStack() as stack:
        rig = stack.enter_context(open_rig(settings, screens(stack)))
        slm = rig.slm
        assert slm is not None
        grating = slm_pattern(
            flat(rig.optics),
            rig.optics,
            Panel(slm.shape, slm.pixel_um),
            settings.pattern.alignment,
            settings.pattern.levels.table(rig.optics.wavelength_um),
            carrier=Carrier(period_px=_GRATING_PX),
        )
        rig.light(settings.use.lasers_mw)
        blank = np.zeros(slm.shape, np.uint8)
        steps = measure_settle_time(
            slm, rig.camera, blank, grating, longest_s=longest_s, delays=_DELAYS
        )
        responses = []
        with tracked(_DELAYS, "settling") as advance:
            for response in steps:
                responses.append(response)
                advance()
    time = fitted_settle_time(responses)
    if as_json:
        print_json(asdict(time) | {"responses": [asdict(one) for one in responses]})
    else:
        typer.echo(
            f"settle_s = {time.settle_s:.3f}   until 1 % is missing (dead time "
            f"{time.dead_s:.3f} s, time constant {time.constant_s:.3f} s)"
        )


@app.command()
def levels(
    file: Annotated[str, typer.Argument(help="Rig file, or `simulated`.", metavar="FILE")],
    keep: Annotated[bool, typer.Option("--keep", help="Write it into the rig file.")] = False,
    as_json: Json = False,
) -> None:
    """Measure how many grey levels of the SLM make 2 pi: `levels_per_2pi` of [pattern.levels].

    Stripes of growing grey level throw the light of a bead aside; the camera looks on, with the
    lasers of [use] on. A bright bead in focus must be in view. It takes about a minute.
    Example: `dsacq rig levels my-rig.toml --keep`
    """
    from hardware.rig import open_rig
    from hardware.rig_file_edit import write_levels
    from hardware.two_pi import fitted_levels, measure_levels

    settings = rig_settings(file)
    if settings.slm is None:
        raise SettingsError(f"{file}: has no table slm, so there is nothing to measure.")
    if keep:
        own_file(file)
    seen = []
    with ExitStack() as stack:
        rig = stack.enter_context(open_rig(settings, screens(stack)))
        assert rig.slm is not None
        rig.light(settings.use.lasers_mw)
        with tracked(32, "grey levels") as advance:
            for one in measure_levels(rig.slm, rig.camera):
                seen.append(one)
                advance()
    found = fitted_levels(seen)
    if keep:
        write_levels(Path(file), round(found.levels_per_2pi, 1))
    if as_json:
        print_json(asdict(found) | {"seen": [asdict(one) for one in seen]})
        return
    typer.echo(f"levels_per_2pi = {found.levels_per_2pi:.1f}")
    if not found.linear:
        say(
            f"Warning: the light differs from a cosine by {100 * found.residual:.0f} % rms, so the "
            "phase is not in proportion to the grey level; give the SLM's table as lut."
        )


def rig_settings(rig: str) -> "RigSettings":
    """Of a rig file, or of the simulated bench. Raises FileError or SettingsError."""
    from hardware.rig_file import read_rig, simulated_rig

    return simulated_rig() if rig == SIMULATED else read_rig(Path(rig))


def own_file(rig: str | None) -> Path | None:
    """Of a rig, for what is written into it. Raises SettingsError for the simulated bench."""
    if rig == SIMULATED:
        raise SettingsError("The simulated bench has no file to write into.")
    return None if rig is None else Path(rig)


def screens(stack: ExitStack) -> "Callable[[str, ScreenSLMSettings], SLM]":
    """Makes SLMs that are screens; the application that they need is made with the first."""

    def open_screen(name: str, settings: "ScreenSLMSettings") -> "SLM":
        from PyQt6.QtWidgets import QApplication

        from ui.slm_screen import ScreenSLM

        application = QApplication.instance() or QApplication([])
        stack.callback(application.processEvents)
        return ScreenSLM(name, settings)

    return open_screen


def serve_screens() -> None:
    """Let the window of an SLM that is a screen answer the system, which else takes it for hung."""
    core = sys.modules.get("PyQt6.QtCore")
    if core is not None and (application := core.QCoreApplication.instance()) is not None:
        application.processEvents()
