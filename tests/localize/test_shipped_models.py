"""The models that come with dsacq do what their headers say."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from dsacq.analysis.metrics import evaluate
from dsacq.data import Localizations
from dsacq.localize.localizer import FrameStack, LocalizeSettings, localize
from dsacq.networks.model_file import load_model
from dsacq.simulation.background import Constant
from dsacq.simulation.brightness import Fixed
from dsacq.simulation.emitters import EmitterSettings
from dsacq.simulation.settings import FrameSettings, MaskChoice, SimulationSettings
from dsacq.simulation.simulate import simulate

SHIPPED = sorted(Path(str(files("dsacq") / "models")).glob("*.safetensors"))


@pytest.fixture(scope="module", params=SHIPPED, ids=lambda path: path.stem)
def shipped(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def simulated(path: Path, emitters: int, count: int) -> tuple[FrameStack, Localizations]:
    """Frames of 128 x 128 as the model was trained for, with emitters of 15 000 photons."""
    card = load_model(path).card
    assert card.camera is not None
    settings = SimulationSettings(
        optics=card.optics,
        mask=MaskChoice(design="flat"),  # the model's own is used
        frames=FrameSettings(count=count, shape_px=(128, 128), seed=99),
        emitters=EmitterSettings(count=emitters, border_px=10),
        photons=Fixed(photons=15_000),
        background=Constant(photons=40),
        camera=card.camera,
        psf=card.psf,
    )
    parts = list(simulate(settings, load_model(path).mask))
    pixels = np.concatenate([part.pixels for part in parts])
    return FrameStack(pixels), Localizations.joined(part.truth for part in parts)


def found(path: Path, frames: FrameStack, tile_px: int | None = None) -> Localizations:
    settings = LocalizeSettings(tile_px=tile_px)
    return Localizations.joined(localize(frames, load_model(path), range(len(frames)), settings))


def test_there_is_one_for_the_bench() -> None:
    assert "bench-nano" in [path.stem for path in SHIPPED]


def test_it_is_small_and_tells_its_accuracy(shipped: Path) -> None:
    assert shipped.stat().st_size < 6e6
    card = load_model(shipped).card
    assert card.name == shipped.stem
    assert card.accuracy["false_positives"] < 0.02
    assert card.accuracy["ratio_lateral"] < 2
    assert 0.9 < card.accuracy["z_score"] < 1.1
    assert card.camera is not None


def test_it_finds_single_emitters(shipped: Path) -> None:
    frames, truth = simulated(shipped, 1, 24)
    scores = evaluate(found(shipped, frames), truth, radius_um=0.15)
    assert scores.recall > 0.9
    assert scores.precision > 0.9
    assert scores.rmse_lateral_nm is not None
    assert scores.rmse_lateral_nm < 25


def test_empty_frames_stay_empty(shipped: Path) -> None:
    frames, _ = simulated(shipped, 0, 100)
    assert len(found(shipped, frames)) < 2  # 0.02 per frame


def test_tile_borders_lose_nothing(shipped: Path) -> None:
    frames, truth = simulated(shipped, 12, 8)
    whole, tiled = (found(shipped, frames, tile) for tile in (256, 48))
    recall = [evaluate(one, truth, radius_um=0.15).recall for one in (whole, tiled)]
    assert recall[0] > 0.5
    assert abs(recall[1] - recall[0]) < 0.02
