"""What a command is going to write: refused before the work where it would destroy something.

A recording cannot be taken again, and what a command reads it does not write over: neither under
the same name nor under another name of the same file.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dsacq.errors import FileError
from dsacq.files.camera_maps import MAPS
from dsacq.files.names import check_file
from dsacq.files.paths import is_there
from dsacq.files.reading import unread_file
from dsacq.files.recording import FACTS, FRAMES, MASK, STREAMS, is_recording

_NAMES: Final = {FACTS, FRAMES, MASK, *STREAMS, *STREAMS.values(), *MAPS.values()}
_MOVIE: Final = re.compile(r"movie_\d+\.tif")
_UNREAD: Final = unread_file(Path("any")).suffix
_IMAGES: Final = (".tif", ".tiff")


def check_outputs(*outputs: Path | None, reads: Iterable[Path | None] = ()) -> None:
    """Refuse files that a command must not write, before its work.

    outputs: all that it writes, None for what is not asked for. reads: the files and folders that
    it reads, None likewise. Raises FileError, also where `check_file` does.
    """
    given = [path for path in outputs if path is not None]
    inputs = [one for path in reads if path is not None for one in _files_of(path)]
    for place, path in enumerate(given):
        check_file(path)
        for one in {path, _resolved(path)}:
            _refuse_recorded(one)
        if any(_same(path, one) for one in inputs):
            raise FileError(f"{path}: is read by this command; choose another name for its result.")
        if any(_same(path, one) for one in given[:place]):
            raise FileError(f"{path}: two results would get this name; choose another for one.")


def _refuse_recorded(path: Path) -> None:
    """Capitals do not matter: they do not on some disks, to which a recording may be copied."""
    name = path.name.lower()
    own = name in _NAMES or _MOVIE.fullmatch(name) or name.endswith(_UNREAD)
    if own and is_recording(path.parent):
        raise FileError(
            f"{path}: is a file of the recording {_resolved(path.parent).name} itself; choose "
            "another name."
        )


def _files_of(path: Path) -> list[Path]:
    """What is read of a path that is given: of a folder, its images."""
    if not is_there(path, Path.is_dir):
        return [path]
    try:
        return [one for one in path.iterdir() if one.suffix.lower() in _IMAGES]
    except OSError:  # told by whoever reads it
        return []


def _same(one: Path, other: Path) -> bool:
    """Whether two paths mean one file, which may not be there yet."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return _resolved(one) == _resolved(other)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, or no name
        return path.absolute()
