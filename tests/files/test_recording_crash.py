"""A program that is killed, a disk that fills up or fails, a disk that is slow."""

import errno
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_samples import ORIGIN, ROWS_PER_FRAME, SHAPE, SMALL, facts, frame, pixels, record

from dsacq.errors import FileError
from dsacq.files.localizations import read_localizations
from dsacq.files.movies import open_movie
from dsacq.files.recording import (
    LOCALIZATIONS,
    STREAMED,
    movie_file,
    movie_files,
    read_facts,
    read_frame_lines,
    write_facts,
)
from dsacq.files.recording_check import check, repair
from dsacq.files.recording_writer import RecordingWriter
from dsacq.files.tiff_trim import trim
from dsacq.files.tiff_writer import TiffPages

FRAME_BYTES = pixels(0).nbytes
KILLS = 20
LONG_S = 20  # for what takes a second or two


def until(happened: Callable[[], Any]) -> None:
    for _ in range(LONG_S * 100):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError(f"did not happen within {LONG_S} s")


def age(folder: Path) -> None:
    """Let a recording look as if nothing had happened to it for a day."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 86400,) * 2)


def assert_begins(folder: Path, at_least: int, shape: tuple[int, int] = SHAPE) -> int:
    """All frames of a recording are those sent, in order; returns how many there are."""
    with open_movie(folder) as movie:
        for number, image in movie.frames():
            np.testing.assert_array_equal(image, pixels(number, shape))
        assert len(movie) >= at_least
        return len(movie)


def killed(folder: Path, seed: int) -> tuple[int, int]:
    """Record in another program and kill it; what it had said: frames, frames localized."""
    program = Path(__file__).parents[1] / "recording_samples.py"
    source = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, str(program), str(folder)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
    ) as child:
        assert child.stdout is not None
        said = [child.stdout.readline()]
        time.sleep(random.Random(seed).uniform(0, 0.3))
        child.kill()
        said += child.stdout.readlines()
    frames, localized = next(line for line in reversed(said) if line.endswith(b"\n")).split()
    return int(frames), int(localized)


Killed = list[tuple[Path, tuple[int, int]]]


@pytest.fixture(scope="module")
def all_killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Recordings that were killed, and what they had said; several ran at a time."""
    folders = [tmp_path_factory.mktemp("killed") / "run" for _ in range(KILLS)]
    with ThreadPoolExecutor(4) as pool:
        return list(zip(folders, pool.map(killed, folders, range(KILLS)), strict=True))


@pytest.mark.parametrize("which", range(KILLS))
def test_what_was_written_survives_the_end_of_the_program(all_killed: Killed, which: int) -> None:
    folder, (frames, localized) = all_killed[which]
    assert read_facts(folder) == facts()
    if frames:
        found = assert_begins(folder, frames)
    report = check(folder)
    assert "was cut short" in report.problems[0]
    age(folder)
    movie_bytes = sum(path.stat().st_size for path in folder.glob("movie_*"))
    report = repair(folder)
    assert report.facts.state == "repaired"
    assert report.facts.frames.written == report.frames >= frames
    assert sum(path.stat().st_size for path in folder.glob("movie_*")) == movie_bytes
    assert bool(report.lost) == bool(report.unread_bytes)
    if frames:
        assert report.frames == assert_begins(folder, frames) == found
    if report.frames:
        _assert_others_read(folder, report.frames)
    lines = list(read_frame_lines(folder))
    assert report.frames - len(lines) in (0, 1)
    assert [line["index"] for line in lines] == list(range(len(lines)))
    assert [line["frame"] for line in lines] == list(range(len(lines)))
    assert not (folder / STREAMED).exists()
    found_live = read_localizations(folder / LOCALIZATIONS)
    assert found_live.origin == ORIGIN | {"frames": report.frames}
    table = found_live.table
    kept = len(table) // ROWS_PER_FRAME
    assert kept >= localized
    np.testing.assert_array_equal(table["frame"], np.repeat(np.arange(kept), ROWS_PER_FRAME))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert repair(folder) == report
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def _assert_others_read(folder: Path, count: int) -> None:
    stacks = []
    for path in movie_files(folder):
        with tifffile.TiffFile(path) as tiff:
            assert tiff.is_ome
            assert len(tiff.series) == 1
            stacks.append(tiff.asarray().reshape(-1, *SHAPE))
    np.testing.assert_array_equal(np.concatenate(stacks), [pixels(n) for n in range(count)])


def _put_for_ever(writer: RecordingWriter, shape: tuple[int, int]) -> None:
    for number in itertools.count():
        writer.put(frame(number, shape))


def record_until_it_ends(writer: RecordingWriter, shape: tuple[int, int] = SHAPE) -> FileError:
    """Put frames until the writer refuses them, and close it; returns what `put` raised."""
    with pytest.raises(FileError) as refused:
        _put_for_ever(writer, shape)
    with pytest.raises(FileError) as closing:
        writer.close(facts("complete", shape))
    assert str(closing.value) == str(refused.value) == str(writer.trouble)
    writer.close(facts("complete", shape))  # does no harm
    return refused.value


