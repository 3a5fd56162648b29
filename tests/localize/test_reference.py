"""The published networks, imported, against what the published code finds.

All frames and densities: benchmarks/reference.py.
"""

import json
import pickle
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dsacq.analysis.metrics import evaluate, match
from dsacq.analysis.overlay import regenerate
from dsacq.data import Localizations
from dsacq.errors import FileError, SettingsError
from dsacq.files.masks import read_mask
from dsacq.files.movies import open_movie
from dsacq.localize import deepstorm3d
from dsacq.localize.deepstorm3d import import_checkpoint
from dsacq.localize.localizer import localize
from dsacq.networks.model_file import Model
from dsacq.networks.voxel import VoxelNetwork
from dsacq.physics.masks import flat
from dsacq.physics.optics_file import read_optics

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def imported(data: Path, weights: str, mask: str, optics: str) -> Model:
    settings = read_optics(EXAMPLES / optics)
    return import_checkpoint(
        data / "deepstorm3d" / "weights" / f"{weights}_weights_best_loss.pkl",
        read_mask(data / "deepstorm3d" / "masks" / f"{mask}.mat", optics=settings.optics),
        settings,
        weights,
    )


@pytest.fixture(scope="module")
def learned(shared_data: Path) -> Model:
    return imported(shared_data, "Learned_demo5", "mask_learned", "optics-telomeres.toml")


def assert_agrees(found: np.ndarray, reference_um: np.ndarray) -> None:
    """At least 98 % matched one to one, median within 1 nm, largest within 5 nm."""
    ours, theirs = match(found, reference_um, 0.05)
    assert len(ours) >= 0.98 * max(len(found), len(reference_um))
    apart_um = np.linalg.norm(found[ours] - reference_um[theirs], axis=1)
    assert np.median(apart_um) <= 1e-3
    assert apart_um.max() <= 5e-3


def test_learned_network_on_telomeres(shared_data: Path, learned: Model) -> None:
    assert learned.card.architecture.dilations == (1, 1, 2, 4, 1, 1)
    assert learned.card.architecture.label_offset_voxels == (0.0, 0.0)
    table = pd.read_csv(shared_data / "deepstorm3d" / "reference_telomeres1.csv")
    reference_um = table[["x_um_shift0", "y_um_shift0", "z_um"]].to_numpy()
    with open_movie(shared_data / "deepstorm3d" / "telomeres" / "telomeres1.tif") as movie:
        found = next(localize(movie, learned, [0])).positions_um()
        height, width = movie.shape
        assert_agrees(found, reference_um + [width * 0.055, height * 0.055, 0.0])
        card = learned.card
        overlay = regenerate(movie.frame(0), found, learned.mask, card.optics, card.psf)
    assert overlay.correlation >= 0.945


def test_storm_network_on_a_frame(shared_data: Path) -> None:
    model = imported(shared_data, "Tetrapod_demo2", "mask_tetrapod_printed", "optics-storm.toml")
    assert model.card.architecture.dilations == (1, 1, 2, 4, 8, 16)
    assert model.card.architecture.label_offset_voxels == (2.0, 2.0)
    table = pd.read_csv(shared_data / "deepstorm3d" / "reference_storm.csv")
    reference_um = table[table["frame"] == 1][["x_um", "y_um", "z_um"]].to_numpy()
    with open_movie(shared_data / "deepstorm3d" / "storm") as movie:
        found = next(localize(movie, model, [0])).positions_um()
        height, width = movie.shape
    assert_agrees(found, reference_um + [width * 0.055, height * 0.055, 0.0])


