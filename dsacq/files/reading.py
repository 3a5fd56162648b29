"""The border where what a library raises becomes a sentence for the user."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsacq.errors import FileError


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a library raises while it reads `path` into a FileError.

    Damaged files make the libraries fail in more ways than they list, so everything is caught:
    keep only the library's own calls inside.
    """
    try:
        yield
    except FileError:
        raise
    except Exception as error:
        raise FileError(f"{path}: cannot be read as {kind} ({reason(error)}).") from error


def reason(error: Exception) -> str:
    """What a library complains of, in a line: the system's own words where the system refused."""
    number = getattr(error, "errno", None)
    words = os.strerror(number) if number else str(error).strip().partition("\n")[0][:200]
    return words.rstrip(".") or type(error).__name__