def assert_failed_soundly(folder: Path, written: int, shape: tuple[int, int] = SHAPE) -> None:
    """All that was written can be read, also elsewhere, and the facts tell what happened."""
    assert written > 0
    assert assert_begins(folder, written, shape) == written
    told = read_facts(folder)
    assert (told.state, told.frames.written) == ("failed", written)
    report = check(folder)
    assert report.frames == written
    assert report.problems == (f"It failed: {told.reason}",)
    for path in movie_files(folder):
        with tifffile.TiffFile(path) as tiff:
            for page in tiff.pages:
                page.asarray()
    assert repair(folder).frames == written
    assert assert_begins(folder, written, shape) == written


@contextmanager
def largest_file(count: int) -> Iterator[None]:
    resource = pytest.importorskip("resource", reason="limits of file size are not on Windows")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", range(100_000, 102_500, 125))  # a frame has 1728 bytes
def test_a_file_that_may_not_grow(tmp_path: Path, size: int) -> None:
    with largest_file(size):
        writer = RecordingWriter(tmp_path, facts(), SMALL)
        error = record_until_it_ends(writer)
    assert "movie_000.tif: cannot be written (" in str(error)
    assert_failed_soundly(tmp_path, writer.written)


def test_lines_that_may_not_grow(tmp_path: Path) -> None:
    with largest_file(100_000):
        writer = RecordingWriter(tmp_path, facts(), replace(SMALL, part_frames=20))
        error = record_until_it_ends(writer)
    assert "cannot be written (File too large)" in str(error)
    assert assert_begins(tmp_path, writer.written) == writer.written > 500
    assert read_facts(tmp_path).state == "failed"
    *problems, half_a_line = check(tmp_path).problems
    assert problems == [
        f"It failed: {error}",
        f"1 of {writer.written} frames have no line in frames.jsonl.",
    ]
    assert "bytes are no line that can be read; they are left there" in half_a_line


def test_a_disk_that_becomes_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk can only be made by root on Linux")
    try:
        shape = (150, 200)
        writer = RecordingWriter(disk / "run", facts(shape=shape), SMALL)
        error = record_until_it_ends(writer, shape)
        assert "movie_000.tif: cannot be written (" in str(error)
        assert writer.written >= 60
        assert_failed_soundly(disk / "run", writer.written, shape)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full_amid_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = tifffile.FileHandle.write_array
    left = 100 * FRAME_BYTES + 700

    def fill(file: tifffile.FileHandle, data: Any, dtype: Any = None) -> int:
        nonlocal left
        left -= data.nbytes
        if left < 0:
            file.write(data.tobytes()[:left])
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(write(file, data, dtype))

    monkeypatch.setattr(tifffile.FileHandle, "write_array", fill)
    writer = RecordingWriter(tmp_path, facts(), replace(SMALL, part_frames=30))
    error = record_until_it_ends(writer)
    assert "movie_003.tif: cannot be written (No space left on device)" in str(error)
    assert writer.written == 100
    assert_failed_soundly(tmp_path, 100)


@pytest.mark.parametrize("name", ["TiffPages.sync", "describe"])
def test_a_disk_that_fails_beside_the_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*_: object) -> None:
        raise FileError("the movie: cannot be written (Input/output error).")

    monkeypatch.setattr(f"dsacq.files.tiff_writer.{name}", fail)
    writer = RecordingWriter(tmp_path, facts(), replace(SMALL, part_frames=500))
    error = record_until_it_ends(writer)
    assert "Input/output error" in str(error)
    monkeypatch.undo()
    assert_failed_soundly(tmp_path, writer.written)


def test_a_failure_that_comes_at_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = RecordingWriter(tmp_path, facts(), SMALL)
    writer.put(frame(0))

    def fail(path: Path, xml: bytes) -> None:
        raise FileError(f"{path}: cannot be written (Input/output error).")

    monkeypatch.setattr("dsacq.files.tiff_writer.describe", fail)
    with pytest.raises(FileError, match="Input/output error"):
        writer.close(facts("complete"))
    assert_failed_soundly(tmp_path, 1)


def test_a_frame_of_another_size_ends_the_recording(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, facts(), SMALL)
    for number in range(5):
        writer.put(frame(number))
    writer.put(frame(5, (3, 4)))
    until(lambda: writer.trouble)
    with pytest.raises(FileError, match=r"uint16 \(3, 4\), expected uint16 \(24, 36\)"):
        writer.close(facts("complete"))
    assert_failed_soundly(tmp_path, 5)


def test_a_slow_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, going_on = TiffPages.write, Event()

    def slow(pages: TiffPages, image: Any) -> None:
        assert going_on.wait(LONG_S)
        time.sleep(0.003)
        write(pages, image)

    monkeypatch.setattr(TiffPages, "write", slow)
    writer = RecordingWriter(tmp_path, facts(), replace(SMALL, queue_bytes=4 * FRAME_BYTES))
    for number in range(4):
        writer.put(frame(number))
    until(lambda: writer.queue_fill == 0.75)  # one of four frames is at the disk
    going_on.set()
    for number in range(4, 100):
        writer.put(frame(number))
        assert number + 1 - writer.written <= 6  # four wait, one is at the disk, one just came off
        assert 0 <= writer.queue_fill <= 1
    writer.close(facts("complete"))
    assert assert_begins(tmp_path, 100) == 100
    assert check(tmp_path).sound


