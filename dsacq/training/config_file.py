"""Training settings as a TOML file that people read and change."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dsacq.files.atomic import write_atomically
from dsacq.training.settings import TrainingSettings

_TABLES = ("optics", "mask", "psf", "camera", "network", "priors", "training", "design")
_WIDE = 100


def write_training(
    settings: TrainingSettings, path: Path, comments: Mapping[str, str], heading: str = ""
) -> None:
    """Write settings, a design's too, so that they can be read back. Raises FileError.

    comments: by dotted key, such as "priors.density_per_um2", or table. heading: lines at the top.
    """
    write_atomically(path, training_text(settings, comments, heading).encode())


def training_text(
    settings: TrainingSettings, comments: Mapping[str, str], heading: str = ""
) -> str:
    """The file's content. Raises ValueError for a camera with a map, which TOML cannot hold."""
    values = asdict(settings)
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    for name in filter(values.__contains__, _TABLES):
        lines += _table(name, values[name], comments)
    return "\n".join(lines).lstrip("\n") + "\n"


def relative_file(file: Path, folder: Path) -> Path:
    """A file as seen from a folder; absolute where there is no way, as between Windows drives."""
    try:
        return Path(os.path.relpath(file.resolve(), folder.resolve()))
    except ValueError:
        return file.resolve()


def _table(name: str, values: Mapping[str, Any], comments: Mapping[str, str]) -> list[str]:
    lines = [""]
    if name in comments:
        lines.append(f"# {comments[name]}")
    lines.append(f"[{name}]")
    inner = []
    for key in sorted(values, key=lambda one: one != "kind"):  # which one it is comes first
        value = values[key]
        whole = f"{name}.{key}"
        if isinstance(value, dict):
            inner += _table(whole, value, comments)
        elif value is not None:
            lines += _line(f"{key} = {_written(whole, value)}", comments.get(whole))
    return lines + inner


def _line(text: str, comment: str | None) -> list[str]:
    if comment is None:
        return [text]
    beside = f"{text}  # {comment}"
    return [beside] if len(beside) <= _WIDE else [f"# {comment}", text]


def _written(key: str, value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case Path():
            return json.dumps(value.as_posix(), ensure_ascii=False)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case tuple():
            return f"[{', '.join(_written(key, part) for part in value)}]"
    raise ValueError(f"{key}={type(value).__name__}: expected a number, text or a range")
