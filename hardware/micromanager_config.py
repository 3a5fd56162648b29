"""Micro-Manager's configuration files (.cfg), as text: lines of comma-separated fields.

Source: Micro-Manager Configuration Guide. A device is loaded by `Device,LABEL,LIBRARY,NAME`, told
its hub by `Parent,LABEL,HUB`, and set by `Property,LABEL,NAME,VALUE`; what stands before
`Property,Core,Initialize,1` is set before devices are set up.
"""

from collections.abc import Iterable
from typing import Final

_BEGIN, _SET_UP = "Property,Core,Initialize,0", "Property,Core,Initialize,1"
_BEFORE: Final = ("Device", "Parent", "Property")  # setting up


def with_devices(text: str, labels: Iterable[str | None]) -> str:
    """The part of a configuration that loads these devices and what they need, and sets none of
    them. A label of None stands for the core's shutter.

    What a device needs: its hub, and devices that one of its properties names, as a serial port.
    """
    rows = [_fields(line) for line in text.splitlines()]
    known = {row[1] for row in rows if row[0] == "Device" and len(row) >= 4}
    kept = {_shutter(rows) if label is None else label for label in labels} & known
    while more := _needed(rows, kept, known) - kept:
        kept |= more

    setting_up = next((i for i, row in enumerate(rows) if ",".join(row) == _SET_UP), len(rows))
    before = [
        row
        for i, row in enumerate(rows)
        if i < setting_up and len(row) >= 3 and row[1] in kept and row[0] in _BEFORE
    ]
    before += [row for row in rows[setting_up:] if row[0] == "Parent" and row[1] in kept]
    linked = [
        row for row in rows[setting_up:] if _is_property(row) and row[1] in kept and row[3] in known
    ]
    lines = [_BEGIN, *map(",".join, before), _SET_UP, *map(",".join, linked)]
    if (shutter := _shutter(rows)) in kept:
        lines.append(f"Property,Core,Shutter,{shutter}")
    return "\n".join(lines) + "\n"


def _fields(line: str) -> list[str]:
    return [""] if line.startswith("#") else [field.strip() for field in line.split(",")]


def _is_property(row: list[str]) -> bool:
    return row[0] == "Property" and len(row) >= 4


def _needed(rows: list[list[str]], kept: set[str], known: set[str]) -> set[str]:
    hubs = {row[2] for row in rows if row[0] == "Parent" and len(row) >= 3 and row[1] in kept}
    named = {row[3] for row in rows if _is_property(row) and row[1] in kept}
    return (hubs | named) & known


def _shutter(rows: list[list[str]]) -> str:
    wanted = ["Property", "Core", "Shutter"]
    return next((row[3] for row in rows if row[:3] == wanted and len(row) >= 4), "")