Usage = namedtuple("Usage", "total used free")


def test_a_disk_that_is_nearly_full_ends_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 2_000_000_001
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, free))
    writer = RecordingWriter(tmp_path, facts(), replace(SMALL, reserve_bytes=2e9))
    for number in range(50):
        writer.put(frame(number))
    assert writer.trouble is None
    free = 1_900_000_000
    until(lambda: writer.trouble)
    assert "nearly full, 1.9 GB are left and 2.0 GB are kept free" in str(writer.trouble)
    writer.put(frame(50))  # what the camera still has is taken
    writer.close(facts("stopped"))
    assert assert_begins(tmp_path, 51) == 51
    assert check(tmp_path).sound


def test_signs_of_life_come_where_frames_are_rare(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, facts(), SMALL)
    writer.put(frame(0))
    age(tmp_path)
    started = time.time()
    until(lambda: (tmp_path / "recording.json").stat().st_mtime > started - 60)
    with pytest.raises(FileError, match="end the recording first"):
        repair(tmp_path)
    writer.close(facts("stopped"))


def _pages_file(folder: Path, count: int, shape: tuple[int, int]) -> tuple[Path, list[int]]:
    """An unended movie file, and where each of its pages ends."""
    path = movie_file(folder, 0)
    pages = TiffPages(path, shape, np.uint16, {"pixel_um": 0.11})
    ends = []
    for number in range(count):
        pages.write(pixels(number, shape))
        assert pages.size == path.stat().st_size
        ends.append(pages.size)
    pages.close()
    return path, ends


def assert_trimmed(folder: Path, path: Path, ends: list[int], shape: tuple[int, int]) -> None:
    size = path.stat().st_size
    whole = sum(end <= size for end in ends)
    frame_bytes = pixels(0, shape).nbytes
    for _ in range(2):
        assert trim(path, frame_bytes) == whole
        assert path.stat().st_size == (ends[whole - 1] if whole else min(size, 16))
    if not whole:
        with pytest.raises(FileError, match="is a recording without any frame"):
            open_movie(folder)
        return
    assert assert_begins(folder, whole, shape) == whole
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == whole
        np.testing.assert_array_equal(tiff.pages[-1].asarray(), pixels(whole - 1, shape))


@pytest.mark.parametrize(("count", "first"), [(5, 3), (1, 0)])
def test_a_file_is_cut_after_its_last_whole_page(tmp_path: Path, count: int, first: int) -> None:
    write_facts(tmp_path, facts(shape=(3, 4)))
    path, ends = _pages_file(tmp_path, count, (3, 4))
    whole = path.read_bytes()
    for size in range(ends[first - 1] if first else 0, len(whole) + 1):
        path.write_bytes(whole[:size])
        assert_trimmed(tmp_path, path, ends, (3, 4))


@settings(max_examples=60)
@given(
    count=st.integers(1, 150),
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    kept=st.floats(0, 1),
)
def test_files_of_every_size_are_cut(count: int, rows: int, columns: int, kept: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, shape = Path(name), (rows, columns)
        write_facts(folder, facts(shape=shape))
        path, ends = _pages_file(folder, count, shape)
        os.truncate(path, int(kept * ends[-1]))
        assert_trimmed(folder, path, ends, shape)


def test_a_file_that_ends_in_zeros_is_cut(tmp_path: Path) -> None:
    """As after a power cut, where the system knew how long the file was, but not what it held."""
    shape = (200, 300)
    write_facts(tmp_path, facts(shape=shape))
    path, ends = _pages_file(tmp_path, 9, shape)
    whole = path.read_bytes()
    for kept in (8, 4):
        path.write_bytes(whole[: ends[kept - 1] + 5].ljust(len(whole), b"\0"))
        assert trim(path, pixels(0, shape).nbytes) == kept
        assert assert_begins(tmp_path, kept, shape) == kept


def test_repair_of_a_recording_that_never_got_a_frame(tmp_path: Path) -> None:
    record(tmp_path, 1)
    write_facts(tmp_path, facts())
    path = movie_file(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:300])
    before = path.read_bytes()
    assert check(tmp_path).frames == 0
    age(tmp_path)
    for _ in range(2):
        report = repair(tmp_path)
        assert (report.frames, report.facts.state) == (0, "repaired")
        assert report.lost == (
            "1 frames have a line in frames.jsonl, but cannot be read.",
            "movie_000.tif.unread: 300 bytes that could not be read are kept there.",
        )
        assert report.unread_bytes == 300
    assert (tmp_path / "movie_000.tif.unread").read_bytes() == before
    with pytest.raises(FileError, match="is a recording without any frame"):
        open_movie(tmp_path)
