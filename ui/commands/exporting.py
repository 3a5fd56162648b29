"""dsacq export-onnx."""

from pathlib import Path
from typing import Annotated

import typer

from dsacq.errors import FileError
from ui.commands.models import find_model
from ui.console import say

_SUFFIX = ".onnx"


def export_onnx(
    model: Annotated[Path, typer.Argument(help="Model file, or the name of one in your folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (.onnx).")],
) -> None:
    """Write a model's network as ONNX, for other programs.

    What goes in and comes out is told in the file's metadata, with all that the model's header
    holds.

    Example: `dsacq export-onnx tetrapod-4um -o tetrapod.onnx`
    """
    from dsacq.files.outputs import check_outputs
    from dsacq.networks.model_file import load_model
    from dsacq.networks.onnx_export import export_onnx as exported

    if output.suffix != _SUFFIX:
        raise FileError(f"{output}: an ONNX file's name ends in {_SUFFIX}.")
    check_outputs(output, reads=(model,))
    exported(load_model(find_model(model)), output)
    say(f"The network of {model} written to {output}.")
