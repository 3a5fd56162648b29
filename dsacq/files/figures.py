"""Figures as files, written whole or not at all."""

from pathlib import Path

from matplotlib.figure import Figure

from dsacq.errors import FileError
from dsacq.files.atomic import replacing

_ENDINGS = (".png", ".pdf", ".svg")


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """By the ending of the file's name. Raises FileError, for other endings too."""
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        raise FileError(f"{path}: figures are written as {', '.join(_ENDINGS)}; choose one.")
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=dpi, format=ending[1:])
