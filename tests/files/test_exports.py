"""Files for other programs, read back as those read them."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat

from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.files.exports import EXPORTS, export


@pytest.fixture
def table() -> Localizations:
    return Localizations.from_columns(
        frame=[1, 0, 1],
        x_um=[1.5, 1.0, 4.0],
        y_um=[2.0, 2.5, 5.0],
        z_um=[0.5, 0.25, 3.0],
        photons=[1000, 2000, 3000],
        sigma_x_um=[0.01, 0.02, 0.03],
        track=[7, 7, -1],
    )


def test_smap(table: Localizations, tmp_path: Path) -> None:
    export(table, tmp_path / "a.csv", "smap")
    rows = pd.read_csv(tmp_path / "a.csv")
    assert rows["frame"].tolist() == [2, 1, 2]
    assert rows["xnm"].tolist() == pytest.approx([1500, 1000, 4000])
    assert rows["locprecnm"].tolist() == pytest.approx([10, 20, 30])
    assert rows["phot"].tolist() == [1000, 2000, 3000]


def test_napari(table: Localizations, tmp_path: Path) -> None:
    export(table, tmp_path / "a.csv", "napari")
    rows = pd.read_csv(tmp_path / "a.csv")
    assert rows.columns.tolist() == ["ID", "T", "Z", "Y", "X"]
    assert rows.to_numpy() == pytest.approx(
        np.array([[7, 0, 0.25, 2.5, 1.0], [7, 1, 0.5, 2.0, 1.5]])
    )


def test_trackmate(table: Localizations, tmp_path: Path) -> None:
    export(table, tmp_path / "a.xml", "trackmate")
    root = ElementTree.parse(tmp_path / "a.xml").getroot()
    assert (root.tag, root.get("nTracks"), root.get("spaceUnits")) == ("Tracks", "1", "um")
    (particle,) = root
    assert particle.get("nSpots") == "2"
    assert [one.get("t") for one in particle] == ["0", "1"]
    assert [float(one.get("x", "nan")) for one in particle] == [1.0, 1.5]


def test_matlab(table: Localizations, tmp_path: Path) -> None:
    export(table, tmp_path / "a.mat", "matlab")
    found = loadmat(tmp_path / "a.mat")["localizations"][0, 0]
    assert found["x_um"].ravel() == pytest.approx([1.5, 1.0, 4.0])
    assert found["track"].ravel().tolist() == [7, 7, -1]


@pytest.mark.parametrize("kind", ["napari", "trackmate"])
def test_tracks_need_links(table: Localizations, tmp_path: Path, kind: str) -> None:
    loose = Localizations(table.table.drop(columns="track"))
    with pytest.raises(SettingsError, match="not linked"):
        export(loose, tmp_path / f"a{EXPORTS[kind].ending}", kind)
    with pytest.raises(FileError, match="ends in"):
        export(table, tmp_path / "a.txt", kind)
