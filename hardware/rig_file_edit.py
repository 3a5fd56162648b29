"""Changes in a rig file that leave all else in it, comments too, as its author wrote it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from dsacq.errors import FileError
from dsacq.files.atomic import write_atomically
from dsacq.files.reading import reading
from hardware.slm_pattern import Carrier, PupilAlignment


def write_alignment(path: Path, alignment: PupilAlignment, carrier: Carrier | None) -> None:
    """Put the tables pattern.alignment and pattern.carrier into a rig file. Raises FileError."""
    with reading(path, "a rig file"):
        text = path.read_text(encoding="utf-8")
    try:
        rig = tomlkit.parse(text)
    except TOMLKitError as error:
        raise FileError(f"{path}: is not TOML ({error}).") from None
    if "pattern" not in rig:
        rig["pattern"] = tomlkit.table(is_super_table=True)
    pattern: Any = rig["pattern"]
    _put(pattern, "alignment", asdict(alignment))
    if carrier is None:
        pattern.pop("carrier", None)
    else:
        _put(pattern, "carrier", asdict(carrier))
    write_atomically(path, tomlkit.dumps(rig).encode())


def _put(pattern: Any, name: str, values: dict[str, Any]) -> None:
    if name not in pattern:
        inline = isinstance(pattern, InlineTable)
        pattern[name] = tomlkit.inline_table() if inline else tomlkit.table()
    for key, value in values.items():
        if value is None:
            pattern[name].pop(key, None)
        else:
            pattern[name][key] = list(value) if isinstance(value, tuple) else value
