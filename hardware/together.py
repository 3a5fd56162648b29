"""Several things to be done to devices, of which none is left out because another fails."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from threading import Thread
from typing import Final

from dsacq.errors import UserError
from hardware.protocols import DeviceError

log = logging.getLogger(__name__)

_GIVING_UP_S: Final = 8.0  # Micro-Manager waits 5 s for a device that is busy


def all_at_once(work: Mapping[str, Callable[[], object]]) -> None:
    """As `all_of`, each in a thread of its own; the names are of devices. One that does not come
    back is given up."""
    failures: list[BaseException] = []

    def do(one: Callable[[], object]) -> None:
        try:
            one()
        except BaseException as error:
            failures.append(error)

    end_s = time.perf_counter() + _GIVING_UP_S
    threads = {name: Thread(target=do, args=(one,), daemon=True) for name, one in work.items()}
    for name, thread in threads.items():
        try:
            thread.start()
        except RuntimeError:  # the interpreter is about to end
            do(work[name])
    for name, thread in threads.items():
        if thread.ident is not None:
            thread.join(max(end_s - time.perf_counter(), 0))
        if thread.is_alive():
            failures.append(
                DeviceError(name, f"has not answered for {_GIVING_UP_S:g} s; switch it off.")
            )
    _raise_all(failures)


def all_of(work: Iterable[Callable[[], object]]) -> None:
    """Do all, then raise DeviceError with what went wrong, or what else ended a part of it."""
    failures: list[BaseException] = []
    for one in work:
        try:
            one()
        except BaseException as error:  # also Ctrl+C, pressed again: the rest is still to be done
            failures.append(error)
    _raise_all(failures)


def _raise_all(failures: Iterable[BaseException]) -> None:
    failed: list[UserError] = []
    other: BaseException | None = None
    for error in failures:
        if not isinstance(error, UserError):
            other = error
        elif str(error) not in map(str, failed):
            failed.append(error)
    if other is not None:
        for failure in failed:
            log.error("%s", failure)
        raise other
    if failed:
        device = failed[0].device if isinstance(failed[0], DeviceError) else "rig"
        if len(failed) == 1:
            raise failed[0]
        told = " ".join(str(error) for error in failed)
        raise DeviceError(device, told.removeprefix(f"{device}: "))
