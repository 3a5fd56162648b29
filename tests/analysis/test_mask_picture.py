from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rcParams
from PIL import Image

from dsacq.analysis.mask_picture import mask_picture
from dsacq.errors import FileError
from dsacq.physics.masks import flat, tetrapod
from dsacq.physics.optics import Optics


def test_picture_shows_the_mask(storm_optics: Optics, tmp_path: Path) -> None:
    before = rcParams["axes.facecolor"], rcParams["text.color"]
    pictures = []
    for design in (flat, tetrapod):
        path = tmp_path / "mask.png"
        mask_picture(replace(design(storm_optics), name="50 % $ off"), storm_optics, path)
        with Image.open(path) as image:
            pictures.append(np.asarray(image.convert("RGB")).astype(int))
    assert pictures[0].shape == (810, 1950, 3)
    changed = np.abs(pictures[0] - pictures[1]).max(2) > 30
    assert changed[150:600, 100:520].mean() > 0.3  # the phase
    assert changed[140:300, 690:1900].mean() > 0.03  # the images
    assert changed[420:700, 690:1900].mean() > 0.005  # the curves
    assert (rcParams["axes.facecolor"], rcParams["text.color"]) == before
    assert [file.name for file in tmp_path.iterdir()] == ["mask.png"]


def test_picture_into_no_folder(storm_optics: Optics, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written"):
        mask_picture(flat(storm_optics), storm_optics, tmp_path / "absent" / "mask.png")
