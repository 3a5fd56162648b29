"""What is wrong with settings, told by key in the words of who writes the file."""

import datetime
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import ErrorDetails

from dsacq.errors import SettingsError

_TRUTH = "true or false"
_NUMBER, _WHOLE, _LIST, _TABLE = "a number", "a whole number", "a list, in [ ]", "a table"
_WANTED: Final = {
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a number that is finite",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "string_type": "text in quotes",
    "path_type": "the name of a file or folder, in quotes",
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dataclass_type": _TABLE,
    "dataclass_exact_type": _TABLE,
    "dict_type": _TABLE,
    "none_required": "nothing",
}
_LIMITS: Final = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "{} or more"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "{} or less"),
    "string_too_short": ("min_length", "text of {} or more letters"),
    "string_too_long": ("max_length", "text of {} or fewer letters"),
}
_MISSING: Final = ("missing", "missing_argument", "missing_keyword_only_argument")
_UNKNOWN: Final = ("extra_forbidden", "unexpected_keyword_argument")
_DECIMAL_COMMA: Final = re.compile(r"\s*[+-]?[0-9]*,[0-9]+\s*")
_PLAIN: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MOST: Final = 60  # letters of a value in a sentence


def sentence(item: ErrorDetails, values: Mapping[str, Any]) -> str:
    """What one of pydantic's errors says. values: all that was given."""
    kind, value, facts = item["type"], item["input"], item.get("ctx", {})
    key = told_key(_path(item, values))
    if kind in _MISSING:
        return f"{key} is missing"
    if kind in _UNKNOWN:
        return f"{key} is not a known key"
    if kind == "union_tag_not_found":
        return f"{key}.kind is missing"
    if kind == "union_tag_invalid":
        return f"{key}.kind = {shown(facts['tag'])}: expected one of {facts['expected_tags']}"
    if "[key]" in item["loc"]:
        return f"{key} has the key {shown(value)}: expected {_wanted(item)}"
    # A whole table says nothing that the rest does not.
    given = "" if isinstance(value, Mapping) else f" = {shown(value)}"
    if kind == "value_error":
        return f"{key}{given}: {facts['error']}"
    return f"{key}{given}: expected {_wanted(item)}{_advice(value, _wanted(item))}"


@dataclass(frozen=True)
class _Truth:
    """true or false of a file, which no kind of number takes for 1 or 0."""

    value: bool


def with_truths_marked(values: Any) -> Any:
    """The values, such that what reads them tells where true or false was to be something else."""
    if isinstance(values, Mapping):
        return {key: with_truths_marked(one) for key, one in values.items()}
    if isinstance(values, list):
        return [with_truths_marked(one) for one in values]
    return _Truth(values) if isinstance(values, bool) else values


def truths_for_numbers(errors: Sequence[ErrorDetails], values: Mapping[str, Any]) -> list[str]:
    """Of the errors of marked values those where a number stands for true or false, in sentences.

    values: as they were given.
    """
    wanted: dict[str, dict[str, None]] = {}  # in order
    for one in errors:
        if isinstance(one["input"], _Truth):
            key = f"{told_key(_path(one, values))} = {shown(one['input'].value)}"
            wanted.setdefault(key, {})[_wanted(one)] = None
    return [
        f"{key}: expected {' or '.join(kinds)}"
        for key, kinds in wanted.items()
        if _TRUTH not in kinds and {_NUMBER, _WHOLE} & kinds.keys()
    ]


def misread(given: Any, taken: Any, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Texts that were taken for numbers, or for true or false, each in a sentence.

    given: as the file has it. taken: what was made of it, a dataclass, a list or a value.
    """
    if isinstance(given, Mapping):
        for name, one in given.items():
            own = taken.get(name) if isinstance(taken, Mapping) else getattr(taken, name, None)
            yield from misread(one, own, (*path, name))
    elif isinstance(given, list | tuple) and isinstance(taken, list | tuple):
        for place, (one, own) in enumerate(zip(given, taken, strict=False)):
            yield from misread(one, own, (*path, place))
    elif isinstance(given, str) and isinstance(taken, int | float):
        wanted = _TRUTH if isinstance(taken, bool) else _NUMBER
        meant = f"{taken}".lower()
        yield f"{told_key(path)} = {shown(given)}: expected {wanted}; write {meant} without quotes"


def decimal_comma(text: str) -> str:
    """A number that is written with a comma before its decimals, with a point; or nothing."""
    return text.strip().replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else ""


def typed_number(text: str, what: str) -> float:
    """The number that somebody typed, finite. what: it is for, to begin the sentence of the
    SettingsError where it is none."""
    if with_point := decimal_comma(text):
        raise SettingsError(f"{what}: write {with_point} with a point.")
    number = float(text) if is_plain_number(text) else math.inf
    if not math.isfinite(number):
        raise SettingsError(f"{what}: {text!r} is no number.")
    return number


def is_plain_number(text: str) -> bool:
    """Whether it is a number as files and people write it: of digits, a point, an exponent."""
    return _PLAIN.fullmatch(text.strip()) is not None


def told_key(path: Sequence[str | int]) -> str:
    """A key as TOML has it; places in lists as people count."""
    told, listed = "", False
    for part in path:
        if isinstance(part, int):
            told, listed = f"value {part + 1} of {told}", True
        elif listed:
            told = f"{part} of {told}"
        else:
            told = f"{told}.{part}" if told else part
    return told or "settings"


def shown(value: Any) -> str:
    """A value as TOML has it, shortened where it is long."""
    text = _whole(value)
    return text if len(text) <= _MOST else f"{text[: _MOST - 4]} ..."


def _whole(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.date | datetime.time):  # a date with a time among them
        return value.isoformat()
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key} = {shown(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown(one) for one in value[:_MOST])}]"
    if isinstance(value, str):
        return f"'{value}'" if value.isprintable() and "'" not in value else json.dumps(value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _wanted(item: ErrorDetails) -> str:
    kind, facts = item["type"], item.get("ctx", {})
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return words.format(shown(facts[name]))
    if kind in ("literal_error", "enum"):
        return str(facts["expected"])
    if kind in ("too_long", "too_short"):
        edge, few = ("max", "at most") if kind == "too_long" else ("min", "at least")
        return f"{few} {facts[f'{edge}_length']} values, not {facts['actual_length']}"
    return _WANTED.get(kind, "another value")


def _advice(value: Any, wanted: str) -> str:
    """How a number in quotes is to be written."""
    if not isinstance(value, str) or not wanted.endswith("number"):
        return ""
    if with_point := decimal_comma(value):
        return f"; write {with_point} with a point, without quotes"
    return f"; write {value.strip()} without quotes" if is_plain_number(value) else ""


def _path(item: ErrorDetails, values: Mapping[str, Any]) -> list[str | int]:
    """Where it is in the file: what names one of several kinds, and not a key, is left out."""
    path: list[str | int] = []
    inside: Any = values
    parts = [part for part in item["loc"] if part != "[key]"]
    if len(parts) < len(item["loc"]):
        parts = parts[:-1]  # the key that is wrong
    for place, part in enumerate(parts):
        if isinstance(inside, Mapping) and part in inside:
            inside = inside[part]
        elif isinstance(inside, list | tuple) and isinstance(part, int):
            inside = inside[part] if part < len(inside) else None
        elif not (item["type"] in _MISSING and place + 1 == len(parts)):
            continue
        path.append(part)
    return path
