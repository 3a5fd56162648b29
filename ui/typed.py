"""Numbers as they are typed on the command line, checked for all commands alike."""

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import typer

from dsacq.errors import SettingsError
from dsacq.mistakes import decimal_comma, typed_number


def require_numbers(app: typer.Typer) -> None:
    """From now on the commands refuse what is infinite or no number, before they do anything."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _requiring_numbers(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            require_numbers(group.typer_instance)


def with_points(arguments: Sequence[str]) -> str:
    """Those of the arguments that are numbers with a decimal comma, as they are to be written."""
    values = (one.rpartition("=")[2] for one in arguments)
    return ", ".join(dict.fromkeys(filter(None, map(decimal_comma, values))))


def typed_numbers(text: str, between: str, count: int, option: str) -> tuple[float, ...]:
    """So many finite numbers with that between them. Raises SettingsError."""
    parts = text.split(between)
    if len(parts) != count:
        raise SettingsError(f"{option} {text}: expected {count} numbers with {between!r} between.")
    return tuple(typed_number(part, f"{option} {text}") for part in parts)


def _requiring_numbers(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def checked(*given: Any, **named: Any) -> Any:
        for name, value in named.items():
            if isinstance(value, float) and not math.isfinite(value):
                option = name.replace("_", "-")
                raise SettingsError(f"--{option} {value:g}: is no number that can be used.")
        return command(*given, **named)

    return checked
