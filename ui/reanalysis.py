"""A recording or movie looked at again: opened, localized with another model, compared."""

import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsacq.errors import FileError

if TYPE_CHECKING:
    import pandas as pd

    from dsacq.analysis.metrics import Scores
    from dsacq.data import Localizations
    from dsacq.files.movies import Movie
    from dsacq.files.recording import Facts

PURSUIT = "matching pursuit"  # in place of a model's name
RADIUS_UM = 0.25  # within which two localizations are taken for the same emitter
_INTERVAL_S = 0.1


@dataclass(frozen=True, eq=False)
class Run:
    """Localizations of a movie by one model.

    frames: those looked at. found: sorted by frame. scores: against the truth, where there is one.
    remark: a sentence on how it was made, or nothing.
    """

    name: str
    model: str
    frames: range
    found: "Localizations"
    scores: "Scores | None" = None
    remark: str = ""

    def of_frame(self, index: int) -> "pd.DataFrame":
        """The rows of one frame."""
        frame = self.found.table["frame"].to_numpy()
        first, last = np.searchsorted(frame, [index, index + 1])
        return self.found.table.iloc[first:last]


@dataclass(frozen=True, eq=False)
class Opened:
    """An open movie and what lies beside it. remarks: sentences on what could not be used."""

    path: Path
    movie: "Movie"
    facts: "Facts | None" = None
    live: Run | None = None
    truth: "Localizations | None" = None
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How to localize again. model: None is matching pursuit. threshold: None is the usual one.
    frames: as A:B, roi: as X,Y,W,H, None is all."""

    name: str
    model: Path | None
    threshold: float | None = None
    refine: bool = False
    link: bool = True
    frames: str | None = None
    roi: str | None = None


@dataclass(frozen=True)
class Progress:
    """Frames done, of how many, in how long."""

    done: int
    total: int
    elapsed_s: float

    @property
    def rate_per_s(self) -> float:
        return self.done / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def left_s(self) -> float | None:
        return (self.total - self.done) / self.rate_per_s if self.rate_per_s else None


def open_recording(path: Path) -> Opened:
    """Open a recording, by its folder or recording.json, or any movie. Raises FileError."""
    from dsacq.files.movies import open_movie
    from dsacq.files.recording import (
        FACTS,
        LOCALIZATIONS,
        STREAMED,
        TRUTH,
        is_recording,
        read_facts,
    )

    if path.name == FACTS:
        path = path.parent
    movie = open_movie(path)
    try:
        folder = path if path.is_dir() else path.parent
        remarks: list[str] = []
        truth = _read(folder / TRUTH, remarks)
        if not is_recording(path):
            return Opened(path, movie, truth=truth, remarks=remarks)
        facts, live = read_facts(path), _read(path / LOCALIZATIONS, remarks)
        if live is None and (path / STREAMED).is_file():
            remarks.append(
                f"{path.name}: its live localizations are not in their final form; "
                "`dsacq recording repair` mends that."
            )
        run = None
        if live is not None:
            frames = range(len(movie))
            model = str(live.origin.get("model", "unknown model"))
            run = Run("live", model, frames, live, _scores(live, truth, frames))
        return Opened(path, movie, facts, run, truth, remarks)
    except BaseException:
        movie.close()
        raise


def run_again(opened: Opened, wanted: Wanted) -> Generator[Progress | Run]:
    """Localize a movie; yields Progress, at most ten times a second, and at last the Run.

    Raises FileError; SettingsError also for a model made for other optics than the movie.
    """
    from dsacq.analysis.link import link
    from dsacq.data import Gathered
    from dsacq.device import chosen_device
    from dsacq.localize.localizer import LocalizeSettings
    from dsacq.localize.movie import localize_movie
    from dsacq.microscope import microscope_behind, microscope_of
    from dsacq.networks.model_file import load_model
    from ui.commands.localizing import chosen_roi
    from ui.console import frame_range
    from ui.recorded_linking import recorded_linking

    movie = opened.movie
    settings = LocalizeSettings(threshold=wanted.threshold, roi=chosen_roi(wanted.roi))
    frames = frame_range(wanted.frames, len(movie))
    model = None if wanted.model is None else load_model(wanted.model)
    microscope, remarks = microscope_behind(
        movie, wanted=None if model is None else microscope_of(model)
    )
    steps, made_by = localize_movie(
        movie,
        frames,
        microscope,
        model,
        settings,
        refine=wanted.refine,
        device=chosen_device("auto"),
    )
    if wanted.link:
        steps = link(steps, recorded_linking(movie, opened.facts))

    gathered, done, linked = Gathered(), 0, {}
    began_s = told_s = time.monotonic()
    yield Progress(0, len(frames), 0.0)
    for part in steps:
        gathered.add(part)
        done += 1
        if wanted.link:
            linked = {"link": part.origin["link"]}
        now_s = time.monotonic()
        if now_s - told_s >= _INTERVAL_S:
            told_s = now_s
            yield Progress(done, len(frames), now_s - began_s)
    yield Progress(done, len(frames), time.monotonic() - began_s)
    found = gathered.joined(made_by | linked)
    yield Run(
        wanted.name,
        PURSUIT if model is None else model.card.name,
        frames,
        found,
        _scores(found, opened.truth, frames),
        " ".join(remarks),
    )


def compare(one: Run, other: Run) -> "Scores":
    """Over the frames of both: true_positives are in both, the rest of `found` only in `one`."""
    from dsacq.analysis.metrics import evaluate

    both = range(max(one.frames.start, other.frames.start), min(one.frames.stop, other.frames.stop))
    return evaluate(one.found, other.found, radius_um=RADIUS_UM, frames=both)


def _read(path: Path, remarks: list[str]) -> "Localizations | None":
    """A table sorted by frame; None where there is none, or a damaged one, which is remarked."""
    from dsacq.data import Localizations
    from dsacq.files.localizations import read_localizations

    if not path.is_file():
        return None
    try:
        read = read_localizations(path)
    except FileError as error:
        remarks.append(str(error))
        return None
    if read.table["frame"].is_monotonic_increasing:
        return read
    return Localizations(
        read.table.sort_values("frame", kind="stable", ignore_index=True), read.origin
    )


def _scores(
    found: "Localizations", truth: "Localizations | None", frames: range
) -> "Scores | None":
    from dsacq.analysis.metrics import evaluate

    if truth is None:
        return None
    return evaluate(found, truth, radius_um=RADIUS_UM, frames=frames)
