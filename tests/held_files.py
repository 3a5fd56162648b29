"""Files that another program has open, as Windows keeps them."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dsacq.files import atomic


class Held:
    """Files that another program has open: to replace, rename or remove them is refused, as on
    Windows, so many times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refusals: dict[str, int] = {}
        self.waited_s: list[float] = []
        for name in ("replace", "rename", "unlink", "remove"):
            monkeypatch.setattr(os, name, self._refusing(getattr(os, name)))
        monkeypatch.setattr(atomic.time, "sleep", self.waited_s.append)

    def _refusing(self, real: Callable[..., None]) -> Callable[..., None]:
        def function(*paths: str | Path, **named: int) -> None:
            for path in paths:
                left = self.refusals.get(Path(path).name, 0)
                if left > 0:
                    self.refusals[Path(path).name] = left - 1
                    error = PermissionError(errno.EACCES, "Permission denied", str(path))
                    error.winerror = 32  # type: ignore[attr-defined,unused-ignore]
                    raise error
            real(*paths, **named)

        return function
