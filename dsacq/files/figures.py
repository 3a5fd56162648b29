"""Figures as files, written whole or not at all."""

from pathlib import Path

from matplotlib.figure import Figure

from dsacq.errors import FileError
from dsacq.files.atomic import replacing
from dsacq.files.names import check_file

_ENDINGS = (".png", ".pdf", ".svg")


def check_figure(path: Path | None) -> None:
    """Refuse what `save_figure` could not write, before the work for it; None is for no figure.
    Raises FileError."""
    if path is None:
        return
    if path.suffix.lower() not in _ENDINGS:
        raise FileError(f"{path}: figures are written as {', '.join(_ENDINGS)}; choose one.")
    check_file(path)


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """By the ending of the file's name. Raises FileError, as `check_figure` too."""
    check_figure(path)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=dpi, format=path.suffix.lower()[1:])
