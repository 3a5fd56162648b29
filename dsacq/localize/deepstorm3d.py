"""Published DeepSTORM3D checkpoints as models of ours.

A checkpoint says neither which dilations its network was trained with (any loads without complaint)
nor where its labels' voxels lie in the image. Both are measured here, on frames simulated the way
the published simulator does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsacq.analysis.metrics import match
from dsacq.errors import FileError, SettingsError
from dsacq.files.reading import reading, require_size, require_stored_plainly
from dsacq.localize.voxel import detect
from dsacq.networks.architectures import MOST_DEPTH, VoxelArchitecture
from dsacq.networks.model_file import Model, ModelCard
from dsacq.physics.masks import PhaseMask
from dsacq.physics.optics import InputScaling, Optics
from dsacq.physics.optics_file import OpticsFile
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel
from dsacq.version import software

_PUBLISHED_DILATIONS = ((1, 1, 2, 4, 8, 16), (1, 1, 2, 4, 1, 1))
_TRAINED_ON = PsfModel(kind="deepstorm3d", blur_px=1.0)
_PSF = PsfModel(blur_px=1.0)  # what its localizations are regenerated with: no known deviations
_SCALE = 800.0
_LARGEST_BYTES = 1 << 30
_FRAME_PX, _MARGIN_PX = 121, 20  # as in its training
_FRAMES, _EMITTERS = 4, 8
_RADIUS_UM = 0.15  # admits a label two voxels away in x and in y, the shift that is known


@dataclass(frozen=True)
class _Trial:
    dilations: tuple[int, ...]
    offset_voxels: tuple[float, float]
    matched: int
    found: int
    rmse_lateral_nm: float
    rmse_axial_nm: float

    @property
    def jaccard(self) -> float:
        return self.matched / (self.found + _FRAMES * _EMITTERS - self.matched)


def import_checkpoint(weights: Path, mask: PhaseMask, optics_file: OpticsFile, name: str) -> Model:
    """A model from a published checkpoint, its mask and its optics file.

    Nothing in the checkpoint is executed. Raises FileError when it is no such checkpoint,
    SettingsError when the optics file lacks [input] or does not suit it.
    """
    if optics_file.input is None:
        raise SettingsError(
            "the optics file lacks the table [input] (normalise, threshold), which a checkpoint "
            "does not say: add it."
        )
    state = _read_checkpoint(weights)
    optics, scaling = optics_file.optics, optics_file.input
    frames, truth = _simulated(mask, optics, scaling)
    trials = [
        _tried(_model(state, dilations, (0.0, 0.0), mask, optics, scaling, name), frames, truth)
        for dilations in _PUBLISHED_DILATIONS
    ]
    best = max(trials, key=lambda trial: (trial.jaccard, -trial.rmse_lateral_nm))
    if best.jaccard < 0.5:
        raise SettingsError(
            f"{weights}: finds only {best.matched} of {_FRAMES * _EMITTERS} emitters simulated "
            "with this mask and these optics, so they are not those it was trained for."
        )
    accuracy = {
        "frames": f"{_FRAMES} simulated, {_EMITTERS} emitters each",
        "jaccard": round(best.jaccard, 4),
        "rmse_lateral_nm": round(best.rmse_lateral_nm, 2),
        "rmse_axial_nm": round(best.rmse_axial_nm, 2),
    }
    return _model(state, best.dilations, best.offset_voxels, mask, optics, scaling, name, accuracy)


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The weights by our names, all numbers finite and the depth one that is read."""
    with reading(path, "a PyTorch file of plain weights"):
        require_size(path, _LARGEST_BYTES)
        require_stored_plainly(path)
        published = torch.load(path, map_location="cpu", weights_only=True)
    ours = _our_names()
    if (
        not isinstance(published, Mapping)
        or {_module(key) for key in published} != set(ours)
        or not all(isinstance(value, Tensor) for value in published.values())
    ):
        raise FileError(f"{path}: does not hold the layers of a DeepSTORM3D localization network.")
    state = {f"{ours[_module(key)]}.{_leaf(key)}": value for key, value in published.items()}
    depth = state["output.weight"].shape[0] if state["output.weight"].ndim == 4 else 0
    if not 1 <= depth <= MOST_DEPTH:
        raise FileError(f"{path}: has {depth} planes, but 1 to {MOST_DEPTH} are read.")
    for key, value in state.items():
        below = key.endswith("running_var") and bool((value < 0).any())
        if below or not bool(torch.isfinite(value).all()):
            raise FileError(f"{path}: {key} has values that are no weights; the file is damaged.")
    return state


