"""The table of a recording, live and offline: one origin, one schema, and the time that passed."""

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from live_samples import DISK, LINK, NOISE, SENSITIVE, LiveBench, random_model
from test_live_acquire import LIGHT_MW, settings

from dsacq.analysis.link import LinkSettings, link
from dsacq.analysis.motion import displacements
from dsacq.data import Localizations
from dsacq.errors import FileError
from dsacq.files.localization_stream import LocalizationStream
from dsacq.files.localizations import read_localizations, write_localizations
from dsacq.files.movies import open_movie
from dsacq.files.recording import FACTS, LOCALIZATIONS, read_facts
from dsacq.files.tiff_writer import TiffPages
from dsacq.localize.as_they_come import LiveLocalizer
from dsacq.localize.movie import localize_movie
from dsacq.microscope import microscope_behind, microscope_of
from dsacq.physics.masks import flat
from dsacq.physics.optics import STANDARD_OPTICS
from hardware.acquire import acquire
from hardware.faults import Faults
from hardware.rig import open_rig

STILL = LinkSettings(diffusion_um2_per_s=0.0, frame_interval_s=0.1)


def offline(folder: Path, link_settings: LinkSettings) -> tuple[Localizations, dict[str, Any]]:
    """The same frames, localized from the disk and linked; and the origin before linking."""
    model = random_model()
    with open_movie(folder) as movie:
        found, _ = microscope_behind(movie, wanted=microscope_of(model))
        steps, made_by = localize_movie(movie, range(len(movie)), found, model, SENSITIVE)
        tables = list(link(steps, link_settings, movie.metadata.get("gaps", ())))
        return Localizations.joined(tables, made_by), made_by


