"""Training learns, can stop and go on, and recovers or says so when it diverges."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from dsacq.errors import FileError, SettingsError
from dsacq.networks.model_file import ElectronInput, load_model, save_model
from dsacq.physics.masks import PhaseMask
from dsacq.training import train
from dsacq.training.checkpoint import read_checkpoint, write_checkpoint
from dsacq.training.history import write_history
from dsacq.training.priors import Sampler
from dsacq.training.settings import Schedule, TrainingSettings, VoxelChoice
from dsacq.training.train import Progress, Training
from dsacq.training.validation import Validation

CPU = torch.device("cpu")


def with_steps(settings: TrainingSettings, steps: int, **changes: object) -> TrainingSettings:
    schedule = dataclasses.replace(settings.training, steps=steps, **changes)
    return dataclasses.replace(settings, training=schedule)


def run(training: Training, until: int | None = None) -> list[Progress]:
    reports = []
    for report in training.run():
        reports.append(report)
        if report.step == until:
            break
    return reports


def test_it_learns_to_localize(small_settings: TrainingSettings, small_mask: PhaseMask) -> None:
    """In half a minute, from nothing: single emitters, few false ones, errors as stated."""
    priors = dataclasses.replace(small_settings.priors, density_per_um2=1.0)
    settings = with_steps(dataclasses.replace(small_settings, priors=priors), 300, batch=16)
    training = Training(settings, small_mask, CPU)
    reports = run(training)
    measured = reports[-1].measured
    assert measured is not None
    assert measured.isolated_recall > 0.8
    assert measured.false_positives < 0.1
    assert measured.ratio_lateral is not None
    assert measured.ratio_lateral < 3
    model = training.model("small")
    assert isinstance(model.card.input, ElectronInput)
    assert model.card.calibration is not None
    assert model.card.accuracy["z_score"] == pytest.approx(1, abs=0.5)
    losses = [report.validation_loss for report in training.history]
    assert losses[-1] is not None
    assert losses[0] is not None
    assert losses[-1] < losses[0] - 3


def test_stopping_changes_nothing(
    small_settings: TrainingSettings,
    small_mask: PhaseMask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same curve and weights to the last digit."""
    monkeypatch.setattr(train, "_REPORTED", 5)
    settings = with_steps(small_settings, 10)
    whole = Training(settings, small_mask, CPU)
    expected = run(whole)
    first = Training(settings, small_mask, CPU)
    begun = run(first, until=5)
    first.save(tmp_path / "m.checkpoint")
    second = Training(settings, small_mask, CPU)
    second.resume(tmp_path / "m.checkpoint")
    assert second.step == 5
    rest = run(second)

    def curve(reports: list[Progress]) -> list[tuple[object, ...]]:
        return [(one.step, one.loss, one.validation_loss, one.measured) for one in reports]

    assert curve(begun + rest) == curve(expected)
    assert curve(second.history) == curve(whole.history)
    ours, theirs = (one.model("m").network.state_dict() for one in (second, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_time_is_kept(small_settings: TrainingSettings, small_mask: PhaseMask) -> None:
    training = Training(with_steps(small_settings, 100_000), small_mask, CPU)
    reports = list(training.run(2.0))
    assert 0 < training.step < 1000
    assert not training.finished
    assert all(report.seconds < 10 for report in reports)


def test_other_settings_are_refused_by_name(
    small_settings: TrainingSettings, small_mask: PhaseMask, tmp_path: Path
) -> None:
    path = tmp_path / "m.checkpoint"
    Training(small_settings, small_mask, CPU).save(path)
    priors = dataclasses.replace(small_settings.priors, density_per_um2=0.7)
    other = Training(dataclasses.replace(small_settings, priors=priors), small_mask, CPU)
    with pytest.raises(SettingsError, match=r"\[priors\]"):
        other.resume(path)


def test_the_number_of_steps_may_be_another(
    small_settings: TrainingSettings, small_mask: PhaseMask, tmp_path: Path
) -> None:
    path = tmp_path / "m.checkpoint"
    first = Training(with_steps(small_settings, 4), small_mask, CPU)
    run(first)
    first.save(path)
    longer = Training(with_steps(small_settings, 7), small_mask, CPU)
    longer.resume(path)
    assert longer.step == 4
    assert not longer.finished
    run(longer)
    assert longer.step == 7


def test_a_checkpoint_of_another_optimiser_is_refused(
    small_settings: TrainingSettings, small_mask: PhaseMask, tmp_path: Path
) -> None:
    path = tmp_path / "m.checkpoint"
    training = Training(small_settings, small_mask, CPU)
    training.save(path)
    tensors, told = read_checkpoint(path)
    del told["optimiser"]
    write_checkpoint(path, tensors, told)
    with pytest.raises(SettingsError, match="another version"):
        training.resume(path)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("step", -1, "step"),
        ("step", math.nan, "step"),
        ("seconds", math.inf, "seconds"),
        ("restarts", 10**9, "restarts"),
        ("history", [{"step": 1}], "history"),
        ("history", 3, "history"),
        ("settings", [], "settings"),
        ("settings", {"training": 1}, "settings"),
        ("weights.head.weight", torch.zeros(3), "weights.head.weight"),
        ("weights.head.bias", torch.full((40,), math.nan), "no finite"),
        ("average.head.bias", None, "average.head.bias"),
        ("optimiser.0.momentum", torch.zeros(2), "optimiser.0"),
        ("optimiser.99999.momentum", torch.zeros(2), "optimiser.99999"),
        ("optimiser.x", torch.zeros(2), "optimiser.x"),
        ("more", torch.zeros(2), "more"),
    ],
)
def test_a_checkpoint_is_checked_whole(
    small_settings: TrainingSettings,
    small_mask: PhaseMask,
    tmp_path: Path,
    name: str,
    value: object,
    said: str,
) -> None:
    path = tmp_path / "m.checkpoint"
    training = Training(small_settings, small_mask, CPU)
    training.save(path)
    tensors, told = read_checkpoint(path)
    if name in told:
        told[name] = value
    elif isinstance(value, torch.Tensor):
        tensors[name] = value
    else:
        del tensors[name]
    write_checkpoint(path, tensors, told)
    with pytest.raises(FileError, match=said):
        training.resume(path)
    assert training.step == 0


