"""dsacq recording check and repair, on recordings that `dsacq live` made."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rig_samples import write_rig
from running import Run

FRAMES = 6


@pytest.fixture
def recording(dsacq: Run, tmp_path: Path) -> Path:
    made = dsacq("live", "--rig", write_rig(tmp_path), "--frames", FRAMES, "-o", "bead")
    assert made.code == 0
    return tmp_path / "bead"


def never_ended(recording: Path) -> None:
    """As a program that was killed an hour ago leaves it, all frames written."""
    facts = json.loads((recording / "recording.json").read_text(encoding="utf-8"))
    facts |= {"state": "recording", "ended": None}
    facts["frames"] |= {"received": 0, "written": 0}
    (recording / "recording.json").write_text(json.dumps(facts), encoding="utf-8")
    age(recording)


def cut_short(recording: Path) -> None:
    """As a power cut an hour ago, in the midst of a frame, leaves it."""
    never_ended(recording)
    movie = recording / "movie_000.tif"
    with movie.open("r+b") as file:
        file.truncate(movie.stat().st_size - 1000)
    age(recording)


def age(recording: Path) -> None:
    for path in recording.iterdir():
        hour_ago_s = path.stat().st_mtime - 3600
        os.utime(path, (hour_ago_s, hour_ago_s))


def test_a_sound_recording(dsacq: Run, recording: Path) -> None:
    checked = dsacq("recording", "check", recording)
    assert (checked.code, checked.err) == (0, "")
    assert checked.out == "6 frames of 48 x 64 pixels can be read; state: complete\n"
    told = dsacq("recording", "check", recording, "--json").json
    assert (told["sound"], told["readable"], told["asked"]) == (True, FRAMES, FRAMES)
    assert told["problems"] == []
    assert dsacq("recording", "repair", recording).code == 0


def test_a_recording_that_was_cut_short(dsacq: Run, recording: Path) -> None:
    cut_short(recording)
    checked = dsacq("recording", "check", recording)
    assert checked.code == 1
    assert "the program was cut short" in checked.err

    mended = dsacq("recording", "repair", recording, "--json")
    assert mended.json["state"] == "repaired"
    kept = mended.json["readable"]
    assert isinstance(kept, int)
    assert FRAMES - 2 <= kept < FRAMES
    assert mended.code == 1  # of the last frame, only a part could be kept
    assert mended.json["kept_all"] is False
    assert mended.json["unread_bytes"] > 0
    again = dsacq("recording", "check", recording)
    assert again.out == f"{kept} frames of 48 x 64 pixels can be read; state: repaired\n"
    assert f"6 frames were asked for, but there are {kept}." in again.err


def test_a_repair_that_keeps_all_ends_with_zero(dsacq: Run, recording: Path) -> None:
    never_ended(recording)
    assert dsacq("recording", "check", recording).code == 1
    for _ in range(2):
        mended = dsacq("recording", "repair", recording, "--json")
        assert mended.code == 0
        assert mended.json["state"] == "repaired"
        assert (mended.json["kept_all"], mended.json["lost"]) == (True, [])
        assert (mended.json["readable"], mended.json["unread_bytes"]) == (FRAMES, 0)


def without_the_end(recording: Path) -> None:
    """Of a program that was killed long before it had all frames."""
    facts = json.loads((recording / "recording.json").read_text(encoding="utf-8"))
    facts["frames"]["asked"] = 1000
    (recording / "recording.json").write_text(json.dumps(facts), encoding="utf-8")


def without_lines(recording: Path) -> None:
    """As where the lines of the last frames had not come to the disk."""
    lines = (recording / "frames.jsonl").read_bytes().splitlines(keepends=True)
    (recording / "frames.jsonl").write_bytes(b"".join(lines[: FRAMES - 2]))


def with_a_jump(recording: Path) -> None:
    """As where the camera had left out frames."""
    lines = (recording / "frames.jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(lines[FRAMES - 1])
    lines[FRAMES - 1] = json.dumps(last | {"index": last["index"] + 7})
    (recording / "frames.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (without_the_end, "1000 frames were asked for, but there are 6."),
        (without_lines, "2 of 6 frames have no line in frames.jsonl."),
        (with_a_jump, "Frame 12 of the camera follows frame 4."),
    ],
)
def test_a_repaired_recording_is_as_sound_as_it_says(
    dsacq: Run, recording: Path, lacking: Callable[[Path], None], said: str
) -> None:
    never_ended(recording)
    lacking(recording)
    age(recording)
    assert dsacq("recording", "check", recording).code == 1
    assert dsacq("recording", "repair", recording).code == 0
    for _ in range(2):
        checked = dsacq("recording", "check", recording)
        assert checked.code == 0
        assert f"Remark: {said}" in " ".join(checked.err.split())
        told = dsacq("recording", "check", recording, "--json").json
        assert (told["sound"], told["problems"], told["state"]) == (True, [], "repaired")


def test_a_repaired_recording_that_was_damaged_later_is_not(dsacq: Run, recording: Path) -> None:
    never_ended(recording)
    assert dsacq("recording", "repair", recording).code == 0
    movie = recording / "movie_000.tif"
    with movie.open("r+b") as file:
        file.truncate(movie.stat().st_size // 2)
    checked = dsacq("recording", "check", recording)
    assert checked.code == 1
    assert "6 frames were written, but" in checked.err
    (recording / "frames.jsonl").unlink()
    assert "frames.jsonl: cannot be read" in dsacq("recording", "check", recording).err


def test_one_that_may_still_be_going_on_is_left_alone(dsacq: Run, recording: Path) -> None:
    cut_short(recording)
    os.utime(recording / "movie_000.tif")
    before = (recording / "movie_000.tif").read_bytes()
    assert "was changed a moment ago" in dsacq.fails("recording", "repair", recording)
    assert (recording / "movie_000.tif").read_bytes() == before


def test_no_recording(dsacq: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "nope"):
        for command in ("check", "repair"):
            told = dsacq.fails("recording", command, folder)
            assert "recording.json: cannot be read" in told


def test_damaged_facts(dsacq: Run, recording: Path) -> None:
    (recording / "recording.json").write_text("{", encoding="utf-8")
    assert "recording.json: is damaged" in dsacq.fails("recording", "check", recording)


def test_the_truth_of_the_bench_is_beside_the_movie(recording: Path) -> None:
    assert set(pd.read_parquet(recording / "truth.parquet")["frame"]) == set(range(FRAMES))
