"""What may be done to a rig's devices while frames are recorded.

What would make the frames others than those that the recording tells of is refused: the pattern on
the SLM, exposure, region, binning, properties and presets. Light and stages may be set, within
their limits, and each change is noted with the frame from which it may be seen. What makes dark,
stops or closes always passes. This holds for the devices themselves, whoever has hold of them.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from hardware.protocols import DeviceError
from hardware.watch import Watch

_REFUSED: Mapping[str, str] = {
    "set_exposure": "another exposure",
    "set_roi": "another region",
    "set_binning": "another binning",
    "set_property": "another value of a property",
    "apply_preset": "another preset",
    "show": "another pattern",
}
_NOTED = ("set_power", "on", "off", "set_opened", "move_to")


class Guard:
    """Of one rig. watch: of the acquisition that runs, or None."""

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self._recording = False

    def protect(self, device: Any) -> None:
        """From now on, what is asked of this object comes here first."""
        for name in (*_REFUSED, *_NOTED):
            if hasattr(type(device), name):
                # The driver's own class stays what it is; only this object asks here.
                setattr(device, name, partial(self._asked, device, name))

    @contextmanager
    def acquiring(self, watch: Watch, *, recording: bool) -> Generator[None]:
        """While frames come."""
        self.watch, self._recording = watch, recording
        try:
            yield
        finally:
            if self.watch is watch:
                self.release()

    def release(self) -> None:
        """Nothing is refused or noted any more, as the rig is being closed."""
        self.watch, self._recording = None, False

    def require_free(self, device: str) -> None:
        """Raises DeviceError while a recording runs."""
        if self._recording:
            raise DeviceError(device, "is recording; stop that recording first.")

    def _asked(self, device: Any, name: str, *values: Any, **named: Any) -> Any:
        work: Callable[[], Any] = partial(getattr(type(device), name), device, *values, **named)
        watch = self.watch
        if name in _NOTED:
            return work() if watch is None else watch.noted(device.name, name, values, work)
        if self._recording:
            raise DeviceError(
                device.name,
                f"cannot be given {_REFUSED[name]} while a recording runs; stop it first.",
            )
        return work()
