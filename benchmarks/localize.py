"""Time and memory of localizing with the voxel network, beside the published way, in one run.

    python benchmarks/localize.py --model M --movie MOVIE [--published]

Ours: tiles, channels last, peaks gathered at candidates. The published way: the whole frame at
once, a maximum filter over the whole volume, a loop over the peaks. Each in a process of its own,
so that the peak memory is its own. The published way takes minutes and about 8 GiB on a frame of
332 x 492 pixels.
"""

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from dsacq.files.movies import open_movie
from dsacq.localize import voxel
from dsacq.localize.peaks import find_peaks
from dsacq.networks.model_file import Model, load_model
from dsacq.networks.voxel import VoxelNetwork

Timing = dict[str, float]
Way = Callable[[Model, NDArray[np.float32], float], Timing]


def ours(model: Model, frame: NDArray[np.float32], threshold: float) -> Timing:
    """Network and peaks of `dsacq localize`, timed apart."""
    model.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    start, in_peaks, found = time.perf_counter(), 0.0, 0
    with torch.inference_mode():
        scaled = voxel.scaled_input(model, torch.from_numpy(frame)[None])[:, None]
        shape = (frame.shape[0], frame.shape[1])
        assert isinstance(model.network, VoxelNetwork)
        for volume, rows, columns, _ in voxel.volumes(model.network, scaled, shape):
            begun = time.perf_counter()
            found += len(find_peaks(volume, threshold, rows=rows, columns=columns).value)
            in_peaks += time.perf_counter() - begun
    total = time.perf_counter() - start
    return {"network_s": total - in_peaks, "peaks_s": in_peaks, "found": found}


def published(model: Model, frame: NDArray[np.float32], threshold: float) -> Timing:
    """One volume, max_pool3d, a loop."""
    start = time.perf_counter()
    with torch.inference_mode():
        scaled = voxel.scaled_input(model, torch.from_numpy(frame)[None])[:, None]
        volume = model.network(scaled)
    network_s = time.perf_counter() - start
    largest = functional.max_pool3d(volume[:, None], 9, 1, 4)[0, 0]
    places = torch.nonzero((volume[0] == largest) & (volume[0] > threshold)).tolist()
    padded = functional.pad(volume[0], (4,) * 6)
    reach = torch.arange(-4.0, 5.0)
    for z, y, x in places:
        box = padded[z : z + 9, y : y + 9, x : x + 9]
        for others in ((1, 2), (0, 2), (0, 1)):
            float(box.sum(others) @ reach / box.sum())
    total = time.perf_counter() - start
    return {"network_s": network_s, "peaks_s": total - network_s, "found": len(places)}


def measured(way: Way, model: Path, movie: Path, index: int, tile: int | None) -> Timing:
    """Runs in a process of its own."""
    loaded = load_model(model)
    with open_movie(movie) as opened:
        frame = opened.frame(index).astype(np.float32)
    if tile:
        frame = np.tile(frame, (-(-tile // frame.shape[0]), -(-tile // frame.shape[1])))
        frame = np.ascontiguousarray(frame[:tile, :tile])
    timing = way(loaded, frame, loaded.card.input.threshold)
    return timing | {"peak_memory_gib": peak_bytes() / 2**30}


def peak_bytes() -> float:
    """The most memory that this process ever held; not a number where the system does not tell."""
    if sys.platform == "win32":
        return math.nan
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--movie", type=Path, required=True)
    parser.add_argument("--frame", type=int, default=0)
    parser.add_argument("--size", type=int, help="repeat the frame to this many pixels squared")
    parser.add_argument("--published", action="store_true", help="also the published way")
    given = parser.parse_args()
    ways = {"ours": ours} | ({"published": published} if given.published else {})
    totals = {}
    for name, way in ways.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            task = (way, given.model, given.movie, given.frame, given.size)
            timing = pool.apply(measured, task)
        totals[name] = timing["network_s"] + timing["peaks_s"]
        print(
            f"{name:10} network {timing['network_s']:7.2f} s   peaks {timing['peaks_s']:7.2f} s   "
            f"emitters {timing['found']:5.0f}   peak memory {timing['peak_memory_gib']:.2f} GiB"
        )
    if given.published:
        print(f"ours is {totals['published'] / totals['ours']:.1f} times as fast")


if __name__ == "__main__":
    main()
