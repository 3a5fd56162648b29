"""How fast Muon trains beside AdamW, on the same frames.

    python -m benchmarks.optimisers [--steps 800] [--config FILE.toml] [--device cuda]

One training each, with its own learning rates, from the same weights; the loss is on validation
frames that stay the same. On one thread 800 steps of nano take five minutes.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from dsacq.simulation.settings import chosen_mask
from dsacq.training.settings import read_training
from dsacq.training.train import Training

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
TRIED = (("adamw", 3e-3), ("muon", 3e-3), ("muon", 5e-3), ("muon", 1e-2))


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--config", type=Path, default=EXAMPLES / "train-bench.toml")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = read_training(given.config)
    mask = chosen_mask(settings.mask, settings.optics, given.config.parent)
    for name, rate in TRIED:
        schedule = replace(settings.training, steps=given.steps, learning_rate=rate, start=None)
        training = Training(replace(settings, training=schedule), mask, torch.device(given.device))
        if name == "adamw":
            training._optimiser = torch.optim.AdamW(  # type: ignore[assignment]
                training._network.parameters(), weight_decay=0.01, betas=(0.9, 0.99)
            )
        for report in training.run():
            measured = report.measured
            if measured is None or report.step % (given.steps // 4):
                continue
            print(
                f"{name} {rate:g}  step {report.step:5d}  loss {report.validation_loss:.2f}  "
                f"Jaccard {measured.jaccard:.3f}  {report.seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
