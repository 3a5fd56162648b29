"""Camera maps from recordings or on the rig, and the folder they are kept in."""

import json
import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from calibration.camera import (
    CameraMaps,
    Stack,
    camera_maps,
    emccd,
    scmos,
    spurious_electrons,
    stack_statistics,
)
from dsacq.awake import while_awake
from dsacq.errors import SettingsError
from dsacq.files.atomic import made_folder, write_atomically
from dsacq.files.camera_maps import MAPS, camera_table, write_maps
from dsacq.files.figures import save_figure
from dsacq.files.movies import open_movie
from dsacq.mistakes import typed_number
from dsacq.physics.camera import Camera, EmccdCamera, without_maps
from dsacq.version import software
from hardware.pictures import pictures
from hardware.rig import Rig

FACTS, PAGE = "camera.json", "camera.png"


@dataclass(frozen=True)
class Source:
    """Frames of the same light. frames: gives them from the first, each time it is called."""

    name: str
    count: int
    frames: Callable[[], Generator[Any]]


@dataclass(frozen=True)
class CameraProgress:
    """Frames done, of all."""

    frames: int
    of: int


@dataclass(frozen=True, eq=False)
class CameraResult:
    """What was measured. camera: as a rig file's [noise] has it."""

    maps: CameraMaps
    camera: Camera
    stacks: tuple[Stack, ...]

    @property
    def summary(self) -> str:
        """One line of numbers."""
        told = vars(without_maps(self.camera))
        if isinstance(self.camera, EmccdCamera):
            return (
                f"EM gain {told['em_gain']:.1f}, baseline {told['baseline_adu']:.1f}, read noise "
                f"{told['read_noise_electrons']:.1f} electrons after the register, "
                f"{told['spurious_electrons']:.4f} spurious electrons per pixel."
            )
        gain = told["gain_adu_per_electron"]
        return (
            f"Offset {told['offset_adu']:.1f}, gain {gain:.3f} counts per electron (of a pixel "
            f"+- {100 * self.maps.gain_error / gain:.1f} %), read noise "
            f"{told['read_variance_adu2'] ** 0.5 / gain:.2f} electrons, medians over the sensor."
        )


def movie_source(path: Path) -> Source:
    """The frames of a recording. Raises FileError."""

    def frames() -> Generator[Any]:
        with open_movie(path) as movie:
            for _, frame in movie.frames():
                yield frame

    with open_movie(path) as movie:
        return Source(path.name, len(movie), frames)


def rig_sources(rig: Rig, exposures_s: list[float], count: int) -> tuple[Source, list[Source]]:
    """Dark frames, and frames of the rig's usual light at several exposures. Frames are taken when
    a source is asked for them; afterwards it is dark, and the exposure is as it was."""
    before_s = rig.camera.exposure_s

    def frames(exposure_s: float, lit: bool) -> Generator[Any]:
        try:
            rig.camera.set_exposure(exposure_s)
            if lit:
                rig.light(rig.settings.use.lasers_mw)
            else:
                rig.dark()
            with closing(pictures(rig.camera, count)) as coming:
                yield from coming
        finally:
            try:
                rig.dark()
            finally:
                rig.camera.set_exposure(before_s)

    def source(exposure_s: float, lit: bool) -> Source:
        told = f"the stack at {1000 * exposure_s:g} ms" if lit else "the dark stack"
        return Source(told, count, lambda: frames(exposure_s, lit))

    return source(max(exposures_s), False), [source(one, True) for one in exposures_s]


