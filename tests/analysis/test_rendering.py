"""Pictures of localizations."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dsacq.analysis.rendering import coloured, render, render_volume, write_picture
from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError


def table(count: int = 3000, seed: int = 1) -> Localizations:
    draw = np.random.default_rng(seed)
    place = draw.uniform([0, 0, 1], [3, 2, 4], size=(count, 3))
    return Localizations.from_columns(
        frame=np.arange(count),
        x_um=place[:, 0],
        y_um=place[:, 1],
        z_um=place[:, 2],
        sigma_x_um=np.full(count, 0.02),
        sigma_y_um=np.full(count, 0.02),
        sigma_z_um=np.full(count, 0.05),
    )


@pytest.mark.parametrize("method", ["histogram", "ash", "gaussian"])
def test_all_localizations_are_in_the_picture(method: str) -> None:
    # What is drawn over the edge is lost.
    image = render(table(), 0.01, method=method, region_um=(-0.5, -0.5, 3.5, 2.5))
    assert float(image.counts.sum()) == pytest.approx(3000, rel=1e-3)
    assert image.counts.shape == (301, 401)


def test_a_shifted_average_is_the_mean_of_shifted_histograms() -> None:
    rows = table(500)
    image = render(rows, 0.01, method="ash", depth=False, region_um=(0, 0, 2.99, 1.99)).counts
    x, y = (rows.table[name].to_numpy() for name in ("x_um", "y_um"))
    mean = np.zeros_like(image)
    for down in range(4):
        for right in range(4):
            column = (np.floor(x / 0.01).astype(int) + right) // 4
            row = (np.floor(y / 0.01).astype(int) + down) // 4
            counts = np.zeros((52, 77))
            np.add.at(counts, (row, column), 1)
            fine = np.kron(counts, np.ones((4, 4)))[down:, right:]
            mean += fine[: mean.shape[0], : mean.shape[1]] / 16 / 16
    inner = slice(8, -8)
    assert image[inner, inner] == pytest.approx(mean[inner, inner], abs=1e-5)


def test_a_localization_is_as_wide_as_it_is_uncertain() -> None:
    one = Localizations.from_columns(
        frame=[0, 1],
        x_um=[1.0, 3.0],
        y_um=[1.0, 1.0],
        z_um=[0, 0],
        sigma_x_um=[0.02, 0.08],
        sigma_y_um=[0.02, 0.08],
    )
    image = render(one, 0.01, depth=False, region_um=(0, 0, 4, 2)).counts
    for column, expected in ((100, 2.0), (300, 8.0)):
        part = image[:, column - 60 : column + 60]
        across = (np.arange(120) - 60) ** 2
        spread = np.sqrt((part.sum(0) * across).sum() / part.sum())
        assert spread == pytest.approx(expected, rel=0.06)


def test_depth_is_the_mean_height() -> None:
    image = render(table(), 0.5, method="histogram")
    assert image.depth_um is not None
    assert np.nanmin(image.depth_um) > 1
    assert np.nanmean(image.depth_um) == pytest.approx(2.5, abs=0.1)
    rgb = coloured(render(table(), 0.01))
    assert rgb.shape == (200, 300, 3)
    assert rgb[..., 0].std() > 5


def test_a_side_view_has_height_downwards() -> None:
    image = render(table(), 0.1, plane="xz", method="histogram")
    assert image.counts.shape == (30, 30)
    assert image.corner_um[1] == pytest.approx(1.0, abs=0.01)


def test_pictures_are_files(tmp_path: Path) -> None:
    image = render(table(), 0.01)
    write_picture(image, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (300, 200)
    write_picture(image, tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        counts = file.asarray()
        assert counts.dtype == np.uint16
        assert counts.max() == 65535
        assert file.pages[0].tags["XResolution"].value == (100, 1)
    write_picture(image, tmp_path / "a.rgb.tif")
    assert tifffile.imread(tmp_path / "a.rgb.tif").shape == (200, 300, 3)
    with pytest.raises(FileError, match="pictures are written"):
        write_picture(image, tmp_path / "a.jpg")


def test_a_volume_has_every_localization_in_its_slice(tmp_path: Path) -> None:
    count = render_volume(table(), tmp_path / "v.ome.tif", 0.05, 0.5, "histogram")
    volume = tifffile.imread(tmp_path / "v.ome.tif")
    assert volume.shape == (count, 40, 60)
    assert volume.sum() == 3000
    heights = table().table["z_um"]
    first = (heights < heights.min() + 0.5).sum()
    assert volume[0].sum() == pytest.approx(first, abs=1)


def test_impossible_pictures_are_refused() -> None:
    with pytest.raises(SettingsError, match="too large"):
        render(table(), 1e-6)
    with pytest.raises(SettingsError, match="no localizations in that region"):
        render(table(), region_um=(10, 10, 11, 11))
    with pytest.raises(SettingsError, match="no localizations to show"):
        render(Localizations.empty())
    with pytest.raises(SettingsError, match="method 'blobs'"):
        render(table(), method="blobs")
