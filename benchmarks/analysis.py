"""What is done with localizations, measured: python -m benchmarks.analysis

Drift of a random walk of 500 nm, pictures of 10 million localizations, tracks beside those of
trackpy and laptrack, where they are installed.
"""

import argparse
import tempfile
import time
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsacq.analysis.drift import estimate_drift
from dsacq.analysis.link import LinkSettings, link
from dsacq.analysis.rendering import render, write_picture
from dsacq.analysis.rendering_picture import METHODS
from dsacq.analysis.track_metrics import TrackScores, score_tracks
from dsacq.data import Localizations

FRAMES = 20_000
_SHORTEST = 5  # localizations of a track
_POSITION = ["x_um", "y_um", "z_um"]
# Of the emitters in all frames; the live model's recall is 0.85 and its precision 0.98.
_RATES = {
    "5 % missed, 2 % false": (0.05, 0.02),
    "as the live model": (0.15, 0.85 * (1 / 0.98 - 1)),
}
_LINKING = LinkSettings(frame_interval_s=0.1)  # all have its radius and memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rendered", type=int, default=10_000_000, help="localizations")
    parser.add_argument("--drifting", type=int, default=360_000, help="localizations")
    arguments = parser.parse_args()
    drift(arguments.drifting)
    rendering(arguments.rendered)
    for rates, (missed, false) in _RATES.items():
        tracking(rates, moving_emitters(missed, false))


def drift(count: int) -> None:
    table, truth = structure(count, seed=1)
    begun = time.perf_counter()
    found = ended(estimate_drift(table))
    took = time.perf_counter() - begun
    error = 1e3 * (found.at(np.arange(FRAMES)) - truth)
    error -= error.mean(0)
    told = "/".join(f"{value:.1f}" for value in error.std(0))
    print(f"drift of {count} localizations: {told} nm rms in {took:.1f} s")


def rendering(count: int) -> None:
    draw = np.random.default_rng(0)
    place = draw.uniform(0, 40, size=(count, 3)).astype(np.float32)
    frame = np.zeros(count, np.int64)
    sigma = draw.uniform(0.01, 0.03, count).astype(np.float32)
    table = Localizations.from_columns(
        frame=frame,
        x_um=place[:, 0],
        y_um=place[:, 1],
        z_um=place[:, 2] / 10,
        sigma_x_um=sigma,
        sigma_y_um=sigma,
    )
    for method in METHODS:
        begun = time.perf_counter()
        picture = render(table, 0.01, method=method)
        with tempfile.TemporaryDirectory() as folder:
            write_picture(picture, Path(folder) / "picture.rgb.tif")
        shape = "x".join(map(str, picture.shape))
        print(f"{method} of {count} at 10 nm, {shape}: {time.perf_counter() - begun:.1f} s")


def moving_emitters(missed: float, false: float) -> Localizations:
    """48 emitters, 500 frames at 10 Hz; those that are false have the emitter -1."""
    draw = np.random.default_rng(4)
    start = draw.uniform([2, 2, 1], [12, 12, 4], size=(48, 1, 3))
    steps = draw.normal(size=(48, 500, 3)) * np.sqrt(2 * 0.01 * 0.1)
    place = start + steps.cumsum(1)
    emitter, frame = np.indices((48, 500)).reshape(2, -1)
    seen = place.reshape(-1, 3) + draw.normal(size=(24_000, 3)) * [0.02, 0.02, 0.05]
    kept = draw.random(24_000) > missed
    others = round(false * 24_000)
    rows = np.concatenate((seen[kept], draw.uniform([2, 2, 1], [12, 12, 4], size=(others, 3))))
    return Localizations.from_columns(
        frame=np.concatenate((frame[kept], draw.integers(500, size=others))),
        x_um=rows[:, 0],
        y_um=rows[:, 1],
        z_um=rows[:, 2],
        sigma_x_um=np.full(len(rows), 0.02),
        sigma_y_um=np.full(len(rows), 0.02),
        sigma_z_um=np.full(len(rows), 0.05),
        emitter=np.concatenate((emitter[kept], np.full(others, -1))),
    )


