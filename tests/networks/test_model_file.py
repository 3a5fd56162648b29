"""Model files: what is written is read, and a damaged or foreign file says so."""

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from model_samples import tiny_mixture
from safetensors.torch import save

from dsacq.errors import FileError
from dsacq.networks.model_file import Model, load_model, read_card, save_model
from dsacq.physics.masks import tetrapod
from dsacq.physics.optics import STANDARD_OPTICS


def test_round_trip(random_model: Model, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(random_model, path)
    model = load_model(path)
    assert model.card == random_model.card
    assert read_card(path) == random_model.card
    assert np.array_equal(model.mask.phase_rad, random_model.mask.phase_rad)
    assert model.mask.pixel_um == random_model.mask.pixel_um
    frame = torch.rand((1, 1, 12, 14))
    with torch.inference_mode():
        assert torch.allclose(model.network(frame), random_model.network(frame), atol=0.01)
    assert [item.name for item in tmp_path.iterdir()] == ["m.safetensors"]


def test_weights_of_a_mixture_network_lose_the_digits_beyond_half_precision(tmp_path: Path) -> None:
    model = tiny_mixture(tetrapod(STANDARD_OPTICS), STANDARD_OPTICS)
    save_model(model, tmp_path / "m.safetensors")
    read = load_model(tmp_path / "m.safetensors").network.state_dict()
    for name, weights in model.network.state_dict().items():
        assert read[name].dtype == torch.float32
        assert torch.equal(read[name], weights.half().float())


def test_a_failed_write_keeps_the_old_file(random_model: Model, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written"):
        save_model(random_model, tmp_path / "no such folder" / "m.safetensors")
    path = tmp_path / "m.safetensors"
    save_model(random_model, path)
    before = path.read_bytes()
    card = dataclasses.replace(random_model.card, training={"unwritable": object()})
    with pytest.raises(TypeError):
        save_model(Model(card, random_model.mask, random_model.network), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a readable model"),
        (b"not a model at all", "not a readable model"),
        (save({"a": torch.zeros(3)}), "not a dsacq model"),
        (save({"a": torch.zeros(3)}, {"dsacq": "{"}), "header is damaged"),
        (save({"a": torch.zeros(3)}, {"dsacq": json.dumps({"format": 99})}), "format 99"),
    ],
)
def test_foreign_files(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileError, match=said):
        load_model(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such model"):
        load_model(tmp_path / "nothing.safetensors")


def test_a_wrong_header_names_the_key(random_model: Model, tmp_path: Path) -> None:
    values = dataclasses.asdict(random_model.card)
    values["optics"]["na"] = "large"
    values["optcs"] = 1
    path = tmp_path / "m.safetensors"
    path.write_bytes(save({"a": torch.zeros(1)}, {"dsacq": json.dumps(values)}))
    with pytest.raises(FileError, match=r"optics\.na.*optcs is not a known key"):
        load_model(path)


def test_weights_of_another_shape(random_model: Model, tmp_path: Path) -> None:
    architecture = dataclasses.replace(random_model.card.architecture, depth=10)
    card = dataclasses.replace(random_model.card, architecture=architecture)
    path = tmp_path / "m.safetensors"
    save_model(Model(card, random_model.mask, random_model.network), path)
    with pytest.raises(FileError, match="weights do not fit"):
        load_model(path)


def test_mutated_files_give_our_error_or_a_model(random_model: Model, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(random_model, path)
    good = path.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    draw = random.Random(5)
    refused = 0
    for _ in range(200):
        content = bytearray(good)
        match draw.randrange(3):
            case 0:
                content = content[: draw.randrange(len(content))]
            case 1:
                for _ in range(draw.randrange(1, 6)):
                    content[draw.randrange(header)] = draw.randrange(256)
            case 2:
                content[:8] = draw.randrange(2**64).to_bytes(8, "little")
        path.write_bytes(content)
        try:
            load_model(path)
        except FileError:
            refused += 1
    assert refused > 120
