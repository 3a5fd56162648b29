"""How long is waited for something that may not come."""

import time

_LOOKS = 2  # times its length, that a look counts at most


class Patience:
    """Waiting by looks rather than by the clock.

    A look counts for no longer than twice what it is meant to take. So time in which this
    computer did not run the one who looks, because it was busy with other programs, suspended or
    asleep, is not held against what is looked at: it had no chance to be seen either.

    look_s: what one look is meant to take, its pause included. One thread looks.
    """

    def __init__(self, look_s: float) -> None:
        self._most_s = _LOOKS * look_s
        self.begin()

    def begin(self) -> None:
        """Count from here."""
        self._waited_s, self._last_s = 0.0, time.perf_counter()

    def look(self) -> float:
        """It has not come: how long it has been waited for by now, in s."""
        now_s = time.perf_counter()
        self._waited_s += min(now_s - self._last_s, self._most_s)
        self._last_s = now_s
        return self._waited_s
