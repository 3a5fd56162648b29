"""From a source of frames to tables, frame by frame."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dsacq.data import COLUMNS, Localizations, Roi
from dsacq.errors import FileError, SettingsError
from dsacq.localize.localizer import LocalizeSettings, localize, origin
from dsacq.networks.model_file import Model

SETTINGS = LocalizeSettings(threshold=150.0)


@dataclass
class Frames:
    """Frames in memory, of which those from `damaged` on cannot be read."""

    images: NDArray[np.uint16]
    damaged: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.images.shape[1], self.images.shape[2]

    def __len__(self) -> int:
        return len(self.images)

    def frame(self, index: int) -> NDArray[Any]:
        if self.damaged is not None and index >= self.damaged:
            raise FileError(f"frame {index} cannot be read.")
        return self.images[index]


@pytest.fixture(scope="module")
def frames() -> Frames:
    return Frames(np.random.default_rng(0).integers(0, 4000, (4, 48, 40), dtype=np.uint16))


def test_one_table_per_frame_with_its_number(random_model: Model, frames: Frames) -> None:
    parts = list(localize(frames, random_model, range(1, 4), SETTINGS))
    assert [set(part.table["frame"]) for part in parts] == [{1}, {2}, {3}]
    assert list(parts[0].table.columns) == list(COLUMNS)
    assert parts[0].table["probability"].between(0, 1).all()
    assert parts[0].table["photons"].isna().all()
    low, high = random_model.card.optics.z_range_um
    assert parts[0].table["z_um"].between(low, high).all()


def test_positions_are_from_the_corner_of_the_full_frame(
    random_model: Model, frames: Frames
) -> None:
    roi = Roi(column=7, row=11, width=30, height=25)
    cropped = Frames(frames.images[:, 11:36, 7:37])
    inside = next(localize(cropped, random_model, [2], SETTINGS)).positions_um()
    settings = LocalizeSettings(threshold=150.0, roi=roi)
    placed = next(localize(frames, random_model, [2], settings)).positions_um()
    pixel_um = random_model.card.optics.pixel_um
    assert len(inside) > 5
    assert np.allclose(placed - inside, [7 * pixel_um, 11 * pixel_um, 0], atol=1e-4)


def test_frames_before_a_damaged_one_are_localized(random_model: Model, frames: Frames) -> None:
    damaged = Frames(frames.images, damaged=2)
    parts = localize(damaged, random_model, range(4), SETTINGS)
    assert len(next(parts)) > 0
    assert len(next(parts)) > 0
    with pytest.raises(FileError, match="frame 2"):
        next(parts)


def test_no_emitters_make_an_empty_table(random_model: Model) -> None:
    nothing = Frames(np.full((2, 30, 30), 100, np.uint16))
    settings = LocalizeSettings(threshold=799.99)
    found = Localizations.joined(localize(nothing, random_model, range(2), settings))
    assert len(found) == 0
    assert list(found.table.columns) == list(COLUMNS)


@pytest.mark.parametrize("roi", [Roi(-1, 0, 5, 5), Roi(0, 0, 0, 5), Roi(30, 0, 20, 5)])
def test_roi_outside_the_frame(random_model: Model, frames: Frames, roi: Roi) -> None:
    with pytest.raises(SettingsError, match="40 wide and 48 high"):
        next(localize(frames, random_model, [0], LocalizeSettings(roi=roi)))


def test_impossible_settings() -> None:
    for impossible in (0, -1, math.nan, math.inf):
        with pytest.raises(SettingsError, match="threshold"):
            LocalizeSettings(threshold=impossible)
    with pytest.raises(SettingsError, match="tile"):
        LocalizeSettings(tile_px=2)


def test_origin_says_what_made_it(random_model: Model, frames: Frames) -> None:
    made_by = origin(random_model.card.optics, frames, SETTINGS, {}, model="random")
    assert made_by["model"] == "random"
    assert made_by["optics"]["na"] == 1.45
    assert made_by["settings"]["threshold"] == 150.0
