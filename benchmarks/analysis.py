"""What is done with localizations, measured: python -m benchmarks.analysis

Drift of a random walk of 500 nm, pictures of 10 million localizations, tracks beside trackpy's.
"""

import argparse
import time
from collections.abc import Generator
from typing import Any

import numpy as np
import pandas as pd

from dsacq.analysis.drift import estimate_drift
from dsacq.analysis.link import LinkSettings, link
from dsacq.analysis.rendering import METHODS, render
from dsacq.analysis.track_metrics import score_tracks
from dsacq.data import Localizations

FRAMES = 20_000
_SHORTEST = 5  # localizations of a track


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rendered", type=int, default=10_000_000, help="localizations")
    parser.add_argument("--drifting", type=int, default=360_000, help="localizations")
    arguments = parser.parse_args()
    drift(arguments.drifting)
    rendering(arguments.rendered)
    tracking()


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
        image = render(table, 0.01, method=method)
        shape = "x".join(map(str, image.counts.shape))
        print(f"{method} of {count} at 10 nm, {shape}: {time.perf_counter() - begun:.1f} s")


def tracking() -> None:
    """48 emitters, 500 frames at 10 Hz, 5 % missed, 2 % false: links that are right."""
    draw = np.random.default_rng(4)
    start = draw.uniform([2, 2, 1], [12, 12, 4], size=(48, 1, 3))
    steps = draw.normal(size=(48, 500, 3)) * np.sqrt(2 * 0.01 * 0.1)
    place = start + steps.cumsum(1)
    emitter, frame = np.indices((48, 500)).reshape(2, -1)
    seen = place.reshape(-1, 3) + draw.normal(size=(24_000, 3)) * [0.02, 0.02, 0.05]
    kept = draw.random(24_000) > 0.05
    false = int(0.02 * 24_000)
    rows = np.concatenate((seen[kept], draw.uniform([2, 2, 1], [12, 12, 4], size=(false, 3))))
    frames = np.concatenate((frame[kept], draw.integers(500, size=false)))
    truth = np.concatenate((emitter[kept], np.full(false, -1)))
    table = Localizations.from_columns(
        frame=frames,
        x_um=rows[:, 0],
        y_um=rows[:, 1],
        z_um=rows[:, 2],
        sigma_x_um=np.full(len(rows), 0.02),
        sigma_y_um=np.full(len(rows), 0.02),
        sigma_z_um=np.full(len(rows), 0.05),
        emitter=truth,
    )
    begun = time.perf_counter()
    ours = Localizations.joined(link([table], LinkSettings(frame_interval_s=0.1))).table
    took = time.perf_counter() - begun
    true = Localizations(table.table.assign(track=table.table["emitter"]))
    print(f"tracks, dsacq: {told_of_links(ours, 'track')}, {scored(ours, true)}, {took:.2f} s")
    try:
        import trackpy  # type: ignore[import-untyped]
    except ImportError:
        return
    trackpy.quiet()
    columns = ["x_um", "y_um", "z_um"]
    begun = time.perf_counter()
    theirs = trackpy.link(table.table, search_range=0.3, memory=2, pos_columns=columns)
    took = time.perf_counter() - begun
    told = scored(theirs.assign(track=theirs["particle"]), true)
    print(f"tracks, trackpy: {told_of_links(theirs, 'particle')}, {told}, {took:.2f} s")


def scored(rows: pd.DataFrame, truth: Localizations) -> str:
    """The metrics of Chenouard et al. (2014); short tracks, of false positives, are left out."""
    length = rows.groupby("track")["frame"].transform("size")
    kept = Localizations(rows[length >= _SHORTEST])
    score = score_tracks(kept, truth, 0.2)
    return f"alpha {score.alpha:.3f}, beta {score.beta:.3f}, JSC {score.jaccard:.3f}"


def told_of_links(rows: pd.DataFrame, track: str) -> str:
    """Recall and precision of links between consecutive sightings of an emitter."""

    def links(by: str, table: pd.DataFrame) -> set[tuple[int, int]]:
        made = set()
        for _, one in table.sort_values("frame").groupby(by):
            made |= set(zip(one.index[:-1], one.index[1:], strict=True))
        return made

    rows = rows.reset_index(drop=True)
    true = links("emitter", rows[rows["emitter"] >= 0])
    found = links(track, rows)
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
