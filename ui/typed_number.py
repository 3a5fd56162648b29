"""Numbers as people type them, the same in every language of the computer.

A point and a comma both begin the decimals. Nothing parts thousands: what could be read in two
ways is refused, never guessed.
"""

import math
import re
import unicodedata

_SAME = {
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    ",": ".",
    "\N{ARABIC DECIMAL SEPARATOR}": ".",
    "\N{GREEK SMALL LETTER MU}": "\N{MICRO SIGN}",
}
_WHOLE = r"[+-]?[0-9]+(?:[eE]\+?[0-9]+)?"
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_BEGUN = r"[+-]?[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]*)?"
_PARTED = re.compile(r"[0-9][^0-9a-zA-Z+-][0-9]")


class RefusedError(ValueError):
    """A text that is no number for a box; its sentence is for the person who typed it."""


def typed_number(text: str, unit: str = "", *, whole: bool = False) -> float | None:
    """The number in a text, which may end with its unit; None while it is only begun.

    whole: no decimals are known. Raises RefusedError.
    """
    text = without_unit(text, unit)
    plain = _plain(text)
    if re.fullmatch(_WHOLE if whole else _NUMBER, plain):
        return float(plain)
    if whole and "." in plain:
        raise RefusedError(f"{text}: only whole numbers are taken here, without any mark.")
    if re.fullmatch(_BEGUN, plain):
        return None
    if plain.count(".") > 1:
        raise RefusedError(f"{text} has two marks; type one only, for the decimals: 1.5 or 1,5.")
    if _PARTED.search(plain):
        raise RefusedError(f"{text}: type digits without anything between them.")
    raise RefusedError(f"{text} is no number{f' of {unit.strip()}' if unit.strip() else ''}.")


def without_unit(text: str, unit: str) -> str:
    """The text without blanks around it and its unit at the end, however often that stands there.

    Text that is pasted often brings its unit along, and a box has its own.
    """
    text, unit = text.strip(), unit.strip()
    if not unit:
        return text
    spellings = {unit, unit.replace("\N{MICRO SIGN}", "u")}
    while any(_plain(text).endswith(one) for one in spellings):
        text = text[: -len(unit)].strip()  # all spellings are equally long
    return text


def shown_number(value: float, decimals: int) -> str:
    """As the boxes show it: a point before the decimals, nothing between the other digits."""
    return f"{value:z.{decimals}f}"


def shown_exactly(value: float) -> str:
    """The shortest text that is read as this value again."""
    return repr(value + 0.0).removesuffix(".0") if math.isfinite(value) else str(value)


def _plain(text: str) -> str:
    """With the digits of any script as 0 to 9, and one sign for minus, decimals and micro."""
    return "".join(_SAME.get(one, str(unicodedata.decimal(one, one))) for one in text)
