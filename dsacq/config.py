"""Settings: validated dataclasses from TOML files."""

import codecs
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from dsacq.errors import FileError, SettingsError
from dsacq.mistakes import misread, sentence, truths_for_numbers, with_truths_marked

T = TypeVar("T")

_MOST_BYTES: Final = 1 << 24
# Texts and comments of TOML; the ones in double quotes on a line are named.
_TOKENS: Final = re.compile(
    r""""{3}(?:\\.|[^\\])*?"{3}|'{3}.*?'{3}|"(?P<basic>(?:\\.|[^"\\\n])*)"|'[^'\n]*'|\#[^\n]*""",
    re.DOTALL,
)
_ESCAPES: Final = re.compile(r"\\(.)", re.DOTALL)
_TWICE: Final = re.compile(r"Cannot declare \((.*)\) twice(.*)")
_QUOTED: Final = r"'([^']*)'"
_LINE: Final = re.compile(r"\(at line (\d+)")
_DECIMAL_COMMA: Final = re.compile(r"[^=#]*=\s*([+-]?\d+),(\d+)\s*(#|$)")
_DRIVE: Final = re.compile(r"[A-Za-z]:\\(?!\\)")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises FileError when it cannot be read as TOML, or holds a path
    whose backslashes TOML takes for something else."""
    values: dict[str, Any]
    text = read_toml_text(path)
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise FileError(f"{path}: is not a valid TOML file (nested too deep).") from None
    except ValueError as error:  # numbers of thousands of digits among them
        raise FileError(f"{path}: is not a valid TOML file ({_told(error, text)}).") from None
    _refuse_huge(values, str(path), "")
    return values


def read_toml_text(path: Path) -> str:
    """The text of a TOML file as editors on any system store it, also for who keeps its comments.

    Raises FileError when it is no text in UTF-8, or holds a path whose backslashes TOML takes for
    something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error}).") from None
    if len(content) > _MOST_BYTES:
        raise FileError(f"{path}: is not a valid TOML file (it is too long).")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise FileError(
            f"{path}: is not a valid TOML file (it is stored as UTF-16; save it as UTF-8)."
        )
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(
            f"{path}: is not a valid TOML file (line {line} is not in UTF-8; save it as UTF-8)."
        ) from None
    text = text.replace("\r\n", "\n")
    _refuse_backslashes(text, path)
    return text


def _told(error: ValueError, text: str) -> str:
    """What the reader of TOML found wrong, in plain words where they are known."""
    told = str(error)
    if twice := _TWICE.match(told):
        return f"the table {'.'.join(re.findall(_QUOTED, twice[1]))} is there twice{twice[2]}"
    if where := _LINE.search(told):
        line = text.split("\n")[int(where[1]) - 1]
        if comma := _DECIMAL_COMMA.match(line):
            return f"line {where[1]}: write {comma[1]}.{comma[2]} with a point"
    return told.replace("Cannot overwrite a value", "a key is there twice")


def _refuse_backslashes(text: str, path: Path) -> None:
    """Of a Windows path in double quotes, as "C:\\temp" is a tab and "emp" to TOML."""
    for found in _TOKENS.finditer(text):
        written = found["basic"]
        if written is None or not _looks_like_path(written):
            continue
        line = text.count("\n", 0, found.start()) + 1
        raise FileError(
            f'{path}: line {line}, "{written}": write a path with \\ in single quotes, as in '
            f"'{written}', or with / in place of \\."
        )


def _looks_like_path(written: str) -> bool:
    """Whether a text in double quotes, as it is in the file, has a backslash that is meant."""
    single = [found[1] for found in _ESCAPES.finditer(written) if found[1] not in '\\"']
    if not single:
        return False
    if _DRIVE.match(written) or written.startswith("\\\\"):
        return True
    plain = _ESCAPES.sub("", written)  # "\r\n" alone is no path
    return bool(plain.strip()) and any(letter not in "uU" for letter in single)


def _refuse_huge(value: Any, source: str, key: str) -> None:
    """Whole numbers beyond what TOML has; some cannot even be shown."""
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_huge(item, source, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for item in value:
            _refuse_huge(item, source, key)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise FileError(f"{source}: {key} is a whole number too large for any setting.")


def validated(kind: type[T], values: Mapping[str, Any], source: str) -> T:
    """Settings of the given kind from plain values; what is no number is not taken for one.

    All mistakes are told at once, each with the key it concerns; `source` (the file) comes first.
    Raises SettingsError.
    """
    adapter, wrong = TypeAdapter(kind), list[str]()
    try:
        adapter.validate_python(with_truths_marked(values))
    except ValidationError as error:
        wrong = truths_for_numbers(error.errors(include_url=False), values)
    try:
        settings = adapter.validate_python(dict(values))
    except ValidationError as error:
        found = error.errors(include_url=False)
        # Where true was taken for 1, what does not agree with that would mislead.
        told = [one for one in found if not (wrong and one["type"] == "value_error")]
        wrong += [sentence(one, values) for one in told]
    else:
        wrong += misread(values, settings)
    if wrong:
        raise SettingsError(f"{source}: {'; '.join(dict.fromkeys(wrong))}.")
    return settings


def read_settings(kind: type[T], path: Path) -> T:
    """Settings of the given kind from a TOML file. Raises FileError or SettingsError."""
    return validated(kind, read_toml(path), str(path))
