"""What ONNX Runtime makes of an exported network is what torch makes of it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from model_samples import model_of
from torch import nn

from dsacq.config import validated
from dsacq.errors import SettingsError
from dsacq.networks.architectures import Architecture, MixtureArchitecture, VoxelArchitecture
from dsacq.networks.model_file import Model, ModelCard, save_model
from dsacq.networks.onnx_export import export_onnx
from dsacq.physics.masks import flat
from dsacq.physics.optics import STANDARD_OPTICS
from ui.cli import main

MIXTURE = MixtureArchitecture(
    fine_channels=4,
    fine_blocks=(1, 0),
    coarse_channels=4,
    dilations=(1, 2),
    frames=3,
    z_range_um=(2.0, 6.0),
    input_offset=18.0,
    input_scale=4.0,
)
VOXEL = VoxelArchitecture(depth=3, dilations=(1, 2))


def random_model_of(architecture: Architecture) -> Model:
    """With random weights, in all layers."""
    torch.manual_seed(1)
    network = architecture.build()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.15)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return model_of(network, architecture, flat(STANDARD_OPTICS), STANDARD_OPTICS)


@pytest.mark.parametrize("architecture", [MIXTURE, VOXEL], ids=["mixture", "voxel"])
def test_onnx_runtime_agrees_with_torch(architecture: Architecture, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model, path = random_model_of(architecture), tmp_path / "network.onnx"
    export_onnx(model, path)
    assert [file.name for file in tmp_path.iterdir()] == ["network.onnx"]
    session = runtime.InferenceSession(path)

    told = session.get_modelmeta().custom_metadata_map
    assert validated(ModelCard, json.loads(told["dsacq"]), "metadata") == model.card
    for names, text in (
        (session.get_inputs(), told["inputs"]),
        (session.get_outputs(), told["outputs"]),
    ):
        assert all(one.name in text for one in names)

    for batch, height, width in ((1, 12, 20), (3, 17, 14)):
        frames = 3 if architecture is MIXTURE else 1
        inputs = [15 + 10 * torch.rand(batch, frames, height, width)]
        if architecture is MIXTURE:
            inputs.append(4 * torch.rand(1, 1, height, width))
        names = [one.name for one in session.get_inputs()]
        fed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        found = session.run(None, fed)
        with torch.inference_mode():
            made = model.network(*inputs)
        wanted = made if isinstance(made, tuple) else (made,)
        assert len(found) == len(wanted)
        for ours, theirs in zip(wanted, found, strict=True):
            assert ours.std() > 0.01
            assert np.abs(theirs - ours.numpy()).max() < 1e-4 * float(ours.abs().max())


def test_without_the_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsacq.networks.onnx_export._NEEDED", ("json", "no_such_library"))
    with pytest.raises(SettingsError, match=r"no_such_library, not installed.*pip install onnx "):
        export_onnx(random_model_of(VOXEL), tmp_path / "network.onnx")
    assert not list(tmp_path.iterdir())


def test_the_command_refuses_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.safetensors"
    save_model(random_model_of(VOXEL), path)
    for given, output, said in (
        (path, tmp_path / "m.pt", "ends in .onnx"),
        (path, tmp_path / "absent" / "m.onnx", "does not exist"),
        (tmp_path / "absent.safetensors", tmp_path / "m.onnx", "no such model"),
    ):
        monkeypatch.setattr(sys, "argv", ["dsacq", "export-onnx", str(given), "-o", str(output)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 1
        assert said in " ".join(capsys.readouterr().err.split())
