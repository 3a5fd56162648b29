"""Model files: what is written is read, and a damaged or foreign file says so."""

import dataclasses
import json
import math
import random
import struct
from pathlib import Path
from typing import Any

import bombs
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


def stored(model: Model) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of a model file and its header."""
    tensors = {
        f"network.{name}": one.clone(memory_format=torch.contiguous_format)  # it may be in use
        for name, one in model.network.state_dict().items()
    }
    tensors["mask.phase_rad"] = torch.from_numpy(model.mask.phase_rad.copy())
    return tensors, dataclasses.asdict(model.card)


@pytest.fixture(scope="module")
def small() -> Model:
    return tiny_mixture(tetrapod(STANDARD_OPTICS), STANDARD_OPTICS)


def refused(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> str:
    path.write_bytes(save(tensors, {"dsacq": json.dumps(header)}))
    with pytest.raises(FileError) as caught:
        load_model(path)
    told = str(caught.value)
    assert "m.safetensors" in told
    assert "\n" not in told
    return told


def test_it_is_the_content_that_is_refused(small: Model, tmp_path: Path) -> None:
    tensors, header = stored(small)
    path = tmp_path / "m.safetensors"
    path.write_bytes(save(tensors, {"dsacq": json.dumps(header)}))
    assert load_model(path).card == small.card


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["network.head.weight", "network.stem.bias", "mask.phase_rad"])
def test_every_number_is_finite(small: Model, tmp_path: Path, name: str, value: float) -> None:
    tensors, header = stored(small)
    tensors[name].flatten()[-1] = value
    assert "no finite number" in refused(tmp_path / "m.safetensors", tensors, header)


def test_no_variance_is_below_zero(random_model: Model, tmp_path: Path) -> None:
    tensors, header = stored(random_model)
    next(one for name, one in tensors.items() if name.endswith("running_var"))[0] = -1
    assert "variances below 0" in refused(tmp_path / "m.safetensors", tensors, header)


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (torch.zeros(9, 9), "does not fit a pupil"),
        (torch.zeros(200), "holds 200 numbers"),
        (torch.zeros(1, 200, 200), "holds 1 x 200 x 200 numbers"),
        (torch.zeros(2, 100_000), "holds 2 x 100000 numbers"),
        (torch.full((200, 200), 1e30), "which is no phase in rad"),
        (torch.full((200, 200), 1e308, dtype=torch.float64), "no finite number"),
        (torch.zeros(200, 20), "does not fit a pupil"),
    ],
)
def test_a_mask_in_a_model_is_checked_as_a_mask_file_is(
    small: Model, tmp_path: Path, phase: torch.Tensor, said: str
) -> None:
    tensors, header = stored(small)
    tensors["mask.phase_rad"] = phase
    assert said in refused(tmp_path / "m.safetensors", tensors, header)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("mask_pixel_um", 0, "mask_pixel_um"),
        ("mask_pixel_um", 1e20, "mask_pixel_um"),
        ("mask_pixel_um", math.nan, "mask_pixel_um"),
        ("mask_pixel_um", 500.0, "does not fit a pupil"),
        ("mask_wavelength_um", 1e20, "mask_wavelength_um"),
        ("mask_wavelength_um", -0.5, "mask_wavelength_um"),
        ("architecture.z_range_um", [0.0, 4.0], "as in optics"),
        ("architecture.z_range_um", [math.nan, 4.0], "z_range_um"),
        ("architecture.input_scale", math.inf, "input_scale"),
        ("architecture.input_offset", math.nan, "input_offset"),
        ("architecture.dilations", [10**9], "dilations"),
        ("optics.z_range_um", [6.0, 2.0], "z_range_um"),
        ("calibration", {"logit_slope": math.nan}, "logit_slope"),
        ("calibration", {"deviation": [1.0, 0.0, 1.0, 1.0]}, "deviation"),
        ("input.threshold", math.nan, "threshold"),
    ],
)
def test_every_number_of_the_header_is_possible(
    small: Model, tmp_path: Path, path: str, value: object, said: str
) -> None:
    tensors, header = stored(small)
    *tables, key = path.split(".")
    table = header
    for name in tables:
        table = table[name]
    table[key] = value
    assert said in refused(tmp_path / "m.safetensors", tensors, header)


def test_a_network_that_is_announced_is_not_built(small: Model, tmp_path: Path) -> None:
    """Of 1.2 thousand million weights: 5 GB, of which the file has none."""
    _, header = stored(small)
    header["architecture"] |= {"coarse_channels": 1024, "dilations": [1] * 64}
    path = tmp_path / "m.safetensors"
    path.write_bytes(save(stored(small)[0], {"dsacq": json.dumps(header)}))
    began_mb = resident_mb()
    with pytest.raises(FileError, match="weights do not fit the network"):
        load_model(path)
    assert resident_mb() - began_mb < 300


def resident_mb() -> float:
    """Peak so far."""
    resource = pytest.importorskip("resource", reason="Windows does not tell it this way")
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024


def test_tensors_that_are_announced_are_not_there(small: Model, tmp_path: Path) -> None:
    told = {"dsacq": json.dumps(dataclasses.asdict(small.card))}
    path = tmp_path / "m.safetensors"
    bombs.safetensors(path, told, {"mask.phase_rad": (1_000_000, 1_000_000)})
    with pytest.raises(FileError, match="not a readable model"):
        load_model(path)
    path.write_bytes(struct.pack("<Q", 2**40) + b"{}")
    with pytest.raises(FileError, match="not a readable model"):
        load_model(path)
    nested = '{"format": 1, "name": ' + "[" * 100_000
    path.write_bytes(save({"a": torch.zeros(1)}, {"dsacq": nested}))
    with pytest.raises(FileError, match="header is damaged"):
        load_model(path)


def test_weights_of_another_kind_are_refused(small: Model, tmp_path: Path) -> None:
    tensors, header = stored(small)
    tensors["network.stem.bias"] = tensors["network.stem.bias"].to(torch.int8)
    assert "of a kind that is read" in refused(tmp_path / "m.safetensors", tensors, header)
