"""How fast frames are simulated, beside the method of the published simulator, in one process.

python -m benchmarks.simulate [--frames 1000] [--threads 2] [--masks FOLDER] [--json]

Two standard optics: A (329 x 329 mask, 0.58 um, z 2..6) and B (203 x 203 mask, 0.67 um, z 0..4),
121 x 121 pixels of 0.11 um, 35 emitters per frame in the central 81 x 81 pixels, each with its own
blur, 100 photons of background per pixel, Poisson noise. FOLDER may hold mask_tetrapod.mat and
mask_tetrapod_printed.mat; without it a Tetrapod is made from Zernike modes.
"""

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dsacq.files.masks import read_mask
from dsacq.physics.camera import IdealCamera, expose
from dsacq.physics.optics import Optics
from dsacq.physics.psf import psf
from dsacq.physics.pupil import PsfModel
from dsacq.physics.tetrapod import tetrapod_coefficients
from dsacq.physics.zernike import mask_disc, zernike
from dsacq.simulation.frames import FrameRenderer, render_exact

SHAPE, EMITTERS, INSET_PX, BACKGROUND = (121, 121), 35, 20, 100.0
BATCH = 20  # frames rendered at a time
_COMMON = {
    "na": 1.45,
    "index_immersion": 1.518,
    "index_sample": 1.33,
    "magnification": 100,
    "camera_pixel_um": 11,
}


@dataclass(frozen=True)
class Case:
    """A mask and its microscope; reference_s: the published simulator's time per frame."""

    name: str
    optics: Optics
    mask_samples: int
    blur_px: tuple[float, float]
    mask_file: str
    reference_s: float  # stated for two cores


CASES = (
    Case(
        "A",
        Optics(
            wavelength_um=0.58,
            focal_4f_um=150e3,
            mask_pixel_um=24,
            focus_um=4.5,
            z_range_um=(2, 6),
            **_COMMON,
        ),
        329,
        (0.75, 1.25),
        "mask_tetrapod.mat",
        0.916,
    ),
    Case(
        "B",
        Optics(
            wavelength_um=0.67,
            focal_4f_um=100e3,
            mask_pixel_um=30,
            focus_um=1.5,
            z_range_um=(0, 4),
            **_COMMON,
        ),
        203,
        (0.99, 1.01),
        "mask_tetrapod_printed.mat",
        0.340,
    ),
)


@dataclass(frozen=True)
class Scene:
    """Emitters of several frames, EMITTERS each, in the order of their frames."""

    frame: Tensor
    xyz_um: Tensor
    photons: Tensor
    blur_px: Tensor


def scene(case: Case, frames: int, seed: int, device: str = "cpu") -> Scene:
    generator = torch.Generator().manual_seed(seed)
    count = frames * EMITTERS
    part = torch.rand(count, 5, generator=generator)
    z_low, z_high = case.optics.z_range_um
    low = torch.tensor([INSET_PX * case.optics.pixel_um] * 2 + [z_low, 1e4, case.blur_px[0]])
    far = (SHAPE[0] - INSET_PX) * case.optics.pixel_um
    high = torch.tensor([far, far, z_high, 6e4, case.blur_px[1]])
    value = low + (high - low) * part
    value = value.to(device)
    frame = torch.arange(frames, device=device).repeat_interleave(EMITTERS)
    return Scene(frame, value[:, :3], value[:, 3], value[:, 4])


def mask_phase(case: Case, folder: Path | None) -> Tensor:
    if folder is not None:
        return torch.from_numpy(read_mask(folder / case.mask_file, optics=case.optics).phase_rad)
    samples = (case.mask_samples, case.mask_samples)
    radius, azimuth = mask_disc(case.optics, samples, case.optics.mask_pixel_um)
    modes = tetrapod_coefficients(case.optics)
    phase = sum(rms * zernike(*mode, radius, azimuth) for mode, rms in modes.items())
    return torch.as_tensor(phase * (radius <= 1)).float()