@pytest.mark.parametrize("content", [b"", b"nothing", None])
def test_no_checkpoint(
    content: bytes | None,
    small_settings: TrainingSettings,
    small_mask: PhaseMask,
    tmp_path: Path,
) -> None:
    path = tmp_path / "m.checkpoint"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match="checkpoint"):
        Training(small_settings, small_mask, CPU).resume(path)


def test_divergence_goes_back_and_slows_down(
    small_settings: TrainingSettings,
    small_mask: PhaseMask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two steps of nonsense: the training restores its weights each time and goes on."""
    training = Training(with_steps(small_settings, 12), small_mask, CPU)
    sound, calls = training._objective.loss, []

    def loss(batch: object) -> torch.Tensor:
        calls.append(1)
        value = sound(batch)  # type: ignore[arg-type]
        return value * math.nan if len(calls) in (4, 9) else value

    monkeypatch.setattr(training._objective, "loss", loss)
    reports = run(training)
    assert reports[-1].step == 12
    assert reports[-1].restarts == 2
    assert all(math.isfinite(report.loss) for report in reports)
    weights = training.model("m").network.state_dict().values()
    assert all(bool(torch.isfinite(one).all()) for one in weights)


def test_hopeless_divergence_is_told(
    small_settings: TrainingSettings,
    small_mask: PhaseMask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training = Training(small_settings, small_mask, CPU)
    sound = training._objective.loss
    monkeypatch.setattr(training._objective, "loss", lambda batch: sound(batch) * math.nan)
    with pytest.raises(SettingsError, match="learning_rate"):
        run(training)


def test_a_model_to_start_from(
    small_settings: TrainingSettings, small_mask: PhaseMask, tmp_path: Path
) -> None:
    """Its weights and scale are taken; one for other depths or of another kind is refused."""
    training = Training(with_steps(small_settings, 2), small_mask, CPU)
    run(training)
    save_model(training.model("first"), tmp_path / "first.safetensors")
    first = load_model(tmp_path / "first.safetensors")
    again = Training(small_settings, small_mask, CPU, first)
    assert again._objective.architecture == first.card.architecture
    ours, theirs = again._objective.network.state_dict(), first.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    deeper = dataclasses.replace(
        small_settings, optics=dataclasses.replace(small_settings.optics, z_range_um=(0.0, 0.9))
    )
    with pytest.raises(SettingsError, match="z_range_um"):
        Training(deeper, small_mask, CPU, first)
    voxels = dataclasses.replace(small_settings, network=VoxelChoice(kind="voxel", depth=5))
    with pytest.raises(SettingsError, match="mixture network"):
        Training(voxels, small_mask, CPU, first)


def test_the_voxel_network_trains_too(
    small_settings: TrainingSettings, small_mask: PhaseMask, tmp_path: Path
) -> None:
    settings = dataclasses.replace(
        small_settings,
        network=VoxelChoice(kind="voxel", depth=5),
        training=Schedule(steps=60, batch=1, crop_px=16, learning_rate=5e-3),
    )
    training = Training(settings, small_mask, CPU)
    training._network.eval()
    before = Validation(settings, small_mask, Sampler(settings, small_mask)).loss(
        training._objective.loss
    )
    reports = run(training)
    assert reports[-1].validation_loss is not None
    assert reports[-1].validation_loss < before
    path = tmp_path / "v.safetensors"
    save_model(training.model("v"), path)
    card = load_model(path).card
    assert card.architecture.kind == "voxel"
    assert card.input.normalise == "fixed"
    write_history(training.history, tmp_path / "v.csv")
    assert (tmp_path / "v.csv").read_text().count("\n") > 1
