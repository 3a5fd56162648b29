"""What the devices of a rig say while frames come, asked now and then and once more at the end."""

import logging
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, Any, Self, TypeVar

from dsacq.errors import UserError
from dsacq.live_events import Events
from hardware.protocols import DeviceError

if TYPE_CHECKING:
    from hardware.protocols import Laser, Shutter, Stage
    from hardware.rig import Rig

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
TOLERANCE = 0.02  # of a power, and of a limit: devices round, and measure, no better
_LEAST_MOVE_UM = 0.1  # stages that stand still are read with noise
_LAST_LOOK_S, _IN_THE_DARK_S = 0.3, 5.0  # that the last look may take while light is on, or not

Value = float | bool | None
Values = dict[str, Value]
_Result = TypeVar("_Result")


class Watch:
    """Notes what is not as it was, and makes dark what shines above its limit.

    A thread asks, so that no frame waits for a device. known: what each device said last, by name.
    everything: also stages, shutters, exposure and SLM, not only lasers.
    """

    def __init__(self, rig: "Rig", events: Events, *, everything: bool) -> None:
        self._rig, self._events = rig, events
        self._questions = _questions(rig, everything)
        self.known: dict[str, Values] = {name: {} for name in self._questions}
        self._frames = dict.fromkeys(self._questions, 0)  # that had come when it was asked last
        self._turns = dict.fromkeys(self._questions, 0)  # how often it was set
        self._setting = dict.fromkeys(self._questions, 0)  # by how many, now
        self._lock = Lock()
        self._lit, self._over = True, False
        self._shone: set[str] = set()  # lasers, until light went off
        self._asked, self._done = 0, 0  # looks
        self._change = Condition()
        self._thread = Thread(target=self._run, name="watching devices", daemon=True)
        for name, question in self._questions.items():
            self.known[name] = _answer(question)

    def __enter__(self) -> Self:
        """Begin to ask; from now on `events` gets the last look from here."""
        self._events.last_look = self._last_look
        self._thread.start()
        return self

    def darkening(self) -> None:
        """Light goes off because the run ends: that is no change of the recording."""
        if self._lit:
            self._shone = {name for name, said in self.known.items() if said.get("emitting")}
            self._lit = False

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._over = True
            self._change.notify_all()
        self._thread.join()

    def noted(
        self, device: str, method: str, values: tuple[Any, ...], work: Callable[[], _Result]
    ) -> _Result:
        """Do what sets a device, and note what it changed. Never waits for a question."""
        if device not in self._questions:
            return work()
        frame = self._events.frames
        with self._being_set(device):
            result = work()
            self._note(device, self._outcome(device, method, values), frame, asked=True)
        return result

    @contextmanager
    def _being_set(self, device: str) -> Generator[None]:
        with self._lock:
            self._setting[device] += 1
        try:
            yield
        finally:
            with self._lock:
                self._setting[device] -= 1
                self._turns[device] += 1

    def _outcome(self, device: str, method: str, values: tuple[Any, ...]) -> Values:
        """What a device is like now, without a question where light must go off at once."""
        match method:
            case "on" | "off":
                return {"emitting": method == "on"}
            case "set_opened":
                return {"opened": bool(values[0])} if values else {}
        kept = ("power_mw",) if method == "set_power" else ("position_um",)
        answer = _answer(self._questions[device])
        return {what: value for what, value in answer.items() if what in kept}

    def _note(self, device: str, said: Values, frame: int, *, asked: bool) -> None:
        with self._lock:
            known = self.known[device]
            changed = {what: (known.get(what), value) for what, value in said.items()}
            changed = {what: pair for what, pair in changed.items() if _differ(what, *pair)}
            known |= {what: after for what, (_, after) in changed.items()}
        for what, (before, after) in changed.items():
            if self._lit or what not in ("emitting", "opened"):
                self._events.note(device, what, before, after, frame=frame, asked=asked)

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._over or self._asked > self._done, INTERVAL_S)
                look = self._asked
            if self._over:
                return
            self._look()
            with self._change:
                self._done = look
                self._change.notify_all()

    def _last_look(self) -> None:
        """By the thread; light is not to stay on because a device does not answer."""
        with self._change:
            if self._over:
                return
            self._asked += 1
            look = self._asked
            self._change.notify_all()
            patience_s = _LAST_LOOK_S if self._lit else _IN_THE_DARK_S
            self._change.wait_for(lambda: self._done >= look, patience_s)

    def _look(self) -> None:
        for name, question in self._questions.items():
            try:
                self._ask(name, question)
            except Exception:
                log.exception("%s could not be asked", name)

    def _ask(self, name: str, question: Callable[[], Values]) -> None:
        turn, lit, coming = self._turns[name], self._lit, self._events.frames
        if self._setting[name]:
            return
        said = _answer(question)
        if self._setting[name] or self._turns[name] != turn or lit != self._lit:
            return  # it was set meanwhile
        if not lit:
            said = self._in_the_dark(name, said)
        self._note(name, said, self._frames[name], asked=False)
        self._frames[name] = coming
        if name in self._rig.lasers:
            self._check_limit(name, self._rig.lasers[name].limit_mw, said)

    def _in_the_dark(self, name: str, said: Values) -> Values:
        """Of a laser that was put off, a power may tell what it was, unless it reads 0 by now."""
        before_mw, now_mw = self.known[name].get("power_mw"), said.get("power_mw")
        dimmer = before_mw is not None and now_mw is not None and now_mw < before_mw
        left_out = {"emitting", "opened"} | ({"power_mw"} if dimmer else set())
        return {what: value for what, value in said.items() if what not in left_out}

    def _check_limit(self, name: str, limit_mw: float, said: Values) -> None:
        power_mw = said.get("power_mw")
        emitting = said.get("emitting") if self._lit else name in self._shone
        if not emitting or power_mw is None or not power_mw > limit_mw * (1 + TOLERANCE):
            return
        self.darkening()
        told = "made dark"
        try:
            self._rig.dark()
        except UserError as error:
            told = f"it could not be made dark ({str(error).rstrip('.')}), switch it off"
        self._events.trouble = self._events.trouble or DeviceError(
            name, f"emits {power_mw:.4g} mW, above its limit of {limit_mw:g} mW; {told}."
        )


