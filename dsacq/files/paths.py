"""Whether there is a file or folder of a name that was given, whatever the name is."""

from collections.abc import Callable
from pathlib import Path


def is_there(path: Path, kind: Callable[[Path], bool] = Path.exists) -> bool:
    """Whether there is such a path, or with `Path.is_file` and `Path.is_dir` such a file or folder.

    Nothing is where the system refuses to look: at a name that is too long, or in a folder that is
    closed. Path itself raises OSError then.
    """
    try:
        return kind(path)
    except (OSError, ValueError):
        return False
