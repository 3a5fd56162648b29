"""A training that leaves files from which it can go on, whenever and however it ends."""

from collections.abc import Generator
from pathlib import Path

from dsacq.files.atomic import going_on
from dsacq.training.history import write_history
from dsacq.training.train import Progress, Training

HISTORY = ".progress.csv"  # what the name of its table ends in
_SAVED_S = 120.0  # seconds between checkpoints


def saved_as_it_goes(
    training: Training, run: Generator[Progress], checkpoint: Path, model: Path
) -> Generator[Progress]:
    """The reports of a run; the checkpoint is written every two minutes and at the end.

    model: the table of the progress gets its name. A file that another program holds does not end
    the training. Raises FileError, and what the run raises.
    """
    saved_s = 0.0
    try:
        for report in run:
            if report.measured is not None:
                with going_on():
                    write_history(training.history, model.with_suffix(HISTORY))
            if report.seconds - saved_s > _SAVED_S:
                saved_s = report.seconds
                with going_on():
                    training.save(checkpoint)
            yield report
    finally:
        with going_on():
            training.save(checkpoint)
