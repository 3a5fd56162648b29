"""Which engine runs the mixture networks fastest on this CPU, and how far bfloat16 is off.

    OMP_NUM_THREADS=2 python benchmarks/engines.py [--presets nano,small,full] [--model M]

Times the networks alone, without peaks: torch in float32 (contiguous and channels last, which is
what `dsacq localize` does), torch with bfloat16 autocast, torch.compile, and ONNX Runtime with one
and two threads. Weights are random; engines run by turns, so that what else the machine does slows
all alike. Each compiles or exports first, which takes most of the minute per network. With --model
a trained mixture model is measured in place of the presets.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from dsacq.networks.architectures import MixtureArchitecture
from dsacq.networks.mixture import Block, Mixture, MixtureNetwork, stabilised
from dsacq.networks.model_file import ElectronInput, Model, ModelCard, load_model
from dsacq.networks.onnx_export import export_onnx
from dsacq.physics.camera import ScmosCamera, read_variance_electrons, to_electrons
from dsacq.physics.masks import tetrapod
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.pupil import PsfModel
from dsacq.simulation.background import Constant
from dsacq.simulation.brightness import LogUniform
from dsacq.simulation.emitters import EmitterSettings
from dsacq.simulation.settings import FrameSettings, MaskChoice, SimulationSettings
from dsacq.simulation.simulate import simulate
from dsacq.training.objective import _PRESETS

SHAPE, BATCHES = (128, 128), (1, 8)
REFERENCE = "torch, channels last"  # what the others are compared with
Engine = Callable[[Tensor, Tensor], Mixture]


def simulated(camera: ScmosCamera) -> tuple[Tensor, Tensor]:
    """Stabilised frames (8, 1, H, W) of 0.2 emitters per square micrometre, and read variance."""
    settings = SimulationSettings(
        optics=STANDARD_OPTICS,
        mask=MaskChoice(design="tetrapod"),
        frames=FrameSettings(count=max(BATCHES), shape_px=SHAPE),
        emitters=EmitterSettings(density_per_um2=0.2),
        photons=LogUniform(low=1500, high=60_000),
        background=Constant(photons=(5.0, 120.0)),
        camera=camera,
        psf=PsfModel(blur_px=0.9),
    )
    pixels = np.concatenate([part.pixels for part in simulate(settings, tetrapod(STANDARD_OPTICS))])
    variance = torch.full((1, 1, *SHAPE), float(read_variance_electrons(camera)))
    electrons = to_electrons(camera, torch.from_numpy(pixels.astype(np.float32)))[:, None]
    return stabilised(electrons, variance), variance


def of_preset(preset: str, frames: Tensor, camera: ScmosCamera) -> Model:
    """A network of random weights, as large in every layer as trained ones."""
    fine_channels, fine_blocks, coarse_channels, dilations = _PRESETS[preset]
    architecture = MixtureArchitecture(
        fine_channels=fine_channels,
        fine_blocks=fine_blocks,
        coarse_channels=coarse_channels,
        dilations=dilations,
        z_range_um=STANDARD_OPTICS.z_range_um,
        input_offset=float(frames.mean()),
        input_scale=float(frames.std()),
    )
    torch.manual_seed(0)
    network = architecture.build()
    with torch.no_grad():
        network.head.weight *= 10
        for layer in network.modules():
            if isinstance(layer, Block):  # a new one is the identity
                nn.init.kaiming_uniform_(layer.near.weight, a=5**0.5)
    mask = tetrapod(STANDARD_OPTICS)
    card = ModelCard(
        name=preset,
        architecture=architecture,
        optics=STANDARD_OPTICS,
        mask_name=mask.name,
        mask_pixel_um=mask.pixel_um,
        mask_wavelength_um=mask.wavelength_um,
        mask_origin={},
        input=ElectronInput(),
        camera=camera,
        training={},
        accuracy={},
        software="benchmark",
    )
    return Model(card, mask, network)


def engines(model: Model) -> dict[str, Engine]:
    """By name; the torch ones share their weights."""
    plain = model.network
    assert isinstance(plain, MixtureNetwork)
    architecture = model.card.architecture
    last = architecture.build().eval()
    last.load_state_dict(plain.state_dict())
    last.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def half(frames: Tensor, variance: Tensor) -> Mixture:
        with torch.autocast("cpu", torch.bfloat16):
            found: Mixture = last(frames, variance)
        return found

    made: dict[str, Engine] = {"torch, contiguous": plain, REFERENCE: last, "torch, bfloat16": half}
    if any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        made["torch.compile"] = torch.compile(last)
    if find_spec("onnxruntime") and find_spec("onnxscript"):
        for threads in (1, 2):
            made[f"ONNX Runtime, {threads} thread{'s' * (threads > 1)}"] = _onnx(model, threads)
    return made


def _onnx(model: Model, threads: int) -> Engine:
    onnxruntime = import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_onnx(model, path)
        session = onnxruntime.InferenceSession(path.read_bytes(), options)

    def run(frames: Tensor, variance: Tensor) -> Mixture:
        fed = {"stabilised": frames.numpy(), "read_variance": variance.numpy()}
        return Mixture(*(torch.from_numpy(part) for part in session.run(None, fed)))

    return run


def timed(
    chosen: dict[str, Engine], frames: Tensor, variance: Tensor, seconds: float
) -> dict[str, list[float]]:
    """Seconds of each run, by turns, until the time is spent; the first of each is left out."""
    times: dict[str, list[float]] = {name: [] for name in chosen}
    for engine in chosen.values():
        engine(frames, variance)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[REFERENCE]) < 3:
        for name, engine in chosen.items():
            begun = time.perf_counter()
            engine(frames, variance)
            times[name].append(time.perf_counter() - begun)
    return times


def difference_nm(engine: Engine, reference: Engine, frames: Tensor, variance: Tensor) -> Tensor:
    """(3, 2) root mean square and 99.9 % of |x|, |y|, |z| apart, where an emitter is likeliest.

    Over the hundredth of the pixels with the highest chances of the reference.
    """
    wanted = reference(frames, variance)
    apart = (engine(frames, variance).mean.float() - wanted.mean)[:, :3].abs()
    likely = wanted.logit > wanted.logit.flatten().quantile(0.99)
    low, high = STANDARD_OPTICS.z_range_um
    pixel_um = STANDARD_OPTICS.pixel_um
    unit = torch.tensor([pixel_um, pixel_um, (high - low) / 2])
    values = 1000 * apart.permute(0, 2, 3, 1)[likely] * unit
    return torch.stack((values.square().mean(0).sqrt(), values.quantile(0.999, dim=0)), 1)


def report(name: str, model: Model, frames: Tensor, variance: Tensor, seconds: float) -> None:
    """Time all engines on a network, and compare what they say."""
    chosen = engines(model)
    size = sum(weights.numel() for weights in model.network.parameters())
    for batch in BATCHES:
        times = timed(chosen, frames[:batch], variance, seconds)
        reference = median(times[REFERENCE])
        print(
            f"\n{name}, {size / 1e3:.0f} k weights, batch {batch}, {len(times[REFERENCE])} rounds"
        )
        print(f"{'':24} {'best, ms':>9} {'median':>8} {'frames/s':>9} {'ratio':>6}")
        for engine, spent in times.items():
            middle = median(spent)
            print(
                f"{engine:24} {1e3 * min(spent):9.1f} {1e3 * middle:8.1f} {batch / middle:9.1f} "
                f"{reference / middle:6.2f}"
            )
    print(f"\n{name}: apart from {REFERENCE}, nm: rms and 99.9 % of x, y, z")
    for engine, run in chosen.items():
        if engine != REFERENCE:
            rms, most = difference_nm(run, chosen[REFERENCE], frames, variance).T.tolist()
            shown = "  ".join(f"{a:8.4f} {b:8.4f}" for a, b in zip(rms, most, strict=True))
            print(f"{engine:24} {shown}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", default="nano,small,full")
    parser.add_argument("--model", type=Path, help="a trained mixture model instead")
    parser.add_argument("--seconds", type=float, default=6, help="for each network and batch")
    given = parser.parse_args()
    camera = ScmosCamera(
        quantum_efficiency=0.82, gain_adu_per_electron=2.17, read_variance_adu2=12.0
    )
    frames, variance = simulated(camera)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {SHAPE} pixels")
    with torch.inference_mode():
        if given.model is not None:
            model = load_model(given.model)
            report(model.card.name, model, frames, variance, given.seconds)
            return
        for preset in given.presets.split(","):
            report(preset, of_preset(preset, frames, camera), frames, variance, given.seconds)


if __name__ == "__main__":
    main()