def test_live_and_offline_tables_are_alike(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    localizer = LiveLocalizer(random_model(), LINK, SENSITIVE, camera=NOISE)
    with open_rig(replace(settings(), optics=STANDARD_OPTICS, noise=NOISE)) as rig:
        options: dict[str, Any] = {"lasers_mw": LIGHT_MW, "localizer": localizer, "disk": DISK}
        for _ in acquire(rig, 30, folder=folder, mask=flat(STANDARD_OPTICS), **options):
            pass
    live_found, facts = read_localizations(folder / LOCALIZATIONS), read_facts(folder)
    told = live_found.origin
    again, made_by = offline(folder, LinkSettings(**told["link"]))

    write_localizations(again, tmp_path / "again.parquet")
    again = read_localizations(tmp_path / "again.parquet")
    assert list(live_found.table) == list(again.table)
    assert "sigma_photons" in live_found.table
    assert live_found.table["sigma_photons"].notna().all()
    pd.testing.assert_frame_equal(
        live_found.table.drop(columns="track"), again.table.drop(columns="track"), rtol=1e-4
    )
    assert {*told} - {"link", "analysed", "frames_analysed"} == {*made_by}
    for name in (
        "model",
        "method",
        "mask",
        "movie",
        "software",
        "frames",
        "pixel_um",
        "exposure_s",
    ):
        assert told[name] == made_by[name]
    assert told["movie"] == str(folder)
    assert told["frame_interval_s"] == pytest.approx(facts.frame_interval_s)
    assert made_by["frame_interval_s"] == facts.frame_interval_s
    assert (told["analysed"], told["frames_analysed"]) == ([[0, 30]], 30)


class Stops(LiveLocalizer):
    """Has no time for more than some frames."""

    def add(self, *batch: Any) -> Any:
        for found in super().add(*batch):
            if found.table["frame"].iloc[0] >= 5:
                raise FileError("no more")
            yield found


def test_a_partial_table_tells_which_frames_it_is_of(tmp_path: Path) -> None:
    bench = LiveBench()
    localizer = Stops(random_model(), LINK, SENSITIVE, camera=NOISE)
    *_, last = bench.run(tmp_path, 40, localizer=localizer)
    assert last.analysis_failure == "Localization ended: no more"
    told = read_localizations(tmp_path / LOCALIZATIONS).origin
    assert (told["frames"], told["frames_analysed"], told["analysed"]) == (40, 5, [[0, 5]])


def test_a_table_of_a_frame_here_and_there_tells_them(tmp_path: Path) -> None:
    """Those that the localizer had no time for are not among them."""

    class Slow(LiveLocalizer):
        def add(self, *batch: Any) -> Any:
            for found in super().add(*batch):
                bench.stream.released.wait(0.02)
                yield found

    bench = LiveBench()
    localizer = Slow(random_model(), LINK, SENSITIVE, camera=NOISE)
    *_, last = bench.run(tmp_path, 300, localizer=localizer)
    found = read_localizations(tmp_path / LOCALIZATIONS)
    frames = {n for first, stop in found.origin["analysed"] for n in range(first, stop)}
    assert frames == set(found.table["frame"])
    assert found.origin["frames_analysed"] == len(frames) == last.counters.analysed < 300


@pytest.mark.parametrize(
    ("fault", "gap"),
    [
        ({"drop": (7, 8)}, (7, 2)),
        ({"drop_in_camera": (5,)}, (5, 1)),
        ({"drop": (8,), "drop_in_camera": (7,)}, (7, 2)),
    ],
)
def test_the_frame_after_lost_ones_keeps_its_place_in_time(
    tmp_path: Path, fault: dict[str, Any], gap: tuple[int, int]
) -> None:
    bench = LiveBench(Faults(**fault))
    localizer = LiveLocalizer(random_model(), LINK, SENSITIVE, camera=NOISE)
    *_, last = bench.run(tmp_path, 20, localizer=localizer)
    assert last.state == "failed"
    live_found = read_localizations(tmp_path / LOCALIZATIONS)
    assert live_found.origin["gaps"] == [list(gap)]
    with open_movie(tmp_path) as movie:
        assert movie.metadata["gaps"] == [list(gap)]
        assert len(movie) == gap[0] + 1 == live_found.table["frame"].max() + 1
    counted = live_found.counted_frames()
    assert counted.max() == gap[0] + gap[1]
    assert set(counted) == {*range(gap[0]), gap[0] + gap[1]}
    (relinked,) = [Localizations.joined(link([live_found], LINK), live_found.origin)]
    assert relinked.table["track"].nunique() == live_found.table["track"].nunique()


def walk(steps_um: list[float], gaps: list[list[int]]) -> Localizations:
    x_um = np.cumsum([5.0, *steps_um])
    ones = np.ones(len(x_um))
    return Localizations.from_columns(
        {"gaps": gaps},
        frame=np.arange(len(x_um)),
        x_um=x_um,
        y_um=ones,
        z_um=ones,
        sigma_x_um=0.01 * ones,
        sigma_y_um=0.01 * ones,
        sigma_z_um=0.01 * ones,
    )


@pytest.mark.parametrize(("gaps", "tracks"), [([], 2), ([[3, 9]], 1), ([[2, 9]], 2)])
def test_an_emitter_may_go_far_over_a_gap(gaps: list[list[int]], tracks: int) -> None:
    """0.4 um in ten frames, at 0.01 um^2/s and 0.1 s, are likely; in one frame they are not."""
    table = walk([0.0, 0.0, 0.4, 0.0, 0.0], gaps)
    found = Localizations.joined(link([table], LinkSettings(memory_frames=0)))
    assert found.table["track"].nunique() == tracks
    moved = iter(link([Localizations(table.table)], LinkSettings(memory_frames=0), gaps))
    assert Localizations.joined(moved).table["track"].nunique() == tracks


def test_steps_over_a_gap_are_no_steps_of_one_frame() -> None:
    """Ten frames were lost amid a drift of 0.1 um per frame."""
    steps = [0.1] * 9 + [1.1] + [0.1] * 9
    table = walk(steps, [[10, 10]])
    linked = replace(table, table=table.table.assign(track=0))
    moved = displacements(linked, 0.1, axes=("x_um",))
    np.testing.assert_allclose(moved.mean[:5] ** 0.5, 0.1 * np.arange(1, 6), rtol=1e-3)
    assert displacements(Localizations(linked.table), 0.1, axes=("x_um",)).mean[0] > 0.05


def test_the_window_s_live_view_counts_the_frames_it_leaves_out() -> None:
    """The camera is faster than whoever looks: frames are far apart, and so may emitters be."""
    bench = LiveBench()
    counts: list[int] = []

    class Noting(LiveLocalizer):
        def add(self, numbers: Any, frames: Any, more: Any = None) -> Any:
            counts.extend(more)
            yield from super().add(numbers, frames, more)

    noting = Noting(random_model(), STILL, SENSITIVE, camera=NOISE)
    for update in bench.run(None, 200, localizer=noting):
        last = update
    assert last.newest is not None
    assert counts == sorted(set(counts))
    assert counts[-1] <= last.newest.index


def test_linking_goes_by_the_measured_interval_soon(tmp_path: Path) -> None:
    """The camera reads out for longer than it exposes."""
    bench = LiveBench()
    bench.camera.__dict__["_settings"] = replace(bench.camera._settings, readout_s=0.02)
    localizer = LiveLocalizer(
        random_model(), replace(LINK, frame_interval_s=0.002), SENSITIVE, camera=NOISE
    )
    *_, last = bench.run(tmp_path, 40, localizer=localizer)
    assert last.state == "complete"
    facts, told = read_facts(tmp_path), read_localizations(tmp_path / LOCALIZATIONS).origin
    assert facts.exposure_s == 0.002
    assert facts.frame_interval_s == pytest.approx(0.02, rel=0.5)  # slow machines are slower
    assert facts.frame_interval_s > 0.019
    assert told["link"]["frame_interval_s"] == pytest.approx(facts.frame_interval_s, rel=0.2)


def test_a_recording_that_does_not_tell_its_interval_is_asked_for_its_times(
    tmp_path: Path,
) -> None:
    bench = LiveBench(exposure_s=0.01)
    list(bench.run(tmp_path, 20))
    told = json.loads((tmp_path / FACTS).read_text())
    known = told.pop("frame_interval_s")
    (tmp_path / FACTS).write_text(json.dumps(told))
    with open_movie(tmp_path) as movie:
        assert movie.metadata["interval_s"] == pytest.approx(known)


def test_a_full_disk_is_told_of_the_movie_not_of_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything fails from the moment at which the disk is full, as `/dev/full` does."""

    def full(*_: Any) -> None:
        raise FileError(f"{tmp_path}: cannot be written ({OSError(errno.ENOSPC, 'full')}).")

    def no_room(table: LocalizationStream, *_: Any) -> None:
        raise table._failure(OSError(errno.ENOSPC, "No space left on device"))

    with open_rig(settings()) as rig:
        updates = acquire(rig, 500, folder=tmp_path, lasers_mw=LIGHT_MW, disk=DISK)
        next(updates)
        monkeypatch.setattr(TiffPages, "write", full)
        monkeypatch.setattr(LocalizationStream, "append", no_room)
        with pytest.raises(FileError) as failure:
            list(updates)
    assert "truth" not in str(failure.value)
    assert str(failure.value).startswith(f"{tmp_path}: cannot be written")
    assert read_facts(tmp_path).state == "failed"


def test_truth_that_cannot_be_written_is_told_when_all_else_went_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(table: LocalizationStream, *_: Any) -> None:
        raise table._failure(OSError(errno.ENOSPC, "No space left on device"))

    with open_rig(settings()) as rig:
        monkeypatch.setattr(LocalizationStream, "append", no_room)
        with pytest.raises(FileError, match="truth"):
            list(acquire(rig, 20, folder=tmp_path, lasers_mw=LIGHT_MW, disk=DISK))
    assert read_facts(tmp_path).state == "complete"


def test_tables_of_other_programs_have_no_gaps(tmp_path: Path) -> None:
    for value in ("x", 3, [[1]], [[1, "a"]], [[-1, 2]], [[1, 0]], [[1, 1e300]], {"a": 1}):
        table = replace(walk([0.1], []), origin={"gaps": value})
        write_localizations(table, tmp_path / "t.parquet")
        read = read_localizations(tmp_path / "t.parquet")
        np.testing.assert_array_equal(read.counted_frames(), [0, 1])