def _our_names() -> dict[str, str]:
    names = {"norm": "input_norm", "layer10": "output"}
    blocks = {f"layer{index + 1}": f"context_layers.{index}" for index in range(6)}
    blocks |= {f"deconv{index + 1}": f"upsample_layers.{index}" for index in range(2)}
    blocks |= {f"layer{index + 7}": f"refine_layers.{index}" for index in range(3)}
    for published, ours in blocks.items():
        names[f"{published}.conv"], names[f"{published}.bn"] = f"{ours}.0", f"{ours}.2"
    return names


def _module(key: Any) -> str:
    return str(key).rpartition(".")[0]


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def _model(
    state: dict[str, Tensor],
    dilations: tuple[int, ...],
    offset_voxels: tuple[float, float],
    mask: PhaseMask,
    optics: Optics,
    scaling: InputScaling,
    name: str,
    accuracy: dict[str, Any] | None = None,
) -> Model:
    architecture = VoxelArchitecture(
        depth=len(state["output.weight"]),
        dilations=dilations,
        scale=_SCALE,
        label_offset_voxels=offset_voxels,
    )
    network = architecture.build()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise FileError(f"{name}: the checkpoint's weights have other shapes ({reason}).") from None
    card = ModelCard(
        name=name,
        architecture=architecture,
        optics=optics,
        psf=_PSF,
        mask_name=mask.name,
        mask_pixel_um=mask.pixel_um,
        mask_wavelength_um=mask.wavelength_um,
        mask_origin=mask.origin,
        input=scaling,
        training={"imported_from": "DeepSTORM3D (Nehme et al. 2020)"},
        accuracy=accuracy or {},
        software=software(),
    )
    return Model(card, mask, network)


def _simulated(mask: PhaseMask, optics: Optics, scaling: InputScaling) -> tuple[Tensor, Tensor]:
    """(B, H, W) counts and (B, N, 3) positions in um, spread out so that nothing is ambiguous."""
    draw = torch.Generator().manual_seed(1)
    half_um = (_FRAME_PX / 2 - _MARGIN_PX) * optics.pixel_um
    low = torch.tensor([-half_um, -half_um, optics.z_range_um[0]])
    high = torch.tensor([half_um, half_um, optics.z_range_um[1]])
    truth = low + (high - low) * torch.rand((_FRAMES, _EMITTERS, 3), generator=draw)
    images = psf(
        torch.from_numpy(mask.phase_rad),
        truth.flatten(0, 1),
        optics,
        (_FRAME_PX, _FRAME_PX),
        _TRAINED_ON,
        mask_pixel_um=mask.pixel_um,
    ).reshape(_FRAMES, _EMITTERS, _FRAME_PX, _FRAME_PX)
    # A fixed scale says how bright its frames were: the published one is 250 counts for emitters
    # of 10 000 photons on a camera baseline of 30 +- 10 counts.
    fixed = scaling.normalise == "fixed"
    photons = 60 * scaling.scale if fixed else 30_000.0
    signal = torch.poisson(images.sum(1) * photons + (0.0 if fixed else 80.0), generator=draw)
    if fixed:
        noise = torch.randn(signal.shape, generator=draw)
        signal = signal + scaling.offset + scaling.scale * (0.12 + 0.04 * noise)
        signal = signal.clamp_min(0)
    corner_um = _FRAME_PX / 2 * optics.pixel_um
    return signal, truth + torch.tensor([corner_um, corner_um, 0.0])


def _tried(model: Model, frames: Tensor, truth: Tensor) -> _Trial:
    architecture = model.card.architecture
    assert isinstance(architecture, VoxelArchitecture)
    found = detect(model, frames, model.card.input.threshold)
    errors = []
    for image in range(_FRAMES):
        own = found.xyz_um[found.image == image].double().numpy()
        actual = truth[image].double().numpy()
        paired, partner = match(own, actual, _RADIUS_UM)
        errors.append(own[paired] - actual[partner])
    error = np.concatenate(errors)
    lateral_um = architecture.voxel_um(model.card.optics)[0]
    shift = np.round(np.median(error[:, :2], 0) / lateral_um) if len(error) else np.zeros(2)
    rest = error - [*(shift * lateral_um), 0.0]
    return _Trial(
        architecture.dilations,
        (float(0.0 - shift[0]), float(0.0 - shift[1])),
        len(error),
        len(found.image),
        float(1e3 * np.sqrt((rest[:, :2] ** 2).sum(1).mean())) if len(error) else np.inf,
        float(1e3 * np.sqrt((rest[:, 2] ** 2).mean())) if len(error) else np.inf,
    )
