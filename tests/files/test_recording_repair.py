"""A repair keeps all that can be read, deletes nothing that cannot, and tells which is which."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_samples import ORIGIN, ROWS_PER_FRAME, SMALL, facts, frame, localizations, pixels

from dsacq.errors import FileError
from dsacq.files.localization_stream import LocalizationStream, finish, streaming
from dsacq.files.localizations import read_localizations
from dsacq.files.movies import open_movie
from dsacq.files.recording import (
    FACTS,
    FRAMES,
    LOCALIZATIONS,
    STREAMED,
    STREAMED_TRUTH,
    TRUTH,
    movie_file,
    read_facts,
    write_facts,
)
from dsacq.files.recording_check import Report, check, repair
from dsacq.files.recording_writer import RecordingWriter

FRAMES_MADE = 10
PER_PART = 4  # so the parts have 4, 4 and 2 frames


def age(folder: Path) -> None:
    for path in folder.iterdir():
        os.utime(path, (time.time() - 86400,) * 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording whose program ended after the last frame, before it could say so."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    writer = RecordingWriter(folder, facts(asked=50), replace(SMALL, part_frames=PER_PART))
    for number in range(FRAMES_MADE):
        writer.put(frame(number))
    writer.close(facts(asked=50))
    for name, origin in ((STREAMED, ORIGIN), (STREAMED_TRUTH, {"made_by": "simulated bench"})):
        with LocalizationStream(folder / name, origin) as stream:
            for number in range(FRAMES_MADE):
                stream.append(localizations(number))
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return copied(whole, tmp_path)


def copied(whole: Path, to: Path) -> Path:
    folder = to / "run"
    shutil.copytree(whole, folder)
    age(folder)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_begins(folder: Path, frames: int) -> None:
    with open_movie(folder) as movie:
        for number, image in movie.frames(0, frames):
            np.testing.assert_array_equal(image, pixels(number))


def assert_all_is_there(folder: Path, report: Report, frames: int = FRAMES_MADE) -> None:
    assert report.frames == frames
    with open_movie(folder) as movie:
        assert len(movie) == frames
    assert_begins(folder, frames)


def test_one_of_which_all_is_kept_says_so(folder: Path) -> None:
    report = repair(folder)
    assert report.lost == ()
    assert report.unread_bytes == 0
    assert report.problems == ()
    assert report.remarks == ("50 frames were asked for, but there are 10.",)
    assert_all_is_there(folder, report)
    before = content(folder)
    assert repair(folder) == report
    assert content(folder) == before


def test_the_table_and_the_truth_come_back_with_their_origin(folder: Path) -> None:
    repair(folder)
    for name, origin in (
        (LOCALIZATIONS, ORIGIN | {"frames": FRAMES_MADE}),
        (TRUTH, {"made_by": "simulated bench"}),
    ):
        read = read_localizations(folder / name)
        assert read.origin == origin
        assert len(read) == FRAMES_MADE * ROWS_PER_FRAME
        assert not (folder / name).with_suffix(".arrows").exists()


def test_a_stream_of_before_tells_at_least_the_recording(folder: Path) -> None:
    with LocalizationStream(folder / STREAMED) as stream:  # without an origin
        stream.append(localizations(0))
    age(folder)
    repair(folder)
    told = read_localizations(folder / LOCALIZATIONS).origin
    assert told == {"recording": facts().about}


@pytest.mark.parametrize("name", [STREAMED, STREAMED_TRUTH])
@pytest.mark.parametrize("rest", [b"\0" * 64, b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"garbage" * 50])
def test_what_follows_a_stream_is_kept_aside(folder: Path, name: str, rest: bytes) -> None:
    path = folder / name
    stream = path.read_bytes()[:-8]  # before the mark of its end
    path.write_bytes(stream + rest)
    age(folder)
    for _ in range(2):
        report = repair(folder)
        assert report.unread_bytes == len(rest)
        assert report.lost == (
            f"{name}.unread: {len(rest)} bytes that could not be read are kept there.",
        )
        assert (folder / f"{name}.unread").read_bytes() == rest
    assert len(read_localizations(path.with_suffix(".parquet"))) == FRAMES_MADE * ROWS_PER_FRAME


@settings(max_examples=60)
@given(kept=st.floats(0, 1), rest=st.binary(max_size=40))
def test_a_stream_damaged_anywhere_loses_no_byte(whole: Path, kept: float, rest: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path, target = Path(name) / STREAMED, Path(name) / LOCALIZATIONS
        stream = (whole / STREAMED).read_bytes()
        damaged = stream[: int(kept * len(stream))] + rest
        path.write_bytes(damaged)
        unread = finish(path, target)
        aside = Path(name) / f"{STREAMED}.unread"
        assert (aside.read_bytes() if unread else b"") == damaged[len(damaged) - unread :]
        assert aside.exists() == bool(unread)
        table = read_localizations(target).table
        frames = len(table) // ROWS_PER_FRAME
        assert table["frame"].tolist() == [n for n in range(frames) for _ in range(ROWS_PER_FRAME)]


def test_a_whole_table_is_not_replaced_by_a_damaged_stream(folder: Path) -> None:
    """The program ended between writing the table and removing its stream."""
    shutil.copy(folder / STREAMED, folder / "copy.arrows")
    finish(folder / "copy.arrows", folder / LOCALIZATIONS, {"model": "nano", "frames": 10})
    before = (folder / LOCALIZATIONS).read_bytes()
    (folder / STREAMED).write_bytes((folder / STREAMED).read_bytes()[:1500])
    age(folder)
    repair(folder)
    assert (folder / LOCALIZATIONS).read_bytes() == before
    assert not (folder / STREAMED).exists()


@settings(max_examples=60)
@given(cut=st.integers(1, 6000), rest=st.binary(max_size=60), zeros=st.integers(0, 4000))
def test_a_movie_cut_anywhere_loses_no_byte(whole: Path, cut: int, rest: bytes, zeros: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = copied(whole, Path(name))
        path = movie_file(folder, 2)
        ends = page_ends(path)
        sound = 2 * PER_PART + sum(end <= path.stat().st_size - cut for end in ends)
        damaged = path.read_bytes()[:-cut] + rest + bytes(zeros)
        path.write_bytes(damaged)
        age(folder)
        report = repair(folder)
        # Bytes that stand where the pixels of a page should pass for its pixels.
        assert sound <= report.frames <= FRAMES_MADE
        assert_begins(folder, sound)
        left = path if path.exists() else path.with_name(path.name + ".unread")
        after = left.read_bytes()
        assert len(after) == len(damaged)
        unread_from = len(damaged) - report.unread_bytes
        assert after[unread_from:] == damaged[unread_from:]
        if report.frames < FRAMES_MADE:
            assert any("have a line in frames.jsonl, but cannot" in one for one in report.lost)
        if report.unread_bytes:
            assert any(f" {report.unread_bytes} bytes" in one for one in report.lost)
        before = content(folder)
        assert repair(folder) == report
        assert content(folder) == before


def page_ends(path: Path) -> list[int]:
    with tifffile.TiffFile(path) as tiff:
        return [page.dataoffsets[0] + page.databytecounts[0] for page in tiff.pages]


def test_garbage_behind_a_movie_is_named_and_left(folder: Path) -> None:
    path = movie_file(folder, 2)
    path.write_bytes(path.read_bytes() + b"garbage" * 11)
    age(folder)
    report = repair(folder)
    assert report.lost == (
        "movie_002.tif: 77 bytes behind its last whole frame could not be read; "
        "they are left there.",
    )
    assert path.read_bytes().endswith(b"garbage" * 11)
    assert_all_is_there(folder, report)


def test_a_first_part_damaged_at_its_end_stays_and_shifts_no_frame(folder: Path) -> None:
    path = movie_file(folder, 0)
    path.write_bytes(path.read_bytes()[:-100])
    age(folder)
    before = path.read_bytes()
    report = repair(folder)
    assert path.read_bytes()[4000:] == before[4000:]
    assert report.frames == FRAMES_MADE - 1
    assert "movie_000.tif: 1 of 4 frames are damaged." in report.lost
    assert "The movie files after it can be opened one by one." in report.lost
    with open_movie(folder) as movie:
        for number in range(PER_PART - 1):
            np.testing.assert_array_equal(movie.frame(number), pixels(number))
        with pytest.raises(FileError, match=r"movie_000\.tif"):
            movie.frame(PER_PART - 1)
    with open_movie(movie_file(folder, 1)) as movie:
        np.testing.assert_array_equal(movie.frame(0), pixels(PER_PART))


def test_a_first_part_that_cannot_be_opened_stays(folder: Path) -> None:
    movie_file(folder, 0).write_bytes(b"\0" * 5000)
    age(folder)
    report = repair(folder)
    assert movie_file(folder, 0).read_bytes() == b"\0" * 5000
    assert report.frames == FRAMES_MADE - PER_PART
    assert "movie_000.tif: none of its frames can be read; it is left as it is." in report.lost
    with pytest.raises(FileError, match=r"movie_000\.tif"):
        open_movie(folder)


def test_half_a_line_is_left_and_named(folder: Path) -> None:
    path = folder / FRAMES
    path.write_bytes(path.read_bytes()[:-20])
    age(folder)
    before = path.read_bytes()
    report = repair(folder)
    assert path.read_bytes() == before
    half = len(before) - before.rfind(b"\n") - 1
    assert report.lost == (
        f"frames.jsonl: {half} bytes are no line that can be read; they are left there.",
    )
    assert "1 of 10 frames have no line in frames.jsonl." in report.remarks


def test_a_line_that_was_never_begun_is_not_lost(folder: Path) -> None:
    lines = (folder / FRAMES).read_bytes().splitlines(keepends=True)
    (folder / FRAMES).write_bytes(b"".join(lines[:-1]))
    age(folder)
    report = repair(folder)
    assert report.lost == ()
    assert "1 of 10 frames have no line in frames.jsonl." in report.remarks


def test_without_its_facts_it_is_told_what_can_be_opened(folder: Path) -> None:
    (folder / FACTS).unlink()
    before = content(folder)
    with pytest.raises(FileError, match=r"recording\.json: cannot be read .* one by one"):
        repair(folder)
    assert content(folder) == before
    with open_movie(movie_file(folder, 1)) as movie:
        assert len(movie) == PER_PART


REPAIR = """
import sys
from pathlib import Path
from dsacq.files.recording_check import repair
repair(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("calls", range(1, 8))
def test_a_repair_that_is_killed_can_be_done_again(whole: Path, tmp_path: Path, calls: int) -> None:
    """Killed as it opens a file for writing, renames or removes one: the first, the second..."""
    folder = copied(whole, tmp_path)
    last = movie_file(folder, 2)
    last.write_bytes(last.read_bytes()[:-300])
    (folder / STREAMED).write_bytes((folder / STREAMED).read_bytes()[:-30])
    age(folder)
    program = (
        "import os, signal, sys\n"
        "left = [int(sys.argv[2])]\n"
        "def hook(event, args):\n"
        "    writes = event == 'open' and args[1] is not None and set(str(args[1])) & set('wa+')\n"
        "    if not (writes or event in ('os.rename', 'os.remove')):\n"
        "        return\n"
        "    if sys.argv[1] not in str(args[0]):\n"
        "        return\n"
        "    left[0] -= 1\n"
        "    if not left[0]:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(hook)\n" + REPAIR
    )
    if not hasattr(signal, "SIGKILL"):
        pytest.skip("Windows has no signal of this kind")
    source = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(calls)],
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert read_facts(folder).state == "recording"
    age(folder)
    report = repair(folder)
    assert (report.facts.state, report.frames) == ("repaired", FRAMES_MADE - 1)
    assert_all_is_there(folder, report, FRAMES_MADE - 1)
    assert len(read_localizations(folder / LOCALIZATIONS)) == (FRAMES_MADE - 1) * ROWS_PER_FRAME
    assert read_localizations(folder / LOCALIZATIONS).origin["model"] == "nano"
    assert len(read_localizations(folder / TRUTH)) == FRAMES_MADE * ROWS_PER_FRAME
    assert (folder / f"{STREAMED}.unread").stat().st_size > 0
    assert not list(folder.glob("*.partial")) or not list(folder.glob("*.arrows"))


