"""An alignment put into a rig file by the program, which leaves the author's words alone."""

from dataclasses import replace
from pathlib import Path

import pytest
from rig_samples import EXAMPLES, SMALL, write_rig

from dsacq.errors import FileError
from hardware.rig_file import PatternSettings, read_rig
from hardware.rig_file_edit import write_alignment
from hardware.slm_pattern import Carrier, PupilAlignment

FOUND = PupilAlignment(centre_px=(301.25, 322.5), rotation_rad=0.031, flip_y=True, scale=1.027)
CARRIER = Carrier(period_px=12.0, direction_rad=0.5)


@pytest.mark.parametrize(
    "before",
    [
        "",
        "[pattern]\ncorrection = 'none.npy'  # of the maker\n",
        "[pattern.alignment]\nrotation_rad = 0.5  # by eye\nscale = 1.1\n",
        "pattern = { alignment = { scale = 1.2 } }\n",
    ],
    ids=["none", "other", "table", "inline"],
)
def test_it_is_there_when_read_again(tmp_path: Path, before: str) -> None:
    text = before + SMALL if before.startswith("pattern") else SMALL + before
    path = write_rig(tmp_path, "# Our rig.\n" + text)
    others = replace(read_rig(path), pattern=PatternSettings())
    write_alignment(path, FOUND, CARRIER)
    read = read_rig(path)
    assert read.pattern.alignment == FOUND
    assert read.pattern.carrier == CARRIER
    assert replace(read, pattern=PatternSettings()) == others
    assert path.read_text().startswith("# Our rig.")
    write_alignment(path, replace(FOUND, centre_px=None), None)
    assert read_rig(path).pattern.alignment == replace(FOUND, centre_px=None)
    assert read_rig(path).pattern.carrier is None


def test_comments_stay(tmp_path: Path) -> None:
    text = (EXAMPLES / "rig-micromanager.toml").read_text(encoding="utf-8")
    path = write_rig(tmp_path, text)
    write_alignment(path, FOUND, None)
    words = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in text.splitlines() if line.lstrip().startswith("#")]
    assert [line for line in words if line in kept][: len(kept)] == kept


def test_what_is_no_toml_is_refused(tmp_path: Path) -> None:
    path = write_rig(tmp_path, "optics = [")
    with pytest.raises(FileError, match="is not TOML"):
        write_alignment(path, FOUND, None)
    assert path.read_text() == "optics = ["
    with pytest.raises(FileError, match=r"gone\.toml"):
        write_alignment(tmp_path / "gone.toml", FOUND, None)
