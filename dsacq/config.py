"""Settings: validated dataclasses from TOML files."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from dsacq.errors import FileError, SettingsError

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises FileError when it cannot be read as TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: is not a valid TOML file ({error}).") from None


def validated(kind: type[T], values: Mapping[str, Any], source: str) -> T:
    """Settings of the given kind from plain values.

    All mistakes are told at once, each with the key it concerns; `source` (the file) comes first.
    Raises SettingsError.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        told = "; ".join(_mistake(item) for item in error.errors())
        raise SettingsError(f"{source}: {told}.") from None


def read_settings(kind: type[T], path: Path) -> T:
    """Settings of the given kind from a TOML file. Raises FileError or SettingsError."""
    return validated(kind, read_toml(path), str(path))


def _mistake(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "settings"
    match item["type"]:
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"{key} is missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"{key} is not a known key"
        case "union_tag_not_found":
            return f"{key}.kind is missing"
        case "union_tag_invalid":
            known = item["ctx"]["expected_tags"]
            return f"{key}.kind = {item['ctx']['tag']!r}: expected one of {known}"
    message = item["msg"].removeprefix("Value error, ")
    message = f"{message[:1].lower()}{message[1:]}"
    # A whole table says nothing that the message does not.
    shown = "" if isinstance(item["input"], dict) else f" = {item['input']!r}"
    return f"{key}{shown}: {message}"
