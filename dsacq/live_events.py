"""What happens to the devices while frames come, told by whoever watches them."""

from collections.abc import Callable
from threading import Lock

from dsacq.errors import UserError
from dsacq.files.recording import Change
from dsacq.stream import clock_s


class Events:
    """Of one run; any thread may tell.

    trouble: why the run must end, once it must. last_look: asks the devices once more, within a
    fraction of a second; `live` calls it when all frames have come, while the lasers are on, and
    when the run is over.
    """

    def __init__(self) -> None:
        self.trouble: UserError | None = None
        self.last_look: Callable[[], None] = _nothing
        self._frames: Callable[[], int] = lambda: 0
        self._keep: Callable[[Change], None] = _nothing
        self._lock = Lock()
        self._changes: list[Change] = []

    def begin(self, frames: Callable[[], int], keep: Callable[[Change], None] | None) -> None:
        """frames: how many came so far. keep: gets each change, for a recording."""
        self._frames, self._keep = frames, keep or _nothing

    @property
    def frames(self) -> int:
        """How many came so far: the number of the next, the first to show what changes now."""
        return self._frames()

    @property
    def changes(self) -> tuple[Change, ...]:
        """All so far."""
        with self._lock:
            return tuple(self._changes)

    def note(
        self,
        device: str,
        what: str,
        before: float | bool | None,
        after: float | bool | None,
        *,
        frame: int,
        asked: bool,
    ) -> None:
        """Tell a change; arguments as a Change has them."""
        change = Change(
            frame=frame,
            time_s=clock_s(),
            device=device,
            what=what,
            before=before,
            after=after,
            asked=asked,
        )
        with self._lock:
            self._changes.append(change)
        self._keep(change)


def _nothing(*_: object) -> None:
    pass
