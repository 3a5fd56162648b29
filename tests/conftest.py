"""What several tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from held_files import Held
from hypothesis import settings
from model_samples import model_of

from dsacq.networks.architectures import VoxelArchitecture
from dsacq.networks.model_file import Model
from dsacq.physics.masks import flat
from dsacq.physics.optics import STANDARD_OPTICS, InputScaling, Optics

# Examples are not timed: test machines are shared.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """With `-n auto`: several tests wait for devices' time, which crowded cores would stretch."""
    return min(os.cpu_count() or 1, 4)


def pytest_configure(config: pytest.Config) -> None:
    """Tests that run side by side have a core each, and so have the processes they start."""
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bench",
        type=Path,
        metavar="RIG.toml",
        help="put the devices of this rig to the test, in tests/hardware/test_bench_devices.py: "
        "STAGES MOVE over much of their limits and LASERS SHINE, at up to half of "
        "their limit_mw",
    )


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """Files that another program has open."""
    held = Held(monkeypatch)
    yield held
    held.refusals.clear()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real frames and reference results beside the checkout; skips where absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared test data are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def telomere_optics() -> Optics:
    return STANDARD_OPTICS


@pytest.fixture(scope="session")
def storm_optics() -> Optics:
    return Optics(
        wavelength_um=0.67,
        na=1.45,
        index_immersion=1.518,
        index_sample=1.33,
        magnification=100,
        focal_4f_um=100_000,
        camera_pixel_um=11,
        mask_pixel_um=30,
        focus_um=1.5,
        z_range_um=(0.0, 4.0),
    )


@pytest.fixture(scope="session")
def random_model(telomere_optics: Optics) -> Model:
    """Random weights, scaled so that the volume uses its whole range."""
    torch.manual_seed(0)
    architecture = VoxelArchitecture(depth=9, dilations=(1, 1, 2, 4, 8, 16))
    network = architecture.build().eval()
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.05, 0.2)
            if name.endswith("running_mean"):
                buffer.uniform_(-0.1, 0.1)
        network.output.weight.mul_(6.0)
    return model_of(
        network,
        architecture,
        flat(telomere_optics),
        telomere_optics,
        input=InputScaling(normalise="minmax", threshold=40),
    )
