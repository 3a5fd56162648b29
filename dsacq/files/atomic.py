"""Writing a file so that it is either whole or not there, also where other programs look on.

On Windows a file that another program has open, a virus scanner for a moment or Excel for as long
as it shows it, can be neither replaced nor removed. So this waits a while, and what still cannot
take its place is kept under another name.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dsacq.errors import FileError
from dsacq.files.names import check_name, make_folder

log = logging.getLogger(__name__)

_WAITS_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
_KEPT: Final = "-kept"


class HeldError(FileError):
    """Another program has a file open, and does not let go of it."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to; on success it takes the place of `path`.

    The writer must have closed the file by the end of the block. After an exception nothing is
    left behind and an earlier `path` is untouched. Raises FileError when the folder is missing, the
    name is not good on every system or the disk refuses; HeldError when `path` is held, and then
    what was written is kept beside it under the name that is told. An OSError about another file,
    which the block reads perhaps, passes.
    """
    check_name(path)
    partial = path.with_name(path.name + ".partial")
    kept = path
    try:
        yield partial
        try:
            _patiently(lambda: partial.replace(path))
        except PermissionError as error:
            if path.is_dir():
                raise
            kept = _kept(partial, path)
            raise HeldError(
                f"{path}: another program has it open, so what was to be in it is in {kept.name} "
                "beside it; close it there, then rename that."
            ) from error
    except OSError as error:
        if not _is_about(error, partial, path):
            raise
        raise FileError(f"{path}: cannot be written ({error.strerror or error}).") from error
    finally:
        if kept != partial:
            discard(partial)


def write_atomically(path: Path, content: bytes) -> None:
    """Write bytes; raises as `replacing`."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def remove(path: Path) -> None:
    """Delete a file, if it is there. Raises FileError; HeldError when another program has it open
    and does not close it within seconds."""
    try:
        _patiently(lambda: path.unlink(missing_ok=True))
    except PermissionError:
        raise HeldError(f"{path}: another program has it open; close it there.") from None
    except OSError as error:
        raise FileError(f"{path}: cannot be removed ({error.strerror or error}).") from None


def rename(path: Path, other: Path) -> None:
    """Give a file another name in its folder. Raises FileError; HeldError when another program has
    it open and does not close it within seconds."""
    try:
        _patiently(lambda: path.replace(other))
    except PermissionError:
        raise HeldError(f"{path}: another program has it open; close it there.") from None
    except OSError as error:
        raise FileError(f"{path}: cannot be renamed ({error.strerror or error}).") from None


def discard(path: Path) -> None:
    """Delete a file that nobody misses; one that is held stays."""
    with suppress(OSError):
        path.unlink()


def discard_folder(path: Path) -> None:
    """Delete a folder that nobody misses; one with something in it stays."""
    with suppress(OSError):
        path.rmdir()


def discard_folders(made: list[Path]) -> None:
    """Take back what `make_folder` made, as far as there is nothing in it."""
    for one in made:
        discard_folder(one)


@contextmanager
def made_folder(path: Path, *, new: bool = False) -> Iterator[None]:
    """Within, a folder is there, as `make_folder` makes it. Where an exception ends that, what was
    made is removed again, if nothing was written into it. Raises FileError."""
    made = make_folder(path, new=new)
    try:
        yield
    except BaseException:
        discard_folders(made)
        raise


@contextmanager
def going_on() -> Iterator[None]:
    """For a file without which the work goes on: that another program holds it is a warning."""
    try:
        yield
    except HeldError as error:
        log.warning("%s", error)


def _patiently(work: Callable[[], object]) -> None:
    """Do it as soon as it is let; raises PermissionError in the end."""
    for wait_s in _WAITS_S:
        try:
            work()
        except PermissionError:
            time.sleep(wait_s)
        else:
            return
    work()


def _kept(partial: Path, path: Path) -> Path:
    """Where beside it what could not take its place is kept."""
    first, dot, endings = path.name.partition(".")
    kept = path.with_name(f"{first}{_KEPT}{dot}{endings}")
    for keep in (Path.replace, shutil.copyfile):  # whoever holds a file may let it be read
        with suppress(OSError):
            keep(partial, kept)
            return kept
    return partial


def _is_about(error: OSError, *paths: Path) -> bool:
    """Whether an error names one of the paths or, as when the disk is full, none at all."""
    if error.filename is None:
        return True
    named = os.path.realpath(str(error.filename))  # libraries tell the path resolved
    return any(named == os.path.realpath(path) for path in paths)
