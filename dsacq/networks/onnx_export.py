"""A model's network in ONNX, for programs that do not run torch."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim

from dsacq.errors import SettingsError
from dsacq.files.atomic import write_atomically
from dsacq.networks.mixture import Mixture, MixtureNetwork
from dsacq.networks.model_file import Model

_NEEDED = ("onnx", "onnxscript")
_MIXTURE_INPUTS = (
    "stabilised (batch, frames, height, width): 2 sqrt(electrons + read_variance + 3/8), electrons "
    "being counts less the offset over the gain; read_variance (1, 1, height, width): electrons^2 "
    "at the camera's input. Any batch, height and width."
)
_MIXTURE_OUTPUTS = (
    "logit (batch, height, width): of the chance of an emitter; mean, deviation (batch, 4, height, "
    "width): x and y from the pixel's centre in pixels, z from the middle of the architecture's "
    "z_range_um in halves of it, root of the electrons over 50; background (batch, height, width): "
    "(stabilised - input_offset) / input_scale. The card's calibration is not applied."
)
_VOXEL_INPUTS = (
    "frames (batch, 1, height, width): counts scaled as the card's input tells, minmax to 0..1 "
    "frame by frame or (counts - offset) / scale. Any batch, height and width."
)
_VOXEL_OUTPUTS = (
    "volume (batch, depth, 4 height, 4 width): confidence from 0 to the architecture's scale."
)


def export_onnx(model: Model, path: Path) -> None:
    """Write a model's network as one ONNX file; localizing (peaks, lengths) is left to the reader.

    Its metadata hold the model's card as JSON (`dsacq`) and what goes in and comes out (`inputs`,
    `outputs`). Raises SettingsError where the libraries are not installed, FileError.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise SettingsError(
            f"ONNX files are written by {' and '.join(missing)}, not installed here: "
            "pip install onnx onnxscript onnxruntime"
        )
    if isinstance(model.network, MixtureNetwork):
        content = _exported(
            model,
            model.network,
            (torch.zeros(2, model.network.frames, 32, 40), torch.zeros(1, 1, 32, 40)),
            {"stabilised": ("batch", "height", "width"), "read_variance": ("", "height", "width")},
            Mixture._fields,
            {"inputs": _MIXTURE_INPUTS, "outputs": _MIXTURE_OUTPUTS},
        )
    else:
        content = _exported(
            model,
            model.network,
            (torch.zeros(2, 1, 16, 20),),
            {"frames": ("batch", "height", "width")},
            ("volume",),
            {"inputs": _VOXEL_INPUTS, "outputs": _VOXEL_OUTPUTS},
        )
    write_atomically(path, content)


def _exported(
    model: Model,
    network: nn.Module,
    examples: tuple[Tensor, ...],
    inputs: dict[str, tuple[str, str, str]],
    outputs: tuple[str, ...],
    told: dict[str, str],
) -> bytes:
    """inputs: names of the first, third and fourth axis of each; without a name it is fixed."""
    axes = {name: Dim(name) for name in ("batch", "height", "width")}
    free = tuple(
        {axis: axes[name] for axis, name in zip((0, 2, 3), names, strict=True) if name}
        for names in inputs.values()
    )
    device = next(network.parameters()).device
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            network,
            tuple(example.to(device) for example in examples),
            dynamo=True,
            dynamic_shapes=free,
            input_names=list(inputs),
            output_names=list(outputs),
            verbose=False,
        )
    assert program is not None
    card = json.dumps(asdict(model.card))
    program.model.metadata_props.update({"dsacq": card} | told)
    content: bytes = program.model_proto.SerializeToString()
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own insides."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)
