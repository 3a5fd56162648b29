"""What all commands share: how they ask, show progress, tell results and fail."""

import json
import math
import re
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from dsacq.errors import SettingsError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Results go to standard output, everything said about the work to standard error.
told = Console(stderr=True, highlight=False)


class DeviceName(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Device = Annotated[
    DeviceName, typer.Option("--device", help="Where to compute; auto takes a GPU if there is one.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Items per second, as the finished part went."""
        if not task.completed or not task.elapsed:
            return Text("")
        return Text(f"{task.completed / task.elapsed:.3g}/s")


@contextmanager
def tracked(total: int, what: str) -> Iterator[Callable[[], None]]:
    """A progress bar with count, rate and time left; gives what to call after each item."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=told, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def training_bar(
    steps: int, begun_at: int, what: str = "training"
) -> Iterator[Callable[[int, str], None]]:
    """A progress bar over steps; gives what to call with the step reached and a remark."""
    left = TimeRemainingColumn(elapsed_when_finished=True)
    with _remarking(what, steps, begun_at, left) as show:
        yield show


@contextmanager
def live_bar(frames: int) -> Iterator[Callable[[int, str], None]]:
    """A progress bar over frames with their rate; gives what to call with the frames so far and a
    remark."""
    with _remarking("recording", frames, 0, _Rate()) as show:
        yield show


@contextmanager
def _remarking(
    what: str, total: int, begun_at: int, *more: ProgressColumn
) -> Iterator[Callable[[int, str], None]]:
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *more,
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=told, transient=True) as progress:
        task = progress.add_task("", total=total, completed=begun_at)
        yield lambda reached, remark: progress.update(task, completed=reached, description=remark)


def outcome(work: Generator[Item, None, Result], each: Callable[[Item], object]) -> Result:
    """Run it to its end, each item given away; what it returns."""
    while True:
        try:
            each(next(work))
        except StopIteration as end:
            result: Result = end.value
            return result


def frame_range(text: str | None, count: int) -> range:
    """The frames that A:B means in a movie of `count` frames. Raises SettingsError."""
    if text is None:
        return range(count)
    parts = re.fullmatch(r"(\d*):(\d*)", text)
    if parts is None:
        raise SettingsError(f"frames {text!r} is not of the form A:B, such as 0:100 or 50:")
    start = int(parts[1] or 0)
    stop = min(int(parts[2] or count), count)
    if start >= stop:
        raise SettingsError(f"frames {text}: none of them is in the movie, which has {count}.")
    return range(start, stop)


def say(text: str) -> None:
    """A line about the work. Nothing fails because the terminal has gone."""
    with suppress(OSError):
        told.print(text, markup=False, soft_wrap=True)


def require_agreed(what: str, option: str) -> None:
    """Ask on the terminal whether it is meant, y or N. Raises SettingsError when it is not, and
    where there is nobody to ask, naming the option that says so."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise SettingsError(f"{what} There is no terminal to ask on: give {option} if it is meant.")
    if not typer.confirm(f"{what} Go on?", default=False, err=True):
        raise SettingsError("Not done, as was answered.")


def print_json(values: Any) -> None:
    """One JSON object on standard output; what is not a finite number is null."""
    typer.echo(json.dumps(_finite(values), default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
