"""An acquisition on a rig: mask and light, then frames, recorded and localized as they come."""

import hashlib
import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Self

import torch

from dsacq.awake import while_awake
from dsacq.ends import ENDS
from dsacq.errors import FileError, SettingsError
from dsacq.files.camera_maps import camera_table, write_maps
from dsacq.files.localization_stream import LocalizationStream, finish
from dsacq.files.masks import write_mask
from dsacq.files.recording import MASK, STREAMED_TRUTH, TRUTH
from dsacq.files.recording_writer import DiskSettings
from dsacq.live import RecordingPlan, Update, live
from dsacq.live_events import Events
from dsacq.localize.as_they_come import LiveLocalizer
from dsacq.localize.localizer import LocalizeSettings
from dsacq.networks.model_file import Model
from dsacq.physics.camera import Camera as Noise
from dsacq.physics.masks import LIKE, PhaseMask, likeness
from dsacq.physics.optics import Optics, differing_fields
from hardware.rig import Rig
from hardware.simulated_camera import SimulatedCamera
from hardware.watch import Values, Watch

log = logging.getLogger(__name__)

_TRUTH_ORIGIN = {"made_by": "simulated bench"}


def acquire(
    rig: Rig,
    count: int | None = None,
    *,
    folder: Path | None = None,
    mask: PhaseMask | None = None,
    lasers_mw: Mapping[str, float] | None = None,
    localizer: LiveLocalizer | None = None,
    disk: DiskSettings = DiskSettings(),  # noqa: B008 - frozen
    interval_s: float = 0.1,
    about: Mapping[str, Any] | None = None,
    stop: Event | None = None,
) -> Generator[Update]:
    """Show a mask, switch lasers on, and run `dsacq.live.live` on the rig's camera.

    folder: of the recording, or None to look only. mask: None leaves the SLM as it is. lasers_mw:
    power by laser; by default those that the rig file uses. about: what else recording.json is to
    tell. stop: ends it when set, as closing the generator does. Whatever ends it, lasers go off at
    once, then the camera stops, then what was taken is written. With a recording, the mask, the
    maps of the camera and, on the simulated bench, the truth are written beside the movie; until it
    ends, what would make its frames others than it tells is refused, and what changes otherwise is
    noted (see `guard`). Light above a laser's limit ends it. Raises DeviceError, FileError.
    """
    rig.guard.require_free(rig.camera.name)
    powers = dict(rig.settings.use.lasers_mw if lasers_mw is None else lasers_mw)
    try:
        if mask is not None:
            rig.show(mask)
        rig.light(powers)
        events = Events()
        watch = Watch(rig, events, everything=folder is not None)
        plan, noise = None, None
        if folder is not None:
            noise = _noise(rig)
            told = _about(rig, noise, powers, deepcopy(watch.known)) | dict(about or {})
            plan = RecordingPlan(folder=folder, pixel_um=_pixel_um(rig), about=told, disk=disk)
        updates = live(
            rig.camera,
            count,
            plan=plan,
            localizer=localizer,
            on_end=partial(_dark, rig, watch),
            interval_s=interval_s,
            stop=stop,
            events=events,
        )
        with rig.guard.acquiring(watch, recording=folder is not None), watch:
            yield from updates if folder is None else _with_records(rig, noise, folder, updates)
    finally:
        with ENDS.finishing():
            rig.dark()


def _dark(rig: Rig, watch: Watch) -> None:
    watch.darkening()
    rig.dark()


def live_localizer(
    rig: Rig,
    model: Model,
    mask: PhaseMask | None = None,
    *,
    threshold: float | None = None,
    device: torch.device | str = "cpu",
) -> LiveLocalizer:
    """For the rig as it is set: its camera's noise, its exposure as the time between frames until
    that is measured.

    mask: that the SLM is to show, by default what it shows. Raises SettingsError as `check_model`.
    """
    check_model(rig, model, mask or rig.mask)
    return LiveLocalizer(
        model,
        replace(rig.settings.use.link, frame_interval_s=rig.camera.exposure_s),
        LocalizeSettings(threshold=threshold),
        camera=rig.noise(),
        device=device,
    )


