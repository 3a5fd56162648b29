"""Changes in a rig file that leave all else in it, comments too, as its author wrote it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from dsacq.config import read_toml_text
from dsacq.errors import FileError
from dsacq.files.atomic import write_atomically
from hardware.slm_pattern import Carrier, PupilAlignment


def write_alignment(path: Path, alignment: PupilAlignment, carrier: Carrier | None) -> None:
    """Put the tables pattern.alignment and pattern.carrier into a rig file. Raises FileError."""
    rig = _parsed(path)
    if "pattern" not in rig:
        rig["pattern"] = tomlkit.table(is_super_table=True)
    pattern: Any = rig["pattern"]
    _put(pattern, "alignment", asdict(alignment))
    if carrier is None:
        pattern.pop("carrier", None)
    else:
        _put(pattern, "carrier", asdict(carrier))
    write_atomically(path, tomlkit.dumps(rig).encode())


def write_noise(path: Path, noise: dict[str, Any]) -> None:
    """Replace the table noise of a rig file, of the camera. Raises FileError."""
    rig = _parsed(path)
    table = tomlkit.table()
    table.update(noise)
    rig["noise"] = table
    write_atomically(path, tomlkit.dumps(rig).encode())


def write_levels(path: Path, levels_per_2pi: float) -> None:
    """Put pattern.levels.levels_per_2pi into a rig file, for its wavelength. Raises FileError."""
    rig = _parsed(path)
    if "pattern" not in rig:
        rig["pattern"] = tomlkit.table(is_super_table=True)
    _put(rig["pattern"], "levels", {"levels_per_2pi": levels_per_2pi, "lut": None})
    write_atomically(path, tomlkit.dumps(rig).encode())


def _parsed(path: Path) -> TOMLDocument:
    text = read_toml_text(path)
    try:
        return tomlkit.parse(text)
    except (TOMLKitError, RecursionError, ValueError) as error:
        raise FileError(f"{path}: is not TOML ({error}).") from None


def _put(pattern: Any, name: str, values: dict[str, Any]) -> None:
    if name not in pattern:
        inline = isinstance(pattern, InlineTable)
        pattern[name] = tomlkit.inline_table() if inline else tomlkit.table()
    for key, value in values.items():
        if value is None:
            pattern[name].pop(key, None)
        else:
            pattern[name][key] = list(value) if isinstance(value, tuple) else value
