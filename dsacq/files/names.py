"""Names of new files and folders that are good on every system, as folders of data are copied."""

import os
import re
import sys
from pathlib import Path
from typing import Final

from dsacq.errors import FileError

_FORBIDDEN: Final = '<>:"/\\|?*'
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])")
_LONGEST: Final = 255  # of a name, in bytes where they count, in UTF-16 units where those do
_LONGEST_PATH: Final = 259  # on Windows as it comes
_ROOM: Final = len("/localizations.parquet.partial")  # the longest name within a recording


def fault_of_name(name: str) -> str:
    """Why a file or folder cannot have this name on every system, to follow "the name"; or
    nothing."""
    if not name.strip(" ."):
        return "is empty"
    if found := sorted(set(name) & set(_FORBIDDEN)):
        return f"must not contain {' '.join(found)}"
    if any(ord(one) < 32 for one in name):
        return "must not contain control characters"
    if name[-1] in " .":
        return "must not end with a dot or a blank"
    if _DEVICES.fullmatch(name.partition(".")[0].rstrip(" ").lower()):
        return f"{name.partition('.')[0].rstrip(' ')} means a device on Windows"
    if max(len(os.fsencode(name)), len(name.encode("utf-16-le", "surrogatepass")) // 2) > _LONGEST:
        return f"is longer than the {_LONGEST} characters that a disk takes"
    return ""


def check_name(path: Path) -> None:
    """Refuse a new file or folder whose name some system does not take.

    The folders above it that are not there either count too. Raises FileError.
    """
    for one in (path, *path.parents):
        if not one.name or one.name == ".." or _exists(one):
            break
        if fault := fault_of_name(one.name):
            raise FileError(
                f"{_shortened(path)}: cannot be written, as the name {fault}; choose another one."
            )
    if sys.platform == "win32" and len(str(path.absolute())) + _ROOM > _LONGEST_PATH:
        raise FileError(
            f"{_shortened(path)}: cannot be written, as the path is too long for Windows; choose a "
            "folder nearer to the drive, or shorter names."
        )


def make_folder(path: Path, *, new: bool = False) -> None:
    """Make a folder and those above it; new: which must not be there yet. Raises FileError."""
    check_name(path)
    try:
        path.mkdir(parents=True, exist_ok=not new)
    except OSError as error:
        raise FileError(f"{path}: cannot be made ({error.strerror or error}).") from None


def _exists(path: Path) -> bool:
    """Whether there is a file or folder; what Windows takes for a device is neither."""
    try:
        return path.is_file() or path.is_dir()
    except OSError:  # a name that is too long, say
        return False


def _shortened(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 2 * _LONGEST else f"{text[:_LONGEST]}..."
