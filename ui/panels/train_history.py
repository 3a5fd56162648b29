"""The course of a training as curves."""

from typing import Any

import numpy as np

from ui.panels.curves import Curves, Plot
from ui.theme import AMBER, BLUE, GREEN

PLOTS = {
    "loss": Plot(
        "Loss",
        (("training", BLUE), ("validation", AMBER)),
        "What the training makes small; validation is on frames that are always the same.",
    ),
    "jaccard": Plot(
        "Jaccard index",
        (("crowded", GREEN), ("alone: found", BLUE)),
        "True finds among true, false and missed ones in crowded frames; 1 is perfect. "
        "Beside it the share of emitters found that are alone.",
    ),
    "rmse": Plot(
        "Error, nm",
        (("lateral", BLUE), ("axial", AMBER)),
        "Root mean square error of the emitters found in crowded frames.",
    ),
    "ratio": Plot(
        "Error / bound",
        (("lateral", BLUE), ("axial", AMBER)),
        "Error of emitters that are alone over the least that the optics allow; 1 is perfect.",
    ),
}
_VALUES = {
    "loss": ("loss", "validation_loss"),
    "jaccard": ("jaccard", "isolated_recall"),
    "rmse": ("rmse_lateral_nm", "rmse_axial_nm"),
    "ratio": ("ratio_lateral", "ratio_axial"),
}


class TrainingHistory:
    """Every report of a training, in its order."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def clear(self) -> None:
        self._rows.clear()

    def add(self, report: dict[str, Any]) -> None:
        """Take what a watched training has told."""
        self._rows.append({**report, **(report.get("measured") or {})})

    @property
    def measured(self) -> dict[str, Any]:
        """The newest report with accuracy, or nothing."""
        return next((row for row in reversed(self._rows) if row.get("measured")), {})

    def curves(self, name: str) -> Curves:
        """Steps (n,), and values (2, n) of a plot, by the names of `PLOTS`."""
        names = _VALUES[name]
        rows = [row for row in self._rows if any(row.get(key) is not None for key in names)]
        steps = np.array([row["step"] for row in rows], np.float64)
        values = np.array(
            [[np.nan if row.get(key) is None else row[key] for row in rows] for key in names],
            np.float64,
        )
        return steps, values.reshape(len(names), len(rows))
