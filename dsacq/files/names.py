"""Names of new files and folders that are good on every system, as folders of data are copied."""

import os
import re
import sys
from pathlib import Path
from typing import Final

from dsacq.errors import FileError
from dsacq.files.paths import is_there

_FORBIDDEN: Final = '<>:"/\\|?*'
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])")
# Of a name, in bytes where they count, in UTF-16 units where those do: disks take 255, and files
# beside it have longer names, as `NAME.checkpoint.partial`.
_LONGEST: Final = 200
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
    if not is_text(name):
        return "has bytes that are no letters"
    if max(len(os.fsencode(name)), len(name.encode("utf-16-le")) // 2) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    return ""


def is_text(name: str) -> bool:
    """Whether a name, as the system gave it, is of letters; bytes that are none in its encoding
    cannot be told to libraries, nor written into other files."""
    return not any("\ud800" <= one <= "\udfff" for one in name)


def check_name(path: Path) -> None:
    """Refuse a new file or folder whose name some system does not take.

    The folders above it that are not there either count too. Raises FileError.
    """
    for one in (path, *path.parents):
        if not one.name or one.name == ".." or _is_there(one):
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


def check_file(path: Path) -> None:
    """Refuse a file that could not be written, before the work for it is done: as `check_name`,
    and where its folder is missing, or it is a folder itself or a device, whose place a file would
    take. Raises FileError."""
    check_name(path)
    if not is_there(path.parent, Path.is_dir):
        raise FileError(
            f"{path}: cannot be written, as the folder {path.parent} does not exist; make it first."
        )
    if is_there(path, Path.is_dir):
        raise FileError(f"{path}: cannot be written, as it is a folder; choose another name.")
    if is_there(path) and not is_there(path, Path.is_file):
        raise FileError(f"{path}: cannot be written, as it is no file; choose another name.")


def check_folder(path: Path, *, new: bool = False) -> None:
    """Refuse a folder that could not be made or used, before the work for it: as `check_name`, and
    where it or what it is to be in is no folder. new: also one that has something in it. Raises
    FileError."""
    check_name(path)
    there = nearest_there(path)
    if not is_there(there, Path.is_dir):
        raise FileError(f"{path}: cannot be made, as {there} is not a folder; choose another name.")
    if new and there == path and not _is_empty(path):
        raise FileError(f"{path}: is not empty; choose another name, for a folder of its own.")


def nearest_there(path: Path) -> Path:
    """A path, or the nearest above it that is there."""
    return next((one for one in (path, *path.parents) if is_there(one)), path)


def make_folder(path: Path, *, new: bool = False) -> list[Path]:
    """Make a folder and those above it; new: in which nothing may be yet. Returns what was made,
    the innermost first. Raises FileError."""
    check_folder(path, new=new)
    missing = [one for one in (path, *path.parents) if not is_there(one)]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{path}: cannot be made ({error.strerror or error}).") from None
    return missing


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError as error:
        raise FileError(f"{folder}: cannot be read ({error.strerror or error}).") from None


def _is_there(path: Path) -> bool:
    """Whether there is a file or folder; what Windows takes for a device is neither."""
    return is_there(path, Path.is_file) or is_there(path, Path.is_dir)


def _shortened(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 2 * _LONGEST else f"{text[:_LONGEST]}..."
