"""What is recorded is there, before the end as after it; what is wrong is told."""

import json
import os
import time
from collections import namedtuple
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_samples import (
    SHAPE,
    SMALL,
    facts,
    frame,
    localizations,
    pixels,
    record,
)

from dsacq.errors import FileError
from dsacq.files.localization_stream import LocalizationStream, to_parquet
from dsacq.files.localizations import read_localizations
from dsacq.files.movies import open_movie
from dsacq.files.recording import (
    FACTS,
    FRAMES,
    LOCALIZATIONS,
    LONGEST_LINE,
    STREAMED,
    Counters,
    movie_files,
    read_facts,
    read_frame_lines,
    write_facts,
)
from dsacq.files.recording_check import check, repair
from dsacq.files.recording_writer import DiskSettings, RecordingWriter

DAY_S = 86400


def wait_until_written(writer: RecordingWriter, count: int) -> None:
    for _ in range(2000):
        if writer.written >= count:
            return
        time.sleep(0.005)
    raise AssertionError(f"{writer.written} of {count} frames were written")


def age(folder: Path) -> None:
    """Let a recording look as if nothing had happened to it for a day."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - DAY_S,) * 2)


def assert_holds(folder: Path, count: int) -> None:
    with open_movie(folder) as movie:
        assert (len(movie), movie.shape, movie.dtype.name) == (count, SHAPE, "uint16")
        for number, image in movie.frames():
            np.testing.assert_array_equal(image, pixels(number))


@pytest.mark.parametrize(
    ("disk", "parts"),
    [
        (SMALL, 1),
        (replace(SMALL, part_frames=4), 3),
        (replace(SMALL, part_frames=1), 10),
        (replace(SMALL, part_bytes=4 * pixels(0).nbytes), 4),
        (replace(SMALL, part_bytes=1), 10),  # a part has at least a frame
    ],
)
def test_what_is_recorded_is_read(tmp_path: Path, disk: object, parts: int) -> None:
    record(tmp_path / "new" / "run", 10, disk, asked=10)  # type: ignore[arg-type]
    folder = tmp_path / "new" / "run"
    assert len(movie_files(folder)) == parts
    assert_holds(folder, 10)
    with open_movie(folder) as movie:
        assert (movie.metadata["pixel_um"], movie.metadata["exposure_s"]) == (0.11, 0.02)
    report = check(folder)
    assert (report.frames, report.problems, report.sound) == (10, (), True)
    assert read_facts(folder) == replace(facts("complete"), frames=Counters(asked=10, written=10))


def test_every_part_is_an_ome_tiff_elsewhere(tmp_path: Path) -> None:
    record(tmp_path, 10, replace(SMALL, part_frames=4))
    stacks = []
    for path in movie_files(tmp_path):
        with tifffile.TiffFile(path) as tiff:
            assert tiff.is_ome
            assert tiff.is_bigtiff
            assert tiff.series[0].axes == "TYX"
            stacks.append(tiff.asarray())
    np.testing.assert_array_equal(np.concatenate(stacks), [pixels(n) for n in range(10)])


def test_a_line_tells_of_each_frame(tmp_path: Path) -> None:
    record(tmp_path, 3)
    assert list(read_frame_lines(tmp_path)) == [
        {
            "frame": number,
            "index": number,
            "camera_index": 1000 + number,
            "time_s": 1.7e9 + number,
            "temperature_c": -20.5,
        }
        for number in range(3)
    ]


def test_it_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, facts(), replace(SMALL, part_frames=4))
    with pytest.raises(FileError, match="without any frame"):
        open_movie(tmp_path)
    for number in range(6):
        writer.put(frame(number))
        wait_until_written(writer, number + 1)
        assert_holds(tmp_path, number + 1)
    with open_movie(tmp_path) as movie:
        assert (movie.metadata["pixel_um"], movie.metadata["exposure_s"]) == (0.11, 0.02)
    report = check(tmp_path)
    assert (report.frames, report.facts.state) == (6, "recording")
    assert "still being made" in report.problems[0]
    with pytest.raises(FileError, match="end the recording first"):
        repair(tmp_path)
    writer.close(facts("stopped"))
    assert check(tmp_path).sound


def test_closing_twice_and_putting_too_late(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, facts(), SMALL)
    writer.put(frame(0))
    writer.close(facts("complete"))
    writer.close(facts("stopped"))
    assert read_facts(tmp_path).state == "complete"
    with pytest.raises(ValueError, match="closed"):
        writer.put(frame(1))


def test_a_recording_without_a_frame(tmp_path: Path) -> None:
    RecordingWriter(tmp_path, facts(), SMALL).close(facts("stopped"))
    with pytest.raises(FileError, match="without any frame"):
        open_movie(tmp_path)
    assert (check(tmp_path).frames, check(tmp_path).sound) == (0, True)


def test_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match="is not empty"):
        RecordingWriter(tmp_path, facts(), SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(FileError, match=r"notes\.txt: cannot be made"):
        RecordingWriter(tmp_path / "notes.txt", facts(), SMALL)


Usage = namedtuple("Usage", "total used free")


def test_too_little_room_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 10_000_000))
    folder = tmp_path / "run"
    with pytest.raises(FileError, match=r"10000 frames need .* free some or record fewer"):
        RecordingWriter(folder, facts(asked=10_000), SMALL)
    with pytest.raises(FileError, match=r"a recording needs 2\.0 GB"):
        RecordingWriter(folder, facts(), replace(SMALL, reserve_bytes=2e9))
    assert not folder.exists()
    record(folder, 3, asked=4000)  # 1.25 times 6.9 MB are there


@pytest.mark.parametrize(
    ("disk", "asked", "fits"),
    [
        (SMALL, 4629, True),  # 1.25 times 7.999 MB
        (SMALL, 4630, False),  # 1.25 times 8.001 MB: the movie alone would find room
        (replace(SMALL, margin=1.0), 4630, True),
        (replace(SMALL, reserve_bytes=5e6), 2314, True),
        (replace(SMALL, reserve_bytes=5e6), 2316, False),
    ],
)
def test_the_room_asked_for_is_a_quarter_more_than_the_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: DiskSettings, asked: int, fits: bool
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 10_000_000))
    if fits:
        record(tmp_path / "run", 3, disk, asked=asked)
        return
    with pytest.raises(FileError, match=f"{asked} frames need"):
        RecordingWriter(tmp_path / "run", facts(asked=asked), disk)


@pytest.mark.parametrize(
    ("exposure_s", "reserve_s", "fits"),
    [
        (0.01, 57.0, True),  # 172.8 kB/s: 9.85 MB
        (0.01, 58.0, False),
        (0.04, 228.0, True),  # four times as long for as much
        (0.04, 234.0, False),
        (0.0, 0.0099, True),  # no camera brings more than 1 GB/s
        (0.0, 0.0101, False),
    ],
)
def test_the_time_kept_free_goes_by_the_exposure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exposure_s: float,
    reserve_s: float,
    fits: bool,
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 10_000_000))
    told, disk = replace(facts(), exposure_s=exposure_s), replace(SMALL, reserve_s=reserve_s)
    if fits:
        RecordingWriter(tmp_path / "run", told, disk).close(told)
        return
    with pytest.raises(FileError, match="a recording needs"):
        RecordingWriter(tmp_path / "run", told, disk)


def test_a_short_exposure_does_not_ask_for_the_whole_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 11_000_000_000))
    for number, exposure_s in enumerate((0.0, 1e-6)):
        short = replace(facts(shape=(1200, 1200)), exposure_s=exposure_s)
        RecordingWriter(tmp_path / str(number), short).close(short)


def test_facts_come_back(tmp_path: Path) -> None:
    counted = Counters(asked=9, received=8, written=7, analysed=6, lost_in_core=1, lost_in_camera=2)
    told = replace(facts("failed"), reason="Übertemperatur", pixel_um=None, frames=counted)
    write_facts(tmp_path, told)
    assert read_facts(tmp_path) == told
    assert [path.name for path in tmp_path.iterdir()] == [FACTS]


def test_without_facts_the_files_are_an_ordinary_movie(tmp_path: Path) -> None:
    record(tmp_path, 9, replace(SMALL, part_frames=4))
    (tmp_path / FACTS).unlink()
    assert_holds(tmp_path, 9)
    with pytest.raises(FileError, match=r"recording\.json: cannot be read"):
        check(tmp_path)


def test_damaged_facts_are_told(tmp_path: Path) -> None:
    record(tmp_path, 2)
    (tmp_path / FACTS).write_text('{"state": "complete"')
    for use in (open_movie, check, repair):
        with pytest.raises(FileError, match=r"one by one\.$"):
            use(tmp_path)
    with open_movie(tmp_path / "movie_000.tif") as movie:
        assert len(movie) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("pixel_um", "Infinity"), ("exposure_s", "1e999"), ("frame_interval_s", "NaN")]
    + [("exposure_s", "-1"), ("frames", '{"received": -1}'), ("shape_px", "[0, 5]")],
)
def test_facts_that_cannot_be_are_refused(tmp_path: Path, name: str, value: str) -> None:
    record(tmp_path, 2)
    told = json.loads((tmp_path / FACTS).read_bytes()) | {name: "VALUE"}
    text = json.dumps(told).replace('"VALUE"', value)
    (tmp_path / FACTS).write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=r"one by one\.$"):
        read_facts(tmp_path)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    record(tmp_path, 9, replace(SMALL, part_frames=3))
    (tmp_path / "movie_backup.tif").write_bytes(b"not a part")
    assert_holds(tmp_path, 9)
    (tmp_path / "movie_001.tif").unlink()
    for use in (open_movie, check, repair):
        with pytest.raises(FileError, match=r"movie_001\.tif: is missing"):
            use(tmp_path)


def test_a_missing_last_part_is_a_problem(tmp_path: Path) -> None:
    record(tmp_path, 9, replace(SMALL, part_frames=3))
    (tmp_path / "movie_002.tif").unlink()
    for report in (check(tmp_path), repair(tmp_path)):
        assert report.problems == ("9 frames were written, but 6 can be read.",)


def test_what_was_lost_is_a_problem(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, facts(), SMALL)
    for number in (0, 1, 4, 5, 9):
        writer.put(frame(number))
    counted = Counters(asked=10, received=5, lost_in_core=5, lost_in_camera=1)
    writer.close(replace(facts("complete"), frames=counted))
    assert check(tmp_path).problems == (
        "10 frames were asked for, but there are 5.",
        "5 frames were lost between camera and disk.",
        "1 frames were lost in the camera.",
        "Frame 4 of the camera follows frame 1, and 1 more such places.",
    )


def test_missing_or_damaged_lines_are_a_problem(tmp_path: Path) -> None:
    record(tmp_path, 5)
    lines = (tmp_path / FRAMES).read_bytes().splitlines(keepends=True)
    (tmp_path / FRAMES).write_bytes(b"".join([*lines[:2], b"\xff{nothing}\n3\n", *lines[4:]]))
    assert "2 of 5 frames have no line in frames.jsonl." in check(tmp_path).problems
    assert [line["frame"] for line in read_frame_lines(tmp_path)] == [0, 1, 4]
    with (tmp_path / FRAMES).open("ab") as file:  # a line without an end is not held at once
        file.write(b"{" * (3 * LONGEST_LINE) + b"\n" + lines[3])
    assert [line["frame"] for line in read_frame_lines(tmp_path)] == [0, 1, 4, 3]
    (tmp_path / FRAMES).unlink()
    assert "frames.jsonl: cannot be read" in check(tmp_path).problems[0]


def test_repair_of_a_sound_recording_changes_no_file(tmp_path: Path) -> None:
    record(tmp_path, 9, replace(SMALL, part_frames=4))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for _ in range(2):
        assert repair(tmp_path).sound
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_repair_refuses_what_may_still_grow(tmp_path: Path) -> None:
    record(tmp_path, 3)
    write_facts(tmp_path, facts("recording"))
    before = (tmp_path / "movie_000.tif").read_bytes()
    age(tmp_path)
    for name in (FACTS, "movie_000.tif"):
        (tmp_path / name).touch()
        with pytest.raises(FileError, match=rf"{name}: was changed a moment ago"):
            repair(tmp_path)
        age(tmp_path)
    assert (tmp_path / "movie_000.tif").read_bytes() == before
    assert repair(tmp_path).facts.state == "repaired"


def test_repair_does_not_destroy_a_damaged_part(tmp_path: Path) -> None:
    shape = (200, 300)
    writer = RecordingWriter(tmp_path, facts(shape=shape), SMALL)
    for number in range(8):
        writer.put(frame(number, shape))
    writer.close(facts("complete", shape=shape))
    path = tmp_path / "movie_000.tif"
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        offsets = [page.offset for page in tiff.pages]
    for page, kept in ((0, 0), (3, 3)):
        damaged = bytearray(whole)
        damaged[offsets[page] : offsets[page] + 8] = b"\xff" * 8  # the number of its tags
        path.write_bytes(damaged)
        report = repair(tmp_path)
        assert report.frames == kept
        assert f"8 frames were written, but {kept} can be read." in report.problems
        assert path.stat().st_size == len(whole)
        assert path.read_bytes()[offsets[4] :] == whole[offsets[4] :]


def test_localizations_come_back_as_a_table(tmp_path: Path) -> None:
    with LocalizationStream(tmp_path / STREAMED) as stream:
        for number in range(40):
            stream.append(localizations(number))
            # what was appended is in the file at once
            rows = to_parquet(tmp_path / STREAMED, tmp_path / LOCALIZATIONS, {"model": "nano"})
            assert rows == 3 * (number + 1)
        stream.close()
    assert to_parquet(tmp_path / STREAMED, tmp_path / LOCALIZATIONS, {"model": "nano"}) == 120
    read = read_localizations(tmp_path / LOCALIZATIONS)
    assert read.origin == {"model": "nano"}
    table = read.table
    np.testing.assert_array_equal(table["frame"], np.repeat(np.arange(40), 3))
    np.testing.assert_array_equal(table["track"], np.arange(120))
    np.testing.assert_array_equal(table["x_um"], table["frame"] + np.tile([0, 0.125, 0.25], 40))
    assert table["photons"].isna().all()


def test_a_stream_cut_anywhere_gives_its_whole_tables(tmp_path: Path) -> None:
    path, target = tmp_path / STREAMED, tmp_path / LOCALIZATIONS
    ends = [0]
    with LocalizationStream(path) as stream:
        for number in range(3):
            stream.append(localizations(number))
            ends.append(path.stat().st_size)
    whole = path.read_bytes()
    for size in range(0, len(whole), 11):
        path.write_bytes(whole[:size])
        complete = sum(end <= size for end in ends[1:])
        assert to_parquet(path, target, {}) == 3 * complete
        assert len(read_localizations(target)) == 3 * complete


def test_a_stream_without_rows(tmp_path: Path) -> None:
    LocalizationStream(tmp_path / STREAMED).close()
    assert to_parquet(tmp_path / STREAMED, tmp_path / LOCALIZATIONS, {}) == 0
    assert len(read_localizations(tmp_path / LOCALIZATIONS)) == 0
    with pytest.raises(FileError, match="cannot be read"):
        to_parquet(tmp_path / "absent", tmp_path / LOCALIZATIONS, {})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    record(folder, 6)
    with LocalizationStream(folder / STREAMED) as stream:
        for number in range(6):
            stream.append(localizations(number))
    return folder


def _open_and_close(folder: Path) -> None:
    open_movie(folder).close()


def _list_lines(folder: Path) -> None:
    assert len(list(read_frame_lines(folder))) <= 12


def _convert(folder: Path) -> None:
    to_parquet(folder / STREAMED, folder / LOCALIZATIONS, {})


@settings(max_examples=150)
@given(
    name=st.sampled_from([FACTS, FRAMES, STREAMED]),
    place=st.floats(0, 1, exclude_max=True),
    new=st.binary(max_size=12),
    removed=st.integers(0, 12),
)
def test_damage_is_told(recorded: Path, name: str, place: float, new: bytes, removed: int) -> None:
    path = recorded / name
    whole = path.read_bytes()
    start = int(place * len(whole))
    path.write_bytes(whole[:start] + new + whole[start + removed :])
    try:
        for use in (check, _open_and_close, _list_lines, _convert):
            with suppress(FileError):
                use(recorded)
    finally:
        path.write_bytes(whole)
        (recorded / LOCALIZATIONS).unlink(missing_ok=True)


def test_facts_are_plain_json(tmp_path: Path) -> None:
    record(tmp_path, 2, asked=2)
    told = json.loads((tmp_path / FACTS).read_text(encoding="utf-8"))
    assert told["frames"]["written"] == 2
    assert told["about"] == {"mask": "tetrapod", "gains": [1, 2.5]}
