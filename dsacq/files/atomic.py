"""Writing a file so that it is either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dsacq.errors import FileError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to; on success it takes the place of `path`.

    The writer must have closed the file by the end of the block. After an exception nothing is
    left behind and an earlier `path` is untouched. Raises FileError when the folder is missing or
    the disk refuses; an OSError about another file, which the block reads perhaps, passes.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if not _is_about(error, partial, path):
            raise
        raise FileError(f"{path}: cannot be written ({error.strerror or error}).") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def _is_about(error: OSError, *paths: Path) -> bool:
    """Whether an error names one of the paths or, as when the disk is full, none at all."""
    if error.filename is None:
        return True
    named = os.path.realpath(str(error.filename))  # libraries tell the path resolved
    return any(named == os.path.realpath(path) for path in paths)


def write_atomically(path: Path, content: bytes) -> None:
    """Write bytes; raises FileError."""
    with replacing(path) as partial:
        partial.write_bytes(content)
