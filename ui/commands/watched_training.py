"""A training that another program watches.

It writes JSON lines to standard output: {"step", "loss", ..., "measured"} as it goes, and last
{"model", "finished", "accuracy"}. Of a design also {"picture"}, whenever there is a new one of its
mask, and "mask" at the end. A line on standard input ends it, and the model is written; the
end of standard input means that nobody is there any more, and only the checkpoint is.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from ui.console import print_json

if TYPE_CHECKING:
    from dsacq.training.train import Progress, Training

_BELOW_NORMAL: Final = 0x4000  # priority class, as Windows names it


class _Watcher:
    """The program at the other end. ending: set when it asks for the end, or is gone."""

    def __init__(self) -> None:
        self.ending, self.gone = Event(), False
        Thread(target=self._listen, name="watcher", daemon=True).start()

    def _listen(self) -> None:
        self.gone = not sys.stdin.readline()
        self.ending.set()
        if not self.gone:
            self.gone = not sys.stdin.readline()


def run_watched(
    training: "Training",
    checkpoint: Path,
    output: Path,
    after_report: "Callable[[Progress], dict[str, object]]" = lambda _: {},
    at_the_end: Callable[[], dict[str, object]] = dict,
) -> None:
    """Train, tell, and write checkpoint and model. Raises FileError or SettingsError.

    after_report, at_the_end: do what else is to be done then, and give what else is to be told.
    """
    from dsacq.networks.model_file import save_model
    from dsacq.training.saved import saved_as_it_goes

    watcher = _Watcher()
    _yield_to_others()
    print_json({"steps": training.settings.training.steps, "begun_at": training.step})
    for report in training.history:
        print_json(asdict(report))
    for report in saved_as_it_goes(training, training.run(stop=watcher.ending), checkpoint, output):
        print_json(asdict(report))
        if more := after_report(report):
            print_json(more)
    if watcher.gone or training.step == 0:
        return
    print_json({"finishing": True})
    model = training.model(output.stem)
    save_model(model, output)
    accuracy = model.card.accuracy
    result = {"model": output, "finished": training.finished, "accuracy": accuracy}
    print_json(result | at_the_end())


def _yield_to_others() -> None:
    """The camera's frames come first."""
    if sys.platform == "win32":
        import ctypes

        # Not ctypes.windll, which all share. A handle has 64 bits, of which ctypes by itself would
        # pass on half.
        kernel32 = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
        kernel32.GetCurrentProcess.argtypes = []
        kernel32.GetCurrentProcess.restype = ctypes.c_void_p
        kernel32.SetPriorityClass.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        kernel32.SetPriorityClass.restype = ctypes.c_int
        kernel32.SetPriorityClass(kernel32.GetCurrentProcess(), _BELOW_NORMAL)
    else:
        os.nice(10)