def check_model(rig: Rig, model: Model, mask: PhaseMask | None = None) -> None:
    """Whether a model fits the rig, and the mask that the SLM is to show.

    Raises SettingsError, naming what differs, for other optics. Logs a warning for another mask: it
    may be meant, as when the mask corrects aberrations too.
    """
    refuse_other_optics(model, rig.optics, rig.camera.binning)
    if mask is not None and likeness(model.mask, mask) < LIKE:
        log.warning(
            "The model %s was made for the mask %s, but the SLM shows %s: positions are wrong "
            "unless the two are alike.",
            model.card.name,
            model.mask.name,
            mask.name,
        )


def refuse_other_optics(model: Model, optics: Optics, binning: int) -> None:
    """Raises SettingsError for a model that was made for other optics than the rig's."""
    told = ", ".join(differing_fields(optics, model.card.optics))
    if binning != 1:
        told = told or f"binning {binning} (model 1)"
    if told:
        raise SettingsError(f"the model {model.card.name} does not fit the rig: {told}.")


@while_awake("records a movie")
def _with_records(
    rig: Rig, noise: Noise | None, folder: Path, updates: Generator[Update]
) -> Generator[Update]:
    """Writes what else belongs into the recording, once it has begun."""
    with closing(updates):
        first = next(updates)
        if rig.mask is not None:
            write_mask(rig.mask, folder / MASK)
        if noise is not None:
            write_maps(noise, folder)
        if isinstance(rig.camera, SimulatedCamera):
            yield from _with_truth(rig.camera, rig.optics.pixel_um, folder, first, updates)
        else:
            yield first
            yield from updates


def _with_truth(
    camera: SimulatedCamera,
    pixel_um: float,
    folder: Path,
    first: Update,
    updates: Generator[Update],
) -> Generator[Update]:
    with _Truth(camera, pixel_um, folder) as truth:
        try:
            yield first
            for update in updates:
                truth.take()
                yield update
        finally:
            updates.close()
            truth.take()


class _Truth:
    """The truth beside a recording. That it cannot be written is told in the end, unless something
    else failed: a full disk first of all costs frames."""

    def __init__(self, camera: SimulatedCamera, pixel_um: float, folder: Path) -> None:
        self._camera, self._folder = camera, folder
        roi, binning = camera.roi, camera.binning
        self._corner_um = roi.column * binning * pixel_um, roi.row * binning * pixel_um
        self._failure: FileError | None = None
        self._table: LocalizationStream | None = None
        with self._telling():
            self._table = LocalizationStream(folder / STREAMED_TRUTH, _TRUTH_ORIGIN)

    def take(self) -> None:
        """Write what came since it was taken last."""
        truth = self._camera.take_truth()
        x_um, y_um = self._corner_um
        moved = truth.table.assign(x_um=truth.table["x_um"] - x_um, y_um=truth.table["y_um"] - y_um)
        if "track" not in moved:
            moved["track"] = -1
        with self._telling():
            if self._table is not None:
                self._table.append(replace(truth, table=moved))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._telling():
            if self._table is not None:
                self._table.close()
        with self._telling():
            finish(self._folder / STREAMED_TRUTH, self._folder / TRUTH)
        if self._failure is not None:
            if kind is None:
                raise self._failure
            log.warning("%s", self._failure)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except FileError as error:
            self._failure = self._failure or error


def _pixel_um(rig: Rig) -> float:
    return rig.optics.pixel_um * rig.camera.binning


def _noise(rig: Rig) -> Noise | None:
    """The camera's, where it is known of the camera as it is set: frames are recorded anyhow."""
    try:
        return rig.noise()
    except SettingsError as error:
        log.warning("The recording does not tell the camera's noise: %s", error)
        return None


def _about(
    rig: Rig, noise: Noise | None, lasers_mw: Mapping[str, float], said: dict[str, Values]
) -> dict[str, Any]:
    """What recording.json tells of an acquisition. said: by each device, before the first frame."""
    mask = rig.mask
    shown = None
    if mask is not None:
        digest = hashlib.sha256(mask.phase_rad.tobytes()).hexdigest()
        shown = {"name": mask.name, "sha256": digest, "origin": mask.origin, "file": MASK}
    camera = rig.camera
    return {
        "rig": asdict(replace(rig.settings, noise=None)),
        "noise": None if noise is None else camera_table(noise),
        "mask": shown,
        "lasers_mw": dict(lasers_mw),
        "devices": said,
        "focus_um": rig.focus.position_um() if rig.focus is not None else None,
        "roi_px": list(asdict(camera.roi).values()),
        "binning": camera.binning,
        "temperature_c": camera.temperature_c(),
    }
