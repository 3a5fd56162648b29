"""What the changes of a recording mean, in sentences for whoever works with its frames."""

from collections.abc import Iterable

from dsacq.files.recording import Change

_UNITS = {"power_mw": "mW", "position_um": "um", "exposure_s": "s"}
_STATES = {
    "emitting": ("off", "on"),
    "opened": ("closed", "open"),
    "answering": ("without an answer", "answering again"),
    "shows_pattern": ("without its pattern", "with its pattern again"),
}
_MEANING = {
    "power_mw": "later frames have another brightness",
    "emitting": "later frames have another light",
    "opened": "later frames have another light",
    "position_um": "later frames show another place",
    "exposure_s": "later frames have another exposure",
    "answering": "what it did after that is not known",
    "shows_pattern": "later frames may have been taken without the mask",
}


def change_remarks(changes: Iterable[Change]) -> list[str]:
    """A sentence for each device and each thing about it that changed."""
    kinds: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        kinds.setdefault((change.device, change.what), []).append(change)
    return [_sentence(of_kind) for of_kind in kinds.values()]


def _sentence(changes: list[Change]) -> str:
    first = changes[0]
    meaning = _MEANING.get(first.what, "later frames differ")
    if first.what == "position_um" and first.device == "focus":
        meaning = "later frames have another focus"
    by_itself = "" if first.asked else ", not set by dsacq"
    more = f", the first of {len(changes)} such changes" if len(changes) > 1 else ""
    return f"{_told(first)}{by_itself}{more}: {meaning}."


def _told(change: Change) -> str:
    if change.what in _STATES:
        state = _STATES[change.what][bool(change.after)]
        return f"{change.device} was {state} from frame {change.frame} on"
    unit = _UNITS.get(change.what, change.what)
    values = " to ".join(
        "an unknown" if value is None else f"{value:.4g}" for value in (change.before, change.after)
    )
    return f"{change.device} went from {values} {unit} at frame {change.frame}"
