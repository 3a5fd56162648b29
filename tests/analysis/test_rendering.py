"""Pictures of localizations."""

import shutil
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image

from dsacq.analysis import rendering, rendering_picture
from dsacq.analysis.rendering import (
    render,
    render_volume,
    write_in_bands,
    write_picture,
)
from dsacq.analysis.rendering_colours import coloured
from dsacq.analysis.rendering_picture import Picture
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


def counts(picture: Picture) -> np.ndarray:
    return picture.counts(picture.whole)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of a few hundred pixels are many tiles, the last ones narrower."""
    monkeypatch.setattr(rendering_picture, "_TILE_PX", 32)


@pytest.mark.parametrize("method", ["histogram", "ash", "gaussian"])
def test_all_localizations_are_in_the_picture(method: str) -> None:
    # What is drawn over the edge is lost.
    picture = render(table(), 0.01, method=method, region_um=(-0.5, -0.5, 3.5, 2.5))
    assert float(counts(picture).sum()) == pytest.approx(3000, rel=1e-3)
    assert counts(picture).shape == picture.shape == (301, 401)


def test_a_shifted_average_is_the_mean_of_shifted_histograms() -> None:
    rows = table(500)
    image = counts(render(rows, 0.01, method="ash", region_um=(0, 0, 2.99, 1.99)))
    x, y = (rows.table[name].to_numpy() for name in ("x_um", "y_um"))
    mean = np.zeros_like(image)
    for down in range(4):
        for right in range(4):
            column = (np.floor(x / 0.01).astype(int) + right) // 4
            row = (np.floor(y / 0.01).astype(int) + down) // 4
            coarse = np.zeros((52, 77))
            np.add.at(coarse, (row, column), 1)
            fine = np.kron(coarse, np.ones((4, 4)))[down:, right:]
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
    image = counts(render(one, 0.01, region_um=(0, 0, 4, 2)))
    for column, expected in ((100, 2.0), (300, 8.0)):
        part = image[:, column - 60 : column + 60]
        across = (np.arange(120) - 60) ** 2
        spread = np.sqrt((part.sum(0) * across).sum() / part.sum())
        assert spread == pytest.approx(expected, rel=0.06)


def test_depth_is_the_mean_height() -> None:
    picture = render(table(), 0.5, method="histogram")
    depth_um = picture.depth_um(picture.whole, counts(picture))
    assert np.nanmin(depth_um) > 1
    assert np.nanmean(depth_um) == pytest.approx(2.5, abs=0.1)
    rgb = coloured(render(table(), 0.01))
    assert rgb.shape == (200, 300, 3)
    assert rgb[..., 0].std() > 5


def test_a_side_view_has_height_downwards() -> None:
    picture = render(table(), 0.1, plane="xz", method="histogram")
    assert picture.shape == (30, 30)
    assert picture.corner_um[1] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("method", ["histogram", "ash", "gaussian"])
@pytest.mark.usefixtures("small_tiles")
def test_tiles_together_are_the_whole_picture(method: str) -> None:
    rows = table()
    sigma_um = np.random.default_rng(2).uniform(0.005, 0.06, 3000).astype(np.float32)
    rows.table[["sigma_x_um", "sigma_y_um"]] = np.stack((sigma_um, sigma_um), 1)
    picture = render(rows, 0.01, method=method)
    whole = counts(picture)
    depth_um = picture.depth_um(picture.whole, whole)
    tiles = [tile for band in picture.bands() for tile in band]
    assert len(tiles) >= 12
    seen = np.zeros(picture.shape, int)
    for tile in tiles:
        part = (slice(tile.top, tile.top + tile.rows), slice(tile.left, tile.left + tile.columns))
        seen[part] += 1
        assert picture.counts(tile) == pytest.approx(whole[part], abs=1e-6)
        depth = picture.depth_um(tile, whole[part])
        assert depth == pytest.approx(depth_um[part], abs=1e-5, nan_ok=True)
    assert (seen == 1).all()


@pytest.mark.parametrize("depth", [True, False])
def test_colours_and_bars_do_not_depend_on_the_tiles(
    depth: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = render(table(), 0.005, depth=depth)
    one = coloured(picture)
    monkeypatch.setattr(rendering_picture, "_TILE_PX", 64)
    monkeypatch.setattr(rendering_picture, "_BAND_PX", 50 * picture.shape[1])
    assert next(picture.bands())[0].rows == 50
    many = coloured(picture)
    assert abs(many.astype(int) - one).max() <= 1  # rounding
    assert (many[-20:, 10:60] == 255).all(2).any()  # the scale bar


def test_the_brightest_are_white() -> None:
    picture = render(table(), 0.05, method="histogram", depth=False)
    lit = counts(picture)[counts(picture) > 0]
    bright = coloured(picture)[..., 0]
    white = np.percentile(lit, 99.5)
    expected = 255 * np.clip(counts(picture) / white, 0, 1) ** 0.6
    assert bright == pytest.approx(expected, abs=1)


@pytest.mark.usefixtures("small_tiles")
def test_pictures_are_files(tmp_path: Path) -> None:
    picture = render(table(), 0.01)
    write_picture(picture, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (300, 200)
        assert (np.asarray(image) == coloured(picture)).all()
    assert list(write_in_bands(picture, tmp_path / "a.tif"))[-1] == 100
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        values = file.asarray()
        assert values.dtype == np.uint16
        assert values.max() == 65535
        assert file.pages[0].tags["XResolution"].value == (100, 1)
        told = file.imagej_metadata
        assert told["unit"] == "um"
        scaled = values * (told["localizations_at_65535"] / 65535)
        assert scaled == pytest.approx(counts(picture), abs=1e-4)
    write_picture(picture, tmp_path / "a.rgb.tif")
    assert (tifffile.imread(tmp_path / "a.rgb.tif") == coloured(picture)).all()
    with pytest.raises(FileError, match="pictures are written"):
        write_picture(picture, tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.tif", "a.rgb.tif", "a.ome.tif"])
def test_large_files_are_bigtiff(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "_CLASSIC_TIFF_BYTES", 1000)
    if name == "a.ome.tif":
        render_volume(table(), tmp_path / name, 0.05, 0.5)
    else:
        write_picture(render(table(), 0.05), tmp_path / name)
    with tifffile.TiffFile(tmp_path / name) as file:
        assert file.is_bigtiff
        assert file.pages[0].shape[:2] == (40, 60)
        assert file.asarray().max() > 0


def test_memory_does_not_grow_with_the_picture(tmp_path: Path) -> None:
    picture = render(table(), 0.0003, method="ash")
    assert picture.shape[0] * picture.shape[1] > 60e6  # as one array of floats 240 MB
    tracemalloc.start()
    try:
        write_picture(picture, tmp_path / "a.tif")
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 60e6
    assert tifffile.memmap(tmp_path / "a.tif", mode="r").shape == picture.shape


def test_files_that_are_too_large_are_refused_before_they_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = render(table(), 0.0001)
    with pytest.raises(FileError, match=r"would not fit into memory; write an \.rgb\.tif"):
        write_picture(picture, tmp_path / "a.png")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3e8))
    for name in ("a.tif", "a.rgb.tif"):
        with pytest.raises(FileError, match=r"needs 1\.\d* GB, and the disk has 0\.3"):
            write_picture(picture, tmp_path / name)
    with pytest.raises(FileError, match="needs"):
        render_volume(table(), tmp_path / "v.ome.tif", 0.0001)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileError, match="cannot be written"):
        write_picture(picture, tmp_path / "nowhere" / "a.tif")


def test_a_volume_has_every_localization_in_its_slice(tmp_path: Path) -> None:
    count = render_volume(table(), tmp_path / "v.ome.tif", 0.05, 0.5, "histogram")
    volume = tifffile.imread(tmp_path / "v.ome.tif")
    assert volume.shape == (count, 40, 60)
    assert volume.sum() == 3000
    heights = table().table["z_um"]
    first = (heights < heights.min() + 0.5).sum()
    assert volume[0].sum() == pytest.approx(first, abs=1)


def test_impossible_pictures_are_refused() -> None:
    with pytest.raises(SettingsError, match="is impossible"):
        render(table(), 1e-10)
    with pytest.raises(SettingsError, match="is impossible"):
        render(table(), region_um=(2, 2, 1, 1))
    with pytest.raises(SettingsError, match="no localizations in that region"):
        render(table(), region_um=(10, 10, 11, 11))
    with pytest.raises(SettingsError, match="no localizations to show"):
        render(Localizations.empty())
    with pytest.raises(SettingsError, match="method 'blobs'"):
        render(table(), method="blobs")
