"""dsacq estimate."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsacq.errors import FileError
from dsacq.files.outputs import check_outputs
from ui.commands.localizing import Frames, MovieFile, chosen_roi, microscope_told
from ui.console import Device, DeviceName, Json, frame_range, print_json, say, tracked

if TYPE_CHECKING:
    from dsacq.training.estimate import Estimate


def estimate(
    movie: MovieFile,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Training config to write (.toml).")
    ],
    mask: Annotated[
        Path | None, typer.Option(help="Phase mask of the movie; a recording has its own.")
    ] = None,
    optics: Annotated[
        Path | None,
        typer.Option(
            help="Optics file of the movie; give its [camera] and [psf] too. A recording tells "
            "them itself."
        ),
    ] = None,
    frames: Frames = None,
    roi: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H", help="Only this rectangle: corner column, row, width, height."
        ),
    ] = None,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Measure priors for a training on your own frames: light, density, background, gain.

    Looks at up to eight frames or parts of frames, and draws a picture beside the config. A
    recording brings its mask, optics and camera.

    Example: `dsacq estimate movie.tif --mask mask.tif --optics optics.toml -o priors.toml`
    """
    from dsacq.device import chosen_device
    from dsacq.files.movies import open_movie
    from dsacq.files.recording import MASK
    from dsacq.physics.camera import IdealCamera, without_maps
    from dsacq.simulation.settings import MaskChoice
    from dsacq.training.chosen_priors import chosen_priors, comments, remarks
    from dsacq.training.config_file import relative_file, write_training
    from dsacq.training.estimate import Estimate
    from dsacq.training.estimate_movie import estimate_movie, parts_of
    from dsacq.training.estimate_picture import estimate_picture
    from dsacq.training.examine import Examined
    from dsacq.training.settings import TrainingSettings

    picture = output.with_suffix(".png")
    if output.suffix.lower() == ".png":
        raise FileError(f"{output}: the picture gets that name; let the config's end in .toml.")
    check_outputs(output, picture, reads=(movie, mask, optics))
    wanted, where = chosen_roi(roi), chosen_device(device)
    with open_movie(movie) as opened:
        microscope = microscope_told(opened, None, mask, optics)
        indices = frame_range(frames, len(opened))
        examined: list[Examined] = []
        with tracked(len(parts_of(opened, indices, wanted)), "examining") as advance:
            for item in estimate_movie(opened, indices, microscope, where, wanted):
                if isinstance(item, Estimate):
                    found = item
                else:
                    examined.append(item)
                    advance()
    settings = TrainingSettings(
        optics=microscope.optics,
        mask=MaskChoice(file=relative_file(mask or movie / MASK, output.parent)),
        psf=microscope.psf,
        camera=without_maps(microscope.camera or IdealCamera()),
        priors=chosen_priors(found),
    )
    heading = (
        f"Priors measured on {movie.name} by dsacq estimate.\n\n"
        f"  dsacq train {output.name} -o {output.stem}.safetensors"
    )
    write_training(settings, output, comments(found), heading)
    estimate_picture(examined, found, settings, microscope.mask, movie.name, picture)
    said = remarks(found, microscope.camera)
    if as_json:
        print_json(
            _plain(found)
            | {
                "priors": asdict(settings.priors),
                "remarks": said,
                "config": output,
                "picture": picture,
            }
        )
    else:
        typer.echo(_summary(found, len(examined)))
        for remark in said:
            say(f"Remark: {remark}")
        say(f"Config written to {output}, picture to {picture}.")


def _plain(found: "Estimate") -> dict[str, Any]:
    return {
        "frames": found.frames,
        "emitters": found.emitters,
        "background": asdict(found.background),
        "photons": None if found.photons is None else asdict(found.photons),
        "visible_photons": found.visible_photons,
        "density_per_um2": found.density_per_um2,
        "density_high_per_um2": found.density_high_per_um2,
        "gain_adu_per_electron": found.transfer.adu_per_electron,
        "noise": found.noise,
    }


def _summary(found: "Estimate", parts: int) -> str:
    from dsacq.training.chosen_priors import counted, rounded

    level, photons = found.background, found.photons
    gain = found.transfer.adu_per_electron
    lines = [
        f"examined    {counted(parts, 'part')} of {counted(found.frames, 'frame')}; "
        f"{counted(found.emitters, 'emitter')} found",
        f"background  {level.median:.3g} photons per pixel, {level.low:.3g} to {level.high:.3g}; "
        f"roughness {level.roughness:.2g}",
        f"density     {found.density_per_um2:.2g} per um^2, in dense places "
        f"{found.density_high_per_um2:.2g}",
        f"visible     from about {rounded(found.visible_photons):g} photons",
    ]
    if photons is not None:
        lines.append(
            f"photons     median {rounded(photons.median):g}, 90 % from "
            f"{rounded(photons.low):g} to {rounded(photons.high):g}"
        )
    if gain is not None:
        lines.append(f"camera      {gain:.3g} ADU per electron measured")
    return "\n".join(lines)