def test_density_frames(shared_data: Path, learned: Model) -> None:
    tetrapod = imported(shared_data, "Tetrapod_demo3", "mask_tetrapod", "optics-telomeres.toml")
    assert tetrapod.card.architecture.dilations == (1, 1, 2, 4, 8, 16)
    assert tetrapod.card.architecture.label_offset_voxels == (0.0, 0.0)
    reference = json.loads((shared_data / "density" / "reference_scores.json").read_text())
    for name, model in (("learned_n10", learned), ("tetrapod_n35", tetrapod)):
        with np.load(shared_data / "density" / f"{name}.npz") as data:
            frames, xyz_um = data["frames"], data["xyz_um"]

        class Stack:
            shape = (frames.shape[1], frames.shape[2])
            pixels = frames

            def __len__(self) -> int:
                return len(self.pixels)

            def frame(self, index: int) -> np.ndarray:
                return self.pixels[index]

        found = Localizations.joined(localize(Stack(), model, range(len(frames))))
        corner_um = 60.5 * model.card.optics.pixel_um
        x_um, y_um, z_um = xyz_um.reshape(-1, 3).T
        truth = Localizations.from_columns(
            frame=np.repeat(np.arange(len(frames)), xyz_um.shape[1]),
            x_um=x_um + corner_um,
            y_um=y_um + corner_um,
            z_um=z_um,
        )
        for radius_nm in (100, 150):
            scores = evaluate(found, truth, radius_um=radius_nm / 1e3)
            wanted = reference[f"{name}_r{radius_nm}"]
            assert scores.jaccard == pytest.approx(wanted["jaccard"], abs=0.005)
            assert scores.rmse_lateral_nm == pytest.approx(wanted["rmse_lateral_nm"], abs=0.5)
            assert scores.rmse_axial_nm == pytest.approx(wanted["rmse_axial_nm"], abs=0.5)


def test_a_checkpoint_for_another_mask_is_refused(shared_data: Path) -> None:
    settings = read_optics(EXAMPLES / "optics-telomeres.toml")
    weights = shared_data / "deepstorm3d" / "weights" / "Learned_demo5_weights_best_loss.pkl"
    with pytest.raises(SettingsError, match="not those it was trained for"):
        import_checkpoint(weights, flat(settings.optics, shape=(329, 329)), settings, "wrong")


def test_mutated_checkpoints_are_refused_or_read(tmp_path: Path) -> None:
    """The reader's own part; most damage is to weights, which have no checksum there."""
    names = {ours: published for published, ours in deepstorm3d._our_names().items()}
    state = {
        f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value
        for key, value in VoxelNetwork(2).state_dict().items()
    }
    path = tmp_path / "weights.pkl"
    for legacy in (False, True):
        torch.save(state, path, _use_new_zipfile_serialization=not legacy)
        good = path.read_bytes()
        assert deepstorm3d._read_checkpoint(path).keys() == VoxelNetwork(2).state_dict().keys()
        draw = random.Random(7)
        refused = 0
        for _ in range(120):
            content = bytearray(good)
            if draw.random() < 0.3:
                content = content[: draw.randrange(len(content))]
            for _ in range(draw.randrange(1, 5)):  # where the structure is: both ends
                place = draw.randrange(3000) * draw.choice((1, -1))
                content[place % len(content)] = draw.randrange(256)
            path.write_bytes(content)
            try:
                deepstorm3d._read_checkpoint(path)
            except FileError:
                refused += 1
        assert refused > 30


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("layer10.weight", torch.tensor(1.0), "has 0 planes"),
        ("layer10.weight", torch.zeros(2000, 2, 1, 1), "has 2000 planes"),
        ("layer1.conv.weight", torch.full((64, 1, 3, 3), torch.nan), "are no weights"),
        ("norm.running_var", torch.tensor([-1.0]), "are no weights"),
    ],
)
def test_a_checkpoint_is_checked_whole(
    tmp_path: Path, key: str, value: torch.Tensor, said: str
) -> None:
    names = {ours: published for published, ours in deepstorm3d._our_names().items()}
    state = {
        f"{names[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": one
        for name, one in VoxelNetwork(2).state_dict().items()
    }
    assert key in state
    path = tmp_path / "weights.pkl"
    torch.save(state | {key: value}, path)
    with pytest.raises(FileError, match=said):
        deepstorm3d._read_checkpoint(path)


class _Runs:
    """Unpickling it calls a function."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("executed"),))  # type: ignore[return-value]


def test_files_that_are_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = read_optics(EXAMPLES / "optics-telomeres.toml")
    mask = flat(settings.optics)
    path = tmp_path / "weights.pkl"

    def refused() -> str:
        with pytest.raises(FileError) as error:
            import_checkpoint(path, mask, settings, "x")
        return str(error.value)

    assert "weights.pkl" in refused()
    for content in (b"", b"text", pickle.dumps(_Runs()), pickle.dumps([1, 2])):
        path.write_bytes(content)
        assert "weights.pkl" in refused()
    assert not (tmp_path / "executed").exists()
    torch.save({"layer1.conv.weight": torch.zeros(1)}, path)
    assert "does not hold the layers" in refused()
    torch.save([torch.zeros(1)], path)
    assert "does not hold the layers" in refused()
    with pytest.raises(SettingsError, match=r"\[input\]"):
        import_checkpoint(path, mask, replace(settings, input=None), "x")
