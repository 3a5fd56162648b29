"""Writing a file so that it is either whole or not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsacq.errors import FileError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to; on success it takes the place of `path`.

    The writer must have closed the file by the end of the block. After an exception nothing is
    left behind and an earlier `path` is untouched. Raises FileError when the folder is missing or
    the disk refuses.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror or error}).") from error
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write bytes; raises FileError."""
    with replacing(path) as partial:
        partial.write_bytes(content)