class FullGridSimulator:
    """The published method, step by step: every emitter is a phase and an FFT of the whole mask."""

    def __init__(self, phase_rad: Tensor, case: Case) -> None:
        optics, samples = case.optics, case.mask_samples
        self.optics, self.samples = optics, samples
        self.mask = torch.exp(1j * phase_rad)
        self.wavenumber = 2 * math.pi / optics.wavelength_um
        centred = np.arange(samples) - (samples - 1) / 2
        scale = optics.mask_pixel_um * optics.magnification / optics.focal_4f_um
        self.u, self.v = np.meshgrid(centred * scale, centred * scale)
        square = self.u**2 + self.v**2
        self.inside = square < optics.index_sample**2
        self.sample_z = np.sqrt(np.maximum(optics.index_sample**2 - square, 0))
        self.immersion_z = np.sqrt(np.maximum(optics.index_immersion**2 - square, 0))

    def phase_factors(self, xyz_um: Tensor) -> Tensor:
        factors: NDArray[np.complex128] = np.zeros(
            (len(xyz_um), self.samples, self.samples), np.complex128
        )
        for index, (x, y, z) in enumerate(xyz_um.double().numpy()):
            path = x * self.u + y * self.v + z * self.sample_z
            path = path - self.optics.focus_um * self.immersion_z
            factors[index] = self.inside * np.exp(1j * self.wavenumber * path)
        return torch.from_numpy(factors.astype(np.complex64))

    def frame(self, xyz_um: Tensor, photons: Tensor, blur_px: Tensor) -> NDArray[np.int64]:
        """One noisy frame; xyz_um from its centre."""
        field = torch.fft.fftshift(torch.fft.fft2(self.phase_factors(xyz_um) * self.mask), (1, 2))
        image = field.real**2 + field.imag**2
        image = image * (photons / image.sum((1, 2)))[:, None, None]
        first = self.samples // 2 - SHAPE[0] // 2
        image = image[:, first : first + SHAPE[0], first : first + SHAPE[1]]
        tap = torch.arange(-4.0, 5.0)
        kernel = torch.exp(-0.5 * (tap / blur_px[:, None]) ** 2)
        kernel = kernel[:, :, None] * kernel[:, None, :]
        kernel = kernel / kernel.sum((1, 2), keepdim=True)
        blurred = functional.conv2d(image[None], kernel[:, None], padding=4, groups=len(image))
        expected = blurred[0].sum(0) + BACKGROUND
        return np.random.default_rng(0).poisson(expected.numpy())


def measure(case: Case, frames: int, folder: Path | None, device: str) -> dict[str, float | str]:
    """Times of all methods, in turns: whatever else the machine does falls on all alike.

    The published method always runs on the CPU.
    """
    own_phase = mask_phase(case, folder)
    phase = own_phase.to(device)
    start = time.perf_counter()
    renderer = FrameRenderer(phase, case.optics, SHAPE)
    build_s = time.perf_counter() - start
    published = FullGridSimulator(own_phase, case)
    centre = torch.tensor([SHAPE[1] / 2, SHAPE[0] / 2, 0]) * case.optics.pixel_um
    noise = torch.Generator(device).manual_seed(3)

    few = scene(case, 4, seed=1, device=device)
    rows = (few.frame, few.xyz_um, few.photons, 4, few.blur_px)
    exact = render_exact(phase, case.optics, SHAPE, PsfModel(), *rows)
    error = (renderer.render(*rows) - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)

    simulator = render_exact(phase, case.optics, SHAPE, PsfModel(kind="deepstorm3d"), *rows)
    published_error = (simulator - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)

    ours_s, full_grid_s, exact_s = [], [], []
    for index in range(-(-frames // BATCH)):
        made = scene(case, BATCH, seed=10 + index, device=device)
        xyz_um, photons, blur_px = (
            part[:EMITTERS].cpu()
            for part in (made.xyz_um.cpu() - centre, made.photons, made.blur_px)
        )

        start = time.perf_counter()
        light = renderer.render(made.frame, made.xyz_um, made.photons, BATCH, made.blur_px)
        expose(IdealCamera(), light + BACKGROUND, noise).sum().item()  # waits for a GPU
        ours_s.append((time.perf_counter() - start) / BATCH)

        start = time.perf_counter()
        published.frame(xyz_um, photons, blur_px)
        full_grid_s.append(time.perf_counter() - start)

        start = time.perf_counter()
        psf(phase, xyz_um.to(device), case.optics, SHAPE, blur_px=blur_px.to(device)).sum().item()
        exact_s.append(time.perf_counter() - start)
    return {
        "optics": case.name,
        "threads": torch.get_num_threads(),
        "frames": len(ours_s) * BATCH,
        "error_percent": 100 * float(error.max()),
        "published_error_percent": 100 * float(published_error.mean()),
        "build_s": build_s,
        "frames_per_s": 1 / median(ours_s),
        "frames_per_s_best": 1 / min(ours_s),
        "exact_psf_per_s": EMITTERS / median(exact_s),
        "full_grid_s_per_frame": median(full_grid_s),
        "full_grid_s_per_frame_best": min(full_grid_s),
        "times_full_grid": median(full_grid_s) / median(ours_s),
        "times_full_grid_best": min(full_grid_s) / min(ours_s),
        "times_published": case.reference_s / median(ours_s),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for case in CASES:
        result = measure(case, given.frames, given.masks, given.device)
        if given.json:
            print(json.dumps(result))
        else:
            print(
                "  ".join(
                    f"{key} {value if isinstance(value, str) else format(value, '.4g')}"
                    for key, value in result.items()
                )
            )


if __name__ == "__main__":
    main()