@while_awake("measures a camera")
def measure_camera(
    dark: Source,
    flats: list[Source],
    *,
    quantum_efficiency: float,
    electrons_per_adu: float | None = None,
) -> Generator[CameraProgress, None, CameraResult]:
    """Measure; yields after each frame. electrons_per_adu: of an EMCCD, None for other cameras.

    Raises SettingsError as `camera_maps`, FileError or DeviceError as the sources.
    """
    again = electrons_per_adu is not None
    of = dark.count * (2 if again else 1) + sum(flat.count for flat in flats)
    done = 0
    stacks: list[Stack] = []
    for source in (dark, *flats):
        offset = stacks[0].mean if stacks else None
        # Closed here, whatever ends this: then it is dark and the camera still.
        with closing(source.frames()) as frames:
            work = stack_statistics(source.name, frames, offset)
            while True:
                try:
                    next(work)
                except StopIteration as end:
                    stacks.append(end.value)
                    break
                done += 1
                yield CameraProgress(done, of)
    maps = camera_maps(stacks[0], stacks[1:])
    camera: Camera
    if electrons_per_adu is None:
        camera = scmos(maps, quantum_efficiency)
    else:
        per_electron = float(np.median(maps.gain)) / 2
        with closing(dark.frames()) as frames:
            spurious = spurious_electrons(frames, stacks[0], per_electron)
        camera = emccd(maps, electrons_per_adu, quantum_efficiency, spurious)
    return CameraResult(maps, camera, tuple(stacks))


def write_camera(result: CameraResult, folder: Path) -> None:
    """Keep the maps, their numbers and a page in a new folder. Raises FileError."""
    rows, columns = np.nonzero(result.maps.hot)
    facts = {
        "kind": "dsacq camera",
        "noise": vars(without_maps(result.camera)),
        "gain_error": result.maps.gain_error,
        "hot_pixels": np.stack((rows, columns), 1).tolist(),
        "levels": result.maps.levels.tolist(),
        "stacks": [{"name": one.name, "frames": one.frames} for one in result.stacks],
        "remarks": list(result.maps.remarks),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "made_by": software(),
    }
    with made_folder(folder, new=True):
        write_maps(result.camera, folder)
        camera_page(result, folder / PAGE)
        write_atomically(folder / FACTS, json.dumps(facts, indent=1).encode())


def noise_table(result: CameraResult, folder: Path, rig_file: Path) -> dict[str, Any]:
    """The table [noise] of a rig file: numbers, and files of maps relative to it."""
    table = camera_table(result.camera)
    for name, file in MAPS.items():
        if table.get(name) == file:
            path = (folder / file).resolve()
            try:
                told = Path(os.path.relpath(path, rig_file.resolve().parent))
            except ValueError:  # another drive
                told = path
            table[name] = told.as_posix()
    return table


def parsed_exposures(text: str) -> list[float]:
    """Seconds from "10,20,40" in ms. Raises SettingsError."""
    exposures = [typed_number(part, f"Exposures {text}") / 1000 for part in text.split(",")]
    if min(exposures) <= 0:
        raise SettingsError(f"Exposures {text}: expected times above 0, in ms.")
    if len(set(exposures)) < 2:
        raise SettingsError(f"Exposures {text}: expected two or more that differ, as in 10,20,40.")
    return sorted(set(exposures))


def camera_page(result: CameraResult, path: Path) -> None:
    """Photon transfer, and how offset, noise and gain are spread over the pixels."""
    maps = result.maps
    figure = Figure(figsize=(13, 6.5), layout="constrained")
    figure.suptitle(result.summary, fontsize=11)
    rows = figure.subplots(2, 3)
    transfer = rows[0, 0]
    light, noise = maps.levels.T
    gain = float(np.median(maps.gain))
    transfer.plot(light, noise, "o")
    transfer.plot([0, light.max()], [0, gain * light.max()], "-", color="0.6", lw=1)
    transfer.set_xlabel("mean above the offset, counts")
    transfer.set_ylabel("variance above the dark one, counts²")
    transfer.set_title(f"photon transfer, slope {gain:.3f}", fontsize=10)
    rows[1, 0].hist(np.sqrt(maps.read_variance_adu2).ravel(), 100, log=True)
    rows[1, 0].set_xlabel("read noise, counts")
    rows[1, 0].set_ylabel("pixels")
    for column, (name, values) in enumerate(
        (("offset, counts", maps.offset_adu), ("gain, counts per electron", maps.gain)), 1
    ):
        low, high = np.percentile(values, (1, 99))
        shown = rows[0, column].imshow(values, cmap="viridis", vmin=low, vmax=high)
        figure.colorbar(shown, ax=rows[0, column])
        rows[0, column].set_title(name, fontsize=10)
        rows[0, column].set_axis_off()
        rows[1, column].hist(values.ravel(), 100, log=True)
        rows[1, column].set_xlabel(name)
        rows[1, column].set_ylabel("pixels")
    save_figure(figure, path)