def tracking(rates: str, table: Localizations) -> None:
    """Links that are right and the metrics of tracks: ours, made frame by frame, and those that are
    made of all frames at once."""
    truth = Localizations(table.table.assign(track=table.table["emitter"]))
    scores = {}
    for name, linked in (("dsacq", live), ("trackpy", trackpys), ("laptrack", laptracks)):
        try:
            import_module(name)
        except ImportError:
            print(f"tracks, {rates}, {name}: left out, because it is not installed")
            continue
        begun = time.perf_counter()
        rows = linked(table)
        took = time.perf_counter() - begun
        scores[name] = score = scored(rows, truth)
        told = f"alpha {score.alpha:.3f}, beta {score.beta:.3f}, JSC {score.jaccard:.3f}"
        print(f"tracks, {rates}, {name}: {told_of_links(rows)}, {told}, {took:.2f} s")
        if name != "dsacq":
            print(f"tracks, {rates}, live against {name}: {compared(scores['dsacq'], score)}")


def live(table: Localizations) -> pd.DataFrame:
    return Localizations.joined(link([table], _LINKING)).table


def trackpys(table: Localizations) -> pd.DataFrame:
    import trackpy  # type: ignore[import-untyped]

    trackpy.quiet()
    found: pd.DataFrame = trackpy.link(
        table.table,
        search_range=_LINKING.largest_step_um,
        memory=_LINKING.memory_frames,
        pos_columns=_POSITION,
    )
    return found.assign(track=found["particle"])


def laptracks(table: Localizations) -> pd.DataFrame:
    laptrack: Any = import_module("laptrack")
    tracker = laptrack.LapTrack(
        cutoff=_LINKING.largest_step_um**2,
        gap_closing_cutoff=_LINKING.largest_step_um**2,
        gap_closing_max_frame_count=_LINKING.memory_frames + 1,  # from sighting to sighting
        alternative_cost_percentile=100,  # with its 90 the dearer true gaps stay open
    )
    found: pd.DataFrame = tracker.predict_dataframe(table.table, _POSITION)[0]
    return found.assign(track=found["track_id"])


def scored(rows: pd.DataFrame, truth: Localizations) -> TrackScores:
    """The metrics of Chenouard et al. (2014); short tracks, of false positives, are left out."""
    length = rows.groupby("track")["frame"].transform("size")
    return score_tracks(Localizations(rows[length >= _SHORTEST]), truth, 0.2)


def compared(ours: TrackScores, theirs: TrackScores) -> str:
    """By how much the first are better, in percent."""
    pairs = {
        "alpha": (ours.alpha, theirs.alpha),
        "beta": (ours.beta, theirs.beta),
        "JSC": (ours.jaccard, theirs.jaccard),
    }
    return ", ".join(f"{name} {100 * (a / b - 1):+.1f} %" for name, (a, b) in pairs.items())


def told_of_links(rows: pd.DataFrame) -> str:
    """Recall and precision of links between consecutive sightings of an emitter."""

    def links(by: str, table: pd.DataFrame) -> set[tuple[int, int]]:
        made = set()
        for _, one in table.sort_values("frame").groupby(by):
            made |= set(zip(one.index[:-1], one.index[1:], strict=True))
        return made

    rows = rows.reset_index(drop=True)
    true = links("emitter", rows[rows["emitter"] >= 0])
    found = links("track", rows)
    right = len(true & found)
    return f"recall {right / len(true):.4f}, precision {right / len(found):.4f}"


def structure(count: int, seed: int) -> tuple[Localizations, np.ndarray]:
    """Molecules on filaments in 20 x 20 x 4 um, each seen six times, and the drift of frames."""
    draw = np.random.default_rng(seed)
    lines = []
    for _ in range(60):
        place = draw.uniform([0, 0, 0.5], [20, 20, 3.5])
        way = draw.normal(size=3) * [1, 1, 0.2]
        bends = draw.normal(size=(400, 3)) * [0.08, 0.08, 0.02]
        ways = way / np.linalg.norm(way) + bends.cumsum(0)
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        lines.append(place + (0.05 * ways).cumsum(0))
    places = np.concatenate(lines)
    inside = ((places > 0) & (places < [20, 20, 4])).all(1)
    places = places[inside]
    molecules = places[draw.integers(len(places), size=count // 6)]
    molecules = molecules + draw.normal(size=molecules.shape) * 0.005
    seen = molecules[draw.integers(len(molecules), size=count)]
    seen = seen + draw.normal(size=seen.shape) * [0.014, 0.014, 0.022]
    frame = np.sort(draw.integers(FRAMES, size=count))
    walk = draw.normal(size=(FRAMES, 3)).cumsum(0)
    walk -= walk[0]
    walk = 0.5 * walk / abs(walk).max(0)
    seen = seen + walk[frame]
    table = Localizations.from_columns(
        frame=frame, x_um=seen[:, 0], y_um=seen[:, 1], z_um=seen[:, 2]
    )
    return table, walk


def ended(work: Generator[int, None, Any]) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


if __name__ == "__main__":
    main()
