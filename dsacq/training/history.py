"""The course of a training as a table."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from dsacq.files.atomic import write_atomically
from dsacq.training.train import Progress


def write_history(history: Sequence[Progress], path: Path) -> None:
    """A CSV row for each time that accuracy was measured. Raises FileError."""
    rows = []
    for report in history:
        row = asdict(report)
        measured = row.pop("measured")
        rows.append({**row, **(measured or {})})
    write_atomically(path, pd.DataFrame(rows).to_csv(index=False).encode())
