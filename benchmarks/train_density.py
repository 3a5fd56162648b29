"""Train a mixture network for the density frames of the published simulator.

    python -m benchmarks.train_density ../shared/data tetrapod -o tetrapod.safetensors

Writes the settings as TOML beside the model and trains by them, as `dsacq train` does (--resume and
--max-minutes as there). The physics is the published simulator's, in its settings: so the model is
for this comparison only. `python -m benchmarks.density` compares it with the published networks.
"""

import argparse
from pathlib import Path

from ui.commands.training import train
from ui.console import DeviceName

_CONFIG = """\
[optics]
wavelength_um = 0.58
na = 1.45
index_immersion = 1.518
index_sample = 1.33
magnification = 100
focal_4f_um = 150000
camera_pixel_um = 11
mask_pixel_um = 24
focus_um = 4.5
z_range_um = [2.0, 6.0]

[mask]
file = "{mask}"

[psf]
kind = "deepstorm3d"
blur_px = 1.0

[camera]
kind = "ideal"

[network]
kind = "mixture"
preset = "{preset}"

[priors]
density_per_um2 = 1.1       # the stored frames have up to 75 in their central 81 x 81 pixels: 0.94
border_px = 8
z_margin_um = 0.0
blur_px = [0.75, 1.25]
aberration_rad = 0.0
focus_um = 0.0

[priors.photons]
kind = "uniform"
low = 10000
high = 60000

[priors.background]
kind = "super_gaussian"
base = [20.0, 30.0]
peak = [100.0, 150.0]

[training]
steps = {steps}
batch = {batch}
crop_px = 96
learning_rate = {learning_rate}
{start}"""


def main() -> None:
    """Parse the arguments, write the settings, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("mask", choices=("tetrapod", "learned"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--preset", choices=("nano", "small", "full"), default="full")
    parser.add_argument("--steps", type=int, default=25_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=7e-3)
    parser.add_argument("--start", type=Path, help="a model of the same preset, to go on from")
    parser.add_argument("--max-minutes", type=float)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--device", type=DeviceName, default=DeviceName.auto)
    given = parser.parse_args()
    mask = (given.data / "deepstorm3d" / "masks" / f"mask_{given.mask}.mat").resolve()
    config = given.output.with_suffix(".toml")
    config.write_text(
        _CONFIG.format(
            mask=mask.as_posix(),
            preset=given.preset,
            steps=given.steps,
            batch=given.batch,
            learning_rate=given.learning_rate,
            start=f'start = "{given.start.resolve().as_posix()}"' if given.start else "",
        ),
        encoding="utf-8",
    )
    train(config, given.output, given.resume, given.max_minutes, given.device)


if __name__ == "__main__":
    main()
