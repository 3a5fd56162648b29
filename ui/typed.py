"""Numbers as they are typed on the command line, checked for all commands alike."""

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import typer

from dsacq.errors import SettingsError
from dsacq.mistakes import decimal_comma


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


def _requiring_numbers(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def checked(*given: Any, **named: Any) -> Any:
        for name, value in named.items():
            if isinstance(value, float) and not math.isfinite(value):
                option = name.replace("_", "-")
                raise SettingsError(f"--{option} {value:g}: is no number that can be used.")
        return command(*given, **named)

    return checked
