"""Standard output and error of a program: a full disk or a reader that has gone harms no work.

Results that cannot be written end a command, in a sentence; what is said about the work is lost
without a word.
"""

import io
import os
import sys
from contextlib import suppress
from typing import Any

from dsacq.errors import UserError


class OutputError(UserError):
    """Standard output cannot be written: the disk is full, or who read it has gone."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"The output cannot be written ({error.strerror or error}).")


class _Results(io.TextIOWrapper):
    """Raises OutputError, each time that there is something to write."""

    _failure: OutputError | None = None

    def write(self, text: str, /) -> int:
        if text == "":  # so streams are tried, and what they say to it is ignored
            return 0
        if self._failure is not None:
            raise self._failure
        try:
            return super().write(text)
        except OSError as error:
            raise self._failed(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> OutputError:
        _let_go(self)
        self._failure = OutputError(error)
        return self._failure


class _Words(io.TextIOWrapper):
    """Never fails."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except (OSError, ValueError):  # the latter once it was closed
            _let_go(self)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except (OSError, ValueError):
            _let_go(self)


def guard_output() -> None:
    """For a process of its own, at its start. Where a stream is missing, one takes anything.

    What the console's code page or a pipe's encoding lacks is written to standard output as its
    number, and no letter in a name ends a command. Standard error is so by itself.
    """
    _fill_descriptors()
    # Whoever goes back to the streams of the start would else find them without what they wrote to.
    sys.stdout = sys.__stdout__ = _remade(sys.stdout, _Results)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _remade(sys.stderr, _Words)  # type: ignore[misc]


def _remade(stream: Any, kind: type[io.TextIOWrapper]) -> Any:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - for good
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    encoding, lines, through = stream.encoding, stream.line_buffering, stream.write_through
    binary = stream.detach()
    return kind(binary, encoding, "backslashreplace", line_buffering=lines, write_through=through)


def _fill_descriptors() -> None:
    """A file that is opened must not take the place of a stream that was closed: what a library
    prints would be written into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _let_go(stream: io.TextIOWrapper) -> None:
    """What waits in it can be written to nowhere, and would fail again when the process ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
