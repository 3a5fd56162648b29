"""dsacq models, dsacq import-deepstorm3d."""

from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from platformdirs import user_data_path

from dsacq.errors import FileError
from ui.console import Json, print_json, say

if TYPE_CHECKING:
    from dsacq.networks.model_file import ModelCard

SUFFIX = ".safetensors"


def model_folder() -> Path:
    """Where models that are named without a path are looked for."""
    return user_data_path("dsacq", appauthor=False) / "models"


def shipped_models() -> Path:
    """Where the models that come with dsacq are."""
    return Path(str(files("dsacq") / "models"))


def find_model(given: Path) -> Path:
    """A model by path or, without one, by name: in the model folder, then among those that come
    with dsacq. Raises FileError."""
    from dsacq.files.paths import is_there

    if is_there(given):
        return given
    if given.parent == Path():
        for folder in (model_folder(), shipped_models()):
            named = folder / (given.name.removesuffix(SUFFIX) + SUFFIX)
            if is_there(named):
                return named
    raise FileError(
        f"{given}: there is no such model file, nor a model of that name in {model_folder()} or "
        "among those that come with dsacq (`dsacq models` lists them)."
    )


def models(
    places: Annotated[
        list[Path] | None,
        typer.Argument(help="Model files or folders; default: yours and those of dsacq."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List models: what each was made for and how well it does.

    Example: `dsacq models .`
    """
    from dsacq.files.paths import is_there
    from dsacq.networks.model_file import read_card

    found: list[Path] = []
    for place in places or [model_folder(), shipped_models()]:
        if is_there(place, Path.is_dir):
            found += sorted(place.glob(f"*{SUFFIX}"))
        elif places:
            found.append(find_model(place))
    failed = []
    cards = {}
    for path in found:
        try:
            cards[path] = read_card(path)
        except FileError as error:
            failed.append(str(error))
    if as_json:
        print_json({"models": [{"file": path, **asdict(card)} for path, card in cards.items()]})
    else:
        for path, card in cards.items():
            typer.echo(_described(path, card))
        if not found:
            where = ", ".join(str(place) for place in places or [model_folder()])
            typer.echo(f"No models in {where}. Import or train one, and put it there.")
    if failed:
        raise FileError(" ".join(failed))


def _described(path: Path, card: "ModelCard") -> str:
    optics = card.optics
    low, high = optics.z_range_um
    accuracy = ", ".join(f"{key} {value}" for key, value in card.accuracy.items()) or "not measured"
    return "\n".join(
        (
            card.name,
            f"  file      {path}",
            f"  network   {_network(card)}",
            f"  optics    {optics.wavelength_um} um, NA {optics.na}, "
            f"pixel {optics.pixel_um:.4g} um, z {low} to {high} um, focus {optics.focus_um} um",
            f"  mask      {card.mask_name}, pitch {card.mask_pixel_um} um",
            f"  input     {card.input.normalise}, threshold {card.input.threshold}",
            f"  camera    {_camera(card)}",
            f"  accuracy  {accuracy}",
            f"  made by   {card.software}",
        )
    )


def _camera(card: "ModelCard") -> str:
    if card.camera is None:
        return "not stated"
    values = {key: value for key, value in asdict(card.camera).items() if key != "kind"}
    told = ", ".join(f"{key} {value:g}" for key, value in values.items())
    return f"{card.camera.kind}{': ' if told else ''}{told}"


def _network(card: "ModelCard") -> str:
    from dsacq.networks.architectures import VoxelArchitecture

    one = card.architecture
    if isinstance(one, VoxelArchitecture):
        lateral_um, axial_um = one.voxel_um(card.optics)
        return (
            f"voxel, {one.depth} planes, dilations {','.join(map(str, one.dilations))}, "
            f"voxel {1e3 * lateral_um:.1f} x {1e3 * lateral_um:.1f} x {1e3 * axial_um:.1f} nm, "
            f"label offset {one.label_offset_voxels} voxels"
        )
    return (
        f"mixture, {one.frames} frame{'s' if one.frames > 1 else ''}, {one.fine_channels} and "
        f"{one.coarse_channels} channels, dilations {','.join(map(str, one.dilations))}"
    )


def import_deepstorm3d(
    weights: Annotated[Path, typer.Argument(help="Published checkpoint (.pkl, .pt).")],
    mask: Annotated[Path, typer.Option(help="Its phase mask (.mat, .npy, .tif, .csv, ...).")],
    optics: Annotated[Path, typer.Option(help="Optics file with [optics] and [input].")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write.")],
    as_json: Json = False,
) -> None:
    """Make a model of a published DeepSTORM3D checkpoint; nothing in it is executed.

    Example: `dsacq import-deepstorm3d w.pkl --mask mask.mat --optics optics.toml -o m.safetensors`
    """
    from dsacq.files.masks import read_mask
    from dsacq.files.outputs import check_outputs
    from dsacq.localize.deepstorm3d import import_checkpoint
    from dsacq.networks.model_file import save_model
    from dsacq.physics.optics_file import read_optics

    if output.suffix != SUFFIX:
        raise FileError(f"{output}: a model file's name ends in {SUFFIX}.")
    check_outputs(output, reads=(weights, mask, optics))
    optics_file = read_optics(optics)
    model = import_checkpoint(
        weights, read_mask(mask, optics=optics_file.optics), optics_file, output.stem
    )
    save_model(model, output)
    card = model.card
    if as_json:
        print_json({"file": output, **asdict(card)})
    else:
        say("Dilations and label offset were measured on simulated frames.")
        typer.echo(_described(output, card))