def _questions(rig: "Rig", everything: bool) -> Mapping[str, Callable[[], Values]]:
    """What each device is asked, by its name."""
    asked: dict[str, Callable[[], Values]] = {}
    for name, laser in rig.lasers.items():
        asked[name] = _of_laser(laser)
    if not everything:
        return asked
    for name, shutter in rig.shutters.items():
        asked[name] = _of_shutter(shutter)
    for stage in (rig.focus, rig.stage_x, rig.stage_y):
        if stage is not None:
            asked[stage.name] = _of_stage(stage)
    asked[rig.camera.name] = lambda: {"exposure_s": rig.camera.exposure_s}
    if (slm := rig.slm) is not None:
        asked[slm.name] = lambda: {"shows_pattern": slm.shown is not None}
    return asked


def _of_laser(laser: "Laser") -> Callable[[], Values]:
    return lambda: {"power_mw": laser.power_mw, "emitting": laser.emitting}


def _of_shutter(shutter: "Shutter") -> Callable[[], Values]:
    return lambda: {"opened": shutter.opened}


def _of_stage(stage: "Stage") -> Callable[[], Values]:
    return lambda: {"position_um": stage.position_um()}


def _answer(question: Callable[[], Values]) -> Values:
    try:
        return question() | {"answering": True}
    except UserError as error:
        log.info("%s", error)
        return {"answering": False}


def _differ(what: str, before: Value, after: Value) -> bool:
    if before is None or after is None or isinstance(after, bool):
        return before is not after
    if what == "position_um":
        return not abs(after - before) < _LEAST_MOVE_UM
    return not math.isclose(before, after, rel_tol=TOLERANCE)