def mounted(disk: Path, *command: str) -> None:
    try:
        subprocess.run(["mount", *command, str(disk)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk of its own can only be made by root on Linux")


def with_disk(tmp_path: Path, use: Callable[[Path], None]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted(disk, "-t", "tmpfs", "-o", "size=1m", "none")
    try:
        use(disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_and_costs_nothing(whole: Path, tmp_path: Path) -> None:
    def use(disk: Path) -> None:
        folder = copied(whole, disk)
        movie_file(folder, 2).write_bytes(movie_file(folder, 2).read_bytes()[:-300])
        age(folder)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"\0" * 4096):
                    pass
            except OSError:
                pass
        stream = (folder / STREAMED).read_bytes()
        refused = r"localizations\.parquet: cannot be written \(.*No space left"
        with pytest.raises(FileError, match=refused):
            repair(folder)
        assert (folder / STREAMED).read_bytes() == stream
        assert read_facts(folder).state == "recording"
        filler.unlink()
        age(folder)
        report = repair(folder)
        assert_all_is_there(folder, report, FRAMES_MADE - 1)
        assert len(read_localizations(folder / LOCALIZATIONS)) == FRAMES_MADE * ROWS_PER_FRAME

    with_disk(tmp_path, use)


def test_a_folder_that_may_not_be_written_is_told(whole: Path, tmp_path: Path) -> None:
    def use(disk: Path) -> None:
        folder = copied(whole, disk)
        movie_file(folder, 2).write_bytes(movie_file(folder, 2).read_bytes()[:-300])
        age(folder)
        before = content(folder)
        mounted(disk, "-o", "remount,ro")
        with pytest.raises(FileError, match=r"movie_002\.tif: cannot be repaired \(Read-only"):
            repair(folder)
        assert check(folder).frames == FRAMES_MADE - 1
        assert content(folder) == before

    with_disk(tmp_path, use)


def test_the_movie_is_named_where_its_disk_was_full(tmp_path: Path) -> None:
    """What ended a recording goes before what its end cannot write any more."""
    movie = FileError("run/movie_000.tif: cannot be written (No space left on device).")

    def use() -> None:
        with streaming(tmp_path / STREAMED_TRUTH, tmp_path / "nowhere" / TRUTH, {}) as stream:
            stream.append(localizations(0))
            raise movie

    with pytest.raises(FileError, match="movie_000"):
        use()
    assert (tmp_path / STREAMED_TRUTH).exists()


def test_a_repaired_recording_stays_one(folder: Path) -> None:
    repair(folder)
    write_facts(folder, read_facts(folder))
    assert check(folder).remarks == ("50 frames were asked for, but there are 10.",)
    assert check(folder).sound
